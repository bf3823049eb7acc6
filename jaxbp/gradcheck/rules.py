"""Independent judges of a custom derivative rule."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbp.gradcheck.gradients import widen
from jaxbp.gradcheck.report import Report, compare


def check_rule(function: Callable[..., Any], reference: Callable[..., Any], *arguments: Any, seed: int = 0) -> Report:
    """Holds a custom derivative rule against autodiff of a reference.

    It compares the values, and the cotangents of all arguments under a random cotangent of the result, with autodiff of
    the reference in float64, and the dtypes of the cotangents with those of the arguments: JAX checks the shape of what
    a rule returns, not its meaning.

    Args:
        function: a function with a custom_vjp or custom_jvp rule, of pytrees of real arrays.
        reference: the same function without the rule, differentiable by JAX.
        *arguments: where to compare.
        seed: of the random cotangent.

    Returns:
        The report. A function that answers two equal calls differently is not judged, and the report says so.

    Raises:
        ValueError: function and reference differ in the structure or the shapes of what they return.
    """
    arguments = jax.tree.map(jnp.asarray, arguments)
    value, again = function(*arguments), function(*arguments)
    ruled, pullback = jax.vjp(function, *arguments)
    structures = [jax.tree.structure(tree) for tree in (value, jax.eval_shape(reference, *arguments))]
    if structures[0] != structures[1]:  # type: ignore[operator]
        raise ValueError("function and reference must return the same structure")
    same = jax.tree.map(lambda a, b: bool(np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)), value, again)
    if not all(jax.tree.leaves(same)):
        return Report((), faults=("not judged: the function is not deterministic, two equal calls differ",))
    generator = np.random.default_rng(seed)
    cotangent = jax.tree.map(lambda leaf: generator.standard_normal(leaf.shape).astype(leaf.dtype), value)
    hand = pullback(jax.tree.map(jnp.asarray, cotangent))
    with jax.enable_x64(True):
        wide = widen(arguments)
        expected_value, expected_pullback = jax.vjp(reference, *wide)
        shapes = [jax.tree.map(jnp.shape, tree) for tree in (value, expected_value)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"function and reference must return the same shapes, got {shapes[0]} and {shapes[1]}")
        expected = expected_pullback(jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), cotangent))
        # The number of roundings of an unknown function is not known; autodiff of the reference in the function's own
        # dtype would make as many. So the bound is generous, the 3/4 power of the unit: 3e-5 or 8e-12.
        unit = max(float(jnp.finfo(leaf.dtype).eps) / 2 for leaf in jax.tree.leaves(value))
        bound = 8 * unit**0.75
        rows = compare("value", value, expected_value, "reference", [bound] * len(jax.tree.leaves(value)))
        rows += compare("value by the rule", ruled, expected_value, "reference", [bound] * len(jax.tree.leaves(value)))
        rows += compare("arguments", hand, expected, "autodiff", [bound] * len(jax.tree.leaves(hand)))
    wrong = [
        f"the cotangent of arguments{jax.tree_util.keystr(path)} has dtype {bar.dtype}, its argument {leaf.dtype}"
        for (path, leaf), bar in zip(jax.tree_util.tree_leaves_with_path(arguments), jax.tree.leaves(hand), strict=True)
        if bar.dtype != leaf.dtype
    ]
    return Report(tuple(rows), faults=tuple(wrong))
