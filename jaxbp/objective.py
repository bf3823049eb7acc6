"""The loss and its gradient in one hand-written sweep, over the whole batch or tile by tile.

No autodiff takes part: forward pass, gradient of the loss, node errors, gradient of the parameters.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from jaxbp.checks import check_count, check_number
from jaxbp.losses import loss_named
from jaxbp.names import LossName
from jaxbp.network import Masks, forward, gradient, node_errors
from jaxbp.params import Mlp, Params
from jaxbp.samples import as_samples

Sum = TypeVar("Sum")


class Evaluation(NamedTuple):
    """How parameters do on a batch.

    Attributes:
        loss: the loss, a scalar.
        nonfinite: (L,) how many preactivations of each layer are NaN or infinite.
    """

    loss: Array
    nonfinite: Array


def loss_and_gradient(
    mlp: Mlp,
    params: Params,
    inputs: Any,
    targets: Any,
    loss: LossName = "mean_squared_error",
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
    chosen = loss_named(loss)
    inputs, targets = as_samples(mlp, params, inputs, targets, chosen)
    num_samples = inputs.shape[0]

    def sweep(inputs: Array, targets: Array, masks: Masks | None) -> tuple[Array, Params]:
        outputs, residuals = forward(mlp, params, inputs, masks)
        outputs_bar = chosen.gradient(outputs, targets) / num_samples
        errors, _ = node_errors(mlp, params, residuals, outputs_bar)
        return chosen.values(outputs, targets).sum() / num_samples, gradient(residuals, errors)

    return _sum_over_tiles(sweep, (inputs, targets, masks), num_samples, tile)


def evaluate(
    mlp: Mlp,
    params: Params,
    inputs: Any,
    targets: Any,
    loss: LossName = "mean_squared_error",
    tile: int | None = None,
) -> Evaluation:
    """Computes a loss over a batch without its gradient; arguments and errors are those of `loss_and_gradient`.

    It looks for lost finiteness in the preactivations, where no activation can hide it: relu(-inf) is 0.
    """
    chosen = loss_named(loss)
    inputs, targets = as_samples(mlp, params, inputs, targets, chosen)
    num_samples = inputs.shape[0]

    def sweep(inputs: Array, targets: Array) -> Evaluation:
        outputs, residuals = forward(mlp, params, inputs, keep_preactivations=True)
        nonfinite = jnp.stack([jnp.sum(~jnp.isfinite(kept.preactivation)) for kept in residuals])
        return Evaluation(chosen.values(outputs, targets).sum() / num_samples, nonfinite)

    return _sum_over_tiles(sweep, (inputs, targets), num_samples, tile)


def dropout_masks(mlp: Mlp, key: Array, rate: float, num_samples: int, dtype: Any) -> Masks:
    """Draws a dropout mask for each hidden layer, none for the output.

    A unit's answer to a sample is dropped with probability `rate` and otherwise multiplied by 1 / (1 - rate), so that
    its expectation stays (Srivastava et al. 2014).

    Args:
        mlp: the network.
        key: a JAX random key; the layers draw from splits of it.
        rate: the probability, in [0, 1).
        num_samples: n.
        dtype: of the masks.

    Returns:
        Masks (n, n_l), l = 1..L-1, and None.

    Raises:
        ValueError: the rate is out of range.
    """
    check_number("rate", rate, minimum=0, below=1)
    keys = jax.random.split(key, mlp.num_layers)
    hidden = zip(keys[:-1], mlp.sizes[1:-1], strict=True)
    kept = (jax.random.bernoulli(layer_key, 1 - rate, (num_samples, size)) for layer_key, size in hidden)
    return (*(mask.astype(dtype) / (1 - rate) for mask in kept), None)


def _sum_over_tiles(sweep: Callable[..., Sum], arrays: Any, num_samples: int, tile: int | None) -> Sum:
    """Adds up sweep(*arrays) over tiles of the samples, one tile in memory at a time.

    The first tile takes what the others leave over, and starts the sum, so that the carry has the right type also
    under shard_map.
    """
    size = num_samples if tile is None else check_count("tile", tile, minimum=1)
    num_tiles = max(0, num_samples - 1) // size
    first = num_samples - num_tiles * size
    total = sweep(*jax.tree.map(lambda array: array[:first], arrays))
    if num_tiles == 0:
        return total

    def add(total: Sum, one: Any) -> tuple[Sum, None]:
        return jax.tree.map(jnp.add, total, sweep(*one)), None

    tiles = jax.tree.map(lambda array: array[first:].reshape(num_tiles, size, *array.shape[1:]), arrays)
    return jax.lax.scan(add, total, tiles)[0]
