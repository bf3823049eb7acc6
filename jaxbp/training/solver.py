"""What `fit` asks of a solver: a start, and one step as a pure function of state."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import Array
from jax.sharding import Mesh
from jax.typing import DTypeLike

from jaxbp._checks import check_number
from jaxbp._layout import tile_of
from jaxbp.backprop import tiled_loss_and_gradient
from jaxbp.losses import LOSSES, Loss
from jaxbp.network import Masks
from jaxbp.params import Mlp, Params
from jaxbp.training.shards import mean_over_shards


class Batch(NamedTuple):
    """Samples that a step learns from: inputs (n, n_0) and targets (n, n_L), or labels (n,)."""

    inputs: Array
    targets: Array


class Problem(NamedTuple):
    """What stays fixed while the parameters are fitted; static under jit, but for `num_steps`.

    Attributes:
        mlp: the network.
        loss: the loss.
        batch_size: how many samples a step takes, None for all.
        tile: how many samples a gradient holds in memory at a time, None as in `loss_and_gradient`.
        dropout: the probability with which a hidden unit is dropped.
        num_steps: the step at which the run ends.
        mesh: of the devices that share the samples, None for one device.
    """

    mlp: Mlp
    loss: Loss = LOSSES["mean_squared_error"]
    batch_size: int | None = None
    tile: int | None = None
    dropout: float = 0.0
    num_steps: int | Array = 0
    mesh: Mesh | None = None

    def loss_and_gradient(self, params: Params, batch: Batch, key: Array) -> tuple[Array, Params]:
        """Computes loss and gradient over a batch, under a dropout mask drawn from the key if there is dropout."""
        masks: Masks | None = None
        if self.dropout > 0:
            masks = dropout_masks(
                self.mlp, key, self.dropout, batch.inputs.shape[0], batch.inputs.dtype
            )

        def sweep(
            params: Params, inputs: Array, targets: Array, masks: Masks | None
        ) -> tuple[Array, Params]:
            tile = self.tile
            if tile is None and self.mesh is not None and self.mesh.size > 1:
                tile = tile_of(self.mlp, inputs.shape[0], inputs.dtype.itemsize, on_a_core=True)
            return tiled_loss_and_gradient(
                self.mlp, params, inputs, targets, self.loss, tile, masks
            )

        return mean_over_shards(self.mesh, sweep, params, *batch, masks)


class Solver(NamedTuple):
    """A way to fit parameters.

    Attributes:
        name: for reports.
        init: params -> the solver's first state, a pytree of arrays.
        step: (problem, params, state, batch, key) -> (new params, new state, loss before the step).
            It runs inside jit.
        finish: (problem, params, train) -> parameters that may be better still, tried over all
            samples when a run ends. With it, `fit` returns what has the smallest training loss of
            the start, the end and these (the smallest validation loss where it keeps the best).
    """

    name: str
    init: Callable[[Params], Any]
    step: Callable[[Problem, Params, Any, Batch, Array], tuple[Params, Any, Array]]
    finish: Callable[[Problem, Params, Batch], Params] | None = None


def dropout_masks(mlp: Mlp, key: Array, rate: float, num_samples: int, dtype: DTypeLike) -> Masks:
    """Draws a dropout mask for each hidden layer, none for the output (Srivastava et al. 2014).

    Args:
        mlp: the network.
        key: a JAX random key; the layers draw from splits of it.
        rate: the probability with which a unit is dropped, in [0, 1); the others are scaled by 1 /
            (1 - rate).
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
    kept = (
        jax.random.bernoulli(layer_key, 1 - rate, (num_samples, size)) for layer_key, size in hidden
    )
    return (*(mask.astype(dtype) / (1 - rate) for mask in kept), None)
