"""Learn exclusive or from 500 starts: as printed, corrected, as the PyTorch twin starts.

The printed program divides the gradient by the batch size twice, so it hardly ever learns the task.
"""

from shared.experiment import Common, begin, finish, print_table, run

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


@dataclass(frozen=True)
class Config(Common):
    """Flags of xor."""

    seeds: int = 500
    """Number of starts of each variant; their seeds count up from --seed."""


MLP = jaxbp.Mlp((2, 2, 1), hidden="sigmoid", output="sigmoid")
INPUTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TARGETS = np.array([[0.0], [1.0], [1.0], [0.0]])
EPOCHS, RATE = 10_000, 0.1
EVERY = 1000  # epochs from one printed line to the next
LEARNED = 0.05  # loss
TWIN = "PyTorch twin"
DIVISORS = {"as printed": len(INPUTS), "corrected": 1, TWIN: 1}  # the gradient, once more


class Runs(NamedTuple):
    """Networks from many seeds, kept evenly on a logarithmic scale and every EVERY epochs.

    Attributes:
        epochs: of the records, from 0 on.
        params: at each record, every leaf with an axis for the seeds before its own.
        losses: (records, seeds).
        solved: (seeds,) which of them learned the task.
    """

    epochs: list[int]
    params: list[jaxbp.Params]
    losses: np.ndarray
    solved: np.ndarray


def main(config: Config) -> None:
    """Train the three variants, print their success rates, draw a network that solved the task."""
    folder = begin(config)
    if config.seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {config.seeds}")
    seeds = range(config.seed, config.seed + config.seeds)
    found = {name: train(name, seeds) for name in DIVISORS}
    numbers = {
        name: {
            "solved": float(runs.solved.mean()),
            "median_loss": float(np.median(runs.losses[-1])),
            "learned": float(np.mean(runs.losses[-1] < LEARNED)),
        }
        for name, runs in found.items()
    }
    if not config.quiet:
        for name, runs in found.items():
            print("\n".join([f"\n{name}, seed {config.seed}", *printed_lines(name, runs)]))
    title = f"{config.seeds} seeds, {EPOCHS} epochs"
    print_table(f"{title}; learned: loss below {LEARNED}", numbers, ".4f")
    corrected = found["corrected"]
    best = int(np.argmin(corrected.losses[-1]))
    params = jax.tree.map(lambda leaf: leaf[best], corrected.params[-1])
    files = {
        "xor_boundary.png": draw_boundary(params, f"2-2-1 sigmoid network, seed {seeds[best]}"),
        "xor_losses.svg": draw_losses(found, title),
        "xor.html": partial(save_page, config, found),
    }
    finish(config, folder, "xor", numbers, files)


def starts(name: str, seeds: range) -> jaxbp.Params:
    """Draw parameters for each seed from NumPy's generator, layer by layer as both programs do.

    The NumPy program's weights are normal, its biases 0; the twin's are both uniform in
    +-1/sqrt(fan_in).
    """

    def draw(seed: int) -> jaxbp.Params:
        generator, layers = np.random.RandomState(seed), []
        for fan_in, fan_out in pairwise(MLP.sizes):
            if name == TWIN:
                limit = 1 / np.sqrt(fan_in)
                weight = generator.uniform(-limit, limit, (fan_in, fan_out))
                bias = generator.uniform(-limit, limit, fan_out)
            else:
                weight, bias = generator.randn(fan_in, fan_out), np.zeros(fan_out)
            layers.append(jaxbp.Layer(jnp.asarray(weight), jnp.asarray(bias)))
        return tuple(layers)

    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(draw, seeds))


def train(name: str, seeds: range) -> Runs:
    """Descend full-batch from every seed at once."""
    logarithmic = np.geomspace(1, EPOCHS, 33).astype(int).tolist()
    epochs = sorted({0, *logarithmic, *range(EVERY, EPOCHS + 1, EVERY)})
    params, losses = [starts(name, seeds)], []
    fit = partial(
        jaxbp.fit_many,
        MLP,
        data=(INPUTS, TARGETS),
        solver=jaxbp.first_order(optax.sgd(RATE / DIVISORS[name])),
    )
    for epoch, stop in pairwise(epochs):
        steps = stop - epoch
        fits = fit(params[-1], steps=steps, record_every=steps)
        params.append(fits.params)
        losses += [fits.loss[0], fits.loss[-1]] if epoch == 0 else [fits.loss[-1]]
    outputs = np.asarray(jax.vmap(lambda some: jaxbp.predict(MLP, some, INPUTS))(params[-1]))
    solved = np.all((outputs > 0.5) == (TARGETS > 0.5), axis=(1, 2))
    return Runs(epochs, params, np.stack(losses), solved)


def printed_lines(name: str, runs: Runs) -> list[str]:
    """Return one seed's losses in each program's words: before epochs 0, EVERY, ..., or after."""
    losses = {
        epoch: loss
        for epoch, loss in zip(runs.epochs, runs.losses[:, 0], strict=True)
        if epoch % EVERY == 0
    }
    if name == TWIN:
        return [f"Epoch [{at}/{EPOCHS}], Loss: {loss:.4f}" for at, loss in losses.items() if at]
    return [f"Epoch {at}, Loss: {loss:.4f}" for at, loss in losses.items() if at < EPOCHS]


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


def save_page(config: Config, found: dict[str, Runs], path: Path) -> None:
    """Write a page that replays three runs of the first seed that the corrected program learns."""
    row = int(np.argmax(found["corrected"].losses[-1] < LEARNED))
    recording = {}
    for name, runs in found.items():
        params = [jax.tree.map(lambda leaf: leaf[row], some) for some in runs.params]
        steps = list(zip(runs.epochs, params, strict=True))
        recording[viz.translate(name, config.lang)] = (MLP, steps, list(runs.losses[:, row]))
    start = jax.tree.map(lambda leaf: leaf[row], found["corrected"].params[0])
    title = f"Exclusive or, 2-2-1, three starts, seed {config.seed + row}"
    words = {"lang": config.lang, "title": viz.translate(title, config.lang)}
    viz.save_page((MLP, start), INPUTS, TARGETS, path, recording=recording, **words)


def draw_losses(found: dict[str, Runs], title: str) -> viz.Drawing:
    """Draw quantiles of the losses over the seeds for each variant."""
    panels: dict[str, Any] = {
        name: {
            f"{share} % of the seeds below": (
                np.array(runs.epochs),
                np.percentile(runs.losses, share, axis=1),
            )
            for share in (10, 50, 90)
        }
        for name, runs in found.items()
    }
    return viz.draw_panels(panels, xlabel="epoch", ylabel="mean squared error", title=title)


if __name__ == "__main__":
    run(main, Config)
