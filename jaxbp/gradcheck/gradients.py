"""Independent checks of the hand-written gradient of a loss.

By autodiff, within the bound of `reference`; and, since autodiff in float64 shares the forward
pass, by central differences along one random direction a leaf.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxbp._layout import keeps_preactivations
from jaxbp._samples import as_params, as_targets, check_output
from jaxbp.backprop import loss_and_gradient
from jaxbp.gradcheck.explain import causes_of, name_of
from jaxbp.gradcheck.numerical import CENTRAL_STEP as STEP
from jaxbp.gradcheck.numerical import shifted
from jaxbp.gradcheck.reference import (
    allowances,
    kink_sides,
    notes_on,
    num_different,
    reference_gradient,
    reference_loss,
    widen,
)
from jaxbp.gradcheck.report import Report, Row, compare
from jaxbp.losses import Loss, as_loss
from jaxbp.params import Mlp, Params


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

    Both run in float64 whatever the dtype of the parameters: autodiff of the forward pass, leaf by
    leaf, with sigmoid and tanh in forms whose derivatives do not cancel where a unit saturates; and
    differences of the loss along one random direction a leaf, with the bound that their own two
    step sizes give. Where a step crosses a kink of an activation no difference is taken, and the
    notes say so. The causes of the report explain a wrong gradient.

    Args:
        mlp: the network.
        params: its parameters.
        inputs: (n, n_0), n at least 1.
        targets: (n, n_L), or what else the loss takes.
        loss: a `Loss`, or the name of one.
        gradient: a gradient from elsewhere, to be checked instead of `loss_and_gradient`'s, in any
            form that parameters may have, or a mapping of PyTorch tensors by name. Parameters may
            then be such a mapping too.
        rtol: the largest relative error of a leaf that passes, as 1e-3 for numbers written down
            with four digits; what rounding explains unless given.

    Returns:
        The report; it is true if the gradient is right.

    Raises:
        ValueError: a shape does not fit, biases are missing, the batch is empty, or the loss is not
            known.
        TypeError: inputs or targets are not real numbers.
    """
    loss = as_loss(loss)
    check_output(mlp, loss)
    if gradient is None:
        params = as_params(mlp, params)
        gradient = loss_and_gradient(mlp, params, inputs, targets, loss)[1]
    with jax.enable_x64(True):
        hand = as_params(mlp, _layers(gradient), "gradient")
        params = as_params(mlp, _layers(params))
        kinds = [tree[0].weight.dtype for tree in (params, hand)]
        dtype = max(kinds, key=lambda kind: float(jnp.finfo(kind).eps))
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), params)
        # The stored numbers, not the caller's: the inputs as they were after the cast to the dtype
        # of the parameters.
        cast = jnp.asarray(np.asarray(inputs), dtype)
        num_samples = len(cast)
        stored, points = widen((params, cast))
        wanted = widen(as_targets(loss, targets, (num_samples, mlp.sizes[-1]), dtype))
        gradient_of, rounded = (
            partial(reference_gradient, mlp, loss, cancelling, inputs=points, targets=wanted)
            for cancelling in (False, True)
        )
        exact = gradient_of(stored)
        # Slopes that are read off the activations alone cancel, and so do the errors of logits.
        cancels = loss.probabilities is not None or not keeps_preactivations(mlp, num_samples)
        samples = num_samples, dtype, rounded if cancels else None
        allowed = allowances(gradient_of, stored, mlp, *samples)
        allowed = [max(limit, rtol or 0.0) for limit in allowed]
        rows = compare("params", hand, exact, "autodiff", allowed)
        places = [k for k, layer in enumerate(exact) for _ in jax.tree.leaves(layer)]
        rows = [
            row._replace(name=name_of(mlp, k, row.place))
            for k, row in zip(places, rows, strict=True)
        ]
        value = partial(reference_loss, mlp, loss, False, inputs=points, targets=wanted)
        more, notes = _central_differences(mlp, value, stored, points, hand, exact, allowed)
        report = Report((*rows, *more), notes=(*notes_on(mlp, params, cast, rows), *notes))
        if report.ok:
            return report
        mine, right, own = (
            jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)
            for tree in (hand, exact, stored)
        )
        data = np.asarray(points), np.asarray(wanted), loss
        causes = causes_of(mlp, mine, right, own, data, rtol or 0.0)
    return Report(report.rows, notes=report.notes, causes=tuple(causes))


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
        hand: the gradient.
        mlp: the network.
        params: its parameters.
        inputs: (n, n_0), n at least 1.
        targets: (n, n_L), or what else the loss takes.
        loss: a `Loss`, or the name of one.
        rtol: the largest relative error of a leaf that passes.

    Returns:
        The report of `check_gradients(mlp, ..., gradient=hand)`. Its causes name a factor of all
        elements or of one leaf, transposed and exchanged leaves, mistakes of the catalogue that
        give exactly these numbers, and all wrong elements with their names, as w42 for the weight
        from node 2 to node 4.

    Raises:
        ValueError: a shape does not fit, biases are missing, the batch is empty, or the loss is not
            known.

    Examples:
        >>> mlp = jaxbp.Mlp((2, 1), output="identity")
        >>> report = jaxbp.explain_gradient(
        ...     [([[0.7744], [0.0]], [0.7744])], mlp, [([[0.34], [0.56]], [0.54])],
        ...     [[1.0, 0.0]], [[0.0]], "half_squared_error")
        >>> print(report.causes[0])
        every element is 0.88 times the right one: 0.88 is the output itself, multiplied in once more or output - target, the error multiplied in once more
    """  # noqa: E501
    return check_gradients(mlp, params, inputs, targets, loss, gradient=hand, rtol=rtol)


def _layers(given: Any) -> Any:
    """Weights and biases out of a mapping of PyTorch tensors, whose weights are (out, in).

    Anything else is returned as it is.
    """
    if not isinstance(given, Mapping):
        return given
    arrays = [np.asarray(leaf.detach().cpu() if hasattr(leaf, "detach") else leaf)
              for leaf in given.values()]  # fmt: skip
    weights = [array.T for array in arrays if array.ndim == 2]
    biases = [array for array in arrays if array.ndim == 1]
    return [*zip(weights, biases, strict=True)] if biases else weights


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
        crossed = num_different(*(kink_sides(mlp, moved[h], inputs) for h in (-2, 2)))
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
