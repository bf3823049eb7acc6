"""Samples of a surface: to train on, and to measure the error by."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from data.surfaces import Surface
from jaxbp.viz import Domain, Grid

TEST_SIDE = 201  # points along each side of the grid on which the error is measured


class Samples(NamedTuple):
    """Rows in the units of the data: points (n, d) and values (n,)."""

    points: np.ndarray
    values: np.ndarray


class Task(NamedTuple):
    """Samples of a surface, in the units of the data.

    Attributes:
        surface: what is sampled.
        train: to train on.
        test: every point of `grid`.
        scored: (num_points,) which points of `test` were not trained on: the error is theirs.
        grid: of the points of `test`.
    """

    surface: Surface
    train: Samples
    test: Samples
    scored: np.ndarray
    grid: Grid

    def values(self, grid: Grid) -> np.ndarray:
        """Return the values of the formula at the points of a grid."""
        assert self.surface.function is not None
        return self.surface.function(*grid.points.T)

    def nrmse(self, predict: Callable[[np.ndarray], np.ndarray]) -> float:
        """Return the root mean squared error over the standard deviation, on the scored points."""
        points, values = self.test.points[self.scored], self.test.values[self.scored]
        return float(np.sqrt(np.mean((predict(points) - values) ** 2)) / values.std())


def sample_surface(
    surface: Surface, num_samples: int, generator: np.random.RandomState, *, on_grid: bool = False
) -> Task:
    """Sample a surface at random points, and everywhere on a grid to measure the error by.

    Args:
        surface: a row of `SURFACES`, or one of your own. Of a measured one, the points that are
            not trained on are scored.
        num_samples: to train on.
        generator: draws the points; a seed of RandomState gives the same points for good.
        on_grid: train on a square grid of `num_samples` points instead.

    Raises:
        ValueError: there are not that many samples, they are no square, or the surface is not
            finite somewhere.
    """
    if num_samples < 2:
        raise ValueError(f"samples must be at least 2, got {num_samples}")
    if surface.function is None:
        return _split_measured(surface, num_samples, generator)
    if on_grid:
        side = round(num_samples**0.5)
        if side * side != num_samples:
            raise ValueError(f"samples must be a square for a grid, got {num_samples}")
        points = Grid.over(surface.domain, side).points
    else:
        points = uniform_points(generator, surface.domain, num_samples)
    grid = Grid.over(surface.domain, TEST_SIDE)
    scored = np.ones(len(grid.points), bool)
    return Task(surface, _sampled(surface, points), _sampled(surface, grid.points), scored, grid)


def uniform_points(
    generator: np.random.Generator | np.random.RandomState, domain: Domain, num_points: int
) -> np.ndarray:
    """Draw (num_points, 2) independent uniform points of the domain, all x before all y."""
    return np.column_stack([generator.uniform(low, high, num_points) for low, high in domain])


def _split_measured(surface: Surface, num_samples: int, generator: np.random.RandomState) -> Task:
    if surface.measured is None:
        raise ValueError(
            f"surface must have a function or measured points, {surface.formula} has neither"
        )
    table, grid = surface.measured()
    if num_samples >= len(table):
        raise ValueError(
            f"samples must be below {len(table)} for {surface.formula}, got {num_samples}"
        )
    every = Samples(table[:, :-1], table[:, -1])
    train = generator.permutation(len(table))[:num_samples]
    scored = np.ones(len(table), bool)
    scored[train] = False
    return Task(surface, Samples(every.points[train], every.values[train]), every, scored, grid)


def _sampled(surface: Surface, points: np.ndarray) -> Samples:
    assert surface.function is not None
    values = surface.function(*points.T)
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        x, y = points[wrong[0]]
        where = f"{values[wrong[0]]} at x = {x:.6g}, y = {y:.6g}"
        raise ValueError(
            f"the surface {surface.formula} must be finite over its domain, got {where}"
        )
    return Samples(points, values)
