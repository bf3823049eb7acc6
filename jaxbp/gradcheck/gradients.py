"""Independent judges of the hand-written gradient of a loss.

The correctness statement, for every parameter leaf:

    || hand - g ||_2  <=  8 sqrt(L) max(1, (max(width, batch) / 64)^(1/4)) u || g ||_2

with L affine layers, u half a unit in the last place of the dtype (2^-24 or 2^-53), and g the
float64 gradient of `reference_predict` at the same stored parameters. It is normwise for each leaf:
where terms cancel, a single element may be off by far more than the norm. Where the terms of a
whole leaf cancel, as they do in a trained network, every program is off by more; how much more is
measured on autodiff in float32. In float64 autodiff of the reference can show consistency only, so
a second judge takes central differences along one random direction a leaf.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from jaxbp._samples import as_targets, check_output, check_params
from jaxbp.backprop import loss_and_gradient
from jaxbp.gradcheck.numerical import CENTRAL_STEP as STEP
from jaxbp.gradcheck.numerical import shifted
from jaxbp.gradcheck.report import Report, Row, compare
from jaxbp.losses import Loss, as_loss
from jaxbp.network import forward, reference_predict
from jaxbp.params import Mlp, Params

CHANGE = (
    2.0**-36
)  # of the parameters, relative: far above the unit of float64, far below what bends a gradient


def rounding_bound(mlp: Mlp, num_samples: int, dtype: DTypeLike) -> float:
    """The relative error, normwise for a leaf, that rounding in `dtype` may cause (see the module)."""
    unit = float(jnp.finfo(dtype).eps) / 2
    growth = max(1.0, (max(*mlp.sizes, num_samples) / 64) ** 0.25)
    return 8 * math.sqrt(mlp.num_layers) * growth * unit


def check_gradients(
    mlp: Mlp,
    params: Params,
    inputs: Any,
    targets: Any,
    loss: str | Loss = "mean_squared_error",
    *,
    gradient: Params | None = None,
) -> Report:
    """Holds the hand-written gradient of a loss against independent judges.

    The judges, both in float64 whatever the dtype of the parameters: autodiff of
    `reference_predict`, leaf by leaf; and
    central differences of the loss along one random direction a leaf, with the bound that their own
    two step sizes give. Where a step crosses a kink of an activation the difference is not taken,
    and the report says so.

    Args:
        mlp: the network.
        params: its parameters.
        inputs: (n, n_0), n at least 1.
        targets: (n, n_L), or what else the loss takes.
        loss: a `Loss`, or the name of one.
        gradient: a gradient from elsewhere to be judged instead of `loss_and_gradient`'s.

    Returns:
        The report; `report.ok`, `report.worst` and `str(report)` sum it up.

    Raises:
        ValueError: a shape does not fit, the batch is empty, or the loss is not known.
        TypeError: inputs or targets are not real numbers.
    """
    loss = as_loss(loss)
    check_output(mlp, loss)
    hand = (
        loss_and_gradient(mlp, params, inputs, targets, loss)[1] if gradient is None else gradient
    )
    check_params(mlp, hand, "gradient")
    dtype, num_samples = params[0].weight.dtype, np.shape(inputs)[0]
    with jax.enable_x64(True):
        # The stored numbers, not the caller's: the inputs as they were after the cast to the dtype
        # of the parameters.
        stored, points = widen((params, jnp.asarray(np.asarray(inputs), dtype)))
        wanted = widen(as_targets(loss, targets, (num_samples, mlp.sizes[-1]), dtype))
        gradient_of = partial(_reference_gradient, mlp, loss, inputs=points, targets=wanted)
        allowed = allowances(gradient_of, stored, mlp, num_samples, dtype)
        rows = compare("params", hand, gradient_of(stored), "autodiff", allowed)
        value = partial(_reference_loss, mlp, loss, inputs=points, targets=wanted)
        more, notes = _central_differences(mlp, value, stored, points, hand, allowed)
        notes = [
            *mask_flips(mlp, params, jnp.asarray(np.asarray(inputs), dtype)),
            *cancelled(rows),
            *notes,
        ]
    return Report(tuple(rows + more), notes=tuple(notes))


def cancelled(rows: list[Row]) -> list[str]:
    """Says of which leaves the terms cancel so far that rounding leaves less than two digits."""
    return [
        f"{row.path}: its terms cancel, rounding allows {row.allowed:.1g}"
        for row in rows
        if row.allowed > 0.01
    ]


def widen(tree: Any) -> Any:
    """Casts the floating leaves of a pytree to float64, without losing what they store."""

    def cast(leaf: Any) -> Array:
        array = np.asarray(leaf)
        return jnp.asarray(
            array, jnp.float64 if jnp.issubdtype(array.dtype, jnp.floating) else None
        )

    return jax.tree.map(cast, tree)


@partial(jax.jit, static_argnums=(0, 1))
def _reference_loss(mlp: Mlp, loss: Loss, params: Params, inputs: Array, targets: Array) -> Array:
    outputs = reference_predict(mlp, params, inputs.astype(params[0].weight.dtype))
    same = targets if jnp.issubdtype(targets.dtype, jnp.integer) else targets.astype(outputs.dtype)
    return loss.values(outputs, same).mean()


_reference_gradient = jax.jit(jax.grad(_reference_loss, 2), static_argnums=(0, 1))


def allowances(
    judge: Callable[[Params], Any], params: Params, mlp: Mlp, num_samples: int, dtype: DTypeLike
) -> list[float]:
    """For each leaf that the judge returns, the relative error that rounding in `dtype` may cause
    there.

    Where the terms of a leaf cancel, the bound grows: by what autodiff's own error in float32
    shows, and by what
    a relative change of the parameters by u does to it, each four times for safety. Near a minimum
    the second is the larger one: there a gradient is a small difference of large terms.
    """
    bounds = {
        kind: rounding_bound(mlp, num_samples, kind)
        for kind in (np.dtype(dtype), np.dtype(np.float32))
    }
    narrow = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)
    exact = judge(jax.tree.map(lambda leaf: leaf.astype(jnp.float64), narrow))
    single = bounds[np.dtype(np.float32)]
    unknown = [single] * len(jax.tree.leaves(exact))
    generator = np.random.default_rng(0)
    signs = jax.tree.map(lambda leaf: generator.choice([-1.0, 1.0], leaf.shape), params)
    moved = jax.tree.map(lambda leaf, sign: leaf * (1 + CHANGE * sign), params, signs)
    unit = float(jnp.finfo(dtype).eps) / 2
    # In float64 the judge rounds as well: two errors, each within the bound, are that much apart at
    # most.
    both = 2 if dtype == np.float64 else 1
    cancellations = compare("", judge(narrow), exact, "", unknown)
    changes = compare("", judge(moved), judge(params), "", unknown)
    return [
        both
        * max(
            bounds[np.dtype(dtype)] * max(1.0, 4 * cancelled.error / single),
            4 * changed.error / CHANGE * unit,
        )
        for cancelled, changed in zip(cancellations, changes, strict=True)
    ]


def _central_differences(
    mlp: Mlp,
    value: Callable[[Params], Array],
    params: Params,
    inputs: Array,
    hand: Params,
    rounding: list[float],
) -> tuple[list[Row], list[str]]:
    """Compares <hand, v> with (f(p + h v) - f(p - h v)) / 2h for a random unit direction v in each leaf."""
    generator = np.random.default_rng(0)
    rows, notes = [], []
    leaves = jax.tree_util.tree_leaves_with_path(params)
    for position, ((path, leaf), bar) in enumerate(zip(leaves, jax.tree.leaves(hand), strict=True)):
        name = f"params{jax.tree_util.keystr(path)}"
        direction = generator.standard_normal(leaf.shape)
        direction /= np.linalg.norm(direction)
        sides = [
            _kink_sides(mlp, shifted(params, position, h * direction), inputs)
            for h in (-2 * STEP, 2 * STEP)
        ]
        crossed = _num_different(*sides)
        if crossed:
            notes.append(
                f"{name}: {crossed} units change sides of a kink within the step, no difference taken"
            )
            continue
        ends = {
            h: float(value(shifted(params, position, h * direction)))
            for h in (-2 * STEP, -STEP, STEP, 2 * STEP)
        }
        fine, coarse = ((ends[h] - ends[-h]) / (2 * h) for h in (STEP, 2 * STEP))
        slope = float(np.sum(np.asarray(bar, np.float64) * direction))
        # Truncation is h^2 times a third derivative, so a third of the change from 2h to h;
        # rounding of f is a few units of f over h. Both with a factor 4, and the rounding of the
        # gradient under judgement itself.
        size = float(np.linalg.norm(np.asarray(bar, np.float64)))
        allowed = (
            4 * abs(coarse - fine) / 3
            + 4 * 2.0**-52 * (abs(ends[STEP]) + 1) / STEP
            + rounding[position] * size
        )
        scale = max(size, 1e-30)
        rows.append(
            Row(
                name,
                "central difference",
                abs(slope - fine) / scale,
                allowed / scale,
                (),
                slope,
                fine,
            )
        )
    return rows, notes


@partial(jax.jit, static_argnums=0)
def _kink_sides(mlp: Mlp, params: Params, inputs: Array) -> list[Array]:
    """For each layer whose activation has a kink, which of its units are above it."""
    if not any(activation.kink for activation in mlp.activations):
        return []
    _, residuals = forward(mlp, params, inputs)
    pairs = zip(mlp.activations, residuals, strict=True)
    return [kept.activation > 0 for activation, kept in pairs if activation.kink]


def mask_flips(mlp: Mlp, params: Params, inputs: Array) -> list[str]:
    """Says how many units are on another side of a kink in the parameters' dtype than in float64, if any."""
    flips = _num_different(
        _kink_sides(mlp, params, inputs), _kink_sides(mlp, *widen((params, inputs)))
    )
    return (
        [f"{flips} units are on the other side of a kink in {inputs.dtype} than in float64"]
        if flips
        else []
    )


def _num_different(sides: list[Array], others: list[Array]) -> int:
    return sum(int((a != b).sum()) for a, b in zip(sides, others, strict=True))
