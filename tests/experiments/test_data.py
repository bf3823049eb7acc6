"""Surfaces, their samples, and formulas against published values."""

import numpy as np
import pytest
from matplotlib import cbook

import data
from data.surfaces import square
from jaxbp.viz import Grid


def test_target_has_the_tutorials_figures():
    """facts: on the tutorial's grid minimum -15.7616, maximum 54.7280, mean 5.4574, deviation
    11.3860."""
    surface = data.surface("target")
    z = surface.function(*Grid.over(surface.domain, 100).points.T)
    np.testing.assert_allclose(
        [z.min(), z.max(), z.mean(), z.std()], [-15.7616, 54.7280, 5.4574, 11.3860], atol=5e-5
    )


@pytest.mark.parametrize(
    ("name", "point", "value"),
    [
        ("himmelblau", (3.0, 2.0), 0.0),
        ("himmelblau", (-3.779310, -3.283186), 0.0),
        ("peaks", (0.0, 0.0), 3 * np.exp(-1) - np.exp(-1) / 3),
        ("himmelblau", (1.0, 2.0), 8.0**2 + 2.0**2),
        ("ripple", (0.0, 0.0), 0.0),
        ("ripple", (3.0, 4.0), np.sin(15) / 6),
        (
            "franke",
            (0.0, 0.0),
            0.75 * np.exp(-2)
            + 0.75 * np.exp(-1 / 49 - 0.1)
            + 0.5 * np.exp(-14.5)
            - 0.2 * np.exp(-65),
        ),
    ],
)
def test_known_values(name, point, value):
    assert data.surface(name).function(*map(np.array, point)) == pytest.approx(value, abs=1e-9)


# As MATLAB's manual and Franke's report write them.
FORMULAS = {
    "peaks": "3*(1-x)**2*exp(-(x**2) - (y+1)**2) - 10*(x/5 - x**3 - y**5)*exp(-x**2-y**2) - 1/3*exp(-(x+1)**2 - y**2)",  # noqa: E501
    "franke": "3/4*exp(-1/4*(9*x-2)**2 - 1/4*(9*y-2)**2) + 3/4*exp(-1/49*(9*x+1)**2 - 1/10*(9*y+1)) "  # noqa: E501
    "+ 1/2*exp(-1/4*(9*x-7)**2 - 1/4*(9*y-3)**2) - 1/5*exp(-(9*x-4)**2 - (9*y-7)**2)",
    "himmelblau": "(x**2 + y - 11)**2 + (x + y**2 - 7)**2",
    "target": "sin(x) + x*cos(y) + y + 3**(x/3)",
}


@pytest.mark.parametrize("name", FORMULAS)
def test_surfaces_are_their_published_formulas(name):
    surface = data.surface(name)
    x, y = Grid.over(surface.domain, 40).points.T
    expected = data.parse_expression(FORMULAS[name])(x, y)
    np.testing.assert_allclose(
        surface.function(x, y), expected, rtol=1e-12, atol=1e-14 * np.abs(expected).max()
    )


def test_terrain_is_the_elevation_model():
    terrain, grid = data.surface("terrain").measured()
    assert terrain.shape == (344 * 403, 3)
    assert grid.shape == (344, 403)
    np.testing.assert_array_equal(grid.points, terrain[:, :2])
    assert (terrain[:, 2].min(), terrain[:, 2].max()) == (236, 1076)
    # Cells of 3 seconds of arc at the Jacksboro fault in Tennessee; the middle of the first is half
    # of one inside.
    np.testing.assert_allclose(np.diff(grid.x), 1 / 1200, rtol=1e-9)
    np.testing.assert_allclose(np.diff(grid.y), -1 / 1200, rtol=1e-9)
    with cbook.get_sample_data("jacksboro_fault_dem.npz") as model:
        corners = (
            float(model["xmin"]),
            float(model["xmax"]),
            float(model["ymax"]),
        )  # its ymin is wrong
    ends = (grid.x[0] - 1 / 2400, grid.x[-1] + 1 / 2400, grid.y[0] + 1 / 2400)
    np.testing.assert_allclose(ends, corners, rtol=1e-9)
    assert (np.diff(grid.x) > 0).all()
    assert (np.diff(grid.y) < 0).all()


@pytest.mark.parametrize("name", data.SURFACES)
def test_every_surface_can_be_sampled(name):
    """A row of the table is all that it takes, whether the surface is a formula or measured."""
    task = data.sample_surface(data.surface(name), 100, np.random.RandomState(0))
    assert len(task.train.points) == 100
    assert task.test.points.shape == (task.grid.shape[0] * task.grid.shape[1], 2)
    for samples in (task.train, task.test):
        assert samples.values.shape == samples.points.shape[:1]
        assert np.isfinite(samples.values).all()
    assert len(task.surface.labels) == 3


def test_uniform_points_fill_the_domain():
    points = data.uniform_points(np.random.RandomState(0), ((-1.0, 3.0), (10.0, 11.0)), 10_000)
    assert points.shape == (10_000, 2)
    np.testing.assert_allclose(points.min(0), [-1, 10], atol=0.01)
    np.testing.assert_allclose(points.max(0), [3, 11], atol=0.01)
    assert abs(np.corrcoef(points.T)[0, 1]) < 0.05


def test_a_formula_is_sampled_at_random_or_on_a_grid():
    plane = data.Surface(lambda x, y: 2 * x - y, square(1.0), "2 x - y")
    task = data.sample_surface(plane, 49, np.random.RandomState(3))
    again = data.sample_surface(plane, 49, np.random.RandomState(3))
    np.testing.assert_array_equal(task.train.points, again.train.points)
    for samples in (task.train, task.test):
        np.testing.assert_allclose(samples.values, samples.points @ [2.0, -1.0], atol=1e-15)
    assert task.scored.all()
    assert task.nrmse(lambda points: points @ [2.0, -1.0] + 1) == pytest.approx(
        1 / task.test.values.std()
    )
    regular = data.sample_surface(plane, 49, np.random.RandomState(3), on_grid=True)
    np.testing.assert_array_equal(regular.train.points, Grid.over(square(1.0), 7).points)
    with pytest.raises(ValueError, match="samples must be a square for a grid, got 50"):
        data.sample_surface(plane, 50, np.random.RandomState(3), on_grid=True)
    pole = data.Surface(lambda x, y: np.log(x), square(1.0), "log x")
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(ValueError, match="log x must be finite over its domain, got nan"),
    ):
        data.sample_surface(pole, 49, np.random.RandomState(3))
    corner = data.Surface(lambda x, y: np.where((x == 1) & (y == 1), np.inf, x), square(1.0), "x")
    with pytest.raises(ValueError, match="must be finite over its domain, got inf at x = 1, y = 1"):
        data.sample_surface(corner, 49, np.random.RandomState(3))


def measured(num_rows=20, num_columns=30):
    grid = Grid(np.arange(float(num_columns)), np.arange(float(num_rows)))
    table = np.column_stack([grid.points, grid.points @ [1.0, 100.0]])
    return data.Surface(None, square(1.0), "steps", measured=lambda: (table, grid))


def test_a_measured_surface_is_judged_where_it_was_not_trained_on():
    task = data.sample_surface(measured(), 100, np.random.RandomState(0))
    assert len(task.train.points) == 100
    assert task.scored.sum() == 500
    trained = {tuple(point) for point in task.train.points}
    assert not trained & {tuple(point) for point in task.test.points[task.scored]}
    with pytest.raises(ValueError, match="samples must be below 600 for steps, got 600"):
        data.sample_surface(measured(), 600, np.random.RandomState(0))


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("sin(x)*cos(y)", lambda x, y: np.sin(x) * np.cos(y)),
        (
            "sin(x) + x*cos(y) + y + 3^(x/3)",
            lambda x, y: np.sin(x) + x * np.cos(y) + y + 3 ** (x / 3),
        ),
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
