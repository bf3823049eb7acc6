"""Measure the effect of the documents' wrong formulas, as printed and corrected.

Two pages are written on which a reader can make these mistakes.
"""

from shared.experiment import Common, begin, finish, print_table, run

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import check_gradients
import data
import fit_surface
import jaxbp
import one_layer
import xor
from check_gradients import LOSS, MLP, analytic_loss, guarded_loss
from jaxbp import viz
from jaxbp.gradcheck import numerical_gradient


@dataclass(frozen=True)
class Config(Common):
    """Flags of errata."""

    seeds: int = 500
    """Number of starts of exclusive or."""
    epochs: int = 2000
    """Epochs of the fits of the surface."""


class Erratum(NamedTuple):
    """A mistake, the quantity measured, its values as printed and corrected, and the reason."""

    mistake: str
    quantity: str
    printed: float
    corrected: float
    note: str


def main(config: Config) -> None:
    """Measure, print, draw."""
    folder = begin(config)
    if config.seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {config.seeds}")
    found = [
        *upstream_gradient(config.seed),
        *double_division(config.seed, config.seeds),
        half_or_whole(config.seed),
        grid_or_samples(config),
        *start_and_guard(config.seed),
    ]
    values = {
        f"{one.mistake}; {one.quantity}": {"as printed": one.printed, "corrected": one.corrected}
        for one in found
    }
    print_table("wrong formulas, measured", values, ".4g")
    lines = ["| mistake | quantity | as printed | corrected |", "| --- | --- | --- | --- |"]
    for one in found:
        numbers = f"{one.printed:.4g} | {one.corrected:.4g}"
        lines.append(f"| {one.mistake} | {one.quantity} | {numbers} |")
    notes = "\n".join(dict.fromkeys(f"- {one.mistake}: {one.note}." for one in found))
    if not config.quiet:
        print(f"\n{notes}")
    table = "\n".join(lines)
    files = {
        "errata.md": f"# Wrong formulas, as printed and as corrected\n\n{table}\n\n{notes}\n",
        "errata.html": partial(save_page, config, jaxbp.Mlp((2, 3, 1), hidden="sigmoid")),
        "errata_softmax.html": partial(save_page, config, jaxbp.Mlp((3, 4, 3), hidden="relu")),
    }
    finish(config, folder, "errata", {"errata": found}, files)


def save_page(config: Config, mlp: jaxbp.Mlp, path: Path) -> None:
    """Write a page whose rules can be replaced by the documents' mistakes, one at a time.

    The network of one output allows every mistake but the guard under the logarithm.
    """
    start = jaxbp.init(mlp, jax.random.key(config.seed), dtype=jnp.float64)
    params = jax.tree.map(lambda leaf: np.round(np.asarray(leaf), 2), start)  # readable numbers
    inputs, targets, loss = xor.INPUTS, xor.TARGETS, "mean_squared_error"
    title = "Break this: a mean squared error"
    if mlp.sizes[-1] > 1:
        inputs, targets, loss = np.eye(3) - 0.5, np.eye(3), LOSS
        title = "Break this: three classes"
    words = {"lang": config.lang, "title": viz.translate(title, config.lang)}
    views = ("walk", "check", "training")
    viz.save_page((mlp, params), inputs, targets, path, views=views, loss=loss, **words)


def upstream_gradient(seed: int) -> list[Erratum]:
    """One layer: the rule lacks the factor from above."""
    params = one_layer.start(seed)
    right, wrong = one_layer.right_gradient(params), one_layer.printed_gradient(params)
    angle, ratio = one_layer.difference(wrong, right)
    printed, corrected = (
        float(one_layer.descend(one_layer.RULES[rule], params, 2000)[1][-1])
        for rule in ("as printed", "chain rule")
    )
    mistake = "one layer: no upstream gradient"
    note = "the rule differentiates the sum of the outputs, whatever the targets"
    return [
        Erratum(mistake, "angle to the gradient, degrees", angle, 0.0, note),
        Erratum(mistake, "length / gradient's", ratio, 1.0, note),
        Erratum(mistake, "loss, 2,000 steps", printed, corrected, note),
    ]


def double_division(seed: int, seeds: int) -> list[Erratum]:
    """Exclusive or in NumPy: the gradient is divided by the batch size twice."""
    mistake = "exclusive or: batch size divides twice"
    note = "the loss is a mean already; four samples make the gradient a quarter"
    printed, corrected = (
        float(xor.train(variant, range(seed, seed + seeds)).solved.mean())
        for variant in ("as printed", "corrected")
    )
    ratio = 1 / xor.DIVISORS["as printed"]
    return [
        Erratum(mistake, "length / gradient's", ratio, 1.0, note),
        Erratum(mistake, f"share of {seeds} starts that learn", printed, corrected, note),
    ]


def half_or_whole(seed: int) -> Erratum:
    """The surface fit: the gradient is that of half the printed loss."""
    mlp, generator = jaxbp.Mlp((2, 8, 8, 1), hidden="relu"), np.random.RandomState(seed)
    params = jaxbp.init(mlp, jax.random.key(seed), "uniform", dtype=jnp.float64)
    inputs, targets = generator.randn(20, 2), generator.randn(20, 1)

    def printed_loss(params: jaxbp.Params) -> jax.Array:
        return jnp.mean((jaxbp.reference_predict(mlp, params, inputs) - targets) ** 2)

    followed = jaxbp.loss_and_gradient(mlp, params, inputs, targets, "half_squared_error")[1]
    ratio = one_layer.difference(followed, numerical_gradient(printed_loss, params))[1]
    note = "the gradient of half the squared error, the printed loss is the whole"
    quantity = "length / printed loss's gradient"
    return Erratum("surface fit: half or whole", quantity, ratio, 1.0, note)


def grid_or_samples(config: Config) -> Erratum:
    """The surface fit: the text trains on random points, the code on the grid of its error."""
    surface, generator = data.surface("target"), np.random.RandomState(config.seed)
    flags = fit_surface.Config(steps=config.epochs, x64=False, quiet=True)
    losses = []
    for num_samples, on_grid in ((10_000, True), (1000, False)):
        task = data.sample_surface(surface, num_samples, generator, on_grid=on_grid)
        scored = task.train if on_grid else task.test
        error = fit_surface.descend(flags, task).model(scored.points) - scored.values
        losses.append(float(np.mean((error / task.train.values.std()) ** 2)))
    note = "the text trains on 1,000 random points, the code on the grid that its error is taken on"
    quantity = f"squared error, {config.epochs} epochs"
    return Erratum("surface fit: grid, not samples", quantity, losses[0], losses[1], note)


def start_and_guard(seed: int) -> list[Erratum]:
    """The digits: weights a hundred times too large; a guard that the gradient lacks."""
    images, labels = check_gradients.three_images("", seed)
    large, small = (check_gradients.start(scale, seed) for scale in (1.0, 0.01))
    first = [float(guarded_loss(params, images, labels)) for params in (large, small)]
    hand = jaxbp.loss_and_gradient(MLP, small, images, labels, LOSS)[1][1].bias
    hidden, output = small

    def gap(loss: Any) -> float:
        """Compare the ten biases of the last layer, which show the guard as all elements do."""
        numerical = numerical_gradient(
            lambda bias: loss((hidden, output._replace(bias=bias)), images, labels), output.bias
        )
        return float(jnp.linalg.norm(hand - numerical) / jnp.linalg.norm(numerical))

    note = "without the factor 0.01 every output is certain, and the guard caps the loss at 16.118"
    mistake, quantity = "digits: log(p + 1e-7)", "relative difference on b2"
    other = "log(p + 1e-7) has another gradient than p - t"
    return [
        Erratum("digits: weights without 0.01", "first loss", first[0], first[1], note),
        Erratum(mistake, quantity, gap(guarded_loss), gap(analytic_loss), other),
    ]


if __name__ == "__main__":
    run(main, Config)
