"""Independent judges of a custom derivative rule, anyone's."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbp.gradcheck.directions import Leaf, Probe, judge_directions
from jaxbp.gradcheck.gradients import widen
from jaxbp.gradcheck.report import Report, Row, compare
from jaxbp.gradcheck.taylor import judge_remainders

Function = Callable[..., Any]
SINGLE = 2.0**-24


def check_rule(function: Function, reference: Function, *arguments: Any, seed: int = 0) -> Report:
    """Holds a custom derivative rule against independent judges.

    The reference, in float64, gives the values; the cotangents of all arguments under a random
    cotangent of the result; and their derivatives along a random direction, so that the rule is
    judged at second order too. What the rule returns must be linear in the cotangent, obey the
    adjoint identity with forward mode, agree with the complex step where the reference is analytic
    and with central differences at some elements, and leave a Taylor remainder that falls with the
    square of the step. Elements at a kink are left out and counted. JAX checks the shape of what a
    rule returns, not its meaning.

    Args:
        function: a function with a custom_vjp or custom_jvp rule, of pytrees of real arrays.
        reference: the same function without the rule, differentiable by JAX.
        *arguments: where to compare.
        seed: of the random cotangent and directions.

    Returns:
        The report. A function that answers two equal calls differently is not judged, and the
        report says so.

    Raises:
        ValueError: function and reference differ in the structure or the shapes of what they
            return.
        TypeError: the function returns no real numbers.
    """
    arguments = jax.tree.map(jnp.asarray, arguments)
    value, again = function(*arguments), function(*arguments)
    _check_result(value, jax.eval_shape(reference, *arguments))
    ruled, pullback = jax.vjp(function, *arguments)
    generator = np.random.default_rng(seed)
    cotangent = jax.tree.map(lambda leaf: _draw(generator, leaf), value)
    hand, hand_again = pullback(cotangent), jax.vjp(function, *arguments)[1](cotangent)
    if not (_same(value, again) and _same(hand, hand_again)):
        return Report(
            (), faults=("not judged: the function is not deterministic, two equal calls differ",)
        )
    doubled = pullback(_on_numbers(lambda bar: -2 * bar, cotangent))
    directions = jax.tree.map(lambda leaf: _draw(generator, leaf, unit=True), arguments)
    second, notes = _second_order(function, arguments, cotangent, directions)
    # The number of roundings of an unknown function is not known. So the bound is generous, the 3/4
    # power of the unit: 3e-5 or 8e-12. Where terms cancel it grows by what autodiff of the
    # reference loses in float32.
    unit = max(
        float(jnp.finfo(leaf.dtype).eps) / 2
        for leaf in jax.tree.leaves(value)
        if _is_floating(leaf)
    )
    bound = 8 * unit**0.75
    with jax.enable_x64(True):
        judge = jax.jit(reference)
        exact, narrow = (
            _derivatives(judge, arguments, cotangent, directions, dtype) for dtype in ("f8", "f4")
        )
        of_value = _allowed(narrow[0], exact[0], bound, unit)
        rows = compare("value", value, exact[0], "reference", of_value)
        rows += compare("value by the rule", ruled, exact[0], "reference", of_value)
        allowed = _allowed(narrow[1], exact[1], bound, unit)
        rows += compare("arguments", hand, exact[1], "autodiff", allowed)
        expected = _on_numbers(lambda bar: -2 * widen(bar), hand)
        rows += compare("arguments", doubled, expected, "cotangent times -2", allowed)
        if second is not None:
            limits = _allowed(narrow[2], exact[2], bound, unit)
            rows += compare("arguments", second, exact[2], "second order", limits)
        probe = Probe(judge, widen(arguments), _on_numbers(widen, cotangent))
        more, others = judge_directions(probe, _leaves(hand, directions, allowed))
        remainders, remarks = _remainders(function, probe, directions, exact[1], allowed)
    return Report(
        tuple(rows + more + remainders),
        faults=tuple(_other_dtypes(arguments, hand)),
        notes=(*notes, *others, *remarks),
    )


def _check_result(value: Any, expected: Any) -> None:
    if jax.tree.structure(value) != jax.tree.structure(expected):  # type: ignore[operator]
        raise ValueError("function and reference must return the same structure")
    shapes = [jax.tree.map(jnp.shape, tree) for tree in (value, expected)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"function and reference must return the same shapes, got {shapes[0]} and {shapes[1]}"
        )
    dtypes = [jnp.result_type(leaf) for leaf in jax.tree.leaves(value)]
    if not any(map(_is_floating, jax.tree.leaves(value))) or any(
        jnp.issubdtype(d, jnp.complexfloating) for d in dtypes
    ):
        raise TypeError(
            f"function must return real numbers, got {', '.join(map(str, dtypes)) or 'nothing'}"
        )


def _is_floating(leaf: Any) -> bool:
    return bool(jnp.issubdtype(jnp.result_type(leaf), jnp.floating))


def _draw(generator: np.random.Generator, leaf: Any, unit: bool = False) -> Any:
    """Normal numbers of the shape and dtype of a leaf, of norm 1 if asked to; nothing for integers."""
    if not _is_floating(leaf):
        return np.zeros(np.shape(leaf), jax.dtypes.float0)
    drawn = generator.standard_normal(np.shape(leaf))
    return jnp.asarray(
        drawn / max(float(np.linalg.norm(drawn)), 1e-30) if unit else drawn, leaf.dtype
    )


def _same(one: Any, other: Any) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(
        a.dtype == jax.dtypes.float0
        or np.array_equal(np.asarray(a, np.float64), np.asarray(b, np.float64), equal_nan=True)
        for a, b in pairs
    )


def _on_numbers(change: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Maps over a pytree, but for cotangents of integers."""
    return jax.tree.map(
        lambda leaf, *more: leaf if leaf.dtype == jax.dtypes.float0 else change(leaf, *more),
        tree,
        *others,
    )


def _to_dtype_of(bar: Any, leaf: Any) -> Any:
    return bar.astype(leaf.dtype)


def _pulled(function: Function, cotangent: Any, arguments: Any) -> Any:
    return jax.vjp(function, *arguments)[1](cotangent)


def _second_order(
    function: Function, arguments: Any, cotangent: Any, directions: Any
) -> tuple[Any, list[str]]:
    """Differentiates what the rule returns along the directions; None, and why, where it cannot be."""
    try:
        return jax.vjp(partial(_pulled, function, cotangent), arguments)[1](directions)[0], []
    except Exception as error:
        reason = str(error).split("\n")[0][:100]
        return None, [
            f"no second order: differentiating the rule raises {type(error).__name__}: {reason}"
        ]


def _derivatives(
    judge: Function, arguments: Any, cotangent: Any, directions: Any, dtype: str
) -> tuple[Any, Any, Any]:
    """Value, cotangents and their derivatives by autodiff of the reference, in that dtype."""

    def cast(leaf: Any) -> Any:
        return jnp.asarray(np.asarray(leaf), dtype) if _is_floating(leaf) else leaf

    arguments, cotangent, directions = _on_numbers(cast, (arguments, cotangent, directions))
    value = judge(*arguments)
    cotangent = _on_numbers(_to_dtype_of, cotangent, value)
    bars, pullback = jax.vjp(partial(_pulled, judge, cotangent), arguments)
    return value, bars, pullback(directions)[0]


def _allowed(narrow: Any, exact: Any, bound: float, unit: float) -> list[float]:
    """For each leaf the relative error that rounding may cause, from that of float32."""
    rows = compare("", narrow, exact, "", [bound] * len(jax.tree.leaves(exact)))
    errors = iter(rows)
    return [
        bound
        if leaf.dtype == jax.dtypes.float0
        else max(bound, 4 * next(errors).error * unit / SINGLE)
        for leaf in jax.tree.leaves(exact)
    ]


def _leaves(bars: Any, directions: Any, allowed: list[float]) -> list[Leaf]:
    """What the directional judges look at: the cotangents of real numbers."""
    listed = enumerate(
        zip(
            jax.tree_util.tree_leaves_with_path(bars),
            jax.tree.leaves(directions),
            allowed,
            strict=True,
        )
    )
    return [
        Leaf(
            f"arguments{jax.tree_util.keystr(path)}",
            i,
            np.asarray(bar, np.float64),
            limit,
            np.asarray(v, np.float64),
        )
        for i, ((path, bar), v, limit) in listed
        if bar.dtype != jax.dtypes.float0 and bar.size
    ]


def _remainders(
    function: Function, probe: Probe, directions: Any, exact: Any, allowed: list[float]
) -> tuple[list[Row], list[str]]:
    """Judges Taylor remainders of the rule in float64: float32 would leave its slope to rounding."""
    try:
        value, pullback = jax.vjp(function, *probe.arguments)
        hand = pullback(_on_numbers(_to_dtype_of, probe.cotangent, value))
    except Exception as error:
        return [], [f"no Taylor remainder: in float64 the function raises {type(error).__name__}"]
    # A rule may hold numbers of float32 inside: what the function's own dtype allows is no fault in
    # float64.
    errors = iter(compare("", hand, exact, "", allowed))
    limits = [
        limit if bar.dtype == jax.dtypes.float0 else next(errors).error
        for bar, limit in zip(jax.tree.leaves(exact), allowed, strict=True)
    ]
    limits = [
        error if error <= limit else 0.0 for error, limit in zip(limits, allowed, strict=True)
    ]
    return judge_remainders(probe, _leaves(hand, directions, limits))


def _other_dtypes(arguments: Any, hand: Any) -> list[str]:
    return [
        f"the cotangent of arguments{jax.tree_util.keystr(path)} has dtype {bar.dtype}, its argument {leaf.dtype}"
        for (path, leaf), bar in zip(
            jax.tree_util.tree_leaves_with_path(arguments), jax.tree.leaves(hand), strict=True
        )
        if bar.dtype not in (leaf.dtype, jax.dtypes.float0)
    ]
