"""Surfaces, samples, standardizing and formulas against what is known of them."""

import numpy as np
import pytest

from jaxbp import data
from jaxbp.names import SURFACE_NAMES


def test_the_table_holds_the_names():
    assert (*data.SURFACES, "terrain") == SURFACE_NAMES


def test_target_has_the_tutorials_figures():
    """facts: on the tutorial's grid minimum -15.7616, maximum 54.7280, mean 5.4574, deviation 11.3860."""
    surface = data.surface("target")
    z = surface.function(*data.grid_points(surface.domain, 100).T)
    np.testing.assert_allclose([z.min(), z.max(), z.mean(), z.std()], [-15.7616, 54.7280, 5.4574, 11.3860], atol=5e-5)


@pytest.mark.parametrize(
    ("name", "point", "value"),
    [
        ("himmelblau", (3.0, 2.0), 0.0),
        ("himmelblau", (-3.779310, -3.283186), 0.0),
        ("peaks", (0.0, 0.0), 3 * np.exp(-1) - np.exp(-1) / 3),
        ("ripple", (0.0, 0.0), 0.0),
        ("ripple", (3.0, 4.0), np.sin(15) / 6),
        (
            "franke",
            (0.0, 0.0),
            0.75 * np.exp(-2) + 0.75 * np.exp(-1 / 49 - 0.1) + 0.5 * np.exp(-14.5) - 0.2 * np.exp(-65),
        ),
    ],
)
def test_known_values(name, point, value):
    assert data.surface(name).function(*map(np.array, point)) == pytest.approx(value, abs=1e-9)


def test_terrain_is_the_elevation_model():
    terrain = data.terrain_samples()
    assert terrain.shape == (344 * 403, 3)
    assert (terrain[:, 2].min(), terrain[:, 2].max()) == (236, 1076)
    x, y = terrain[:, 0].reshape(344, 403), terrain[:, 1].reshape(344, 403)
    assert (np.diff(x, axis=1) > 0).all()
    assert (np.diff(y, axis=0) < 0).all()


def test_uniform_points_fill_the_domain():
    points = data.uniform_points(np.random.RandomState(0), ((-1.0, 3.0), (10.0, 11.0)), 10_000)
    assert points.shape == (10_000, 2)
    np.testing.assert_allclose(points.min(0), [-1, 10], atol=0.01)
    np.testing.assert_allclose(points.max(0), [3, 11], atol=0.01)
    assert abs(np.corrcoef(points.T)[0, 1]) < 0.05


def test_standardizing_and_back():
    values = np.random.default_rng(0).normal([3, -1e3], [0.1, 50], (1000, 2))
    measured = data.standardizer(values, ("a", "b"))
    standard = measured.standardize(values)
    np.testing.assert_allclose(standard.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(standard.std(0), 1, rtol=1e-12)
    np.testing.assert_allclose(measured.restore(standard), values, rtol=1e-13)


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("sin(x)*cos(y)", lambda x, y: np.sin(x) * np.cos(y)),
        ("sin(x) + x*cos(y) + y + 3^(x/3)", lambda x, y: np.sin(x) + x * np.cos(y) + y + 3 ** (x / 3)),
        ("-x^2", lambda x, y: -(x**2)),
        ("2^3^2 + 0*x", lambda x, y: 512 + 0 * x),
        ("hypot(x, y) % 2 - pi*e", lambda x, y: np.hypot(x, y) % 2 - np.pi * np.e),
        ("maximum(abs(x), sqrt(abs(y)))", lambda x, y: np.maximum(np.abs(x), np.sqrt(np.abs(y)))),
        ("7", lambda x, y: 7 + 0 * x),
    ],
)
def test_formulas(text, function):
    x, y = np.random.default_rng(0).uniform(-3, 3, (2, 4, 5))
    answer = data.parse_expression(text)(x, y)
    assert answer.shape == x.shape
    np.testing.assert_allclose(answer, function(x, y), rtol=1e-14)


def test_csv_files_of_spreadsheets(tmp_path):
    """A byte-order mark, spaces around names, quotes, Windows line ends, an empty last line."""
    path = tmp_path / "mit Leerzeichen ü.csv"
    path.write_bytes('\ufeffz , y,"x"\r\n"1.5",2e3,-3\r\n4,5,6\r\n\r\n'.encode())
    table, names = data.read_table(path, ("x", "y", "z"))
    assert names == ("x", "y", "z")
    np.testing.assert_array_equal(table, [[-3, 2000, 1.5], [6, 5, 4]])
    assert data.read_table(path)[1] == ("z", "y", "x")
