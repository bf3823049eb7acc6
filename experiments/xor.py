"""Learn exclusive or from 500 starts: as printed, corrected, as the PyTorch twin starts.

The printed program divides the gradient by the batch size twice, so it hardly ever learns the task.
"""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxbp
from jaxbp import viz
from jaxbp.viz import Grid
from shared.experiment import Common, begin, finish, print_table, run


@dataclass(frozen=True)
class Config(Common):
    """Flags of xor."""

    seeds: int = 500
    """Number of starts of each variant; their seeds count up from --seed."""
    epochs: int = 10_000
    """Full-batch epochs; a multiple of 1,000."""
    learning_rate: float = 0.1
    """Learning rate; the document's is 0.1."""


MLP = jaxbp.Mlp((2, 2, 1), hidden="sigmoid", output="sigmoid")
INPUTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TARGETS = np.array([[0.0], [1.0], [1.0], [0.0]])
EVERY = 1000  # epochs from one printed line to the next
LEARNED = 0.05  # loss


class Variant(NamedTuple):
    """A way to train: with the twin's start or not; the gradient is divided once more."""

    name: str
    twin: bool
    divisor: int


PRINTED = Variant("as printed", False, len(INPUTS))
CORRECTED = Variant("corrected", False, 1)
VARIANTS = (PRINTED, CORRECTED, Variant("PyTorch twin", True, 1))


class Runs(NamedTuple):
    """Networks from many seeds.

    Attributes:
        solved: (seeds,) which of them learned the task.
        records: (epoch, params, losses (seeds,)), evenly on a logarithmic scale and every EVERY.
    """

    solved: np.ndarray
    records: list[tuple[int, jaxbp.Params, np.ndarray]]

    @property
    def losses(self) -> np.ndarray:
        """(seeds, epochs / EVERY + 1), from the start on."""
        return np.stack([losses for epoch, _, losses in self.records if epoch % EVERY == 0], axis=1)


def main(config: Config) -> None:
    """Train the three variants, print their success rates, draw a network that solved the task."""
    folder = begin(config)
    if config.epochs % EVERY or config.epochs < EVERY or config.seeds < 1:
        raise ValueError(
            f"epochs must be a multiple of {EVERY} and seeds at least 1, "
            f"got {config.epochs} and {config.seeds}"
        )
    seeds = range(config.seed, config.seed + config.seeds)
    found = {
        variant: train(variant, seeds, config.epochs, config.learning_rate) for variant in VARIANTS
    }
    rows, numbers = [], {}
    for variant, runs in found.items():
        final, solved = runs.losses[:, -1], float(runs.solved.mean())
        learned, median = float(np.mean(final < LEARNED)), float(np.median(final))
        rows.append((variant.name, f"{solved:.1%}", f"{median:.4f}", f"{learned:.1%}"))
        numbers[variant.name] = {"solved": solved, "median_loss": median, "learned": learned}
        if not config.quiet:
            lines = printed_lines(variant, runs.losses[0])
            print("\n".join([f"\n{variant.name}, seed {config.seed}", *lines]))
    title = f"{config.seeds} seeds, {config.epochs} epochs"
    print_table(title, ["", "solved", "median loss", f"loss below {LEARNED}"], rows)
    best = int(np.argmin(found[CORRECTED].losses[:, -1]))
    params = jax.tree.map(lambda leaf: leaf[best], found[CORRECTED].records[-1][1])
    boundary = draw_boundary(params, f"2-2-1 sigmoid network, seed {seeds[best]}")
    files = {
        "xor_boundary.png": boundary.figure,
        "xor_losses.svg": draw_losses(found, title).figure,
        "xor.html": partial(save_page, config, found),
    }
    finish(config, folder, "xor", numbers, files)


def starts(variant: Variant, seeds: range) -> jaxbp.Params:
    """Draw parameters for each seed from NumPy's generator, layer by layer as both programs do.

    The NumPy program's weights are normal, its biases 0; the twin's are both uniform in
    +-1/sqrt(fan_in).
    """

    def draw(seed: int) -> jaxbp.Params:
        generator, layers = np.random.RandomState(seed), []
        for fan_in, fan_out in pairwise(MLP.sizes):
            limit, shape = 1 / np.sqrt(fan_in), (fan_in, fan_out)
            if variant.twin:
                weight = generator.uniform(-limit, limit, shape)
                bias = generator.uniform(-limit, limit, fan_out)
            else:
                weight, bias = generator.randn(*shape), np.zeros(fan_out)
            layers.append(jaxbp.Layer(jnp.asarray(weight), jnp.asarray(bias)))
        return tuple(layers)

    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(draw, seeds))


def train(variant: Variant, seeds: range, epochs: int, learning_rate: float) -> Runs:
    """Descend full-batch from every seed at once."""
    solver = jaxbp.first_order(optax.sgd(learning_rate / variant.divisor))
    fits = jaxbp.fit_many(MLP, starts(variant, seeds), (INPUTS, TARGETS), steps=0, solver=solver)
    records = [(0, fits.params, fits.loss[-1])]
    logarithmic = np.geomspace(1, epochs, 33).astype(int).tolist()
    stops = sorted({*logarithmic, *range(EVERY, epochs + 1, EVERY)})
    for before, stop in pairwise([0, *stops]):
        steps = {"steps": stop - before, "record_every": stop - before}
        fits = jaxbp.fit_many(MLP, fits.params, (INPUTS, TARGETS), solver=solver, **steps)
        records.append((stop, fits.params, fits.loss[-1]))
    outputs = np.asarray(jax.vmap(lambda params: jaxbp.predict(MLP, params, INPUTS))(fits.params))
    solved = np.all((outputs > 0.5) == (TARGETS > 0.5), axis=(1, 2))
    return Runs(solved, records)


def printed_lines(variant: Variant, losses: np.ndarray) -> list[str]:
    """Return one seed's losses in each program's words: before epochs 0, EVERY, ..., or after."""
    if variant.twin:
        last = EVERY * (len(losses) - 1)
        return [
            f"Epoch [{EVERY * i}/{last}], Loss: {loss:.4f}"
            for i, loss in enumerate(losses[1:], start=1)
        ]
    return [f"Epoch {EVERY * i}, Loss: {loss:.4f}" for i, loss in enumerate(losses[:-1])]


def draw_boundary(params: jaxbp.Params, title: str) -> viz.Drawing:
    """Draw one network's outputs over the plane of its inputs and over that of its hidden units."""
    first, last = jaxbp.Mlp((2, 2), output="sigmoid"), jaxbp.Mlp((2, 1), output="sigmoid")
    plane, hidden = Grid.over(((-0.25, 1.25),) * 2, 121), Grid.over(((0.0, 1.0),) * 2, 121)
    of_hidden = np.asarray(jaxbp.predict(last, params[1:], hidden.points))[:, 0]
    return viz.draw_decision_map(
        plane,
        np.asarray(jaxbp.predict(MLP, params, plane.points))[:, 0],
        points=INPUTS,
        targets=TARGETS[:, 0],
        lines=np.vstack([params[0].weight, params[0].bias]).T,
        hidden=(hidden, of_hidden, np.asarray(jaxbp.predict(first, params[:1], INPUTS))),
        title=title,
    )


def save_page(config: Config, found: dict[Variant, Runs], path: Path) -> None:
    """Write a page that replays three runs of the first seed that the corrected program learns."""
    row, recording = int(np.argmax(found[CORRECTED].losses[:, -1] < LEARNED)), {}
    for variant, runs in found.items():
        steps = [
            (epoch, jax.tree.map(lambda leaf: leaf[row], params))
            for epoch, params, _ in runs.records
        ]
        losses = [losses[row] for _, _, losses in runs.records]
        recording[viz.translate(variant.name, config.lang)] = (MLP, steps, losses)
    start = jax.tree.map(lambda leaf: leaf[row], found[CORRECTED].records[0][1])
    title = viz.translate(
        f"Exclusive or, 2-2-1, three starts, seed {config.seed + row}", config.lang
    )
    words = {"lang": config.lang, "title": title}
    viz.save_page((MLP, start), INPUTS, TARGETS, path, recording=recording, **words)


def draw_losses(found: dict[Variant, Runs], title: str) -> viz.Drawing:
    """Draw quantiles of the losses over the seeds for each variant."""
    panels: dict[str, Any] = {}
    for variant, runs in found.items():
        epochs = np.array([epoch for epoch, _, _ in runs.records])
        losses = np.stack([losses for _, _, losses in runs.records], axis=1)
        quantiles = zip((10, 50, 90), np.percentile(losses, (10, 50, 90), axis=0), strict=True)
        panels[variant.name] = {
            f"{share} % of the seeds below": (epochs, some) for share, some in quantiles
        }
    return viz.draw_panels(panels, xlabel="epoch", ylabel="mean squared error", title=title)


if __name__ == "__main__":
    run(main, Config)
