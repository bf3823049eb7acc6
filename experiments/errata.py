"""Measure what the documents' wrong formulas do, each quantity as printed and as corrected; two pages to make them."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import check_gradients
import data
import jaxbp
import one_layer
import xor
from check_gradients import LOSS, Loss, analytic_loss, enlarged, guarded_loss
from common import Common, begin, finish, print_columns, run
from fit_surface import tutorial_params
from jaxbp import viz
from jaxbp.gradcheck import numerical_gradient
from jaxbp.training import named_optimizer
from shared.chinese import say


@dataclass(frozen=True)
class Config(Common):
    """Flags of errata."""

    seeds: int = 500
    """Number of starts of exclusive or."""
    epochs: int = 2000
    """Epochs of the fits of the surface."""


class Erratum(NamedTuple):
    """A subject and what is printed wrong in it, what was measured, as printed and as corrected, and why."""

    mistake: str
    quantity: str
    printed: float
    corrected: float
    note: str


def main(config: Config) -> None:
    """Measures, prints, draws."""
    folder = begin(config, seeds=1, epochs=1)
    found = [
        *upstream_gradient(config.seed),
        *double_division(config.seed, config.seeds),
        half_or_whole(config.seed),
        grid_or_samples(config.seed, config.epochs),
        *start_and_guard(config.seed),
    ]
    rows = [
        (one.mistake, one.quantity, f"{one.printed:.4g}", f"{one.corrected:.4g}") for one in found
    ]
    print_columns(
        ["mistake", "quantity", "as printed", "corrected"], rows, "what is printed wrong, measured"
    )
    if not config.quiet:
        print("\n" + "\n".join(dict.fromkeys(f"{one.mistake}: {one.note}" for one in found)))
    named = {f"{one.mistake} ({one.quantity})": one for one in found}
    dots = viz.draw_dots(
        {
            name: {"as printed": one.printed, "corrected": one.corrected}
            for name, one in named.items()
        },
        xlabel={name: one.quantity for name, one in named.items()},
        title="Wrong formulas, as printed and as corrected",
    )
    files: dict[str, Any] = {"errata.svg": dots.figure}
    files |= {name: partial(save_live_page, config, name) for name in PAGES}
    finish(config, folder, "errata", {"errata": found}, files)


# Networks on which a reader can make the mistakes: the first takes all of them but the guard under
# the logarithm.
PAGES = {
    "errata.html": (
        jaxbp.Mlp((2, 3, 1), hidden="sigmoid"),
        "mean_squared_error",
        "Break this: a mean squared error",
    ),
    "errata_softmax.html": (
        jaxbp.Mlp((3, 4, 3), hidden="relu"),
        "softmax_cross_entropy",
        "Break this: three classes",
    ),
}


def save_live_page(config: Config, name: str, path: Path) -> Path:
    """Writes a page whose rules can be replaced by the documents' mistakes, one at a time."""
    mlp, loss, title = PAGES[name]
    start = jaxbp.init(mlp, jax.random.key(config.seed), dtype=jnp.float64)
    params = jax.tree.map(lambda leaf: np.round(np.asarray(leaf), 2), start)  # to be read
    inputs, targets = (
        (xor.INPUTS, xor.TARGETS) if mlp.sizes[-1] == 1 else (np.eye(3) - 0.5, np.eye(3))
    )
    views, network = ("walk", "check", "training"), (mlp, params)
    return viz.save_page(
        network,
        inputs,
        targets,
        path,
        views=views,
        loss=loss,
        lang=config.lang,
        title=say(title, config.lang),
    )


def upstream_gradient(seed: int) -> list[Erratum]:
    """The one-layer class: no rule multiplies by what comes from above."""
    params = one_layer.start(seed)
    hand = jaxbp.loss_and_gradient(one_layer.MLP, params, one_layer.INPUTS, one_layer.TARGETS)[1]
    angle, ratio = one_layer.difference(one_layer.printed_gradient(params, one_layer.INPUTS), hand)
    runs = (
        one_layer.descend(one_layer.RULES[rule], params, 2000, 0.1)
        for rule in ("as printed", "chain rule")
    )
    printed, corrected = (float(found.history.loss[-1]) for found in runs)
    mistake = "one layer: no upstream gradient"
    note = "the rule differentiates the sum of the outputs, whatever the targets"
    return [
        Erratum(mistake, "angle to the gradient, degrees", angle, 0.0, note),
        Erratum(mistake, "length / gradient's", ratio, 1.0, note),
        Erratum(mistake, "loss, 2,000 steps", printed, corrected, note),
    ]


def double_division(seed: int, seeds: int) -> list[Erratum]:
    """Exclusive or in NumPy: the batch size divides twice."""
    mistake = "exclusive or: batch size divides twice"
    note = "the loss is a mean already; four samples make the gradient a quarter"
    params = jax.tree.map(lambda leaf: leaf[0], xor.starts(xor.PRINTED, range(seed, seed + 1)))
    _, gradient = jaxbp.loss_and_gradient(xor.MLP, params, xor.INPUTS, xor.TARGETS)
    divided = jax.tree.map(lambda leaf: leaf / xor.PRINTED.divisor, gradient)
    runs = (
        xor.train(variant, range(seed, seed + seeds), 10_000, 0.1)
        for variant in (xor.PRINTED, xor.CORRECTED)
    )
    printed, corrected = (float(found.solved.mean()) for found in runs)
    return [
        Erratum(
            mistake, "length / gradient's", one_layer.difference(divided, gradient)[1], 1.0, note
        ),
        Erratum(mistake, f"share of {seeds} starts that learn", printed, corrected, note),
    ]


def half_or_whole(seed: int) -> Erratum:
    """The surface fit: the printed loss is not the one whose gradient is followed."""
    mlp, generator = jaxbp.Mlp((2, 8, 8, 1), hidden="relu"), np.random.RandomState(seed)
    params = jaxbp.init(mlp, jax.random.key(seed), "uniform", dtype=jnp.float64)
    inputs, targets = generator.randn(20, 2), generator.randn(20, 1)

    def printed_loss(params: jaxbp.Params) -> Array:
        return jnp.mean((jaxbp.reference_predict(mlp, params, inputs) - targets) ** 2)

    _, followed = jaxbp.loss_and_gradient(mlp, params, inputs, targets, "half_squared_error")
    _, ratio = one_layer.difference(followed, numerical_gradient(printed_loss, params))
    note = "the backward pass is that of half the mean squared error, and the whole is printed"
    return Erratum(
        "surface fit: half or whole", "length / printed loss's gradient", ratio, 1.0, note
    )


def grid_or_samples(seed: int, epochs: int) -> Erratum:
    """The surface fit: what is called the error is that on the grid which was trained on."""
    surface, generator = data.surface("target"), np.random.RandomState(seed)
    mlp = jaxbp.Mlp((2, 64, 64, 64, 1), hidden="relu")
    params, losses = tutorial_params(mlp, np.float32), []
    for num_samples, on_grid in ((10_000, True), (1000, False)):
        task = data.sample_surface(surface, num_samples, generator, on_grid=on_grid)
        model = jaxbp.Model.for_data(mlp, params, *task.train)
        result = jaxbp.fit(
            *(mlp, params, model.standardize(*task.train)),
            validation=model.standardize(*task.test),
            solver=jaxbp.first_order(named_optimizer("sgd", 1e-3)),
            loss="half_squared_error",
            steps=epochs,
            record_every=epochs,
        )
        losses.append(
            2 * float((result.history.loss if on_grid else result.history.validation_loss)[-1])
        )
    note = "the text trains on 1,000 random points, the code on the grid, and both are judged where they were trained"
    return Erratum(
        "surface fit: grid, not samples",
        f"squared error, {epochs} epochs",
        losses[0],
        losses[1],
        note,
    )


def start_and_guard(seed: int) -> list[Erratum]:
    """The digits: weights a hundred times too large, and a guard under the logarithm that the gradient lacks."""
    images = data.digit_images(seed=seed)
    three = jnp.asarray(enlarged(images.train_images[:3], images.side))
    labels = jnp.asarray(images.train_labels[:3])
    starts = [check_gradients.start(scale, seed) for scale in (1.0, 0.01)]
    first = [float(guarded_loss(params, three, labels)) for params in starts]
    hidden, output = starts[1]
    hand = jaxbp.loss_and_gradient(check_gradients.MLP, starts[1], three, labels, LOSS)[1][1].bias

    def gap(loss: Loss) -> float:
        """Moves only the ten biases of the last layer, which show the guard as well as all 40,000 elements."""
        judge = numerical_gradient(
            lambda bias: loss((hidden, output._replace(bias=bias)), three, labels), output.bias
        )
        return float(jnp.linalg.norm(hand - judge) / jnp.linalg.norm(judge))

    note = "normal weights without the factor 0.01: every output is certain, and the guard caps the loss at 16.118"
    gaps, other = (
        (gap(guarded_loss), gap(analytic_loss)),
        "log(p + 1e-7) has another gradient than p - t",
    )
    return [
        Erratum("digits: weights without 0.01", "first loss", first[0], first[1], note),
        Erratum("digits: log(p + 1e-7)", "relative difference on b2", gaps[0], gaps[1], other),
    ]


if __name__ == "__main__":
    run(main, Config)
