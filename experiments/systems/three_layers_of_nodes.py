"""The walk-through's network: inputs 1 to 3, hidden nodes 4 to 7, outputs 8 and 9, sigmoid throughout."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxbp

MLP = jaxbp.Mlp((3, 4, 2), hidden="sigmoid", output="sigmoid")
INPUTS = np.array([[0.5, -1.0, 2.0]])
TARGETS = np.array([[1.0, 0.0]])
# The document has no numbers. These have two digits, so that a reader can follow every product with a calculator.
PARAMS = (
    ([[0.1, -0.2, 0.4, 0.3], [-0.3, 0.2, 0.1, -0.1], [0.2, 0.5, -0.4, 0.1]], [0.1, -0.1, 0.2, 0.0]),
    ([[0.6, -0.4], [-0.5, 0.3], [0.2, 0.7], [0.4, -0.2]], [0.05, -0.15]),
)


def params_of_the_walk() -> jaxbp.Params:
    """The weights (from, to) and biases, as float64 arrays."""
    return tuple(jaxbp.Layer(jnp.asarray(weight), jnp.asarray(bias)) for weight, bias in PARAMS)


def trace_of_the_walk() -> jaxbp.Trace:
    """Both passes for the half squared error of the one sample."""
    return jaxbp.backprop(MLP, params_of_the_walk(), INPUTS, TARGETS, "half_squared_error")


def descend(steps: int, learning_rate: float) -> np.ndarray:
    """The loss before each of some steps of gradient descent, and after the last (steps + 1,)."""

    def step(params: jaxbp.Params, _: Any) -> tuple[jaxbp.Params, jax.Array]:
        loss, gradient = jaxbp.loss_and_gradient(MLP, params, INPUTS, TARGETS, "half_squared_error")
        return jax.tree.map(lambda leaf, bar: leaf - learning_rate * bar, params, gradient), loss

    return np.asarray(jax.jit(lambda params: jax.lax.scan(step, params, length=steps + 1)[1])(params_of_the_walk()))


def matrices(trace: jaxbp.Trace) -> dict[str, np.ndarray]:
    """The same numbers as matrices, in the order of the passes: one row a sample, weights (from, to)."""
    columns: dict[str, np.ndarray] = {"A0 = inputs": np.asarray(trace.inputs)}
    layers = range(1, trace.mlp.num_layers + 1)
    for layer in layers:
        columns[f"W{layer}"], columns[f"b{layer}"] = map(np.asarray, trace.params[layer - 1])
        columns[f"Z{layer} = A{layer - 1} W{layer} + b{layer}"] = np.asarray(trace.preactivations[layer - 1])
        columns[f"A{layer} = sigmoid(Z{layer})"] = np.asarray(trace.activations[layer - 1])
    for layer in reversed(layers):
        last = layer == trace.mlp.num_layers
        rule = "A2 - Y" if last else f"D{layer + 1} W{layer + 1}^T"
        columns[f"E{layer} = {rule}"] = np.asarray(trace.activation_errors[layer - 1])
        columns[f"D{layer} = E{layer} * A{layer} (1 - A{layer})"] = np.asarray(trace.node_errors[layer - 1])
    for layer in reversed(layers):
        weight, bias = trace.gradient[layer - 1]
        columns[f"dL/dW{layer} = A{layer - 1}^T D{layer}"] = np.asarray(weight)
        columns[f"dL/db{layer} = column sums of D{layer}"] = np.asarray(bias)
    return columns
