"""Grids over a rectangle."""

from typing import NamedTuple

import numpy as np

from jaxbp._checks import check_count

Domain = tuple[tuple[float, float], tuple[float, float]]  # ((x_min, x_max), (y_min, y_max))


class Grid(NamedTuple):
    """A grid of points; values over it are (n,), in the order of `points`.

    Attributes:
        x: (num_columns,).
        y: (num_rows,).
    """

    x: np.ndarray
    y: np.ndarray

    @classmethod
    def over(cls, domain: Domain, side: int) -> "Grid":
        """Spans side x side points over a rectangle, its borders included."""
        check_count("side", side, minimum=2)
        return cls(*(np.linspace(low, high, side) for low, high in domain))

    @classmethod
    def around(cls, points: np.ndarray, side: int) -> "Grid":
        """Spans side x side points over the smallest rectangle that holds points (n, 2)."""
        (x_min, y_min), (x_max, y_max) = points.min(axis=0), points.max(axis=0)
        return cls.over(((x_min, x_max), (y_min, y_max)), side)

    @property
    def shape(self) -> tuple[int, int]:
        """(num_rows, num_columns): values (n,) in this shape have a row for each y."""
        return len(self.y), len(self.x)

    @property
    def points(self) -> np.ndarray:
        """(n, 2), y in the outer and x in the inner order."""
        x, y = np.meshgrid(self.x, self.y)
        return np.column_stack([x.ravel(), y.ravel()])
