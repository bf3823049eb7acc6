"""Independent judges of a gradient, and a report that says which element is wrong.

The correctness statement, for every parameter leaf:

    || hand - g ||_2  <=  8 sqrt(L) max(1, (max(width, batch) / 64)^(1/4)) u || g ||_2

with L affine layers, u half a unit in the last place of the dtype (2^-24 or 2^-53), and g the float64 gradient of
`reference_predict` at the same stored parameters. It is normwise for each leaf: where terms cancel, a single element
may be off by far more than the norm. Where the terms of a whole leaf cancel, as they do in a trained network, every
program is off by more; how much more is measured on autodiff in float32. In float64 autodiff of the reference can show
consistency only, so a second judge takes central differences along one random direction a leaf.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxbp.losses import as_targets, loss_named
from jaxbp.names import LossName
from jaxbp.network import forward, reference_predict
from jaxbp.objective import loss_and_gradient
from jaxbp.params import Mlp, Params, check_params
from jaxbp.report import Report, Row, compare

KINKED = ("relu", "leaky_relu")
STEP = 6e-6  # of central differences in float64: about the cube root of u, where truncation and rounding are equal


def rounding_bound(mlp: Mlp, num_samples: int, dtype: Any) -> float:
    """The relative error, normwise for a leaf, that rounding in `dtype` may cause (see the module)."""
    unit = float(jnp.finfo(dtype).eps) / 2
    growth = max(1.0, (max(*mlp.sizes, num_samples) / 64) ** 0.25)
    return 8 * math.sqrt(mlp.num_layers) * growth * unit


def check_gradients(
    mlp: Mlp,
    params: Params,
    inputs: Any,
    targets: Any,
    loss: LossName = "mean_squared_error",
    *,
    gradient: Params | None = None,
) -> Report:
    """Holds the hand-written gradient of a loss against independent judges.

    The judges, both in float64 whatever the dtype of the parameters: autodiff of `reference_predict`, leaf by leaf; and
    central differences of the loss along one random direction a leaf, with the bound that their own two step sizes
    give. Where a step crosses a kink of an activation the difference is not taken, and the report says so.

    Args:
        mlp: the network.
        params: its parameters.
        inputs: (n, n_0), n at least 1.
        targets: (n, n_L), or what else the loss takes.
        loss: the name of a loss.
        gradient: a gradient from elsewhere to be judged instead of `loss_and_gradient`'s.

    Returns:
        The report; `report.ok`, `report.worst` and `str(report)` sum it up.

    Raises:
        ValueError: a shape does not fit, the batch is empty, or the loss is not known.
        TypeError: inputs or targets are not real numbers.
    """
    hand = loss_and_gradient(mlp, params, inputs, targets, loss)[1] if gradient is None else gradient
    check_params(mlp, hand, "gradient")
    dtype, num_samples = params[0].weight.dtype, np.shape(inputs)[0]
    notes = []
    with jax.enable_x64(True):
        # The stored numbers, not the caller's: the inputs as they were after the cast to the dtype of the parameters.
        stored = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), params)
        points = jnp.asarray(np.asarray(inputs), dtype).astype(jnp.float64)
        chosen = loss_named(loss)
        answers = as_targets(chosen, targets, (num_samples, mlp.sizes[-1]), dtype)

        def objective(params: Params) -> Array:
            outputs = reference_predict(mlp, params, points)
            same = answers if jnp.issubdtype(answers.dtype, jnp.integer) else answers.astype(outputs.dtype)
            return chosen.values(outputs, same).mean()

        gradient_of = jax.jit(jax.grad(objective))
        expected = gradient_of(stored)
        bound = rounding_bound(mlp, num_samples, dtype)
        factors = _cancellation(gradient_of, stored, rounding_bound(mlp, num_samples, np.float32))
        allowed = [bound * factor for factor in factors]
        rows = compare("params", hand, expected, "autodiff", allowed)
        flips = _mask_flips(mlp, params, inputs, stored, points)
        if flips:
            notes.append(f"{flips} units are on the other side of a kink in {dtype} than in float64")
        more, skipped = _central_differences(mlp, objective, stored, points, hand, allowed)
        notes += skipped
    return Report(tuple(rows + more), notes=tuple(notes))


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
        wide = jax.tree.map(_widen, arguments)
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


def _widen(leaf: Array) -> Array:
    return jnp.asarray(np.asarray(leaf), jnp.float64 if jnp.issubdtype(leaf.dtype, jnp.floating) else None)


def _cancellation(gradient_of: Callable[[Params], Params], params: Params, bound: float) -> list[float]:
    """By what factor, at least 1, the rounding of each leaf is larger than the bound, twice as large for safety."""
    narrow = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)
    exact = gradient_of(jax.tree.map(lambda leaf: leaf.astype(jnp.float64), narrow))
    leaves = jax.tree.leaves(exact)
    rows = compare("", gradient_of(narrow), exact, "", [bound] * len(leaves))
    return [max(1.0, 2 * row.error / bound) for row in rows]


def _central_differences(
    mlp: Mlp,
    objective: Callable[[Params], Array],
    params: Params,
    inputs: Array,
    hand: Params,
    rounding: list[float],
) -> tuple[list[Row], list[str]]:
    """Compares <hand, v> with (f(p + h v) - f(p - h v)) / 2h for a random unit direction v in each leaf."""
    generator = np.random.default_rng(0)
    leaves, structure = jax.tree.flatten(params)
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    rows, notes = [], []
    value = jax.jit(objective)
    for position, (path, leaf, bar) in enumerate(zip(paths, leaves, jax.tree.leaves(hand), strict=True)):
        direction = generator.standard_normal(leaf.shape)
        direction /= np.linalg.norm(direction)

        def moved(step: float, position: int = position, direction: np.ndarray = direction) -> Params:
            shifted = [*leaves[:position], leaves[position] + step * direction, *leaves[position + 1 :]]
            return jax.tree.unflatten(structure, shifted)

        sides = [_kink_sides(mlp, moved(step), inputs) for step in (-2 * STEP, 2 * STEP)]
        crossed = sum(int((a != b).sum()) for a, b in zip(*sides, strict=True))
        if crossed:
            notes.append(f"params{path}: {crossed} units change sides of a kink within the step, no difference taken")
            continue
        fine, coarse = (float(value(moved(h)) - value(moved(-h))) / (2 * h) for h in (STEP, 2 * STEP))
        slope = float(np.sum(np.asarray(bar, np.float64) * direction))
        # Truncation is h^2 times a third derivative, so a third of the change from 2h to h; rounding of f is a few
        # units of f over h. Both with a factor 4, and the rounding of the gradient under judgement itself.
        size = float(np.linalg.norm(np.asarray(bar, np.float64)))
        truncation = 4 * abs(coarse - fine) / 3
        allowed = truncation + 4 * 2.0**-52 * (abs(float(value(params))) + 1) / STEP + rounding[position] * size
        scale = max(size, 1e-30)
        rows.append(
            Row(f"params{path}", "central difference", abs(slope - fine) / scale, allowed / scale, (), slope, fine)
        )
    return rows, notes


@partial(jax.jit, static_argnums=0)
def _kink_sides(mlp: Mlp, params: Params, inputs: Array) -> list[Array]:
    """For each layer whose activation has a kink, which of its units are above it."""
    if not any(name in KINKED for name in mlp.activation_names):
        return []
    _, residuals = forward(mlp, params, inputs)
    pairs = zip(mlp.activation_names, residuals, strict=True)
    return [kept.activation > 0 for name, kept in pairs if name in KINKED]


def _mask_flips(mlp: Mlp, params: Params, inputs: Any, wide_params: Params, wide_inputs: Array) -> int:
    narrow = _kink_sides(mlp, params, jnp.asarray(np.asarray(inputs), params[0].weight.dtype))
    wide = _kink_sides(mlp, wide_params, wide_inputs)
    return sum(int((a != b).sum()) for a, b in zip(narrow, wide, strict=True))
