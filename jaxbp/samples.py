"""Samples at the door: inputs and targets checked against the network, and cast to the dtype of its parameters."""

from typing import Any

from jax import Array

from jaxbp.checks import as_float_array, warn_if_narrowed
from jaxbp.losses import Loss, as_targets
from jaxbp.params import Mlp, Params, check_params


def as_batch(mlp: Mlp, params: Params, inputs: Any) -> Array:
    """Checks parameters and inputs against the network and casts the inputs to the dtype of the parameters.

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


def as_samples(mlp: Mlp, params: Params, inputs: Any, targets: Any, loss: Loss) -> tuple[Array, Array]:
    """Checks and casts inputs and targets; arguments and errors are those of `as_batch` and `as_targets`."""
    warn_if_narrowed(4, inputs=inputs, targets=targets)
    batch = _as_batch(mlp, params, inputs)
    return batch, as_targets(loss, targets, (batch.shape[0], mlp.sizes[-1]), batch.dtype)


def _as_batch(mlp: Mlp, params: Params, inputs: Any) -> Array:
    check_params(mlp, params)
    batch = as_float_array("inputs", inputs, params[0].weight.dtype)
    if batch.ndim != 2:
        hint = "; add a batch axis: inputs[None, :]" if batch.ndim == 1 else ""
        raise ValueError(f"inputs must have shape (n, {mlp.sizes[0]}), got {batch.shape}{hint}")
    if batch.shape[1] != mlp.sizes[0]:
        raise ValueError(f"inputs must have {mlp.sizes[0]} columns for sizes {mlp.sizes}, got {batch.shape[1]}")
    return batch
