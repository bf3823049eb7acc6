"""Kriging against autodiff, scikit-learn and leaving rows out; curves and error bars."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel

import jaxbp
from jaxbp.fitting.distance import KERNELS, PRODUCT, Distance, DistanceParams, evaluate, monomials
from jaxbp.fitting.evidence import Kriging
from jaxbp.fitting.kriging import choose_kriging
from jaxbp.fitting.standardizing import standardizer


def draw_layer(kernel, degree, num_inputs=3):
    generator = np.random.default_rng(0)
    layer = Distance(kernel, (num_inputs, 5, 2), degree)
    params = DistanceParams(*(jnp.asarray(generator.uniform(0.5, 1.5, s)) for s in layer.shapes()))
    inputs = jnp.asarray(generator.standard_normal((4, num_inputs)))
    return layer, params._replace(centres=params.centres.at[0].set(inputs[0])), inputs


@pytest.mark.parametrize(
    ("kernel", "degree"),
    [
        pytest.param(*case, marks=[] if case[1] == 1 else pytest.mark.slow)
        for case in itertools.product([*KERNELS, PRODUCT], (0, 1, 2))
    ],
)
def test_the_backward_pass_is_that_of_autodiff(x64, kernel, degree):
    layer, params, inputs = draw_layer(kernel, degree)

    def reference(params, inputs):
        inputs = inputs @ params.axes
        hidden = evaluate(jnp, kernel, *params[1:4], inputs)[0]
        polynomial = jnp.concatenate(monomials(jnp, inputs, degree), axis=1)
        return hidden @ params.weight + polynomial @ params.trend

    by_hand, wanted = (
        jax.jit(jax.grad(lambda p, x, f=f: jnp.sum(jnp.sin(f(p, x))), (0, 1)))(params, inputs)
        for f in (layer, reference)
    )
    for left, right in zip(jax.tree.leaves(by_hand), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9 * np.abs(right).max())
    hessians = [
        jax.jacrev(jax.grad(lambda x, f=f: f(params, x[None]).sum()))(inputs[1])
        for f in (layer, reference)
    ]
    np.testing.assert_allclose(*hessians, rtol=1e-9, atol=1e-9)


def test_float32_points_lose_no_more_than_their_own_digits():
    x = np.linspace(0, 1, 30)[:, None]
    model = jaxbp.fit_model(x, np.sin(9 * x[:, 0]))
    points = jnp.asarray(x + 0.01, jnp.float32)
    assert points.dtype == jnp.float32
    np.testing.assert_allclose(model(points), np.sin(9 * (x[:, 0] + 0.01)), atol=1e-4)
    slopes = jax.vmap(jax.grad(lambda point: model(point[None])[0]))(points)
    np.testing.assert_allclose(slopes[:, 0], 9 * np.cos(9 * (x[:, 0] + 0.01)), atol=1e-2)


@pytest.mark.parametrize(
    ("name", "kernel"), [("Gaussian", RBF), ("Matern 1/2", Matern), ("Matern 5/2", Matern)]
)
def test_a_zero_trend_is_the_gaussian_process_of_scikit_learn(name, kernel):
    """A linear kernel of great amplitude stands for the polynomial."""
    generator = np.random.default_rng(1)
    x, new = generator.uniform(-2, 2, (40, 2)), generator.uniform(-2, 2, (30, 2))
    targets = np.sin(3 * x[:, :1]) * x[:, 1:]
    rows = Kriging(name, x, targets)
    solved = rows.solve(np.log([0.7, 1.3, 1e-3]))
    own = {"nu": 0.5 if "1/2" in name else 2.5} if kernel is Matern else {}
    linear = ConstantKernel(1e7) * RBF(1e3) + ConstantKernel(1e7)
    peer = GaussianProcessRegressor(
        kernel([0.7, 1.3], **own) + WhiteKernel(1e-3) + linear, optimizer=None, alpha=0
    ).fit(x, targets[:, 0])
    predicted, deviation = peer.predict(new, return_std=True)
    np.testing.assert_allclose(solved.predict(new)[:, 0], predicted, atol=2e-2)
    np.testing.assert_allclose(np.sqrt(solved.variance(new)), deviation, atol=2e-2)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_gradient_of_the_evidence_is_that_of_differences(kernel):
    generator = np.random.default_rng(2)
    x = generator.standard_normal((30, 2))
    rows = Kriging(kernel, x, generator.standard_normal((30, 2)))
    entries, step = np.array([0.8, 0.3, -0.4, 1.3, -3.0]), 1e-5

    def energy(entries):
        return rows.energy(entries[:-1].reshape(2, 2), entries[-1])

    differences = [
        (energy(entries + step * one)[0] - energy(entries - step * one)[0]) / (2 * step)
        for one in np.eye(5)
    ]
    _, metric_bar, noise_bar = energy(entries)
    np.testing.assert_allclose([*metric_bar.ravel(), noise_bar], differences, rtol=1e-6, atol=1e-6)


def test_the_evidence_depends_on_the_axes_and_lengths_of_a_metric_alone():
    generator = np.random.default_rng(5)
    rows = Kriging("Matern 5/2", *generator.standard_normal((2, 40, 3)))
    metric = generator.standard_normal((3, 3))
    axes, strengths, _ = np.linalg.svd(metric)
    turned = Kriging("Matern 5/2", rows.x @ axes, rows.targets)
    wanted = turned.energy_of(np.r_[-np.log(strengths), -5.0])[0]
    assert rows.energy(metric, -5.0)[0] == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(
    ("function", "bound"),
    [
        (lambda p: np.sin(p @ [1.0, 1.0, 1.0, 1.0]), 5e-4),
        (lambda p: np.abs(p @ [1.0, -0.7, 0.2, 0.4] - 0.3), 1e-2),
        (lambda p: np.exp(-2 * (p @ [1.0, 1.0, 0, 0]) ** 2) * (1 + p @ [1.0, -1.0, 0, 1.0]), 4e-3),
    ],
)
def test_functions_of_a_few_directions_are_found(function, bound):
    """A length for each input leaves 0.028, 0.14 and 0.019 of the deviation."""
    generator = np.random.default_rng(6)
    points, new = generator.uniform(-1, 1, (100, 4)), generator.uniform(-1, 1, (500, 4))
    fit = choose_kriging(points, function(points)[:, None])
    assert fit.is_turned
    assert "turned axes" in fit.name
    np.testing.assert_allclose(fit.axes @ fit.axes.T, np.eye(4), atol=1e-12)
    errors = fit(new)[:, 0] - function(new)
    assert np.sqrt(np.mean(errors**2)) < bound * function(new).std()


def test_axes_are_not_turned_without_evidence():
    generator = np.random.default_rng(7)
    points = generator.uniform(-1, 1, (40, 3))
    outputs = (
        np.sin(3 * points[:, :1]) + points[:, 1:2] ** 2 + 0.1 * generator.standard_normal((40, 1))
    )
    assert not choose_kriging(points, outputs).is_turned


@pytest.mark.parametrize("kernel", ["Matern 3/2", "cubic", "quintic"])
def test_leave_one_out_errors_are_those_of_leaving_one_out(kernel):
    generator = np.random.default_rng(3)
    x = generator.uniform(-1, 1, (25, 1))
    targets, theta = np.exp(x) * [1.0, -2.0], np.array([-0.5, np.log(1e-4)])
    solved = Kriging(kernel, x, targets).solve(theta)
    for i in (0, 7, 24):
        rest = np.delete(np.arange(25), i)
        others = Kriging(kernel, x[rest], targets[rest]).solve(theta)
        error = others.predict(x[i : i + 1]) - targets[i : i + 1]
        np.testing.assert_allclose(solved.left_out[i : i + 1], error, rtol=1e-6)
        variance = others.variance(x[i : i + 1])[0] * solved.amplitude**2
        np.testing.assert_allclose(solved.deviations[i] ** 2, variance, rtol=1e-6)


def test_logarithms_are_standardized_and_continue_below_the_data():
    values = np.geomspace(1, 1e4, 50)[:, None]
    scaler = standardizer(values, logs=True)
    np.testing.assert_allclose(scaler.restore(scaler.standardize(values)), values, rtol=1e-12)
    assert np.std(scaler.standardize(values)) == pytest.approx(1)
    below = scaler.standardize(np.array([[1 - 1e-6], [-5.0]]))
    assert np.isfinite(below).all()
    slope = (scaler.standardize(values[:1]) - below[:1]) / 1e-6
    np.testing.assert_allclose(slope * scaler.scale, 1, rtol=1e-4)


CURVES = {
    "logarithm": (np.log, np.geomspace(1, 1e4, 120), 1e-9),
    "saturation": (lambda x: x / (1 + x), np.geomspace(0.01, 100, 60), 1e-5),
    "logistic": (
        lambda x: 1 / (1 + np.exp(-3 * x)),
        np.random.default_rng(0).uniform(-6, 6, 40),
        1e-2,
    ),
    "six periods": (lambda x: np.exp(-2 * x) * np.sin(12 * np.pi * x), np.linspace(0, 1, 60), 1e-3),
    "sine of nine rows": (np.sin, np.linspace(0, 10, 9), 2e-2),
    "parabola of six rows": (np.square, np.linspace(0, 9, 6), 1e-2),
    "kink": (lambda x: np.abs(x - 0.37), np.linspace(0, 1, 80), 1e-2),
}


@pytest.mark.parametrize("name", CURVES)
def test_curves_between_their_rows(name):
    function, x, bound = CURVES[name]
    model = jaxbp.fit_model(x[:, None], function(x))
    ordered = np.sort(x)
    between = (ordered[1:] + ordered[:-1]) / 2
    error = np.sqrt(np.mean((model(between[:, None]) - function(between)) ** 2))
    assert error < bound * function(x).std()
    assert model.error > 0.2 * error


def test_error_bars_cover_new_observations_and_widen_away_from_the_rows():
    generator = np.random.default_rng(4)
    x = np.r_[generator.uniform(0, 4, 100), generator.uniform(6, 10, 100)]
    model = jaxbp.fit_model(x[:, None], np.sin(x) + 0.1 * generator.standard_normal(200))
    new = generator.uniform(0, 4, 2000)
    observed = np.sin(new) + 0.1 * generator.standard_normal(2000)
    for coverage in (0.5, 0.9):
        lower, upper = model.interval(new[:, None], coverage)
        assert np.mean((observed >= lower) & (observed <= upper)) == pytest.approx(
            coverage, abs=0.1
        )
    assert model.error == pytest.approx(0.1, rel=0.3)
    inside, gap, outside = model.std([[2.0], [5.0], [30.0]])
    assert inside == pytest.approx(0.1, rel=0.3)
    assert gap > 1.02 * inside
    assert outside > 2 * inside


@pytest.mark.slow
def test_intervals_of_few_rows_cover_nine_tenths_over_many_curves():
    """Without the disagreement of the kernels 0.78 are covered."""
    generator = np.random.default_rng(8)
    covered = []
    for _ in range(16):
        a, b = generator.uniform(0.5, 2, 2)
        x, new = generator.uniform(0, 4, (8, 1)), generator.uniform(0, 4, (100, 1))

        def curve(x, a=a, b=b):
            return np.tanh(a * (x - 2)) + b * np.exp(-((x - 1) ** 2)) + 0.1 * x

        lower, upper = jaxbp.fit_model(x, curve(x[:, 0])).interval(new)
        truth = curve(new[:, 0])
        covered.append(np.mean((truth >= lower) & (truth <= upper)))
    assert 0.82 < np.mean(covered) < 0.98


def test_positive_outputs_over_many_scales_stay_positive():
    x = np.linspace(0, 10, 30)
    model = jaxbp.fit_model(x[:, None], np.exp(-1.7 * x))
    assert model.output_scaler.floor[0] > 0
    lower, upper = model.interval([[5.05], [9.9]])
    assert (lower > 0).all()
    assert (lower < upper).all()
    np.testing.assert_allclose(
        model([[5.05], [9.9]]), np.exp(-1.7 * np.array([5.05, 9.9])), rtol=1e-4
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (np.ma.masked_greater(x, 0.9), y), "inputs must have no masked values"),
        (lambda x, y: (x, y * 1e200), "outputs must vary between 1e-140 and 1e140"),
        (lambda x, y: (x, y * 1e-200), "outputs must vary between 1e-140 and 1e140"),
        (lambda x, y: (x * 1e200, y), "inputs must vary between 1e-140 and 1e140"),
    ],
)
def test_masked_values_and_extreme_scales_are_refused(change, message):
    x = np.linspace(0, 1, 20)[:, None]
    with pytest.raises(ValueError, match=message):
        jaxbp.fit_model(*change(x, np.sin(x[:, 0])))
    with pytest.raises(ValueError, match="names must have one for each of 1 inputs and 1 outputs"):
        jaxbp.fit_model(x, x[:, 0], names=["a"])


def test_a_model_without_bars_says_so():
    mlp = jaxbp.Mlp((1, 1))
    x = np.linspace(0, 1, 5)[:, None]
    model = jaxbp.Model.for_data(mlp, (jaxbp.Layer(np.ones((1, 1)), np.zeros(1)),), x, x)
    with pytest.raises(ValueError, match="no error bars: fit_model makes them"):
        model.std(x)
