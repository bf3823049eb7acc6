"""Both passes in one sweep: forward, gradient of the loss, node errors, gradient of the parameters.

No autodiff takes part. `loss_and_gradient` sweeps a batch at once or tile by tile, `backprop` keeps every number.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from jaxbp._checks import check_count, look_up
from jaxbp._samples import as_samples
from jaxbp.losses import LOSSES
from jaxbp.network import Masks, forward, gradient, node_errors
from jaxbp.params import Mlp, Params

Sum = TypeVar("Sum")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Trace:
    """Every number of one forward and one backward pass; index l - 1 of a tuple belongs to layer l.

    A pytree, to be returned from jit and vmap. `trace.ledger()` writes its numbers out (`jaxbp.ledger.make_ledger`).

    Attributes:
        mlp: the network.
        loss_name: the name of the loss.
        params: its parameters.
        inputs: A_0 (n, n_0).
        targets: (n, n_L), or labels (n,).
        preactivations: Z_l (n, n_l).
        activations: A_l (n, n_l); the last one is the outputs.
        activation_errors: E_l = dL/dA_l (n, n_l).
        node_errors: D_l = dL/dZ_l (n, n_l).
        gradient: Layer(dL/dW_l, dL/db_l).
        loss: the loss, a scalar.
    """

    mlp: Mlp = field(metadata={"static": True})
    loss_name: str = field(metadata={"static": True})
    params: Params
    inputs: Array
    targets: Array
    preactivations: tuple[Array, ...]
    activations: tuple[Array, ...]
    activation_errors: tuple[Array, ...]
    node_errors: tuple[Array, ...]
    gradient: Params
    loss: Array


def sweep(
    mlp: Mlp,
    params: Params,
    inputs: Array,
    targets: Array,
    loss: str,
    *,
    num_samples: int | None = None,
    masks: Masks | None = None,
) -> Trace:
    """Runs both passes over validated samples; inside jit, what nobody reads of the trace costs nothing.

    Arguments are those of `loss_and_gradient`; `num_samples` is the size of the batch whose mean the loss is, where
    the samples are a tile of it.
    """
    row, size = LOSSES[loss], inputs.shape[0] if num_samples is None else num_samples
    outputs, residuals = forward(mlp, params, inputs, masks, keep_preactivations=True)
    outputs_bar = row.gradient(outputs, targets) / size  # E_L
    errors, activation_errors = node_errors(mlp, params, residuals, outputs_bar)
    return Trace(
        mlp=mlp,
        loss_name=loss,
        params=params,
        inputs=inputs,
        targets=targets,
        preactivations=tuple(kept.preactivation for kept in residuals),
        activations=tuple(kept.activation for kept in residuals),
        activation_errors=activation_errors[1:],
        node_errors=errors,
        gradient=gradient(residuals, errors),
        loss=row.values(outputs, targets).sum() / size,
    )


def sum_over_tiles(one: Callable[..., Sum], arrays: Any, num_samples: int, tile: int | None) -> Sum:
    """Adds up one(*arrays) over tiles of the samples, one tile in memory at a time.

    The first tile takes what the others leave over, and starts the sum, so that the carry has the right type also
    under shard_map.
    """
    # In an exported program the number of samples may be a symbol: without a tile nothing is asked of it.
    if tile is None or num_samples <= check_count("tile", tile, minimum=1):
        return one(*arrays)
    num_tiles = (num_samples - 1) // tile
    first = num_samples - num_tiles * tile
    total = one(*jax.tree.map(lambda array: array[:first], arrays))

    def add(total: Sum, tile: Any) -> tuple[Sum, None]:
        return jax.tree.map(jnp.add, total, one(*tile)), None

    tiles = jax.tree.map(lambda array: array[first:].reshape(num_tiles, tile, *array.shape[1:]), arrays)
    return jax.lax.scan(add, total, tiles)[0]


def loss_and_gradient(
    mlp: Mlp,
    params: Params,
    inputs: Any,
    targets: Any,
    loss: str = "mean_squared_error",
    tile: int | None = None,
    masks: Masks | None = None,
) -> tuple[Array, Params]:
    """Computes a loss over a batch and its gradient, by hand.

    Inside shard_map it answers for the samples of its own shard: average both over the devices.

    Args:
        mlp: the network (static under jit, as are `loss` and `tile`).
        params: its parameters.
        inputs: (n, n_0) real numbers, n at least 1.
        targets: (n, n_L), or what else the loss takes.
        loss: the name of a loss.
        tile: the number of samples to hold in memory at a time; None for all at once. The result differs by the
            order of summation only.
        masks: a dropout mask (n, n_l) or None for each layer, as `dropout_masks` draws them; None for no dropout.

    Returns:
        The loss, a scalar, and its gradient with the structure of the parameters.

    Raises:
        ValueError: a shape does not fit, the batch is empty, or the loss is not known.
        TypeError: inputs or targets are not real numbers.
    """
    inputs, targets = as_samples(mlp, params, inputs, targets, look_up("loss", loss, LOSSES))
    return tiled_loss_and_gradient(mlp, params, inputs, targets, loss, tile, masks)


def tiled_loss_and_gradient(
    mlp: Mlp, params: Params, inputs: Array, targets: Array, loss: str, tile: int | None, masks: Masks | None
) -> tuple[Array, Params]:
    """Computes what `loss_and_gradient` does, of samples that are validated already."""
    num_samples = inputs.shape[0]

    def one(inputs: Array, targets: Array, masks: Masks | None) -> tuple[Array, Params]:
        trace = sweep(mlp, params, inputs, targets, loss, num_samples=num_samples, masks=masks)
        return trace.loss, trace.gradient

    return sum_over_tiles(one, (inputs, targets, masks), num_samples, tile)


def backprop(mlp: Mlp, params: Params, inputs: Any, targets: Any, loss: str = "mean_squared_error") -> Trace:
    """Runs both passes by hand and keeps every number of them.

    Args:
        mlp: the network (static under jit, as is `loss`).
        params: its parameters.
        inputs: (n, n_0) real numbers, n at least 1.
        targets: (n, n_L), or what else the loss takes.
        loss: the name of a loss.

    Returns:
        The trace.

    Raises:
        ValueError: a shape does not fit, the batch is empty, or the loss is not known.
        TypeError: inputs or targets are not real numbers.
    """
    inputs, targets = as_samples(mlp, params, inputs, targets, look_up("loss", loss, LOSSES))
    return sweep(mlp, params, inputs, targets, loss)
