"""Walk through both passes of a small network: a picture, a film, a live page, a ledger of every
number.

The ledger has a row for each value, node error and gradient with its formula and with what jax.grad
has for it. Another text puts the hand-written gradient and JAX's own side by side as programs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import jaxbp
import node_errors
from common import Common, begin, choice, finish, print_table, run
from jaxbp import viz
from jaxbp.activations import ACTIVATIONS
from jaxbp.gradcheck import check_trace
from jaxbp.losses import LOSSES
from shared.chinese import say


@dataclass(frozen=True)
class Config(Common):
    """Flags of walk."""

    sizes: tuple[int, ...] = (3, 4, 2)
    """Inputs, hidden units, outputs."""
    hidden: Annotated[str, choice(ACTIVATIONS)] = "sigmoid"
    """Activation of the hidden layers."""
    output: Annotated[str, choice(ACTIVATIONS)] = "sigmoid"
    """Activation of the last layer."""


PRODUCT = "= dot_general["  # in the text of a jaxpr


def main(config: Config) -> None:
    """Runs both passes, writes them out and draws them."""
    mlp = jaxbp.Mlp(config.sizes, hidden=config.hidden, output=config.output)
    folder = begin(config)
    trace = trace_of(mlp, config.seed)
    ledger, report = trace.ledger(), check_trace(trace)
    stem = "walk_" + ("" if max(config.sizes) < 10 else "_").join(map(str, config.sizes))
    if not config.quiet:
        print(ledger.to_text())
    hand, auto = gradient_programs(trace)
    rows = {
        "loss": f"{float(trace.loss):.10g} (half squared error)",
        "numbers": f"{len(ledger.entries)}",
        "hand-written passes and autodiff": report.summary,
        "matrix products, hand-written": f"{hand.count(PRODUCT)}",
        "matrix products, JAX's own": f"{auto.count(PRODUCT)}",
    }
    print_table(rows, "-".join(map(str, config.sizes)))
    names = " and ".join(dict.fromkeys(mlp.activation_names))
    title = f"{'-'.join(map(str, config.sizes))} network, {names}"
    film = viz.animate_walk(trace, report=report, title=title)
    programs = f"Hand-written:\n\n```\n{hand}\n```\n\nJAX's own:\n\n```\n{auto}\n```\n"
    files = {
        f"{stem}.svg": viz.draw_walk(trace, report=report, title=title).figure,
        f"{stem}.gif": film,
        f"{stem}.html": partial(save_live_page, trace, title, config.lang),
        f"{stem}.md": f"# Every number of both passes: {title}\n\n{ledger.to_markdown()}\n",
        f"{stem}_programs.md": f"# The gradient to parameters and inputs, as programs\n\n{programs}",
    }
    if mlp == node_errors.MLP:
        files["playground.html"] = lambda path: viz.save_page(path=path, lang=config.lang)
    values = {entry.name: entry.value for entry in ledger.entries}
    finish(config, folder, stem, {"loss": trace.loss, "values": values, "ok": report.ok}, files)


def save_live_page(trace: jaxbp.Trace, title: str, lang: str, path: Path) -> Path:
    """Writes the page that computes both passes itself: drag a number, break a rule, train, predict and reveal."""
    samples, title = (trace.inputs, trace.targets), say(title, lang)
    return viz.save_page(
        (trace.mlp, trace.params), *samples, path, loss=trace.loss_name, lang=lang, title=title
    )


def trace_of(mlp: jaxbp.Mlp, seed: int) -> jaxbp.Trace:
    """Both passes of one sample: of the document's network its own numbers, of others random ones with two digits."""
    if mlp == node_errors.MLP:
        return node_errors.trace_of_the_walk()
    generator, layers = np.random.RandomState(seed), []
    for fan_in, fan_out in zip(mlp.sizes[:-1], mlp.sizes[1:], strict=True):
        weight, bias = generator.randn(fan_in, fan_out), 0.2 * generator.randn(fan_out)
        layers.append(
            jaxbp.Layer(*(jnp.asarray(np.round(leaf, 2)) for leaf in (weight / fan_in**0.5, bias)))
        )
    inputs, targets = generator.randn(1, mlp.sizes[0]), generator.rand(1, mlp.sizes[-1])
    return jaxbp.backprop(
        mlp, tuple(layers), np.round(inputs, 2), np.round(targets, 2), "half_squared_error"
    )


def gradient_programs(trace: jaxbp.Trace) -> tuple[str, str]:
    """The jaxprs of the gradient to parameters and inputs: by the hand-written rule, and by JAX's own."""

    def program(predict: Callable[..., Array]) -> str:
        def loss(params: jaxbp.Params, inputs: Array) -> Array:
            return (
                LOSSES[trace.loss_name]
                .values(predict(trace.mlp, params, inputs), trace.targets)
                .mean()
            )

        return str(jax.make_jaxpr(jax.grad(loss, (0, 1)))(trace.params, trace.inputs))

    return program(jaxbp.predict), program(jaxbp.reference_predict)


if __name__ == "__main__":
    run(main, Config)
