"""Grids over a rectangle."""

import numpy as np
import pytest

from jaxbp.viz import Grid


def test_a_grid_has_its_points_row_by_row():
    grid = Grid.over(((0.0, 2.0), (-1.0, 1.0)), 3)
    assert grid.shape == (3, 3)
    assert grid.points.tolist() == [[x, y] for y in (-1.0, 0.0, 1.0) for x in (0.0, 1.0, 2.0)]
    wide = Grid(np.arange(4.0), np.array([5.0, 6.0]))
    assert wide.shape == (2, 4)
    values = wide.points @ [1.0, 10.0]
    np.testing.assert_array_equal(values.reshape(wide.shape)[1], [60, 61, 62, 63])
    around = Grid.around(np.array([[1.0, 7.0], [3.0, -2.0], [2.0, 0.0]]), 5)
    np.testing.assert_array_equal(around.x, np.linspace(1, 3, 5))
    np.testing.assert_array_equal(around.y, np.linspace(-2, 7, 5))
    with pytest.raises(ValueError, match="side must be a whole number of at least 2, got 1"):
        Grid.over(((-1.0, 1.0), (-1.0, 1.0)), 1)
