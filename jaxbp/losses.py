"""The losses, each beside its hand-written gradient with respect to the outputs.

A loss is given per sample, and the loss of a batch is the mean over its samples; a batch can then be summed in tiles.
Legend: n samples, k outputs, o the outputs (n, k), t the targets, l_i the loss of sample i.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxbp.checks import as_float_array
from jaxbp.names import check_name


class Loss(NamedTuple):
    """A loss and its gradient.

    Attributes:
        values: (outputs (n, k), targets) -> (n,), the loss l_i of each sample.
        gradient: (outputs (n, k), targets) -> (n, k), the row i being dl_i/do_i.
        labels: whether the targets may be integer class labels (n,).
        bounded: whether the targets are probabilities.
    """

    values: Callable[[Array, Array], Array]
    gradient: Callable[[Array, Array], Array]
    labels: bool = False
    bounded: bool = False


def mean_squared_error(outputs: Array, targets: Array) -> Array:
    """l_i = 1/k sum_j (o_ij - t_ij)^2, so that the batch's loss is the mean over every element."""
    error = outputs - targets
    return jnp.mean(error * error, axis=1)


def mean_squared_error_gradient(outputs: Array, targets: Array) -> Array:
    """dl_i/do_ij = 2/k (o_ij - t_ij)."""
    return 2 / outputs.shape[1] * (outputs - targets)


def half_squared_error(outputs: Array, targets: Array) -> Array:
    """l_i = 1/2 sum_j (o_ij - t_ij)^2: a sum over the outputs, a mean over the batch."""
    error = outputs - targets
    return jnp.sum(error * error, axis=1) / 2


def half_squared_error_gradient(outputs: Array, targets: Array) -> Array:
    """dl_i/do_ij = o_ij - t_ij."""
    return outputs - targets


def softmax_cross_entropy(outputs: Array, targets: Array) -> Array:
    """l_i = -sum_j t_ij log p_ij with p = softmax(o): o are logits, t labels (n,) or distributions (n, k)."""
    return -jnp.sum(_distributions(outputs, targets) * jax.nn.log_softmax(outputs, axis=1), axis=1)


def softmax_cross_entropy_gradient(outputs: Array, targets: Array) -> Array:
    """dl_i/do_ij = p_ij sum_c t_ic - t_ij, which is p - t for a distribution."""
    distributions = _distributions(outputs, targets)
    return jax.nn.softmax(outputs, axis=1) * distributions.sum(axis=1, keepdims=True) - distributions


def binary_cross_entropy(outputs: Array, targets: Array) -> Array:
    """l_i = 1/k sum_j (log(1 + exp(o_ij)) - t_ij o_ij): o are logits, t in [0, 1], the mean over every element."""
    return jnp.mean(jax.nn.softplus(outputs) - targets * outputs, axis=1)


def binary_cross_entropy_gradient(outputs: Array, targets: Array) -> Array:
    """dl_i/do_ij = 1/k (sigmoid(o_ij) - t_ij)."""
    return (jax.nn.sigmoid(outputs) - targets) / outputs.shape[1]


def _distributions(outputs: Array, targets: Array) -> Array:
    """One-hot rows for labels; a label out of range, which cannot raise inside jit, makes its row NaN."""
    if targets.ndim == 2:
        return targets
    num_classes = outputs.shape[1]
    known = (targets >= 0) & (targets < num_classes)
    one_hot = jax.nn.one_hot(targets, num_classes, dtype=outputs.dtype)
    return jnp.where(known[:, jnp.newaxis], one_hot, jnp.nan)


LOSSES: dict[str, Loss] = {
    "mean_squared_error": Loss(mean_squared_error, mean_squared_error_gradient),
    "half_squared_error": Loss(half_squared_error, half_squared_error_gradient),
    "softmax_cross_entropy": Loss(softmax_cross_entropy, softmax_cross_entropy_gradient, labels=True, bounded=True),
    "binary_cross_entropy": Loss(binary_cross_entropy, binary_cross_entropy_gradient, bounded=True),
}


def loss_named(name: str) -> Loss:
    """Returns the loss of that name.

    Raises:
        ValueError: no loss has this name; the known ones are listed, nearest first.
    """
    check_name("loss", name, LOSSES)
    return LOSSES[name]


def as_targets(loss: Loss, targets: Any, outputs_shape: tuple[int, int], dtype: Any) -> Array:
    """Casts and checks targets against the outputs that they belong to.

    Args:
        loss: the loss that will read them.
        targets: (n, k) numbers; for `softmax_cross_entropy` also (n,) integer labels.
        outputs_shape: (n, k).
        dtype: the dtype of the outputs.

    Returns:
        The targets as a JAX array: integer labels as int32, everything else in `dtype`.

    Raises:
        ValueError: the shape is not that of the outputs, the batch is empty, a label is out of range, a probability
            is not in [0, 1] or a distribution does not sum to 1 (values are seen outside of jit only).
        TypeError: the targets are not real numbers.
    """
    given = getattr(targets, "dtype", None)
    if given is None:
        try:
            targets = np.asarray(targets)
        except ValueError as ragged:
            raise TypeError("targets must be an array of real numbers, got a ragged sequence") from ragged
    if outputs_shape[0] == 0:
        raise ValueError("inputs must hold at least one sample for a mean loss, got an empty batch")
    if loss.labels and targets.ndim == 1 and jnp.issubdtype(targets.dtype, jnp.integer):
        if targets.shape != outputs_shape[:1]:
            raise ValueError(f"targets must have shape {outputs_shape[:1]} as labels of the batch, got {targets.shape}")
        _check_values(loss, targets, outputs_shape[1])
        return jnp.asarray(targets, jnp.int32)
    if targets.shape != outputs_shape:
        also = f", or {outputs_shape[:1]} as integer labels" if loss.labels else ""
        raise ValueError(f"targets must have shape {outputs_shape} like the outputs{also}, got {targets.shape}")
    cast = as_float_array("targets", targets, dtype)
    _check_values(loss, cast, outputs_shape[1])
    return cast


def _check_values(loss: Loss, targets: Any, num_classes: int) -> None:
    if isinstance(targets, jax.core.Tracer) or not loss.bounded:
        return
    values = np.asarray(targets)
    if values.ndim == 1:
        wrong, demand = (values < 0) | (values >= num_classes), f"be a label from 0 to {num_classes - 1}"
    else:
        wrong, demand = ~((values >= 0) & (values <= 1)), "be in [0, 1]"
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"targets[{', '.join(map(str, index))}] must {demand}, got {values[index]}")
    if loss.labels and values.ndim == 2:
        sums = values.sum(axis=1, dtype=np.float64)
        # Each of k numbers in [0, 1] may have been rounded to float32, or to a shorter dtype, on its way here.
        unit = max(float(jnp.finfo(values.dtype).eps), float(np.finfo(np.float32).eps))
        wrong_rows = np.argwhere(np.abs(sums - 1) > num_classes * unit)
        if wrong_rows.size:
            row = int(wrong_rows[0, 0])
            raise ValueError(f"targets[{row}] must sum to 1 as a distribution over the classes, got {sums[row]:g}")
