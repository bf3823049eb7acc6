"""Samples to train on, to hold out and to judge by: of a known surface, a measured one, a table."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.surfaces import Surface
from jaxbp.fitting import read_table
from jaxbp.viz import Domain, Grid

TEST_SIDE = 201  # points along each side of the grid that the error is measured on
HELD_OUT_SHARE = 0.2  # held-out samples, as a share of the training samples


class Samples(NamedTuple):
    """Rows in the units of the data: points (n, d) and values (n,)."""

    points: np.ndarray
    values: np.ndarray


class Task(NamedTuple):
    """Samples of a function, in the units of the data.

    Attributes:
        title: for pictures; may hold mathtext.
        labels: the names of the columns of the points, and of the values last.
        train: to train on.
        held_out: for the loss curve; not trained on.
        test: to draw.
        scored: (num_points,) which points of `test` count for the error: none that was trained on.
        grid: of the points of `test`, None where they are scattered.
        function: (x, y) -> z where a formula is known.
    """

    title: str
    labels: tuple[str, ...]
    train: Samples
    held_out: Samples
    test: Samples
    scored: np.ndarray
    grid: Grid | None = None
    function: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None

    def values_at(self, points: np.ndarray) -> np.ndarray:
        """The true values (n,) at points (n, d): by the formula, or of the nearest test point where none is known."""
        if self.function is not None:
            return self.function(*points.T)
        scale = np.ptp(self.test.points, axis=0)
        if self.grid is not None:
            column = np.abs(self.grid.x - points[:, :1]).argmin(axis=1)
            row = np.abs(self.grid.y - points[:, 1:]).argmin(axis=1)
            return self.test.values.reshape(self.grid.shape)[row, column]
        known = Samples(
            *(some[:: 1 + len(some) // 5000] for some in self.test)
        )  # as many as can be searched through
        gaps = [(((known.points - point) / scale) ** 2).sum(axis=1) for point in points]
        return known.values[[int(gap.argmin()) for gap in gaps]]


def uniform_points(
    generator: np.random.Generator | np.random.RandomState, domain: Domain, num_points: int
) -> np.ndarray:
    """Draw (num_points, 2) independent uniform points of the domain, all x before all y."""
    return np.column_stack([generator.uniform(low, high, num_points) for low, high in domain])


def sample_surface(
    surface: Surface, num_samples: int, generator: np.random.RandomState, *, on_grid: bool = False
) -> Task:
    """Samples a surface: random points or a square grid to train on, random points held out, a grid
    to judge by.

    Args:
        surface: a row of `SURFACES`, or one of your own.
        num_samples: to train on; of a measured surface, whose other points then judge.
        generator: draws the points. RandomState's streams are frozen: a seed gives the same samples
            for good.
        on_grid: trains on a square grid of `num_samples` points instead.

    Returns:
        The task.

    Raises:
        ValueError: there are not that many samples, they are no square, or the surface is not
            finite somewhere.
    """
    if surface.function is None:
        return _split_measured(surface, num_samples, generator)
    if on_grid:
        side = round(num_samples**0.5)
        if side * side != num_samples:
            raise ValueError(f"samples must be a square for a grid, got {num_samples}")
        points = Grid.over(surface.domain, side).points
    else:
        points = uniform_points(generator, surface.domain, num_samples)
    held_out = uniform_points(
        generator, surface.domain, max(1, round(HELD_OUT_SHARE * num_samples))
    )
    grid = Grid.over(surface.domain, TEST_SIDE)
    train, held, test = (
        _sampled(surface.function, surface.formula, some)
        for some in (points, held_out, grid.points)
    )
    scored = np.ones(len(grid.points), bool)
    return Task(surface.formula, surface.labels, train, held, test, scored, grid, surface.function)


def sample_table(
    path: str | Path,
    columns: tuple[str, ...] | None,
    num_samples: int,
    generator: np.random.RandomState,
) -> Task:
    """Trains on at most four fifths of a table's rows, drawn at random, and judges by the others; see `read_table`."""
    table, names = read_table(path, columns)
    if len(table) < 5:
        raise ValueError(
            f"{path} must hold at least 5 rows, to train on four fifths of them; got {len(table)}"
        )
    num_train = min(num_samples, len(table) * 4 // 5)
    title = Path(path).name.replace("$", r"\$")
    return _split(title, names, table, num_train, len(table) - num_train, generator)


def _split_measured(surface: Surface, num_samples: int, generator: np.random.RandomState) -> Task:
    if surface.measured is None:
        raise ValueError(
            f"surface must have a function or measured points, {surface.formula} has neither"
        )
    table, grid = surface.measured()
    num_held_out = max(1, round(HELD_OUT_SHARE * num_samples))
    if num_samples + num_held_out >= len(table):
        most = int(len(table) / (1 + HELD_OUT_SHARE))
        raise ValueError(f"samples must be below {most} for {surface.formula}, got {num_samples}")
    return _split(
        surface.formula, surface.labels, table, num_samples, num_held_out, generator
    )._replace(grid=grid)


def _split(
    title: str,
    labels: tuple[str, ...],
    table: np.ndarray,
    num_train: int,
    num_held_out: int,
    generator: np.random.RandomState,
) -> Task:
    """Splits rows at random; all are drawn, those that were not trained on are scored."""
    permutation = generator.permutation(len(table))
    train, held_out = permutation[:num_train], permutation[num_train:][:num_held_out]
    scored = np.ones(len(table), bool)
    scored[train] = False
    first, second, every = (
        Samples(some[:, :-1], some[:, -1]) for some in (table[train], table[held_out], table)
    )
    return Task(title, labels, first, second, every, scored)


def _sampled(function: Callable[..., np.ndarray], name: str, points: np.ndarray) -> Samples:
    values = function(*points.T)
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        x, y = points[wrong[0]]
        where = f"{values[wrong[0]]} at x = {x:.6g}, y = {y:.6g}"
        raise ValueError(f"the surface {name} must be finite over its domain, got {where}")
    return Samples(points, values)
