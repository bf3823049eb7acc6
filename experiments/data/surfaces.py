"""Surfaces z = f(x, y) to fit, each with the square that it is usually shown on, and samples."""

import difflib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxbp.viz import Domain, Grid

UNIT_SQUARE = ((0.0, 1.0), (0.0, 1.0))
TEST_SIDE = 201  # points along each side of the grid on which the error is measured


class Surface(NamedTuple):
    """A surface over a rectangle: a formula, or a table of measured points.

    Attributes:
        function: (x, y) -> z, NumPy arrays of one shape; None where only points are known.
        domain: ((x_min, x_max), (y_min, y_max)).
        formula: f(x, y) as mathtext, or a name.
        labels: the names of x, y and z.
        measured: () -> the points (n, 3) and the grid that they lie on, where there is no function.
    """

    function: Callable[[np.ndarray, np.ndarray], np.ndarray] | None
    domain: Domain
    formula: str
    labels: tuple[str, str, str] = ("x", "y", "z")
    measured: Callable[[], tuple[np.ndarray, Grid]] | None = None


def target(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The tutorials' surface, sin(x) + x cos(y) + y + 3^(x/3)."""
    return np.sin(x) + x * np.cos(y) + y + 3 ** (x / 3)


def franke(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Franke's function: two hills, a saddle and a dip (Franke 1979)."""
    return (
        0.75 * np.exp(-((9 * x - 2) ** 2 + (9 * y - 2) ** 2) / 4)
        + 0.75 * np.exp(-((9 * x + 1) ** 2) / 49 - (9 * y + 1) / 10)
        + 0.5 * np.exp(-((9 * x - 7) ** 2 + (9 * y - 3) ** 2) / 4)
        - 0.2 * np.exp(-((9 * x - 4) ** 2) - (9 * y - 7) ** 2)
    )


def peaks(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """MATLAB's `peaks`."""
    return (
        3 * (1 - x) ** 2 * np.exp(-(x**2) - (y + 1) ** 2)
        - 10 * (x / 5 - x**3 - y**5) * np.exp(-(x**2) - y**2)
        - np.exp(-((x + 1) ** 2) - y**2) / 3
    )


def himmelblau(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Himmelblau's function, with four minima of 0 (Himmelblau 1972)."""
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def ripple(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A radial wave, sin(3 r) / (1 + r): its slope jumps at the origin."""
    r = np.hypot(x, y)
    return np.sin(3 * r) / (1 + r)


def terrain() -> tuple[np.ndarray, Grid]:
    """Read the elevation model of the Jacksboro fault that ships with matplotlib.

    Returns:
        (n, 3) longitude and latitude in degrees and elevation in metres, from the north-west
        corner row by row; and the grid of the middles of the 344 x 403 cells.
    """
    from matplotlib import cbook

    archive: Any = cbook.get_sample_data("jacksboro_fault_dem.npz")
    with archive as model:
        elevation = model["elevation"].astype(np.float64)
        num_rows, num_columns = elevation.shape
        # The corners bound the area; a cell stands for its middle.
        longitude = float(model["xmin"]) + (np.arange(num_columns) + 0.5) * float(model["dx"])
        latitude = float(model["ymax"]) - (np.arange(num_rows) + 0.5) * float(model["dy"])
    grid = Grid(longitude, latitude)
    return np.column_stack([grid.points, elevation.ravel()]), grid


def square(half: float) -> Domain:
    """[-half, half]^2."""
    return (-half, half), (-half, half)


SURFACES: dict[str, Surface] = {
    "target": Surface(target, square(10.0), r"$\sin x + x \cos y + y + 3^{x/3}$"),
    "franke": Surface(franke, UNIT_SQUARE, "Franke's function"),
    "peaks": Surface(peaks, square(3.0), "MATLAB's peaks"),
    "himmelblau": Surface(himmelblau, square(5.0), r"$(x^2 + y - 11)^2 + (x + y^2 - 7)^2$"),
    "ripple": Surface(ripple, square(5.0), r"$\sin(3r) / (1 + r)$"),
    "terrain": Surface(
        None,
        UNIT_SQUARE,
        "Elevation at the Jacksboro fault",
        ("longitude (°)", "latitude (°)", "elevation (m)"),
        measured=terrain,
    ),
}


def surface(name: str) -> Surface:
    """Return the surface of that name.

    Raises:
        ValueError: no surface has this name; the known ones are listed, nearest first.
    """
    if name not in SURFACES:
        nearest = difflib.get_close_matches(name, SURFACES, n=len(SURFACES), cutoff=0)
        raise ValueError(f"surface must be one of {', '.join(nearest)}; got {name!r}")
    return SURFACES[name]


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

    Of a measured surface, the points that are not trained on are scored. With `on_grid` the
    training points are a square grid of `num_samples` points.

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
    assert surface.measured is not None
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
