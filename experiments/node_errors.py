"""Print and draw both passes of a small network, every value by its number.

Without flags: the 3-4-2 sigmoid network of the document. e is the error of a node's activation,
dL/da, and d that of its preactivation, dL/dz; w84 goes from node 4 to node 8. Written are a table
with a row for each value, its formula and the number of jax.grad; a diagram, a film, a live page;
and the hand-written gradient and JAX's own as programs.
"""

from shared.experiment import Common, begin, finish, print_values, run

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxbp
from jaxbp import viz
from jaxbp.gradcheck import check_trace


@dataclass(frozen=True)
class Config(Common):
    """Flags of node_errors."""

    sizes: tuple[int, ...] = (3, 4, 2)
    """Inputs, hidden units, outputs."""
    hidden: str = "sigmoid"
    """Activation of the hidden layers."""
    output: str = "sigmoid"
    """Activation of the last layer."""


# Inputs are nodes 1 to 3, hidden nodes 4 to 7, outputs 8 and 9.
MLP = jaxbp.Mlp((3, 4, 2), hidden="sigmoid", output="sigmoid")
INPUTS, TARGETS = np.array([[0.5, -1.0, 2.0]]), np.array([[1.0, 0.0]])
# The document has no numbers; these have few digits, so that a calculator can follow.
WEIGHTS: Any = (
    ([[0.1, -0.2, 0.4, 0.3], [-0.3, 0.2, 0.1, -0.1], [0.2, 0.5, -0.4, 0.1]], [0.1, -0.1, 0.2, 0.0]),
    ([[0.6, -0.4], [-0.5, 0.3], [0.2, 0.7], [0.4, -0.2]], [0.05, -0.15]),
)
STEPS, RATE = 20, 0.5  # of gradient descent
LOSS = "half_squared_error"
PRODUCT = "= dot_general["  # in the text of a jaxpr


def main(config: Config) -> None:
    """Run both passes, print the ledger and the matrices, train, draw."""
    mlp = jaxbp.Mlp(config.sizes, hidden=config.hidden, output=config.output)
    folder = begin(config)
    trace = trace_of(mlp, config.seed)
    ledger, report = trace.ledger(), check_trace(trace)
    print(f"half squared error {float(trace.loss):.10g}\n\n{ledger.to_text()}")
    if not config.quiet:
        print("\nthe same as matrices")
        for name, matrix in matrices(trace).items():
            rows = np.array2string(np.asarray(matrix), precision=6, suppress_small=True)
            print(f"{name}\n{rows}")
    hand, auto = gradient_programs(trace)
    losses, errors = descend(trace)
    shown = [f"step {step}: {losses[step]:.6f}" for step in range(0, STEPS + 1, STEPS // 5)]
    values = {
        "numbers": f"{len(ledger.entries)}",
        "hand-written passes against autodiff": report.summary,
        "matrix products, hand-written": f"{hand.count(PRODUCT)}",
        "matrix products, JAX's own": f"{auto.count(PRODUCT)}",
        "gradient descent": ", ".join(shown),
    }
    sizes = "-".join(map(str, config.sizes))
    print_values(sizes, values)
    title = f"{sizes} network, {' and '.join(dict.fromkeys(mlp.activation_names))}"
    words: Any = {"lang": config.lang, "title": viz.translate(title, config.lang)}
    arguments = ((mlp, trace.params), trace.inputs, trace.targets)
    page = partial(viz.save_page, *arguments, loss=LOSS, **words)
    programs = f"Hand-written:\n\n```\n{hand}\n```\n\nJAX's own:\n\n```\n{auto}\n```\n"
    stem = "walk_" + ("" if max(config.sizes) < 10 else "_").join(map(str, config.sizes))
    files: dict[str, Any] = {
        f"{stem}.svg": viz.draw_walk(trace, report=report, title=title),
        f"{stem}.gif": viz.animate_walk(trace, report=report, title=title),
        f"{stem}.html": lambda path: page(path=path),
        f"{stem}.md": f"# Every number of both passes: {title}\n\n{ledger.to_markdown()}\n",
        f"{stem}_programs.md": f"# The gradient as programs\n\n{programs}",
    }
    if mlp == MLP:
        stem = "node_errors"
        files["node_errors.svg"] = draw_descent(errors)
        files["playground.html"] = lambda path: viz.save_page(path=path, lang=config.lang)
    numbers = {
        "loss": trace.loss,
        "values": {entry.name: entry.value for entry in ledger.entries},
        "ok": report.ok,
        "share": report.share,
        "descent": losses,
    }
    finish(config, folder, stem, numbers, files)


def trace_of(mlp: jaxbp.Mlp, seed: int) -> jaxbp.Trace:
    """Run both passes: the document's network has its numbers, others random ones of two digits."""
    inputs, targets, weights = INPUTS, TARGETS, WEIGHTS
    if mlp != MLP:
        generator = np.random.RandomState(seed)
        weights = tuple(
            (
                np.round(generator.randn(fan_in, fan_out) / fan_in**0.5, 2),
                np.round(0.2 * generator.randn(fan_out), 2),
            )
            for fan_in, fan_out in pairwise(mlp.sizes)
        )
        inputs = np.round(generator.randn(1, mlp.sizes[0]), 2)
        targets = np.round(generator.rand(1, mlp.sizes[-1]), 2)
    params = tuple(jaxbp.Layer(jnp.asarray(weight), jnp.asarray(bias)) for weight, bias in weights)
    return jaxbp.backprop(mlp, params, inputs, targets, LOSS)


def descend(trace: jaxbp.Trace) -> tuple[np.ndarray, np.ndarray]:
    """Return losses (STEPS + 1,) and node errors (STEPS + 1, nodes) from the start on."""
    losses, errors = [], []
    for _ in range(STEPS + 1):
        losses.append(trace.loss)
        errors.append(np.concatenate([error[0] for error in trace.node_errors]))
        moved = jax.tree.map(lambda leaf, bar: leaf - RATE * bar, trace.params, trace.gradient)
        trace = jaxbp.backprop(trace.mlp, moved, trace.inputs, trace.targets, LOSS)
    return np.array(losses), np.array(errors)


def draw_descent(errors: np.ndarray) -> viz.Drawing:
    """Draw the node errors of nodes 4 to 9 through gradient descent."""
    panels = {
        name: {f"$\\delta_{node}$": (np.arange(len(errors)), errors[:, node - 4]) for node in nodes}
        for name, nodes in (("outputs", (8, 9)), ("hidden nodes", (4, 5, 6, 7)))
    }
    return viz.draw_panels(
        panels,
        xlabel="step",
        ylabel="node error δ = ∂L/∂z",
        yscale="linear",
        share_y=False,
        title="3-4-2 sigmoid network: the node errors through gradient descent",
    )


def matrices(trace: jaxbp.Trace) -> dict[str, jax.Array]:
    """Return the numbers as matrices, in the order of the passes; weights are (from, to)."""
    found, last = {"A0 = inputs": trace.inputs}, trace.mlp.num_layers
    names = ("", *trace.mlp.activation_names)
    for i, layer in enumerate(trace.params, start=1):
        found |= {f"W{i}": layer.weight, f"b{i}": layer.bias}
        found[f"Z{i} = A{i - 1} W{i} + b{i}"] = trace.preactivations[i - 1]
        found[f"A{i} = {names[i]}(Z{i})"] = trace.activations[i - 1]
    for i in range(last, 0, -1):
        rule = f"A{i} - Y" if i == last else f"D{i + 1} W{i + 1}^T"
        found[f"E{i} = {rule}"] = trace.activation_errors[i - 1]
        found[f"D{i} = E{i} * {names[i]}'(Z{i})"] = trace.node_errors[i - 1]
    for i in range(last, 0, -1):
        found[f"dL/dW{i} = A{i - 1}^T D{i}"] = trace.gradient[i - 1].weight
        found[f"dL/db{i} = column sums of D{i}"] = trace.gradient[i - 1].bias
    return found


def gradient_programs(trace: jaxbp.Trace) -> tuple[str, str]:
    """Return the jaxprs of the gradient to parameters and inputs: by hand, and JAX's own."""

    def program(predict: Callable[..., jax.Array]) -> str:
        def loss(params: jaxbp.Params, inputs: jax.Array) -> jax.Array:
            error = predict(trace.mlp, params, inputs) - trace.targets
            return jnp.mean(jnp.sum(error**2, axis=1) / 2)

        return str(jax.make_jaxpr(jax.grad(loss, (0, 1)))(trace.params, trace.inputs))

    return program(jaxbp.predict), program(jaxbp.reference_predict)


if __name__ == "__main__":
    run(main, Config)
