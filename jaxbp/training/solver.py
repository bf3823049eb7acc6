"""What `fit` asks of a solver: a start, and one step as a pure function of state."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import Array

from jaxbp.names import LossName
from jaxbp.network import Masks
from jaxbp.objective import dropout_masks, loss_and_gradient
from jaxbp.params import Mlp, Params


class Batch(NamedTuple):
    """Samples that a step learns from: inputs (n, n_0) and targets (n, n_L), or labels (n,)."""

    inputs: Array
    targets: Array


class Problem(NamedTuple):
    """What stays fixed while the parameters are fitted.

    Attributes:
        mlp: the network.
        loss: the name of the loss.
        tile: how many samples a gradient holds in memory at a time, None for all.
        dropout: the probability with which a hidden unit is dropped.
        num_steps: the step at which the run ends.
    """

    mlp: Mlp
    loss: LossName
    tile: int | None = None
    dropout: float = 0.0
    num_steps: int = 0

    def loss_and_gradient(self, params: Params, batch: Batch, key: Array) -> tuple[Array, Params]:
        """Computes loss and gradient over a batch, under a dropout mask drawn from the key if there is dropout."""
        masks: Masks | None = None
        if self.dropout > 0:
            num_samples = batch.inputs.shape[0]
            masks = dropout_masks(self.mlp, key, self.dropout, num_samples, batch.inputs.dtype)
        return loss_and_gradient(self.mlp, params, *batch, self.loss, self.tile, masks)


class Solver(NamedTuple):
    """A way to fit parameters.

    Attributes:
        name: for reports.
        init: params -> the solver's first state, a pytree of arrays.
        step: (problem, params, state, batch, key) -> (new params, new state, loss before the step). It runs inside jit.
    """

    name: str
    init: Callable[[Params], Any]
    step: Callable[[Problem, Params, Any, Batch, jax.Array], tuple[Params, Any, Array]]
