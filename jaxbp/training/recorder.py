"""What happens in each layer while a network learns: measured between chunks of steps, in the compiled program.

No callback takes part: the numbers are outputs of the record that `fit` makes every `record_every` steps.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxbp.activations import activation
from jaxbp.losses import loss_named
from jaxbp.network import forward, gradient, node_errors
from jaxbp.params import Layer, Params
from jaxbp.training.solver import Batch, Problem

RECORDED_SAMPLES = 2048  # at most, the first ones, so that a record's cost does not grow with the data
SATURATED = 0.01  # a slope below this hardly passes an error on


class LayerRecord(NamedTuple):
    """What is measured in each layer, l = 1..L, over the first 2,048 training samples at most.

    Attributes:
        activation: (L,) root mean square of A_l.
        node_error: (L,) norm of D_l = dL/dZ_l.
        gradient: (L,) norm of dL/dW_l and dL/db_l together.
        update: (L,) norm of what the last step changed in W_l and b_l; 0 before the first step.
        weight: (L,) norm of W_l and b_l together.
        dead: (L,) share of the units whose slope is 0 for every sample, so that no error passes.
        saturated: (L,) share of units and samples with a slope below 0.01.
    """

    activation: Array
    node_error: Array
    gradient: Array
    update: Array
    weight: Array
    dead: Array
    saturated: Array


class LayerHistory(NamedTuple):
    """The layer records of a run as arrays (num_records, L), named as in `LayerRecord`; `step` is (num_records,)."""

    step: np.ndarray
    activation: np.ndarray
    node_error: np.ndarray
    gradient: np.ndarray
    update: np.ndarray
    weight: np.ndarray
    dead: np.ndarray
    saturated: np.ndarray


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
    inputs, targets = (array[:RECORDED_SAMPLES] for array in train)
    loss = loss_named(problem.loss)
    outputs, residuals = forward(problem.mlp, params, inputs, keep_preactivations=True)
    errors, _ = node_errors(problem.mlp, params, residuals, loss.gradient(outputs, targets) / inputs.shape[0])
    slopes = [
        jnp.abs(activation(name).slope(kept.preactivation, kept.activation))
        for name, kept in zip(problem.mlp.activation_names, residuals, strict=True)
    ]
    changes = jax.tree.map(jnp.subtract, params, before)
    return LayerRecord(
        activation=jnp.stack([jnp.sqrt(jnp.mean(kept.activation**2)) for kept in residuals]),
        node_error=jnp.stack([jnp.linalg.norm(error) for error in errors]),
        gradient=_norms(gradient(residuals, errors)),
        update=_norms(changes),
        weight=_norms(params),
        dead=jnp.stack([jnp.mean((slope.max(axis=0) == 0).astype(slope.dtype)) for slope in slopes]),
        saturated=jnp.stack([jnp.mean((slope < SATURATED).astype(slope.dtype)) for slope in slopes]),
    )


def layer_history(steps: list[int], records: list[LayerRecord]) -> LayerHistory:
    """Puts the records of a run together."""
    return LayerHistory(np.array(steps), *(np.stack(column) for column in zip(*records, strict=True)))


def _norms(layers: tuple[Layer, ...]) -> Array:
    return jnp.stack([jnp.sqrt(jnp.sum(weight**2) + jnp.sum(bias**2)) for weight, bias in layers])
