"""Walk through both passes of a 3-4-2 sigmoid network: every value, node error, weight and bias by
its number.

e is the error of a node's activation, dL/da, and d that of its preactivation, dL/dz; w84 goes from
node 4 to node 8.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import jaxbp
from common import Common, begin, finish, run
from jaxbp import viz
from jaxbp.gradcheck import check_trace
from jaxbp.training import Record, named_optimizer


@dataclass(frozen=True)
class Config(Common):
    """Flags of node_errors."""

    steps: int = 20
    """Steps of gradient descent after the walk."""
    learning_rate: float = 0.5
    """Learning rate of these steps."""


MLP = jaxbp.Mlp(
    (3, 4, 2), hidden="sigmoid", output="sigmoid"
)  # inputs 1 to 3, hidden nodes 4 to 7, outputs 8 and 9
INPUTS = np.array([[0.5, -1.0, 2.0]])
TARGETS = np.array([[1.0, 0.0]])
# The document has no numbers. These have two digits, so that a reader can follow every product with
# a calculator.
WEIGHTS = (
    ([[0.1, -0.2, 0.4, 0.3], [-0.3, 0.2, 0.1, -0.1], [0.2, 0.5, -0.4, 0.1]], [0.1, -0.1, 0.2, 0.0]),
    ([[0.6, -0.4], [-0.5, 0.3], [0.2, 0.7], [0.4, -0.2]], [0.05, -0.15]),
)


def main(config: Config) -> None:
    """Prints the ledger, the matrices and the descent; draws the node errors on their way down."""
    folder = begin(config)
    trace = trace_of_the_walk()
    ledger, report = trace.ledger(), check_trace(trace)
    print(f"half squared error {float(trace.loss):.10g}\n\n{ledger.to_text()}")
    if not config.quiet:
        print("\nthe same as matrices")
        for name, matrix in matrices(trace).items():
            print(
                f"{name}\n{np.array2string(np.asarray(matrix), precision=6, suppress_small=True)}"
            )
    print(f"\nhand-written passes and autodiff: {report.summary}")
    losses, errors = descend(trace.params, config.steps, config.learning_rate)
    shown = range(0, config.steps + 1, max(1, config.steps // 5))
    print("gradient descent: " + ", ".join(f"step {step}: {losses[step]:.6f}" for step in shown))
    curves = viz.draw_panels(
        {
            "outputs": {
                f"δ{node}": (np.arange(len(losses)), errors[:, node - 4]) for node in (8, 9)
            },
            "hidden nodes": {
                f"δ{node}": (np.arange(len(losses)), errors[:, node - 4]) for node in (4, 5, 6, 7)
            },
        },
        xlabel="step",
        ylabel="node error δ = ∂L/∂z",
        yscale="linear",
        share_y=False,
        title="3-4-2 sigmoid network: the node errors through gradient descent",
    )
    values = {entry.name: entry.value for entry in ledger.entries}
    numbers = {
        "loss": trace.loss,
        "values": values,
        "ok": report.ok,
        "share": report.share,
        "descent": losses,
    }
    finish(config, folder, "node_errors", numbers, {"node_errors.svg": curves.figure})


def trace_of_the_walk(params: jaxbp.Params | None = None) -> jaxbp.Trace:
    """Both passes for the half squared error of the one sample, with the weights above unless others are given."""
    if params is None:
        params = tuple(
            jaxbp.Layer(jnp.asarray(weight), jnp.asarray(bias)) for weight, bias in WEIGHTS
        )
    return jaxbp.backprop(MLP, params, INPUTS, TARGETS, "half_squared_error")


def descend(start: jaxbp.Params, steps: int, learning_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """The loss (steps + 1,) and the node errors (steps + 1, 6), nodes 4 to 9, before each step and after the last."""
    options: dict[str, Any] = {"loss": "half_squared_error", "record_every": 1}
    options["solver"] = jaxbp.first_order(named_optimizer("sgd", learning_rate))
    passed: dict[int, jaxbp.Params] = {}

    def keep(record: Record, params: jaxbp.Params) -> None:
        passed[record.step] = params

    result = jaxbp.fit(MLP, start, (INPUTS, TARGETS), steps=steps, callbacks=(keep,), **options)
    traces = (jax.jit(trace_of_the_walk)(passed[step]) for step in sorted(passed))
    return result.history.loss, np.array(
        [np.concatenate([d[0] for d in trace.node_errors]) for trace in traces]
    )


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
