"""Learn exclusive or from 500 starts at once: as printed, corrected, and with the start of the
PyTorch twin.

The printed program divides the gradient by the batch size twice, and so it hardly ever learns the
task.
"""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxbp
from common import Common, begin, finish, print_columns, run
from jaxbp import viz
from jaxbp.training import named_optimizer
from jaxbp.viz import Grid
from shared.chinese import say


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


class Variant(NamedTuple):
    """A way to train: whether it starts as the PyTorch twin, and what the gradient is divided by once more."""

    name: str
    twin: bool
    divisor: int


# The printed program divides by the batch size twice.
PRINTED, CORRECTED = Variant("as printed", False, len(INPUTS)), Variant("corrected", False, 1)
VARIANTS = (PRINTED, CORRECTED, Variant("PyTorch twin", True, 1))


class Runs(NamedTuple):
    """Networks from many seeds.

    Attributes:
        solved: (seeds,) which of them learned it.
        records: (epoch, params, losses (seeds,)) after every EVERY epochs, and some evenly on a
            logarithmic scale.
    """

    solved: np.ndarray
    records: list[tuple[int, jaxbp.Params, np.ndarray]]

    @property
    def params(self) -> jaxbp.Params:
        """Those at the end."""
        return self.records[-1][1]

    @property
    def losses(self) -> np.ndarray:
        """(seeds, epochs / EVERY + 1), from the start on."""
        return np.stack([losses for epoch, _, losses in self.records if epoch % EVERY == 0], axis=1)


def main(config: Config) -> None:
    """Trains the three variants, prints their success rates, draws what a network that solved it has learned."""
    folder = begin(config, seeds=1, epochs=EVERY)
    if config.epochs % EVERY:
        raise ValueError(f"epochs must be a multiple of {EVERY}, got {config.epochs}")
    seeds = range(config.seed, config.seed + config.seeds)
    found = {
        variant: train(variant, seeds, config.epochs, config.learning_rate) for variant in VARIANTS
    }
    rows, numbers = [], {}
    for variant, runs in found.items():
        final, solved = runs.losses[:, -1], float(runs.solved.mean())
        below, median = float(np.mean(final < 0.05)), float(np.median(final))
        rows.append((variant.name, f"{solved:.1%}", f"{median:.4f}", f"{below:.1%}"))
        numbers[variant.name] = {"solved": solved, "median_loss": median, "loss_below_0.05": below}
        if not config.quiet:
            print(
                "\n".join(
                    [
                        f"\n{variant.name}, seed {config.seed}",
                        *printed_lines(variant, runs.losses[0]),
                    ]
                )
            )
    title = f"{config.seeds} seeds, {config.epochs} epochs"
    print_columns(["", "solved", "median loss", "loss below 0.05"], rows, title)
    best = int(np.argmin(found[CORRECTED].losses[:, -1]))
    params = jax.tree.map(lambda leaf: leaf[best], found[CORRECTED].params)
    boundary = draw_boundary(params, f"2-2-1 sigmoid network, seed {seeds[best]}")
    files: dict[str, Any] = {
        "xor_boundary.png": boundary.figure,
        "xor_losses.svg": draw_losses(found, title).figure,
    }
    files["xor.html"] = partial(save_live_page, config, found)
    finish(config, folder, "xor", numbers, files)


def starts(variant: Variant, seeds: range) -> jaxbp.Params:
    """Draws parameters for each seed from NumPy's generator, layer by layer as the two programs do.

    The NumPy program's weights are normal, its biases 0; the twin's are both uniform in
    +-1/sqrt(fan_in).
    """

    def draw(seed: int) -> jaxbp.Params:
        generator, layers = np.random.RandomState(seed), []
        for fan_in, fan_out in ((2, 2), (2, 1)):
            limit, shape = 1 / np.sqrt(fan_in), (fan_in, fan_out)
            weight = (
                generator.uniform(-limit, limit, shape) if variant.twin else generator.randn(*shape)
            )
            bias = generator.uniform(-limit, limit, fan_out) if variant.twin else np.zeros(fan_out)
            layers.append(jaxbp.Layer(jnp.asarray(weight), jnp.asarray(bias)))
        return tuple(layers)

    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(draw, seeds))


def train(variant: Variant, seeds: range, epochs: int, learning_rate: float) -> Runs:
    """Descends full-batch from every seed at once, from record to record."""
    solver = jaxbp.first_order(named_optimizer("sgd", learning_rate / variant.divisor))
    fits = jaxbp.fit_many(MLP, starts(variant, seeds), (INPUTS, TARGETS), steps=0, solver=solver)
    records = [(0, fits.params, fits.loss[-1])]
    stops = sorted(
        {*np.geomspace(1, epochs, 33).astype(int).tolist(), *range(EVERY, epochs + 1, EVERY)}
    )
    for before, stop in pairwise([0, *stops]):
        steps = {"steps": stop - before, "record_every": stop - before}
        fits = jaxbp.fit_many(MLP, fits.params, (INPUTS, TARGETS), solver=solver, **steps)
        records.append((stop, fits.params, fits.loss[-1]))
    outputs = np.asarray(jax.vmap(lambda params: jaxbp.predict(MLP, params, INPUTS))(fits.params))
    solved = np.all((outputs > 0.5) == (TARGETS > 0.5), axis=(1, 2))
    return Runs(solved, records)


def printed_lines(variant: Variant, losses: np.ndarray) -> list[str]:
    """One seed's losses as each program prints them: before epochs 0, EVERY, ..., or after EVERY, 2 EVERY, ..."""
    if variant.twin:
        last = EVERY * (len(losses) - 1)
        return [
            f"Epoch [{EVERY * i}/{last}], Loss: {loss:.4f}"
            for i, loss in enumerate(losses)
            if i > 0
        ]
    return [f"Epoch {EVERY * i}, Loss: {loss:.4f}" for i, loss in enumerate(losses[:-1])]


def draw_boundary(params: jaxbp.Params, title: str) -> viz.Drawing:
    """Draws the outputs of one network over the plane of its inputs, and over that of its two hidden units."""
    first, last = jaxbp.Mlp((2, 2), output="sigmoid"), jaxbp.Mlp((2, 1), output="sigmoid")
    plane, hidden = Grid.over(((-0.25, 1.25),) * 2, 121), Grid.over(((0.0, 1.0),) * 2, 121)
    outputs = np.asarray(jaxbp.predict(MLP, params, plane.points))[:, 0]
    of_hidden = np.asarray(jaxbp.predict(last, params[1:], hidden.points))[:, 0]
    return viz.draw_decision_map(
        *(plane, outputs),
        points=INPUTS,
        targets=TARGETS[:, 0],
        lines=np.vstack([params[0].weight, params[0].bias]).T,
        hidden=(hidden, of_hidden, np.asarray(jaxbp.predict(first, params[:1], INPUTS))),
        title=title,
    )


def save_live_page(config: Config, found: dict[Variant, Runs], path: Path) -> Path:
    """Writes the page on which three runs of the first seed that learns by the corrected program
    are replayed.

    The network of the page is where that run starts.
    """
    row, recording = int(np.argmax(found[CORRECTED].losses[:, -1] < 0.05)), {}
    for variant, runs in found.items():
        steps = [
            (epoch, jax.tree.map(lambda leaf: leaf[row], params))
            for epoch, params, _ in runs.records
        ]
        recording[say(variant.name, config.lang)] = (
            MLP,
            steps,
            [losses[row] for _, _, losses in runs.records],
        )
    network = MLP, jax.tree.map(lambda leaf: leaf[row], found[CORRECTED].records[0][1])
    title = say(f"Exclusive or, 2-2-1, three starts, seed {config.seed + row}", config.lang)
    return viz.save_page(
        network, INPUTS, TARGETS, path, recording=recording, lang=config.lang, title=title
    )


def draw_losses(found: dict[Variant, Runs], title: str) -> viz.Drawing:
    """Draws quantiles of the losses over the seeds for each variant."""
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
