"""Print both passes of a 3-4-2 sigmoid network, every value by its number.

e is the error of a node's activation, dL/da, and d that of its preactivation, dL/dz; w84 goes from
node 4 to node 8.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

import jaxbp
from jaxbp import viz
from jaxbp.gradcheck import check_trace
from shared.experiment import Common, begin, finish, run


@dataclass(frozen=True)
class Config(Common):
    """Flags of node_errors."""

    steps: int = 20
    """Steps of gradient descent."""


# Inputs are nodes 1 to 3, hidden nodes 4 to 7, outputs 8 and 9.
RATE = 0.5
MLP = jaxbp.Mlp((3, 4, 2), hidden="sigmoid", output="sigmoid")
INPUTS, TARGETS = np.array([[0.5, -1.0, 2.0]]), np.array([[1.0, 0.0]])
# The document has no numbers; these have few digits, so that a calculator can follow.
WEIGHTS = (
    ([[0.1, -0.2, 0.4, 0.3], [-0.3, 0.2, 0.1, -0.1], [0.2, 0.5, -0.4, 0.1]], [0.1, -0.1, 0.2, 0.0]),
    ([[0.6, -0.4], [-0.5, 0.3], [0.2, 0.7], [0.4, -0.2]], [0.05, -0.15]),
)


def main(config: Config) -> None:
    """Print the ledger and the matrices, train, draw the node errors during training."""
    folder = begin(config)
    trace = both_passes(start())
    ledger, report = trace.ledger(), check_trace(trace)
    print(f"half squared error {float(trace.loss):.10g}\n\n{ledger.to_text()}")
    if not config.quiet:
        print("\nthe same as matrices")
        for name, matrix in matrices(trace).items():
            rows = np.array2string(np.asarray(matrix), precision=6, suppress_small=True)
            print(f"{name}\n{rows}")
    print(f"\nhand-written passes against autodiff: {report.summary}")
    losses, errors = descend(trace.params, config.steps)
    shown = range(0, config.steps + 1, max(1, config.steps // 5))
    print("gradient descent: " + ", ".join(f"step {step}: {losses[step]:.6f}" for step in shown))
    panels = {
        name: {f"$\\delta_{node}$": (np.arange(len(losses)), errors[:, node - 4]) for node in nodes}
        for name, nodes in (("outputs", (8, 9)), ("hidden nodes", (4, 5, 6, 7)))
    }
    drawn = viz.draw_panels(
        panels,
        xlabel="step",
        ylabel="node error δ = ∂L/∂z",
        yscale="linear",
        share_y=False,
        title="3-4-2 sigmoid network: the node errors through gradient descent",
    )
    numbers = {
        "loss": trace.loss,
        "values": {entry.name: entry.value for entry in ledger.entries},
        "ok": report.ok,
        "share": report.share,
        "descent": losses,
    }
    finish(config, folder, "node_errors", numbers, {"node_errors.svg": drawn})


def start() -> jaxbp.Params:
    """Return the weights above."""
    return tuple(jaxbp.Layer(jnp.asarray(weight), jnp.asarray(bias)) for weight, bias in WEIGHTS)


def both_passes(params: jaxbp.Params) -> jaxbp.Trace:
    """Run both passes for the half squared error of the one sample."""
    return jaxbp.backprop(MLP, params, INPUTS, TARGETS, "half_squared_error")


def descend(params: jaxbp.Params, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return losses (steps + 1,) and node errors (steps + 1, 6) of nodes 4 to 9, from the start."""
    losses, errors = [], []
    for _ in range(steps + 1):
        trace = both_passes(params)
        losses.append(trace.loss)
        errors.append(np.concatenate([error[0] for error in trace.node_errors]))
        params = jax.tree.map(lambda leaf, bar: leaf - RATE * bar, params, trace.gradient)
    return np.array(losses), np.array(errors)


def matrices(trace: jaxbp.Trace) -> dict[str, jax.Array]:
    """Return the numbers as matrices, in the order of the passes; weights are (from, to)."""
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
