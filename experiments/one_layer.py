"""Train one sigmoid layer by the chain rule, and by a rule without the upstream gradient."""

from shared.experiment import Common, begin, finish, print_table, print_values, run

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

import jaxbp
from jaxbp import viz
from jaxbp.network import forward, gradient, node_errors

MLP = jaxbp.Mlp((2, 1), output="sigmoid")
INPUTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TARGETS = np.array([[0.0], [1.0], [1.0], [1.0]])  # the disjunction
RATE, STEPS = 0.1, 5000  # the rate is the document's

Rule = Callable[[jaxbp.Params], jaxbp.Params]


def main(config: Common) -> None:
    """Compare the two gradients, train by both, draw both losses."""
    folder = begin(config)
    params = start(config.seed)
    gradients = {name: rule(params) for name, rule in RULES.items()}
    reports = {
        name: jaxbp.check_gradients(MLP, params, INPUTS, TARGETS, gradient=some)
        for name, some in gradients.items()
    }
    leaves = {
        name: {
            "dL/dw1": float(weight[0, 0]),
            "dL/dw2": float(weight[1, 0]),
            "dL/db": float(bias[0]),
        }
        for name, ((weight, bias),) in gradients.items()
    }
    print_table("gradient of the mean squared error, at the start", leaves, ".6f")
    angle, ratio = difference(gradients["as printed"], gradients["chain rule"])
    values = {name: report.summary for name, report in reports.items()}
    values["as printed, angle"] = f"{angle:.1f} degrees from the gradient"
    values["as printed, length"] = f"{ratio:.2f} times the gradient's"
    print_values("checks", values)
    ends, losses = {}, {}
    for name, rule in RULES.items():
        ends[name], losses[name] = descend(rule, params, STEPS)
    outputs = {
        name: np.asarray(jaxbp.predict(MLP, end, INPUTS))[:, 0] for name, end in ends.items()
    }
    by_inputs = {
        name: {f"{x:g} or {y:g}": float(a) for (x, y), a in zip(INPUTS, some, strict=True)}
        for name, some in outputs.items()
    }
    print_table(f"outputs after {STEPS} steps", by_inputs, ".3f")
    shown = np.arange(0, STEPS + 1, STEPS // 100)
    losses = {name: some[shown] for name, some in losses.items()}
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
    finish(config, folder, "one_layer", numbers, {"one_layer.svg": curves})


def start(seed: int) -> jaxbp.Params:
    """Draw weights and bias uniformly from [0, 1), as the document does."""
    generator = np.random.RandomState(seed)
    return (jaxbp.Layer(jnp.asarray(generator.rand(2, 1)), jnp.asarray(generator.rand(1))),)


def right_gradient(params: jaxbp.Params) -> jaxbp.Params:
    """Return the gradient by both passes."""
    return jaxbp.loss_and_gradient(MLP, params, INPUTS, TARGETS)[1]


def printed_gradient(params: jaxbp.Params) -> jaxbp.Params:
    """Return the gradient of the sum of the outputs: the document's rule ignores the loss."""
    outputs, residuals = forward(MLP, params, jnp.asarray(INPUTS))
    return gradient(residuals, node_errors(MLP, params, residuals, jnp.ones_like(outputs))[0])


RULES: dict[str, Rule] = {"chain rule": right_gradient, "as printed": printed_gradient}


def descend(rule: Rule, params: jaxbp.Params, steps: int) -> tuple[jaxbp.Params, np.ndarray]:
    """Step along a rule; return the last parameters and the losses (steps + 1,)."""

    def loss(params: jaxbp.Params) -> jax.Array:
        return jnp.mean((jaxbp.predict(MLP, params, INPUTS) - TARGETS) ** 2)

    def step(params: jaxbp.Params, _: None) -> tuple[jaxbp.Params, jax.Array]:
        moved = jax.tree.map(lambda leaf, bar: leaf - RATE * bar, params, rule(params))
        return moved, loss(params)

    last, losses = jax.jit(lambda some: jax.lax.scan(step, some, length=steps))(params)
    return last, np.append(losses, loss(last))


def difference(gradient: jaxbp.Params, right: jaxbp.Params) -> tuple[float, float]:
    """Return the angle between two gradients in degrees, and the ratio of their lengths."""
    a, b = (ravel_pytree(some)[0] for some in (gradient, right))
    ratio = jnp.linalg.norm(a) / jnp.linalg.norm(b)
    # atan2 keeps the digits of a small angle that arccos of the cosine would lose.
    angle = 2 * jnp.arctan2(jnp.linalg.norm(a - ratio * b), jnp.linalg.norm(a + ratio * b))
    return float(jnp.degrees(angle)), float(ratio)


if __name__ == "__main__":
    run(main, Common)
