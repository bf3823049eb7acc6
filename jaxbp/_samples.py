"""Validates parameters, inputs and targets against the network, and casts samples to the dtype of the parameters."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from jaxbp._checks import as_float_array, warn_if_narrowed
from jaxbp.activations import ACTIVATIONS
from jaxbp.losses import LOSSES, Loss
from jaxbp.params import Layer, Mlp, Params


def check_params(mlp: Mlp, params: Any, root: str = "params") -> None:
    """Raises a ValueError that names the key path unless `params` has the structure and shapes of
    `mlp`.

    It reads shapes and dtypes only, so that it holds at trace time. The key path starts with
    `root`.
    """
    if not isinstance(params, tuple) or isinstance(params, Layer):
        raise ValueError(
            f"{root} must be a tuple of {mlp.num_layers} Layers, got {type(params).__name__}"
        )
    if len(params) != mlp.num_layers:
        raise ValueError(
            f"{root} must have {mlp.num_layers} layers for sizes {mlp.sizes}, got {len(params)}"
        )
    dtype = None
    for position, layer in enumerate(params):
        if not isinstance(layer, Layer):
            raise ValueError(
                f"{root}[{position}] must be a Layer(weight, bias), got {type(layer).__name__}"
            )
        fan_in, fan_out = mlp.sizes[position : position + 2]
        for name, leaf, shape in (
            ("weight", layer.weight, (fan_in, fan_out)),
            ("bias", layer.bias, (fan_out,)),
        ):
            path = f"{root}[{position}].{name}"
            if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
                raise ValueError(
                    f"{path} must be an array of shape {shape}, got {type(leaf).__name__}"
                )
            if leaf.shape != shape:
                raise ValueError(
                    f"{path} must have shape {shape} for sizes {mlp.sizes}, got {leaf.shape}"
                )
            dtype = leaf.dtype if dtype is None else dtype
            if leaf.dtype != dtype or not jnp.issubdtype(leaf.dtype, jnp.floating):
                raise ValueError(
                    f"{path} must have the floating dtype of {root}[0].weight ({dtype}), got {leaf.dtype}"
                )
            if jax.dtypes.canonicalize_dtype(leaf.dtype) != leaf.dtype:
                raise ValueError(
                    f"{path} must not be {leaf.dtype} while x64 is off: cast it, or turn x64 on"
                )


def as_batch(mlp: Mlp, params: Params, inputs: Any) -> Array:
    """Checks parameters and inputs against the network and casts the inputs to the dtype of the
    parameters.

    Args:
        mlp: the network.
        params: its parameters.
        inputs: (n, n_0) real numbers.

    Returns:
        The inputs as a JAX array.

    Raises:
        ValueError: parameters or inputs do not fit the network.
        TypeError: the inputs are not real numbers.
    """
    warn_if_narrowed(4, inputs=inputs)
    return _as_batch(mlp, params, inputs)


def as_samples(
    mlp: Mlp, params: Params, inputs: Any, targets: Any, loss: Loss
) -> tuple[Array, Array]:
    """Checks and casts inputs and targets; arguments and errors are those of `as_batch` and `as_targets`."""
    check_output(mlp, loss)
    warn_if_narrowed(4, inputs=inputs, targets=targets)
    batch = _as_batch(mlp, params, inputs)
    return batch, as_targets(loss, targets, (batch.shape[0], mlp.sizes[-1]), batch.dtype)


def check_output(mlp: Mlp, loss: Loss) -> None:
    """Raises a ValueError where the network would apply the sigmoid that the loss applies itself."""
    if loss.probabilities is not None and mlp.activations[-1].value is jax.nn.sigmoid:
        raise ValueError(
            f'output must be "identity" with loss="{loss.name}", whose outputs are logits: it '
            'applies the sigmoid or softmax itself; got output="sigmoid"'
        )


def check_named(purpose: str, mlp: Mlp, loss: Loss | None = None) -> None:
    """Raises a ValueError unless activations and loss are of those that their names stand for."""
    own = [one.name for one in mlp.activations if ACTIVATIONS.get(one.name) != one]
    if own:
        raise ValueError(
            f"mlp must have activations of {', '.join(ACTIVATIONS)} for {purpose}, which holds "
            f"names only; got an own one, {own[0]!r}"
        )
    if loss is not None and LOSSES.get(loss.name) != loss:
        raise ValueError(
            f"loss must be one of {', '.join(LOSSES)} for {purpose}, which holds names only; "
            f"got an own one, {loss.name!r}"
        )


def _as_batch(mlp: Mlp, params: Params, inputs: Any) -> Array:
    check_params(mlp, params)
    batch = as_float_array("inputs", inputs, params[0].weight.dtype)
    if batch.ndim != 2:
        hint = "; add a batch axis: inputs[None, :]" if batch.ndim == 1 else ""
        raise ValueError(f"inputs must have shape (n, {mlp.sizes[0]}), got {batch.shape}{hint}")
    if batch.shape[1] != mlp.sizes[0]:
        raise ValueError(
            f"inputs must have {mlp.sizes[0]} columns for sizes {mlp.sizes}, got {batch.shape[1]}"
        )
    return batch


def as_targets(loss: Loss, targets: Any, outputs_shape: tuple[int, int], dtype: DTypeLike) -> Array:
    """Casts and checks targets against the outputs that they belong to.

    Args:
        loss: the loss that will read them.
        targets: (n, k) numbers; for `softmax_cross_entropy` also (n,) integer labels.
        outputs_shape: (n, k).
        dtype: the dtype of the outputs.

    Returns:
        The targets as a JAX array: integer labels as int32, everything else in `dtype`.

    Raises:
        ValueError: the shape is not that of the outputs, the batch is empty, a label is out of
            range, a probability is not in [0, 1] or a distribution does not sum to 1 (values are
            seen outside of jit only).
        TypeError: the targets are not real numbers.
    """
    given = getattr(targets, "dtype", None)
    if given is None:
        try:
            targets = np.asarray(targets)
        except ValueError as ragged:
            raise TypeError(
                "targets must be an array of real numbers, got a ragged sequence"
            ) from ragged
    if outputs_shape[0] == 0:
        raise ValueError("inputs must hold at least one sample for a mean loss, got an empty batch")
    if loss.labels and targets.ndim == 1 and jnp.issubdtype(targets.dtype, jnp.integer):
        if targets.shape != outputs_shape[:1]:
            raise ValueError(
                f"targets must have shape {outputs_shape[:1]} as labels of the batch, got {targets.shape}"
            )
        _check_values(loss, targets, outputs_shape[1])
        return jnp.asarray(targets, jnp.int32)
    if targets.shape != outputs_shape:
        also = f", or {outputs_shape[:1]} as integer labels" if loss.labels else ""
        raise ValueError(
            f"targets must have shape {outputs_shape} like the outputs{also}, got {targets.shape}"
        )
    cast = as_float_array("targets", targets, dtype)
    _check_values(loss, cast, outputs_shape[1])
    return cast


def _check_values(loss: Loss, targets: Any, num_classes: int) -> None:
    if isinstance(targets, jax.core.Tracer) or not loss.probability_targets:
        return
    values = np.asarray(targets)
    if values.ndim == 1:
        wrong, demand = (
            (values < 0) | (values >= num_classes),
            f"be a label from 0 to {num_classes - 1}",
        )
    else:
        wrong, demand = ~((values >= 0) & (values <= 1)), "be in [0, 1]"
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"targets[{', '.join(map(str, index))}] must {demand}, got {values[index]}"
        )
    if loss.labels and values.ndim == 2:
        sums = values.sum(axis=1, dtype=np.float64)
        # Each of k numbers in [0, 1] may have been rounded to float32, or to a shorter dtype, on
        # its way here.
        unit = max(float(jnp.finfo(values.dtype).eps), float(np.finfo(np.float32).eps))
        wrong_rows = np.argwhere(np.abs(sums - 1) > num_classes * unit)
        if wrong_rows.size:
            row = int(wrong_rows[0, 0])
            raise ValueError(
                f"targets[{row}] must sum to 1 as a distribution over the classes, got {sums[row]:g}"
            )


def as_points(points: Any, dtype: Any, num_inputs: int) -> Array:
    """Casts points (n, d) to a floating dtype; a ValueError says what their shape must be."""
    array = as_float_array("points", points, dtype)
    if array.ndim != 2 or array.shape[1] != num_inputs:
        hint = (
            "; add a batch axis: points[None]"
            if array.ndim == 1 and array.shape[0] == num_inputs
            else ""
        )
        raise ValueError(f"points must have shape (n, {num_inputs}), got {array.shape}{hint}")
    return array


def padded(points: np.ndarray) -> np.ndarray:
    """Repeats the last point up to a power of two, so that tables of any length share a few compiled programs."""
    extra = (1 << (len(points) - 1).bit_length()) - len(points) if len(points) else 0
    return np.pad(points, ((0, extra), (0, 0)), mode="edge") if extra else points
