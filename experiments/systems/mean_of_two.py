"""The 2-3-1 ReLU network that is to learn the mean of its two inputs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxbp
from jaxbp.training import FitResult, named_optimizer

MLP = jaxbp.Mlp((2, 3, 1), hidden="relu")
INPUTS, TARGETS = np.array([[0.1, 0.3]]), np.array([[0.2]])
# The document shows the prediction, -0.1, and the third hidden unit, -0.46 before its ReLU; these weights give both.
PARAMS = (
    ([[0.6, 0.2, -0.6], [0.3, 0.7, -1.5]], [0.05, 0.01, 0.05]),
    ([[-0.5], [0.25], [0.4]], [-0.06]),
)


class Example(NamedTuple):
    """The one example of the document.

    Attributes:
        trace: both passes, for the half squared error, whose derivative is the difference.
        changes: what a step of learning rate 1 adds to the parameters.
    """

    trace: jaxbp.Trace
    changes: jaxbp.Params


def example() -> Example:
    """Runs both passes on inputs 0.1 and 0.3 with target 0.2."""
    params = tuple(jaxbp.Layer(jnp.asarray(weight), jnp.asarray(bias)) for weight, bias in PARAMS)
    trace = jaxbp.backprop(MLP, params, INPUTS, TARGETS, "half_squared_error")
    return Example(trace, jax.tree.map(jnp.negative, trace.gradient))


def learn(seed: int, samples: int, steps: int, learning_rate: float) -> FitResult:
    """Learns the task from random pairs in the unit square, by full-batch descent."""
    generator = np.random.RandomState(seed)
    inputs, others = generator.rand(samples, 2), generator.rand(samples, 2)
    params = jaxbp.init(MLP, jax.random.key(seed), "he")
    return jaxbp.fit(
        MLP,
        params,
        (inputs, inputs.mean(axis=1, keepdims=True)),
        solver=jaxbp.first_order(named_optimizer("sgd", learning_rate)),
        steps=steps,
        loss="half_squared_error",
        validation=(others, others.mean(axis=1, keepdims=True)),
        record_every=max(1, steps // 100),
    )
