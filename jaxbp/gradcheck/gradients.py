"""Independent checks of the hand-written gradient of a loss.

By autodiff, within the bound of `reference`; and, since autodiff in float64 shares the forward
pass, by central differences along one random direction a leaf.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbp._layout import keeps_preactivations
from jaxbp._samples import as_params, as_targets, check_output
from jaxbp.backprop import loss_and_gradient
from jaxbp.gradcheck import calls
from jaxbp.gradcheck.calls import WIDE
from jaxbp.gradcheck.differences import STEPS, Probe
from jaxbp.gradcheck.explain import causes_of, name_of
from jaxbp.gradcheck.reference import (
    UNCANCELLED,
    against_autodiff,
    notes_on,
    reference_gradient,
    reference_loss,
    widen,
)
from jaxbp.gradcheck.report import Report, Row
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
    differences of the loss along one random direction a leaf, with the error that different steps
    show. Where a step crosses a kink of an activation there is no difference, and the notes say so.
    The causes of the report explain a wrong gradient.

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

    Examples:
        >>> import jaxbp
        >>> mlp, params = jaxbp.Mlp((2, 1)), [([[0.34], [0.56]], [0.54])]
        >>> bool(jaxbp.check_gradients(mlp, params, [[1.0, 0.0]], [[0.0]]))
        True
        >>> mine = [([[0.9], [0.0]], [1.76])]
        >>> jaxbp.check_gradients(mlp, params, [[1.0, 0.0]], [[0.0]], gradient=mine).ok
        False
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
        case = mlp, loss, stored, points, wanted
        # Slopes that are read off the activations alone cancel.
        cancels = not keeps_preactivations(mlp, num_samples)
        shared = reference_gradient, case, dtype, cancels, rtol
        rows, exact, allowed = against_autodiff("params", hand, *shared)
        places = [k for k, layer in enumerate(exact) for _ in jax.tree.leaves(layer)]
        rows = [
            row._replace(name=name_of(mlp, k, row.place))
            for k, row in zip(places, rows, strict=True)
        ]
        more, notes = _central_differences(case, hand, exact, allowed)
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

    It is `check_gradients(mlp, ..., gradient=hand)`.

    Args:
        hand: gradient with the structure of `params`: pairs of weight and bias, weights alone, or a
            mapping of PyTorch tensors.
        mlp: network.
        params: its parameters.
        inputs: (n, n_0).
        targets: (n, n_L), or labels (n,).
        loss: as in `check_gradients`.
        rtol: as in `check_gradients`.

    Returns:
        The report. Its causes name a factor of all elements or of one leaf, transposed and
        exchanged leaves, mistakes of the catalogue that give exactly these numbers, and all wrong
        elements with their names, as w42 for the weight from node 2 to node 4.

    Raises:
        ValueError: as in `check_gradients`.

    Examples:
        >>> import jaxbp
        >>> mlp = jaxbp.Mlp((2, 1), output="identity")
        >>> report = jaxbp.explain_gradient(
        ...     [([[0.7744], [0.0]], [0.7744])], mlp, [([[0.34], [0.56]], [0.54])],
        ...     [[1.0, 0.0]], [[0.0]], "half_squared_error")
        >>> print(report.causes[0].split(":")[0])
        every element is 0.88 times the right one
    """
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
    case: tuple[Any, ...], hand: Params, exact: Params, rounding: list[float]
) -> tuple[list[Row], list[str]]:
    """Compare <hand, v> with differences of the loss along a random direction v in each leaf."""
    mlp, loss, params, inputs, targets = case
    # Of values only the loss can cancel; the other form of tanh takes three times as long.
    loss = replace(loss, values=UNCANCELLED.get(loss.values, loss.values))
    call, point, fixed = calls.split(reference_loss, (mlp, loss, True, params, inputs, targets))
    count = len(rounding)  # only parameters move
    call = replace(call, moving=call.moving[:count], fixed=(*call.moving[count:], *call.fixed))
    probe = Probe(call, WIDE, point[:count], [*point[count:], *fixed], [np.ones(())])
    direction = probe.draw(np.random.default_rng(0))
    for steps in (STEPS[1:6], STEPS):
        slopes = probe.slopes(np.zeros(0, int), direction, steps)
        if all(slopes.low == slopes.high) and all(slopes.error <= 1e-6 * abs(slopes.slope)):
            break
    rows, notes, start = [], [], 0
    leaves = jax.tree_util.tree_leaves_with_path(hand)
    for k, ((path, bar), right) in enumerate(zip(leaves, jax.tree.leaves(exact), strict=True)):
        name, v = f"params{jax.tree_util.keystr(path)}", direction[start : start + bar.size]
        start += bar.size
        if slopes.low[k] != slopes.high[k]:
            notes.append(f"{name}: no difference, units change sides of a kink")
            continue
        got, want = float(np.sum(np.ravel(bar) * v)), float(slopes.slope[k])
        size = float(np.linalg.norm(right) * np.linalg.norm(v))
        allowed = float(slopes.error[k]) + rounding[k] * size
        scale = max(abs(want), allowed, 1e-300)
        errors = abs(got - want) / scale, allowed / scale
        if np.isfinite(allowed):
            rows.append(Row(name, "central difference", *errors, (), got, want))
    return rows, notes
