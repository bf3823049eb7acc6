"""Measurements between the steps: loss, overflow, and norms of each layer."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxbp._layout import sum_over_tiles
from jaxbp.backprop import sweep
from jaxbp.network import forward
from jaxbp.params import Params
from jaxbp.training.sharding import over_devices
from jaxbp.training.solver import Batch, Problem

EVALUATION_TILE = 8192  # samples that a device evaluates at a time
RECORDED_SAMPLES = 2048  # of a layer record, so that its cost does not grow with the data


class Evaluation(NamedTuple):
    """Mean loss over samples, and the number of non-finite preactivations of each layer (L,)."""

    loss: Array
    nonfinite: Array


class LayerRecord(NamedTuple):
    """Measurements of each layer, l = 1..L, over the first 2,048 training samples at most.

    Attributes:
        gradient: (L,) norm of dL/dW_l and dL/db_l together.
        update: (L,) norm of the last step's change of W_l and b_l; 0 before the first step.
        weight: (L,) norm of W_l and b_l together.
        dead: (L,) share of the units whose slope is 0 for every sample.
    """

    gradient: Array
    update: Array
    weight: Array
    dead: Array


class LayerHistory(NamedTuple):
    """Layer records of a run as arrays (num_records, L), named as in `LayerRecord`."""

    step: np.ndarray
    gradient: np.ndarray
    update: np.ndarray
    weight: np.ndarray
    dead: np.ndarray

    @classmethod
    def of(cls, steps: np.ndarray, records: tuple[LayerRecord, ...]) -> "LayerHistory":
        """Stack the records of a run."""
        return cls(steps, *(np.stack(column) for column in zip(*records, strict=True)))

    def then(self, later: "LayerHistory") -> "LayerHistory":
        """Append the history of the continued run, without its first record, this one's last."""
        return LayerHistory(*(np.concatenate([a, b[1:]]) for a, b in zip(self, later, strict=True)))


@jax.jit
def evaluate(problem: Problem, params: Params, batch: Batch) -> Evaluation:
    """Compute the loss over all samples of a batch, without dropout, and look for overflow.

    Non-finite numbers are counted in the preactivations, where no activation hides them: relu(-inf)
    is 0.
    """
    num_samples, total = batch.inputs.shape[0], problem.loss.total_weight(batch.targets)

    def one(params: Params, inputs: Array, targets: Array) -> Evaluation:
        outputs, residuals = forward(problem.mlp, params, inputs, keep_preactivations=True)
        nonfinite = jnp.stack([jnp.sum(~jnp.isfinite(kept.preactivation)) for kept in residuals])
        return Evaluation(problem.loss.values(outputs, targets).sum() / total, nonfinite)

    def tiled(params: Params, *samples: Array) -> Evaluation:
        num_rows = samples[0].shape[0]
        return sum_over_tiles(partial(one, params), samples, num_rows, EVALUATION_TILE)

    divided = problem.mesh is not None and num_samples % problem.mesh.size == 0
    mesh = problem.mesh if divided else None
    return over_devices(mesh, jax.lax.psum, tiled, params, *batch)


def first_overflow(problem: Problem, evaluation: Evaluation) -> tuple[str, int | None]:
    """Name the first layer with non-finite preactivations; its number from 1, or None."""
    counts = np.asarray(evaluation.nonfinite)
    layers = np.flatnonzero(counts)
    if not layers.size:
        return "the loss is not finite, though every layer is,", None
    layer = int(layers[0]) + 1
    place = f"layer {layer} of {problem.mlp.num_layers}"
    count = int(counts[layer - 1])
    return f"{place} was the first to become non-finite ({count} preactivations)", layer


@jax.jit
def layer_record(problem: Problem, params: Params, before: Params, train: Batch) -> LayerRecord:
    """Measure every layer; `before` are the parameters before the last step."""
    num_samples = min(RECORDED_SAMPLES, train.inputs.shape[0])
    inputs, targets = (array[:num_samples] for array in train)
    trace = sweep(problem.mlp, params, inputs, targets, problem.loss, num_samples)
    passes = zip(problem.mlp.activations, trace.preactivations, trace.activations, strict=True)
    slopes = [jnp.abs(activation.slope(z, a)) for activation, z, a in passes]
    dead = [jnp.mean((slope.max(axis=0) == 0).astype(slope.dtype)) for slope in slopes]
    return LayerRecord(
        gradient=_norms(trace.gradient),
        update=_norms(jax.tree.map(jnp.subtract, params, before)),
        weight=_norms(params),
        dead=jnp.stack(dead),
    )


def _norms(layers: Params) -> Array:
    squares = (sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(layer)) for layer in layers)
    return jnp.sqrt(jnp.stack(list(squares)))
