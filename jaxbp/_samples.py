"""Validation and casts of parameters, inputs and targets."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from jaxbp._checks import as_array, as_float_array, warn_if_narrowed
from jaxbp.activations import ACTIVATIONS
from jaxbp.losses import LOSSES, Loss
from jaxbp.params import Layer, Mlp, Params


def as_params(mlp: Mlp, params: Any, root: str = "params") -> Params:
    """Check parameters against the network and return them as `Layer` tuples in one dtype.

    Shapes and dtypes are read, never values, so that it works at trace time. The dtype is the
    widest floating dtype among the arrays; numbers without one (lists, integers) do not count, and
    alone get JAX's default dtype. float64 becomes float32 while x64 is off.

    Args:
        mlp: network.
        params: a sequence with a `Layer` or a pair (weight, bias) for each layer; without biases
            also the weight alone. Arrays or nested lists of real numbers; axes of length 1 may be
            missing or too many: a bias (1, n), a weight (fan_in,) of a single unit.
        root: the caller's name for the parameters.

    Returns:
        The parameters; arrays that fit already are returned as they are.

    Raises:
        ValueError: the structure or a shape does not fit; the message names the key path.
        TypeError: an array does not hold real numbers.
    """
    if not isinstance(params, (tuple, list)) or isinstance(params, Layer):
        raise ValueError(
            f"{root} must be a tuple of {mlp.num_layers} Layers, got {type(params).__name__}"
        )
    if len(params) != mlp.num_layers:
        raise ValueError(
            f"{root} must have {mlp.num_layers} layers for sizes {mlp.sizes}, got {len(params)}"
        )
    pairs = [_pair(mlp, layer, f"{root}[{i}]") for i, layer in enumerate(params)]
    dtypes = [
        leaf.dtype
        for leaf in jax.tree.leaves(pairs)
        if hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)
    ]
    dtype = functools.reduce(
        jnp.promote_types, dtypes, dtypes[0] if dtypes else jnp.result_type(float)
    )
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    return tuple(
        _as_layer(mlp.sizes[i : i + 2], weight, bias, dtype, f"{root}[{i}]")
        for i, (weight, bias) in enumerate(pairs)
    )


def _pair(mlp: Mlp, layer: Any, path: str) -> tuple[Any, Any]:
    """The weight and the bias of one layer as they came; None for no bias."""
    is_pair = isinstance(layer, (tuple, list)) and len(layer) == 2
    if mlp.bias:
        if not is_pair:
            raise ValueError(f"{path} must be a Layer(weight, bias), got {type(layer).__name__}")
        if layer[1] is None:
            raise ValueError(f"{path}.bias must be given, or the network be Mlp(..., bias=False)")
        return layer[0], layer[1]
    if is_pair and layer[1] is None:
        return layer[0], None
    if isinstance(layer, Layer) or (is_pair and np.ndim(layer[0]) == 2):
        raise ValueError(f"{path}.bias must be None for Mlp(..., bias=False), got a bias")
    return layer, None


def _as_layer(sizes: tuple[int, ...], weight: Any, bias: Any, dtype: Any, path: str) -> Layer:
    """One layer with the shapes (fan_in, fan_out) and (fan_out,), in the dtype."""
    weight = _as_leaf(f"{path}.weight", weight, sizes, dtype)
    if bias is None:
        return Layer(weight, None)
    bias = _as_leaf(f"{path}.bias", bias, sizes[1:], dtype)
    return Layer(weight, bias)


def _as_leaf(path: str, leaf: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """An array of that shape and dtype; axes of length 1 may be missing, or be too many."""
    ready = hasattr(leaf, "shape") and getattr(leaf, "dtype", None) == dtype
    array = leaf if ready else as_float_array(path, leaf, dtype)
    if array.shape == shape:
        return array
    transposed = len(shape) == 2 and array.shape == shape[::-1]
    if not transposed and array.ndim <= 2 and _longer(array.shape) == _longer(shape):
        return array.reshape(shape)
    hint = ", its transpose: pass weight.T" if transposed else ""
    meaning = " (fan_in, fan_out)" if len(shape) == 2 else ""
    raise ValueError(f"{path} must have shape {shape}{meaning}, got {array.shape}{hint}")


def _longer(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size != 1]


def as_batch(mlp: Mlp, params: Params, inputs: Any) -> Array:
    """Check inputs (n, n_0) against the network and cast them to the dtype of the parameters.

    Raises:
        ValueError: the inputs do not fit the network.
        TypeError: the inputs are not real numbers.
    """
    warn_if_narrowed(4, inputs=inputs)
    return _as_batch(mlp, params, inputs)


def as_samples(
    mlp: Mlp, params: Params, inputs: Any, targets: Any, loss: Loss
) -> tuple[Array, Array]:
    """Check and cast inputs and targets; errors are those of `as_batch` and `as_targets`."""
    check_output(mlp, loss)
    warn_if_narrowed(4, inputs=inputs, targets=targets)
    batch = _as_batch(mlp, params, inputs)
    return batch, as_targets(loss, targets, (batch.shape[0], mlp.sizes[-1]), batch.dtype)


def check_output(mlp: Mlp, loss: Loss) -> None:
    """Raise a ValueError if the output activation is the sigmoid that the loss applies itself."""
    if loss.probabilities is not None and mlp.activations[-1].value is jax.nn.sigmoid:
        raise ValueError(
            f'output must be "identity" with loss="{loss.name}", whose outputs are logits: it '
            'applies the sigmoid or softmax itself; got output="sigmoid"'
        )


def check_named(purpose: str, mlp: Mlp, loss: Loss | None = None) -> None:
    """Raise a ValueError unless activations and loss are those that their names stand for."""
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
    """Check targets against the shape (n, k) of the outputs and cast them to their dtype.

    Integer labels (n,), which some losses take, become int32.

    Raises:
        ValueError: the shape is not that of the outputs, the batch is empty, a label is out of
            range, a probability is not in [0, 1] or a distribution does not sum to 1 (values are
            seen outside of jit only).
        TypeError: the targets are not real numbers.
    """
    targets = as_array("targets", targets)
    shape = outputs_shape[0], outputs_shape[1] + loss.weighted
    if outputs_shape[0] == 0:
        raise ValueError("inputs must hold at least one sample for a mean loss, got an empty batch")
    if loss.labels and targets.ndim == 1 and jnp.issubdtype(targets.dtype, jnp.integer):
        if targets.shape != outputs_shape[:1]:
            raise ValueError(
                f"targets must have shape {outputs_shape[:1]} as labels of the batch, "
                f"got {targets.shape}"
            )
        _check_values(loss, targets, outputs_shape[1])
        return jnp.asarray(targets, jnp.int32)
    if targets.shape != shape:
        also = f", or {shape[:1]} as integer labels" if loss.labels else ""
        also += " with a column of weights" if loss.weighted else ""
        raise ValueError(
            f"targets must have shape {shape} like the outputs{also}, got {targets.shape}"
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
                f"targets[{row}] must sum to 1 as a distribution over the classes, "
                f"got {sums[row]:g}"
            )


def as_points(points: Any, dtype: Any, num_inputs: int) -> Array:
    """Cast points (n, d), or (n,) of one input, to (n, d) of a floating dtype.

    Raises:
        ValueError: points has another shape.
    """
    array = as_float_array("points", points, dtype)
    if num_inputs == 1 and array.ndim == 1:
        return array[:, jnp.newaxis]
    if array.ndim != 2 or array.shape[1] != num_inputs:
        hint = (
            "; add a batch axis: points[None]"
            if array.ndim == 1 and array.shape[0] == num_inputs
            else ""
        )
        raise ValueError(f"points must have shape (n, {num_inputs}), got {array.shape}{hint}")
    return array


def padded(points: np.ndarray) -> np.ndarray:
    """Repeat the last point up to a power of two, so that few programs are compiled."""
    extra = (1 << (len(points) - 1).bit_length()) - len(points) if len(points) else 0
    return np.pad(points, ((0, extra), (0, 0)), mode="edge") if extra else points
