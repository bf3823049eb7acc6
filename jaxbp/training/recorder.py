"""What happens in each layer while a network learns: measured between chunks of steps, in the
compiled program.

No callback takes part: the numbers are outputs of the record that `fit` makes every `record_every`
steps.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxbp.backprop import sweep
from jaxbp.params import Layer, Params
from jaxbp.training.shards import first_rows
from jaxbp.training.solver import Batch, Problem

RECORDED_SAMPLES = (
    2048  # at most, the first ones, so that a record's cost does not grow with the data
)


class LayerRecord(NamedTuple):
    """What is measured in each layer, l = 1..L, over the first 2,048 training samples at most.

    Attributes:
        gradient: (L,) norm of dL/dW_l and dL/db_l together.
        update: (L,) norm of what the last step changed in W_l and b_l; 0 before the first step.
        weight: (L,) norm of W_l and b_l together.
        dead: (L,) share of the units whose slope is 0 for every sample, so that no error passes.
    """

    gradient: Array
    update: Array
    weight: Array
    dead: Array


class LayerHistory(NamedTuple):
    """The layer records of a run as arrays (num_records, L), named as in `LayerRecord`; `step` is (num_records,)."""

    step: np.ndarray
    gradient: np.ndarray
    update: np.ndarray
    weight: np.ndarray
    dead: np.ndarray

    @classmethod
    def of(cls, steps: np.ndarray, records: list[LayerRecord]) -> "LayerHistory":
        """Puts the records of a run together."""
        return cls(steps, *(np.stack(column) for column in zip(*records, strict=True)))

    def then(self, later: "LayerHistory") -> "LayerHistory":
        """This history and that of the run that went on, whose first record is this one's last again."""
        return LayerHistory(*(np.concatenate([a, b[1:]]) for a, b in zip(self, later, strict=True)))


@partial(jax.jit, static_argnums=0)
def layer_record(problem: Problem, params: Params, before: Params, train: Batch) -> LayerRecord:
    """Measures every layer.

    Args:
        problem: network and loss.
        params: the parameters now.
        before: those before the last step.
        train: the training samples.

    Returns:
        The record.
    """
    num_samples = min(RECORDED_SAMPLES, train.inputs.shape[0])
    inputs, targets = first_rows(problem.mesh, num_samples, train)
    trace = sweep(problem.mlp, params, inputs, targets, problem.loss, num_samples)
    passes = zip(problem.mlp.activations, trace.preactivations, trace.activations, strict=True)
    slopes = [jnp.abs(activation.slope(z, a)) for activation, z, a in passes]
    return LayerRecord(
        gradient=_norms(trace.gradient),
        update=_norms(jax.tree.map(jnp.subtract, params, before)),
        weight=_norms(params),
        dead=jnp.stack(
            [jnp.mean((slope.max(axis=0) == 0).astype(slope.dtype)) for slope in slopes]
        ),
    )


def _norms(layers: tuple[Layer, ...]) -> Array:
    return jnp.stack([jnp.sqrt(jnp.sum(weight**2) + jnp.sum(bias**2)) for weight, bias in layers])
