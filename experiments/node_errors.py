"""Walk through both passes of a 3-4-2 sigmoid network: every value, node error, weight and bias by its number.

e is the error of a node's activation, dL/da, and d that of its preactivation, dL/dz; w84 goes from node 4 to node 8.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array

import jaxbp
from common import Common, begin, finish, run
from jaxbp import viz
from jaxbp.gradcheck import check_trace
from jaxbp.training import named_optimizer


@dataclass(frozen=True)
class Config(Common):
    """Flags of node_errors."""

    steps: int = 20
    """Steps of gradient descent after the walk."""
    learning_rate: float = 0.5
    """Learning rate of these steps."""


MLP = jaxbp.Mlp((3, 4, 2), hidden="sigmoid", output="sigmoid")  # inputs 1 to 3, hidden nodes 4 to 7, outputs 8 and 9
INPUTS = np.array([[0.5, -1.0, 2.0]])
TARGETS = np.array([[1.0, 0.0]])
# The document has no numbers. These have two digits, so that a reader can follow every product with a calculator.
WEIGHTS = (
    ([[0.1, -0.2, 0.4, 0.3], [-0.3, 0.2, 0.1, -0.1], [0.2, 0.5, -0.4, 0.1]], [0.1, -0.1, 0.2, 0.0]),
    ([[0.6, -0.4], [-0.5, 0.3], [0.2, 0.7], [0.4, -0.2]], [0.05, -0.15]),
)


def main(config: Config) -> None:
    """Prints the ledger, the matrices and the descent; draws the walk."""
    folder = begin(config)
    trace = trace_of_the_walk()
    ledger, report = jaxbp.make_ledger(trace), check_trace(trace)
    print(f"half squared error {float(trace.loss):.10g}\n\n{ledger.to_text()}")
    if not config.quiet:
        print("\nthe same as matrices")
        for name, matrix in matrices(trace).items():
            print(f"{name}\n{np.array2string(np.asarray(matrix), precision=6, suppress_small=True)}")
    print(f"\nhand-written passes and autodiff: {report.summary}")
    losses = descend(trace.params, config.steps, config.learning_rate)
    shown = range(0, config.steps + 1, max(1, config.steps // 5))
    print("gradient descent: " + ", ".join(f"step {step}: {losses[step]:.6f}" for step in shown))
    walk = viz.draw_walk(trace, report=report, title="3-4-2 sigmoid network, half squared error", lang=config.lang)
    values = {entry.name: entry.value for entry in ledger.entries}
    numbers = {"loss": trace.loss, "values": values, "ok": report.ok, "share": report.share, "descent": losses}
    finish(config, folder, "node_errors", numbers, {"node_errors.svg": walk.figure})


def trace_of_the_walk() -> jaxbp.Trace:
    """Both passes for the half squared error of the one sample."""
    params = tuple(jaxbp.Layer(jnp.asarray(weight), jnp.asarray(bias)) for weight, bias in WEIGHTS)
    return jaxbp.backprop(MLP, params, INPUTS, TARGETS, "half_squared_error")


def descend(start: jaxbp.Params, steps: int, learning_rate: float) -> np.ndarray:
    """The loss before each of some steps of gradient descent, and after the last (steps + 1,)."""
    solver = jaxbp.first_order(named_optimizer("sgd", learning_rate))
    data, loss = (INPUTS, TARGETS), "half_squared_error"
    return jaxbp.fit(MLP, start, data, steps=steps, solver=solver, loss=loss, record_every=1).history.loss


def matrices(trace: jaxbp.Trace) -> dict[str, Array]:
    """The same numbers as matrices, in the order of the passes: one row a sample, weights (from, to)."""
    found, last = {"A0 = inputs": trace.inputs}, trace.mlp.num_layers
    for i, layer in enumerate(trace.params, start=1):
        found |= {f"W{i}": layer.weight, f"b{i}": layer.bias}
        found[f"Z{i} = A{i - 1} W{i} + b{i}"] = trace.preactivations[i - 1]
        found[f"A{i} = sigmoid(Z{i})"] = trace.activations[i - 1]
    for i in range(last, 0, -1):
        rule = "A2 - Y" if i == last else f"D{i + 1} W{i + 1}^T"
        found[f"E{i} = {rule}"] = trace.activation_errors[i - 1]
        found[f"D{i} = E{i} * A{i} (1 - A{i})"] = trace.node_errors[i - 1]
    for i in range(last, 0, -1):
        found[f"dL/dW{i} = A{i - 1}^T D{i}"] = trace.gradient[i - 1].weight
        found[f"dL/db{i} = column sums of D{i}"] = trace.gradient[i - 1].bias
    return found


if __name__ == "__main__":
    run(main, Config)
