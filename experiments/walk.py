"""Draw both passes of a small network: a diagram, a film, a live page, a table of every number.

The table has a row for each value, node error and gradient with its formula and the number of
jax.grad. A second text lists the hand-written gradient and JAX's own as programs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxbp
import node_errors
from jaxbp import viz
from jaxbp.gradcheck import check_trace
from shared.experiment import Common, begin, finish, print_values, run


@dataclass(frozen=True)
class Config(Common):
    """Flags of walk."""

    sizes: tuple[int, ...] = (3, 4, 2)
    """Inputs, hidden units, outputs."""
    hidden: str = "sigmoid"
    """Activation of the hidden layers."""
    output: str = "sigmoid"
    """Activation of the last layer."""


PRODUCT = "= dot_general["  # in the text of a jaxpr


def main(config: Config) -> None:
    """Run both passes, write them out and draw them."""
    mlp = jaxbp.Mlp(config.sizes, hidden=config.hidden, output=config.output)
    folder = begin(config)
    trace = trace_of(mlp, config.seed)
    ledger, report = trace.ledger(), check_trace(trace)
    stem = "walk_" + ("" if max(config.sizes) < 10 else "_").join(map(str, config.sizes))
    if not config.quiet:
        print(ledger.to_text())
    hand, auto = gradient_programs(trace)
    sizes = "-".join(map(str, config.sizes))
    values = {
        "loss": f"{float(trace.loss):.10g} (half squared error)",
        "numbers": f"{len(ledger.entries)}",
        "hand-written passes against autodiff": report.summary,
        "matrix products, hand-written": f"{hand.count(PRODUCT)}",
        "matrix products, JAX's own": f"{auto.count(PRODUCT)}",
    }
    print_values(sizes, values)
    title = f"{sizes} network, {' and '.join(dict.fromkeys(mlp.activation_names))}"
    words: Any = {"report": report, "title": title}

    def save_page(path: Path) -> None:
        shown = {"lang": config.lang, "title": viz.translate(title, config.lang)}
        network = (mlp, trace.params)
        viz.save_page(
            network, trace.inputs, trace.targets, path, loss="half_squared_error", **shown
        )

    programs = f"Hand-written:\n\n```\n{hand}\n```\n\nJAX's own:\n\n```\n{auto}\n```\n"
    files = {
        f"{stem}.svg": viz.draw_walk(trace, **words),
        f"{stem}.gif": viz.animate_walk(trace, **words),
        f"{stem}.html": save_page,
        f"{stem}.md": f"# Every number of both passes: {title}\n\n{ledger.to_markdown()}\n",
        f"{stem}_programs.md": f"# The gradient as programs\n\n{programs}",
    }
    numbers = {
        "loss": trace.loss,
        "values": {entry.name: entry.value for entry in ledger.entries},
        "ok": report.ok,
    }
    if mlp == node_errors.MLP:
        files["playground.html"] = lambda path: viz.save_page(path=path, lang=config.lang)
    finish(config, folder, stem, numbers, files)


def trace_of(mlp: jaxbp.Mlp, seed: int) -> jaxbp.Trace:
    """Run both passes: the document's network has its numbers, others random ones of two digits."""
    if mlp == node_errors.MLP:
        return node_errors.both_passes(node_errors.start())
    generator, layers = np.random.RandomState(seed), []
    for fan_in, fan_out in zip(mlp.sizes[:-1], mlp.sizes[1:], strict=True):
        weight, bias = generator.randn(fan_in, fan_out), 0.2 * generator.randn(fan_out)
        leaves = (weight / fan_in**0.5, bias)
        layers.append(jaxbp.Layer(*(jnp.asarray(np.round(leaf, 2)) for leaf in leaves)))
    inputs = np.round(generator.randn(1, mlp.sizes[0]), 2)
    targets = np.round(generator.rand(1, mlp.sizes[-1]), 2)
    return jaxbp.backprop(mlp, tuple(layers), inputs, targets, "half_squared_error")


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
