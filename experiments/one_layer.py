"""Train one sigmoid layer by the chain rule, and by a rule without the upstream gradient."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

import jaxbp
from jaxbp import viz
from jaxbp.network import forward, gradient, node_errors
from shared.experiment import Common, begin, finish, print_table, print_values, run


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

Rule = Callable[[jaxbp.Params], jaxbp.Params]


def main(config: Config) -> None:
    """Compare the two gradients, train by both, draw both losses."""
    folder = begin(config)
    if config.steps < 1:
        raise ValueError(f"steps must be at least 1, got {config.steps}")
    params = start(config.seed)
    gradients = {name: rule(params) for name, rule in RULES.items()}
    reports = {
        name: jaxbp.check_gradients(MLP, params, INPUTS, TARGETS, gradient=some)
        for name, some in gradients.items()
    }
    flat = [np.append(some[0].weight, some[0].bias) for some in gradients.values()]
    rows = [
        (name, f"{a:.6f}", f"{b:.6f}")
        for name, a, b in zip(("dL/dw1", "dL/dw2", "dL/db"), *flat, strict=True)
    ]
    print_table("gradient of the mean squared error", ["at the start", *RULES], rows)
    angle, ratio = difference(gradients["as printed"], gradients["chain rule"])
    values = {name: report.summary for name, report in reports.items()}
    values["as printed, angle"] = f"{angle:.1f} degrees from the gradient"
    values["as printed, length"] = f"{ratio:.2f} times the gradient's"
    print_values("checks", values)
    runs = {
        name: descend(rule, params, config.steps, config.learning_rate)
        for name, rule in RULES.items()
    }
    outputs = {
        name: np.asarray(jaxbp.predict(MLP, found, INPUTS))[:, 0]
        for name, (found, _) in runs.items()
    }
    points = zip(INPUTS, TARGETS[:, 0], *outputs.values(), strict=True)
    lines = [(f"{x[0]:g} or {x[1]:g}", f"{y:g}", f"{a:.3f}", f"{b:.3f}") for x, y, a, b in points]
    print_table(f"outputs after {config.steps} steps", ["inputs", "target", *outputs], lines)
    shown = np.arange(0, config.steps + 1, max(1, config.steps // 100))
    losses = {name: found[shown] for name, (_, found) in runs.items()}
    curves = viz.draw_curves(
        shown, losses, ylabel="mean squared error", title="One sigmoid layer learns a disjunction"
    )
    numbers = {
        "hand": gradients["chain rule"],
        "printed": gradients["as printed"],
        "angle": angle,
        "ratio": ratio,
        "losses": losses,
        "outputs": outputs,
        "ok": {name: report.ok for name, report in reports.items()},
    }
    finish(config, folder, "one_layer", numbers, {"one_layer.svg": curves.figure})


def start(seed: int) -> jaxbp.Params:
    """Draw weights and bias uniformly from [0, 1), as the document does."""
    generator = np.random.RandomState(seed)
    return (jaxbp.Layer(jnp.asarray(generator.rand(2, 1)), jnp.asarray(generator.rand(1))),)


def mean_squared_error(params: jaxbp.Params) -> jax.Array:
    """Return the loss of the four samples."""
    return jnp.mean((jaxbp.predict(MLP, params, INPUTS) - TARGETS) ** 2)


def right_gradient(params: jaxbp.Params) -> jaxbp.Params:
    """Return the gradient by both passes."""
    return jaxbp.loss_and_gradient(MLP, params, INPUTS, TARGETS)[1]


def printed_gradient(params: jaxbp.Params) -> jaxbp.Params:
    """Return the gradient of the sum of the outputs: the document's rule ignores the loss."""
    outputs, residuals = forward(MLP, params, jnp.asarray(INPUTS))
    return gradient(residuals, node_errors(MLP, params, residuals, jnp.ones_like(outputs))[0])


RULES: dict[str, Rule] = {"chain rule": right_gradient, "as printed": printed_gradient}


def descend(
    rule: Rule, params: jaxbp.Params, steps: int, learning_rate: float
) -> tuple[jaxbp.Params, np.ndarray]:
    """Step along a rule; return the last parameters and the losses (steps + 1,)."""

    def step(params: jaxbp.Params, _: None) -> tuple[jaxbp.Params, jax.Array]:
        change = rule(params)
        moved = jax.tree.map(lambda leaf, bar: leaf - learning_rate * bar, params, change)
        return moved, mean_squared_error(params)

    last, losses = jax.jit(lambda some: jax.lax.scan(step, some, length=steps))(params)
    return last, np.append(losses, mean_squared_error(last))


def difference(gradient: jaxbp.Params, right: jaxbp.Params) -> tuple[float, float]:
    """Return the angle between two gradients in degrees, and the ratio of their lengths."""
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
