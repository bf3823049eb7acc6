"""Train one sigmoid layer with the mean squared error, beside the document's rule without the upstream gradient."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import jaxbp
from common import Common, begin, finish, print_columns, print_table, run
from jaxbp import viz
from jaxbp.network import forward, gradient, node_errors
from jaxbp.training import Batch, FitResult, Problem, Solver, named_optimizer


@dataclass(frozen=True)
class Config(Common):
    """Flags of one_layer."""

    steps: int = 5000
    """Steps of gradient descent."""
    learning_rate: float = 0.1
    """Learning rate; the document's is 0.1."""


MLP = jaxbp.Mlp((2, 1), output="sigmoid")
INPUTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TARGETS = np.array([[0.0], [1.0], [1.0], [1.0]])  # the disjunction


def main(config: Config) -> None:
    """Compares the two gradients, trains by both, draws both losses."""
    folder = begin(config)
    params = start(config.seed)
    hand, printed = (
        jaxbp.loss_and_gradient(MLP, params, INPUTS, TARGETS)[1],
        printed_gradient(params, INPUTS),
    )
    columns = (np.append(some[0].weight, some[0].bias) for some in (hand, printed))
    rows = [
        (name, f"{a:.6f}", f"{b:.6f}")
        for name, a, b in zip(("dL/dw1", "dL/dw2", "dL/db"), *columns, strict=True)
    ]
    print_columns(
        ["at the start", "chain rule", "as printed"], rows, "gradient of the mean squared error"
    )
    reports = [
        jaxbp.check_gradients(MLP, params, INPUTS, TARGETS, gradient=some)
        for some in (hand, printed)
    ]
    angle, ratio = difference(printed, hand)
    checks = {
        "chain rule": reports[0].summary,
        "as printed": reports[1].summary,
        "as printed, angle": f"{angle:.1f} degrees from the gradient",
        "as printed, length": f"{ratio:.2f} times the gradient's",
    }
    print_table(checks, "checks")
    runs = {
        name: descend(rule, params, config.steps, config.learning_rate)
        for name, rule in RULES.items()
    }
    outputs = {
        name: np.asarray(jaxbp.predict(MLP, found.params, INPUTS))[:, 0]
        for name, found in runs.items()
    }
    points = zip(INPUTS, TARGETS[:, 0], *outputs.values(), strict=True)
    lines = [(f"{x[0]:g} or {x[1]:g}", f"{y:g}", f"{a:.3f}", f"{b:.3f}") for x, y, a, b in points]
    print_columns(["inputs", "target", *outputs], lines, f"outputs after {config.steps} steps")
    losses = {name: found.history.loss for name, found in runs.items()}
    steps, title = runs["chain rule"].history.step, "One sigmoid layer learns a disjunction"
    curves = viz.draw_curves(steps, losses, ylabel="mean squared error", title=title)
    numbers = {
        "hand": hand,
        "printed": printed,
        "angle": angle,
        "ratio": ratio,
        "losses": losses,
        "outputs": outputs,
    }
    numbers |= {"checks": [{"ok": report.ok, "worst": report.worst} for report in reports]}
    finish(config, folder, "one_layer", numbers, {"one_layer.svg": curves.figure})


def start(seed: int) -> jaxbp.Params:
    """Draws weights and bias uniformly from [0, 1), as the document does."""
    generator = np.random.RandomState(seed)
    return (jaxbp.Layer(jnp.asarray(generator.rand(2, 1)), jnp.asarray(generator.rand(1))),)


def printed_gradient(params: jaxbp.Params, inputs: Any) -> jaxbp.Params:
    """The gradient of the sum of the outputs: what the document's rule computes, where the loss takes no part."""
    outputs, residuals = forward(MLP, params, jnp.asarray(inputs))
    return gradient(residuals, node_errors(MLP, params, residuals, jnp.ones_like(outputs))[0])


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PrintedDescent(Solver):
    """Descent along the printed rule."""

    learning_rate: float

    def init(self, params: jaxbp.Params) -> Any:
        """Return no state."""
        return ()

    def step(
        self, problem: Problem, params: jaxbp.Params, state: Any, batch: Batch, key: Array
    ) -> Any:
        """Take one step along the printed gradient."""
        loss, _ = jaxbp.loss_and_gradient(problem.mlp, params, *batch, problem.loss)
        bars = printed_gradient(params, batch.inputs)

        def moved(leaf: Array, bar: Array) -> Array:
            return leaf - self.learning_rate * bar

        return jax.tree.map(moved, params, bars), state, loss


RULES: dict[str, Callable[[float], Solver]] = {
    "chain rule": lambda learning_rate: jaxbp.first_order(named_optimizer("sgd", learning_rate)),
    "as printed": PrintedDescent,
}


def descend(
    rule: Callable[[float], Solver], params: jaxbp.Params, steps: int, learning_rate: float
) -> FitResult:
    """Trains with a rule."""
    every = max(1, steps // 100)
    return jaxbp.fit(
        MLP, params, (INPUTS, TARGETS), steps=steps, solver=rule(learning_rate), record_every=every
    )


def difference(gradient: jaxbp.Params, right: jaxbp.Params) -> tuple[float, float]:
    """The angle between two gradients in degrees, and the length of the first over that of the second."""
    a, b = (
        np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(some)])
        for some in (gradient, right)
    )
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    # atan2 keeps the digits of a small angle that arccos of the cosine would lose.
    a, b = a / lengths[0], b / lengths[1]
    angle = 2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b))
    return float(np.degrees(angle)), float(lengths[0] / lengths[1])


if __name__ == "__main__":
    run(main, Config)
