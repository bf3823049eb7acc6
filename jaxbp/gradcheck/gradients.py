"""Independent checks of the hand-written gradient of a loss.

The correctness statement, for every parameter leaf:

    || hand - g ||_2  <=  8 sqrt(L) max(1, (max(width, batch) / 64)^(1/4)) u || g ||_2

with L affine layers, u half a unit in the last place of the dtype (2^-24 or 2^-53), and g the
float64 gradient of `reference_predict` at the same stored parameters. It is normwise for each leaf:
where terms cancel, a single element may be off by far more than the norm. Where the terms of a
whole leaf cancel, as they do in a trained network, every program is off by more; how much more is
measured on autodiff in float32. In float64 autodiff of the reference can show consistency only, so
a second method takes central differences along one random direction a leaf.
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

from jaxbp._samples import as_params, as_targets, check_output
from jaxbp.backprop import loss_and_gradient
from jaxbp.gradcheck.explain import as_layers, causes_of, name_of
from jaxbp.gradcheck.numerical import CENTRAL_STEP as STEP
from jaxbp.gradcheck.numerical import shifted
from jaxbp.gradcheck.report import Report, Row, compare
from jaxbp.losses import Loss, as_loss
from jaxbp.network import forward, reference_predict
from jaxbp.params import Mlp, Params

# Of the parameters, relative: far above the unit of float64, far below what bends a gradient.
CHANGE = 2.0**-36


def rounding_bound(mlp: Mlp, num_samples: int, dtype: DTypeLike) -> float:
    """Return the relative error of a leaf, by norms, that rounding in `dtype` may cause."""
    unit = float(jnp.finfo(dtype).eps) / 2
    growth = max(1.0, (max(*mlp.sizes, num_samples) / 64) ** 0.25)
    return 8 * math.sqrt(mlp.num_layers) * growth * unit


def check_gradients(
    mlp: Mlp,
    params: Any,
    inputs: Any,
    targets: Any,
    loss: str | Loss = "mean_squared_error",
    *,
    gradient: Any = None,
    rtol: float | None = None,
) -> Report:
    """Check the hand-written gradient of a loss by autodiff and by central differences.

    Both run in float64 whatever the dtype of the parameters: autodiff of `reference_predict`, leaf
    by leaf; and differences of the loss along one random direction a leaf, with the bound that
    their own two step sizes give. Where a step crosses a kink of an activation no difference is
    taken, and the notes say so. The causes of the report explain a wrong gradient.

    Args:
        mlp: the network.
        params: its parameters.
        inputs: (n, n_0), n at least 1.
        targets: (n, n_L), or what else the loss takes.
        loss: a `Loss`, or the name of one.
        gradient: a gradient from elsewhere, to be checked instead of `loss_and_gradient`'s: Layers,
            pairs (W, b), lists, weights without biases, or a mapping of PyTorch tensors by name.
            Parameters may then be any of these too.
        rtol: the largest relative error of a leaf that passes, as 1e-3 for numbers written down
            with four digits; what rounding explains unless given.

    Returns:
        The report; it is true if the gradient is right.

    Raises:
        ValueError: a shape does not fit, the batch is empty, or the loss is not known.
        TypeError: inputs or targets are not real numbers.
    """
    loss = as_loss(loss)
    check_output(mlp, loss)
    if gradient is None:
        params = as_params(mlp, params)
        hand = loss_and_gradient(mlp, params, inputs, targets, loss)[1]
        return _checked(mlp, params, inputs, targets, loss, hand, rtol)
    leaves = jax.tree.leaves((params, gradient))
    single = any(getattr(leaf, "dtype", None) == np.float32 for leaf in leaves)
    dtype = np.float32 if single else np.float64
    layers = [as_layers("params", mlp, params), as_layers("gradient", mlp, gradient)]
    unknown = [k for k, (_, bias) in enumerate(layers[1]) if mlp.bias and bias is None]
    with jax.enable_x64(True):
        zeros = [np.zeros(size) if mlp.bias else None for size in mlp.sizes[1:]]
        stored, hand = (
            as_params(
                mlp,
                jax.tree.map(
                    lambda leaf: jnp.asarray(leaf, dtype),
                    [
                        (w, zero if b is None else b)
                        for (w, b), zero in zip(some, zeros, strict=True)
                    ],
                ),
            )
            for some in layers
        )
        return _checked(mlp, stored, inputs, targets, loss, hand, rtol, unknown)


def explain_gradient(
    hand: Any,
    mlp: Mlp,
    params: Any,
    inputs: Any,
    targets: Any,
    loss: str | Loss = "mean_squared_error",
    rtol: float | None = None,
) -> Report:
    """Say in words what is wrong with a gradient of your own.

    Args:
        hand: the gradient: Layers, pairs (W, b), lists, weights without biases, or a mapping of
            PyTorch tensors by name.
        mlp: the network.
        params: its parameters, in any of these forms.
        inputs: (n, n_0), n at least 1.
        targets: (n, n_L), or what else the loss takes.
        loss: a `Loss`, or the name of one.
        rtol: the largest relative error of a leaf that passes; what rounding explains unless given.

    Returns:
        The report. Its causes name a factor of all elements or of one leaf, transposed and
        exchanged leaves, mistakes of the catalogue that give exactly these numbers, and all wrong
        elements with their names, as w42 for the weight from node 2 to node 4.

    Raises:
        ValueError: a shape does not fit, the batch is empty, or the loss is not known.

    Examples:
        >>> mlp = jaxbp.Mlp((2, 1), output="identity")
        >>> report = jaxbp.explain_gradient(
        ...     [([[0.7744], [0.0]], [0.7744])], mlp, [([[0.34], [0.56]], [0.54])],
        ...     [[1.0, 0.0]], [[0.0]], "half_squared_error")
        >>> print(report.causes[0])
        every element is 0.88 times the right one: 0.88 is the output itself, multiplied in once more or output - target, the error multiplied in once more
    """  # noqa: E501
    return check_gradients(mlp, params, inputs, targets, loss, gradient=hand, rtol=rtol)


def _checked(
    mlp: Mlp,
    params: Params,
    inputs: Any,
    targets: Any,
    loss: Loss,
    hand: Params,
    rtol: float | None,
    without_bias: list[int] | None = None,
) -> Report:
    dtype, num_samples = params[0].weight.dtype, np.shape(inputs)[0]
    with jax.enable_x64(True):
        # The stored numbers, not the caller's: the inputs as they were after the cast to the dtype
        # of the parameters.
        cast = jnp.asarray(np.asarray(inputs), dtype)
        stored, points = widen((params, cast))
        wanted = widen(as_targets(loss, targets, (num_samples, mlp.sizes[-1]), dtype))
        gradient_of = partial(_reference_gradient, mlp, loss, inputs=points, targets=wanted)
        exact = gradient_of(stored)
        hand = tuple(
            layer._replace(bias=right.bias.astype(dtype)) if k in (without_bias or ()) else layer
            for k, (layer, right) in enumerate(zip(hand, exact, strict=True))
        )
        allowed = allowances(gradient_of, stored, mlp, num_samples, dtype)
        allowed = [max(limit, rtol or 0.0) for limit in allowed]
        rows = compare("params", hand, exact, "autodiff", allowed)
        places = [k for k, layer in enumerate(exact) for _ in jax.tree.leaves(layer)]
        rows = [
            row._replace(name=name_of(mlp, k, row.place))
            for k, row in zip(places, rows, strict=True)
        ]
        value = partial(_reference_loss, mlp, loss, inputs=points, targets=wanted)
        more, notes = _central_differences(mlp, value, stored, points, hand, exact, allowed)
        notes = [*mask_flips(mlp, params, cast), *cancelled(rows), *notes]
    report = Report((*rows, *more), notes=tuple(notes))
    if report.ok:
        return report
    mine, right, own = (
        [
            (
                np.asarray(weight, np.float64),
                np.zeros(weight.shape[1]) if bias is None else np.asarray(bias, np.float64),
            )
            for weight, bias in some
        ]
        for some in (hand, exact, stored)
    )
    causes = causes_of(
        mlp, mine, right, own, np.asarray(points), np.asarray(wanted), loss, rtol or 0.0
    )
    return Report(report.rows, notes=report.notes, causes=tuple(causes))


def cancelled(rows: list[Row]) -> list[str]:
    """Name the leaves whose terms cancel so far that rounding leaves less than two digits."""
    return [
        f"{row.path}: its terms cancel, rounding allows {row.allowed:.1g}"
        for row in rows
        if row.allowed > 0.01
    ]


def widen(tree: Any) -> Any:
    """Cast the floating leaves of a pytree to float64, without losing what they store."""

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
    checker: Callable[[Params], Any], params: Params, mlp: Mlp, num_samples: int, dtype: DTypeLike
) -> list[float]:
    """Return for each leaf of the checker the relative error that rounding in `dtype` may cause.

    Where the terms of a leaf cancel, the bound grows: by what autodiff's own error in float32
    shows, and by what a relative change of the parameters by u does to it, each four times for
    safety. Near a minimum the second is the larger one: there a gradient is a small difference of
    large terms.
    """
    bounds = {
        kind: rounding_bound(mlp, num_samples, kind)
        for kind in (np.dtype(dtype), np.dtype(np.float32))
    }
    narrow = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)
    exact = checker(jax.tree.map(lambda leaf: leaf.astype(jnp.float64), narrow))
    single = bounds[np.dtype(np.float32)]
    unknown = [single] * len(jax.tree.leaves(exact))
    generator = np.random.default_rng(0)
    signs = jax.tree.map(lambda leaf: generator.choice([-1.0, 1.0], leaf.shape), params)
    moved = jax.tree.map(lambda leaf, sign: leaf * (1 + CHANGE * sign), params, signs)
    unit = float(jnp.finfo(dtype).eps) / 2
    # In float64 the checker rounds as well: two errors, each within the bound, are that much apart
    # at most.
    both = 2 if dtype == np.float64 else 1
    cancellations = compare("", checker(narrow), exact, "", unknown)
    changes = compare("", checker(moved), checker(params), "", unknown)
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
    exact: Params,
    rounding: list[float],
) -> tuple[list[Row], list[str]]:
    """Compare <hand, v> with (f(p + h v) - f(p - h v)) / 2h for a random unit v in each leaf."""
    generator = np.random.default_rng(0)
    rows, notes = [], []
    leaves = jax.tree_util.tree_leaves_with_path(params)
    bars = zip(jax.tree.leaves(hand), jax.tree.leaves(exact), strict=True)
    for position, ((path, leaf), (bar, right)) in enumerate(zip(leaves, bars, strict=True)):
        name = f"params{jax.tree_util.keystr(path)}"
        direction = generator.standard_normal(leaf.shape)
        direction /= np.linalg.norm(direction)
        moved = {h: shifted(params, position, h * STEP * direction) for h in (-2, -1, 1, 2)}
        crossed = _num_different(*(_kink_sides(mlp, moved[h], inputs) for h in (-2, 2)))
        if crossed:
            notes.append(f"{name}: no difference, {crossed} units change sides of a kink")
            continue
        ends = {h: float(value(at)) for h, at in moved.items()}
        fine, coarse = ((ends[h] - ends[-h]) / (2 * h * STEP) for h in (1, 2))
        slope = float(np.sum(np.asarray(bar, np.float64) * direction))
        # Truncation is h^2 times a third derivative, so a third of the change from 2h to h;
        # rounding of f is a few units of f over h. Both with a factor 4, and the rounding of the
        # gradient itself.
        allowed = (
            4 * abs(coarse - fine) / 3
            + 4 * 2.0**-52 * (abs(ends[1]) + 1) / STEP
            + rounding[position] * float(np.linalg.norm(np.asarray(right)))
        )
        scale = max(abs(fine), allowed)
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
    """Count the units on another side of a kink in the parameters' dtype than in float64."""
    flips = _num_different(
        _kink_sides(mlp, params, inputs), _kink_sides(mlp, *widen((params, inputs)))
    )
    text = f"{flips} units are on the other side of a kink in {inputs.dtype} than in float64"
    return [text] if flips else []


def _num_different(sides: list[Array], others: list[Array]) -> int:
    return sum(int((a != b).sum()) for a, b in zip(sides, others, strict=True))
