"""What `fit_surface` can be asked to fit: a known surface, a formula, the terrain, a table."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxbp import data
from support.config import Config

TEST_SIDE = 201  # points along each side of the grid that the error is measured on
HELD_OUT_SHARE = 0.2  # held-out samples for the loss curve, as a share of the training samples


@dataclass(frozen=True)
class Task:
    """Samples z = f(x, y), rows (x, y, z) in the units of the data.

    Attributes:
        name: a word for file names.
        title: for the table.
        formula: for pictures; may hold mathtext.
        labels: the names of x, y and z.
        train: (n, 3) to train on.
        held_out: (m, 3) for the loss curve; not trained on.
        test: (k, 3) to draw.
        scored: (k,) which rows of `test` count for the error: none that was trained on.
        shape: (rows, columns) of `test` as a grid, None for scattered points.
        function: (x, y) -> z where a formula is known.
    """

    name: str
    title: str
    formula: str
    labels: tuple[str, str, str]
    train: np.ndarray
    held_out: np.ndarray
    test: np.ndarray
    scored: np.ndarray
    shape: tuple[int, int] | None
    function: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None


def make_task(config: Config) -> Task:
    """Draws the samples that the flags ask for."""
    # RandomState's streams are frozen for good: the same seed gives the same samples with every NumPy.
    generator = np.random.RandomState(config.seed)
    if config.data is not None:
        return _from_table(config, generator)
    if config.expression is not None:
        (x_min, x_max, y_min, y_max) = config.domain
        if not (-math.inf < x_min < x_max < math.inf and -math.inf < y_min < y_max < math.inf):
            raise ValueError(f"domain must be x_min x_max y_min y_max with min below max, got {config.domain}")
        function = data.parse_expression(config.expression)
        formula = data.Surface(function, ((x_min, x_max), (y_min, y_max)), config.expression)
        return _from_surface(config, "expression", formula, generator)
    if config.surface == "terrain":
        return _from_terrain(config, generator)
    return _from_surface(config, config.surface, data.surface(config.surface), generator)


def _from_surface(config: Config, name: str, surface: data.Surface, generator: np.random.RandomState) -> Task:
    def sampled(points: np.ndarray) -> np.ndarray:
        values = surface.function(*points.T)
        wrong = np.flatnonzero(~np.isfinite(values))
        if wrong.size:
            x, y = points[wrong[0]]
            raise ValueError(
                f"{name} must be finite over the domain, got {values[wrong[0]]} at x = {x:.6g}, y = {y:.6g}"
            )
        return np.column_stack([points, values])

    if config.sampling == "grid":
        side = round(config.samples**0.5)
        if side * side != config.samples:
            raise ValueError(f"samples must be a square for a grid, got {config.samples}")
        train = data.grid_points(surface.domain, side)
    else:
        train = data.uniform_points(generator, surface.domain, config.samples)
    held_out = data.uniform_points(generator, surface.domain, max(1, round(HELD_OUT_SHARE * config.samples)))
    test = sampled(data.grid_points(surface.domain, TEST_SIDE))
    return Task(
        name=name,
        title=name,
        formula=surface.formula,
        labels=("x", "y", "z"),
        train=sampled(train),
        held_out=sampled(held_out),
        test=test,
        scored=np.ones(len(test), bool),
        shape=(TEST_SIDE, TEST_SIDE),
        function=surface.function,
    )


def _from_terrain(config: Config, generator: np.random.RandomState) -> Task:
    samples = data.terrain_samples()
    num_columns = int(np.sum(samples[:, 1] == samples[0, 1]))
    num_held_out = max(1, round(HELD_OUT_SHARE * config.samples))
    if config.samples + num_held_out >= len(samples):
        raise ValueError(
            f"samples must be below {int(len(samples) / (1 + HELD_OUT_SHARE))} for the terrain, got {config.samples}"
        )
    order = generator.permutation(len(samples))
    scored = np.ones(len(samples), bool)
    scored[order[: config.samples]] = False
    return Task(
        name="terrain",
        title="terrain",
        formula="Elevation at the Jacksboro fault",
        labels=("longitude (°)", "latitude (°)", "elevation (m)"),
        train=samples[order[: config.samples]],
        held_out=samples[order[config.samples :][:num_held_out]],
        test=samples,
        scored=scored,
        shape=(len(samples) // num_columns, num_columns),
    )


def _from_table(config: Config, generator: np.random.RandomState) -> Task:
    """Trains on four fifths of the rows at most, and scores on the rest."""
    rows, names = data.read_table(Path(config.data or ""), config.columns)
    if len(rows) < 5:
        raise ValueError(f"{config.data} must hold at least 5 rows, to train on four fifths of them; got {len(rows)}")
    num_train = min(config.samples, len(rows) * 4 // 5)
    order = generator.permutation(len(rows))
    scored = np.ones(len(rows), bool)
    scored[order[:num_train]] = False
    return Task(
        name=Path(config.data or "").stem,
        title=Path(config.data or "").name,
        formula=Path(config.data or "").name.replace("$", r"\$"),
        labels=(names[0], names[1], names[2]),
        train=rows[order[:num_train]],
        held_out=rows[order[num_train:]],
        test=rows,
        scored=scored,
        shape=None,
    )
