"""How parameters do on samples: the loss, and where a number is not finite."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxbp._layout import sum_over_tiles
from jaxbp.network import forward
from jaxbp.params import Params
from jaxbp.training.shards import sum_over_shards
from jaxbp.training.solver import Batch, Problem

EVALUATION_TILE = 8192  # samples that are evaluated at a time, where the problem sets no tile


class Evaluation(NamedTuple):
    """How parameters do on a batch.

    Attributes:
        loss: the loss, a scalar.
        nonfinite: (L,) how many preactivations of each layer are NaN or infinite.
    """

    loss: Array
    nonfinite: Array


@partial(jax.jit, static_argnums=0)
def evaluate(problem: Problem, params: Params, batch: Batch) -> Evaluation:
    """Computes the loss over all samples of a batch, tile by tile, without dropout.

    It looks for non-finite numbers in the preactivations, where no activation can hide them:
    relu(-inf) is 0.
    """
    num_samples = batch.inputs.shape[0]

    def one(params: Params, inputs: Array, targets: Array) -> Evaluation:
        outputs, residuals = forward(problem.mlp, params, inputs, keep_preactivations=True)
        nonfinite = jnp.stack([jnp.sum(~jnp.isfinite(kept.preactivation)) for kept in residuals])
        return Evaluation(problem.loss.values(outputs, targets).sum() / num_samples, nonfinite)

    def tiled(params: Params, *samples: Array) -> Evaluation:
        return sum_over_tiles(
            partial(one, params), samples, samples[0].shape[0], problem.tile or EVALUATION_TILE
        )

    return sum_over_shards(problem.mesh, tiled, params, *batch)


def first_overflow(problem: Problem, evaluation: Evaluation) -> tuple[str, int | None]:
    """Says which layer was the first to become non-finite; returns its number from 1 too, None where none did."""
    counts = np.asarray(evaluation.nonfinite)
    layers = np.flatnonzero(counts)
    if not layers.size:
        return "the loss is not finite, though every layer is,", None
    layer = int(layers[0]) + 1
    name = f"layer {layer} of {problem.mlp.num_layers}"
    return (
        f"{name} was the first to become non-finite ({int(counts[layer - 1])} preactivations)",
        layer,
    )
