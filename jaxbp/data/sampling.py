"""Where to sample a rectangle."""

import numpy as np

from jaxbp.checks import check_count
from jaxbp.data.surfaces import Domain


def uniform_points(
    generator: np.random.Generator | np.random.RandomState, domain: Domain, num_points: int
) -> np.ndarray:
    """Draws points that are independent and uniform over the domain, all x before all y; returns (num_points, 2)."""
    check_count("num_points", num_points, minimum=1)
    return np.column_stack([generator.uniform(low, high, num_points) for low, high in domain])


def grid_points(domain: Domain, side: int) -> np.ndarray:
    """Spans a grid of side x side points over the domain, its borders included.

    Returns:
        (side * side, 2), y in the outer and x in the inner order: a reshape to (side, side) has a row for each y.
    """
    check_count("side", side, minimum=2)
    (x_min, x_max), (y_min, y_max) = domain
    x, y = np.meshgrid(np.linspace(x_min, x_max, side), np.linspace(y_min, y_max, side))
    return np.column_stack([x.ravel(), y.ravel()])
