"""Fitting: the output layer against NumPy, the evidence's gradient, and what `fit_model` reaches and refuses."""

import math
import time
import warnings
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from architectures import draw_params
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.linear_model import RidgeCV

import jaxbp
from jaxbp.fitting import Rows, bands, choose_band, effort, model_fit, spectrum, units
from jaxbp.fitting.bands import fill_ball, widest
from jaxbp.fitting.effort import EFFORTS, RATE, Budget
from jaxbp.fitting.model_fit import _best
from jaxbp.fitting.networks import try_networks
from jaxbp.fitting.rows import Trial, split
from jaxbp.fitting.score import Candidate
from jaxbp.fitting.spectrum import Spectrum, choose_spectrum, draw_frequencies, energy_and_gradient
from jaxbp.least_squares import (
    SHARES,
    best_penalty,
    factor,
    hidden_activations,
    left_out,
    penalized,
    solution,
    triangle,
)
from jaxbp.network import forward
from jaxbp.training import Batch


def nrmse(model, points, outputs):
    return model.score(points, outputs).nrmse


def layer_problem(num_rows, units, num_outputs=2, hidden="tanh", spread=1.0):
    generator = np.random.default_rng(7)
    mlp = jaxbp.Mlp((3, units, num_outputs), hidden=hidden)
    weight, bias = (
        spread * generator.standard_normal((3, units)),
        spread * generator.standard_normal(units),
    )
    params = (
        jaxbp.Layer(weight, bias),
        jaxbp.Layer(np.ones((units, num_outputs)), np.ones(num_outputs)),
    )
    inputs, targets = (
        generator.standard_normal((num_rows, 3)),
        generator.standard_normal((num_rows, num_outputs)),
    )
    hidden_part = np.asarray(hidden_activations(mlp, params, inputs))
    return mlp, params, inputs, targets, hidden_part


# The output layer.


@pytest.mark.parametrize(("num_rows", "units"), [(300, 20), (21, 40), (40, 40), (5000, 8), (2, 4)])
def test_the_output_layer_is_that_of_lstsq_on_centred_columns(x64, num_rows, units):
    mlp, params, inputs, targets, hidden = layer_problem(num_rows, units, spread=2.0)
    layer = jaxbp.solve_output(mlp, params, (inputs, targets), ridge=0.0)[-1]
    weight = np.linalg.lstsq(
        hidden - hidden.mean(axis=0), targets - targets.mean(axis=0), rcond=None
    )[0]
    # The relative error of a least-squares solution: the condition number squared where the
    # residual is large.
    values = np.linalg.svd(hidden - hidden.mean(axis=0), compute_uv=False)[
        : min(units, num_rows - 1)
    ]
    bound = 100 * 2.0**-52 * (values[0] / values[-1]) ** 2
    np.testing.assert_allclose(layer.weight, weight, rtol=0, atol=bound * np.abs(weight).max())
    np.testing.assert_allclose(
        layer.bias, targets.mean(axis=0) - hidden.mean(axis=0) @ weight, rtol=0, atol=100 * bound
    )


def test_dependent_units_take_the_solution_of_the_smallest_norm(x64):
    mlp, params, inputs, targets, _ = layer_problem(200, 12)
    first = jax.tree.map(lambda leaf: leaf.copy(), params[0])
    first.weight[:, 6:], first.bias[6:] = first.weight[:, :6], first.bias[:6]  # every unit twice
    layer = jaxbp.solve_output(mlp, (first, params[1]), (inputs, targets), ridge=0.0)[-1]
    np.testing.assert_allclose(layer.weight[:6], layer.weight[6:], rtol=0, atol=1e-9)


@pytest.mark.parametrize(("num_rows", "units"), [(300, 20), (21, 40)])
def test_a_ridge_is_the_augmented_least_squares_problem(x64, num_rows, units):
    mlp, params, inputs, targets, hidden = layer_problem(num_rows, units)
    centred = hidden - hidden.mean(axis=0)
    penalty = (0.01 * np.linalg.svd(centred, compute_uv=False)[0]) ** 2
    rows = np.vstack([centred, np.sqrt(penalty) * np.eye(units)])
    below = np.vstack([targets - targets.mean(axis=0), np.zeros((units, 2))])
    weight = np.linalg.lstsq(rows, below, rcond=None)[0]
    layer = jaxbp.solve_output(mlp, params, (inputs, targets), ridge=0.01)[-1]
    np.testing.assert_allclose(layer.weight, weight, rtol=0, atol=1e-11)
    if num_rows > units:
        found, _ = penalized(triangle(mlp, params, inputs, targets), penalty)
        np.testing.assert_allclose(found, weight, rtol=0, atol=1e-11)
        widths = np.linspace(0.5, 2.0, units)  # the penalty is that of weight / widths
        rows = np.vstack([centred, np.sqrt(penalty) * np.diag(1 / widths)])
        found, _ = penalized(triangle(mlp, params, inputs, targets), penalty, widths)
        np.testing.assert_allclose(
            found, np.linalg.lstsq(rows, below, rcond=None)[0], rtol=0, atol=1e-11
        )


@pytest.mark.parametrize("num_rows", [300, 30])
def test_no_gradient_is_left_in_a_solved_output_layer(x64, compiled_quickly, num_rows):
    mlp, params, inputs, targets, hidden = layer_problem(num_rows, 40, spread=2.0)
    solved = jaxbp.solve_output(mlp, params, (inputs, targets), ridge=0.0)
    gradient = jaxbp.loss_and_gradient(mlp, solved, inputs, targets)[1][-1]
    # Rounding of the outputs, summed with the hidden activations as weights.
    size = np.abs(hidden) @ np.abs(solved[-1].weight) + np.abs(targets)
    bound = 50 * 2.0**-52 * (np.abs(hidden).T @ size / size.size).max() * np.sqrt(40)
    assert np.abs(gradient.weight).max() <= bound
    assert np.abs(gradient.bias).max() <= bound


def test_leave_one_out_is_what_leaving_one_out_gives(x64):
    mlp, params, inputs, targets, hidden = layer_problem(20, 40)
    factored, penalty = factor(mlp, params, inputs, targets), 0.3
    predictions = left_out(factored, penalty)
    for row in (0, 7):
        others = np.arange(20) != row
        weight, bias = solution(factor(mlp, params, inputs[others], targets[others]), penalty)
        np.testing.assert_allclose(
            predictions[row], hidden[row] @ weight + bias, rtol=0, atol=1e-10
        )


def test_of_penalties_that_predict_alike_the_largest_is_taken(x64):
    mlp, params, inputs, targets, _ = layer_problem(20, 40)
    factored = factor(mlp, params, inputs, targets)
    small = np.logspace(-25, -20, 6) * factored.singular_values[0] ** 2
    assert best_penalty(factored, small)[0] == small[-1]


@pytest.mark.slow
def test_gauss_newton_from_a_solved_start_never_ends_above_it(x64, compiled_quickly):
    generator = np.random.default_rng(0)
    inputs = generator.uniform(-2, 2, (300, 2))
    targets = np.sin(inputs[:, :1]) * inputs[:, 1:]
    mlp = jaxbp.Mlp((2, 32, 1))
    params = jaxbp.init(mlp, jax.random.key(0), dtype=np.float64)
    start = jaxbp.solve_output(mlp, params, (inputs, targets))
    before = jaxbp.loss_and_gradient(mlp, start, inputs, targets)[0]
    result = jaxbp.fit(
        *(mlp, start, (inputs, targets)),
        **{
            "solver": jaxbp.gauss_newton(damping=0.03),
            "steps": 6,
            "batch_size": 50,
            "key": jax.random.key(1),
        },
    )
    assert jaxbp.loss_and_gradient(mlp, result.params, inputs, targets)[0] <= before * (1 + 1e-12)


# The spectrum.


def test_the_gradient_of_the_evidence_is_that_of_autodiff(x64, compiled_quickly):
    generator = np.random.default_rng(1)
    x, y = generator.standard_normal((30, 3)), generator.standard_normal((30, 2))
    theta = np.r_[0.3 * generator.standard_normal(6), 0.2, np.log(1e-2)]
    arguments = (x, y, np.zeros(8), np.full(8, 3.0))
    energy, gradient = energy_and_gradient(theta, *arguments)
    reference = jax.grad(lambda theta: energy_and_gradient(theta, *arguments)[0])(theta)
    np.testing.assert_allclose(gradient, reference, rtol=1e-9, atol=1e-9 * float(np.abs(energy)))


def test_the_evidence_finds_noise_and_the_input_that_matters(x64, monkeypatch):
    generator = np.random.default_rng(2)
    x = generator.standard_normal((150, 3))
    y = np.sin(2 * x[:, :1]) + 0.3 * generator.standard_normal((150, 1))
    counted = []

    def counting(*arguments):
        counted.append(arguments)
        return energy_and_gradient(*arguments)

    monkeypatch.setattr(spectrum, "energy_and_gradient", counting)
    found = choose_spectrum(x, y / y.std(), evaluations=60)
    assert found.evaluations == len(counted)
    assert 0.5 < found.noise / (0.09 / y.var()) < 2
    assert np.argmax(found.theta[3:6] - 2 * found.theta[:3]) == 0  # s / l^2, the slope's variance


# fit_model.


def branin(points):
    x, y = points.T
    return (
        (y - 5.1 * x**2 / (4 * np.pi**2) + 5 * x / np.pi - 6) ** 2
        + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x)
        + 10
    )


def branin_points(generator, num_points):
    return generator.uniform([-5, 0], [10, 15], (num_points, 2))


def five_inputs(points):  # nothing was tuned on it
    a, b, c, d, e = points.T
    return np.exp(-a * b) + np.sin(2 * c + d) + e / (1 + a**2)


def test_a_surface_that_nothing_was_tuned_on():
    generator = np.random.default_rng(3)
    points, others = branin_points(generator, 2000), branin_points(generator, 2000)
    model = jaxbp.fit_model(points, branin(points), effort="low")
    assert nrmse(model, others, branin(others)) < 1e-9
    assert [some.chosen for some in model.history].count(True) == 1
    won = min(model.history, key=lambda some: some.held_out)
    assert won.chosen
    assert "sine units" in won.name


@pytest.mark.slow
def test_five_inputs_against_a_gaussian_process():
    generator = np.random.default_rng(4)
    points, others = generator.uniform(-1, 1, (200, 5)), generator.uniform(-1, 1, (2000, 5))
    model = jaxbp.fit_model(points, five_inputs(points), effort="low")
    rival = GaussianProcessRegressor(
        ConstantKernel(1.0) * RBF(np.ones(5), (1e-2, 1e3)), alpha=1e-10, normalize_y=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        rival.fit(points, five_inputs(points))
    truth = five_inputs(others)
    assert (
        nrmse(model, others, truth)
        < np.sqrt(np.mean((rival.predict(others) - truth) ** 2)) / truth.std()
    )


def test_noise_is_not_overfitted():
    generator = np.random.default_rng(5)
    points, others = generator.standard_normal((150, 6)), generator.standard_normal((2000, 6))
    slopes = np.array([1.0, -0.5, 0.3, 0, 0, 0])
    outputs = points @ slopes + generator.standard_normal(150)
    model = jaxbp.fit_model(points, outputs, effort="low")
    ridge = RidgeCV(np.logspace(-2, 3, 20)).fit(points, outputs)
    truth = others @ slopes
    assert np.std(model(others) - truth) < 1.1 * np.std(ridge.predict(others) - truth)


@pytest.fixture(scope="module")
def several():
    """Two inputs and a constant one; two outputs and a constant one; units of the data far from 1."""
    generator = np.random.default_rng(6)
    points = np.column_stack(
        [generator.uniform(0, 1e4, 60), np.full(60, 0.1), generator.uniform(-1e-3, 1e-3, 60)]
    )
    outputs = np.column_stack(
        [
            1e6 * np.sin(points[:, 0] / 4e3) + 1e9 * points[:, 2],
            np.full(60, 7.0),
            points[:, 2] * points[:, 0],
        ]
    )
    return points, outputs, jaxbp.fit_model(points, outputs, effort="low", seed=1)


def test_several_outputs_and_constant_columns(several):
    points, outputs, model = several
    predicted = model(points)
    assert predicted.shape == outputs.shape
    np.testing.assert_allclose(predicted[:, 1], 7.0, rtol=1e-9)
    for column in (0, 2):
        assert np.std(predicted[:, column] - outputs[:, column]) < 1e-3 * np.std(outputs[:, column])


def test_a_seed_gives_the_same_model(several):
    points, outputs, model = several
    again = jaxbp.fit_model(points, outputs, effort="low", seed=1)
    assert [some[:2] for some in again.history] == [some[:2] for some in model.history]
    np.testing.assert_array_equal(again(points), model(points))


def test_candidates_are_shown_as_they_are_tried():
    points = np.random.default_rng(0).uniform(-1, 1, (8, 2))
    shown, began = [], time.perf_counter()
    model = jaxbp.fit_model(
        points, points @ [1.0, 2.0], on_candidate=shown.append, names=("x", "y", "z")
    )
    assert [some.name for some in shown] == ["linear"]
    assert [some.chosen for some in model.history] == [True]
    assert 0 <= shown[0].seconds < time.perf_counter() - began
    assert model.names == ("x", "y", "z")
    np.testing.assert_allclose(model(points), points @ [1.0, 2.0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("num_rows", [5, 12])
def test_constant_outputs_and_single_points(num_rows):
    points = np.random.default_rng(0).uniform(-1, 1, (num_rows, 2))
    np.testing.assert_allclose(
        jaxbp.fit_model(points, np.full(num_rows, 3.0))(points), 3.0, rtol=1e-12
    )
    outputs = np.arange(num_rows) * 1.0
    np.testing.assert_allclose(
        jaxbp.fit_model(np.ones((num_rows, 2)), outputs)(np.ones((1, 2))), outputs.mean()
    )


@pytest.mark.parametrize(("num_rows", "tried"), [(9, False), (10, True)])
def test_more_than_a_linear_function_is_tried_from_ten_rows_on(num_rows, tried, monkeypatch):
    asked = []
    monkeypatch.setattr(model_fit, "try_units", lambda splits, *_: asked.append(splits))
    points = np.random.default_rng(0).uniform(-1, 1, (num_rows, 2))
    model = jaxbp.fit_model(points, points[:, 0] ** 2)
    assert bool(asked) == tried
    assert [some.name for some in model.history] == ["linear"]


def test_no_time_leaves_the_linear_function():
    points = np.random.default_rng(0).uniform(-1, 1, (300, 2))
    model = jaxbp.fit_model(points, points[:, 0] ** 2, seconds=0)
    assert [some.name for some in model.history] == ["linear"]


def test_a_budget_counts_what_it_allowed():
    budget = Budget(1.0)
    assert budget.allows(0.6 * RATE)
    assert not budget.allows(0.6 * RATE)
    assert not budget.allows(0.1 * RATE, final=0.6 * RATE)
    assert budget.allows(0.1 * RATE, final=0.2 * RATE)
    assert Budget(10.0).allows(
        4 * RATE, final=100 * RATE
    )  # the last fit takes as many rows as half the time allows
    assert not Budget(10.0).allows(6 * RATE, final=100 * RATE)


def test_what_a_budget_has_left_is_at_least_half_of_it():
    budget = Budget(10.0)
    for operations, left in ((0, 10), (3 * RATE, 7), (4 * RATE, 5)):
        assert budget.allows(operations)
        assert budget.left == left * RATE


@pytest.mark.parametrize(
    ("num_rows", "parts", "size"),
    [(7, 5, 1), (30, 5, 6), (99, 5, 19), (100, 1, 20), (20_000, 1, 2000)],
)
def test_of_few_rows_every_fifth_is_held_out_in_turn(x64, num_rows, parts, size):
    rows = np.arange(2.0 * num_rows).reshape(num_rows, 2)
    splits = split(rows, rows[:, :1], seed=0)
    held_out = [set(part.held_out.inputs[:, 0].tolist()) for part in splits]
    assert [len(some) for some in held_out] == [size] * parts
    assert len(set.union(*held_out)) == parts * size
    for part, held in zip(splits, held_out, strict=True):
        assert held | set(part.train.inputs[:, 0].tolist()) == set(rows[:, 0].tolist())
        assert len(part.train.inputs) == num_rows - size
        np.testing.assert_array_equal(part.train.inputs[:, :1], part.train.targets)


@pytest.mark.parametrize(("num_inputs", "ball"), [(1, 2.0), (2, np.pi), (3, 4 * np.pi / 3)])
def test_the_widest_ball_holds_as_many_functions_as_three_fifths_of_the_units(num_inputs, ball):
    volume = ball * widest(num_inputs, 1000) ** num_inputs
    assert volume * (np.sqrt(3) / np.pi) ** num_inputs == pytest.approx(600, rel=1e-12)


def test_a_band_comes_with_its_output_layer_solved(x64):
    generator = np.random.default_rng(9)
    inputs = generator.uniform(-1.7, 1.7, (400, 2))
    targets = np.sin(2 * inputs[:, :1] + inputs[:, 1:])
    rows = Rows(
        Batch(inputs, targets), Batch(inputs[80:], targets[80:]), Batch(inputs[:80], targets[:80])
    )
    shown = []
    trial = choose_band(rows, effort="low", on_candidate=shown.append)
    mlp, params = trial.members[0]
    np.testing.assert_allclose(forward(mlp, params, inputs)[0], targets, rtol=0, atol=1e-6)
    assert trial.candidate.held_out == min(some.held_out for some in shown) < 1e-6
    ((_, refitted),) = trial.refit(rows.every)
    np.testing.assert_allclose(forward(mlp, refitted, inputs)[0], targets, rtol=0, atol=1e-6)


@pytest.mark.parametrize("num_inputs", [1, 2, 3])
def test_frequencies_fill_their_ball_evenly(num_inputs):
    """Of a ball around 0, and of each half of it, they hold the share of its volume."""
    pairs, radius = 600, 7.0
    mlp = jaxbp.Mlp((num_inputs, 2 * pairs, 1), hidden="sine")
    params = fill_ball(mlp, np.arange(num_inputs), radius, np.random.default_rng(3))
    frequencies, other = np.split(np.asarray(params[0].weight), 2, axis=1)
    np.testing.assert_array_equal(frequencies, other)
    sines, cosines = np.split(np.sin(np.asarray(params[0].bias)), 2)
    np.testing.assert_allclose([sines, cosines], [np.zeros(pairs), np.ones(pairs)], atol=1e-15)
    sizes = np.linalg.norm(frequencies, axis=0)
    for share in (0.1, 0.5, 1.0):
        assert np.mean(sizes <= radius * share ** (1 / num_inputs)) == pytest.approx(
            share, abs=1.5 / pairs
        )
    # A frequency and its opposite are one: of the ball of both each slice has its share.
    both = np.concatenate([frequencies, -frequencies], axis=1)
    second = np.mean(both**2, axis=1)
    np.testing.assert_allclose(second, radius**2 / (num_inputs + 2), rtol=0.03)
    np.testing.assert_array_less(
        np.abs(np.cov(both, bias=True) - np.diag(second)), 0.03 * radius**2
    )


# The search, with candidates that cost nothing.


def some_rows(num_rows, num_inputs=2, num_outputs=1, held_out=100):
    generator = np.random.default_rng(num_rows)
    every = Batch(
        generator.random((num_rows, num_inputs)), generator.random((num_rows, num_outputs))
    )
    first, others = (
        Batch(*(some[part] for some in every)) for part in (slice(held_out), slice(held_out, None))
    )
    return Rows(every, others, first)


def a_trial(predictions, rows, *, noise=0.0, members=1, name="some"):
    error = float(np.sqrt(np.mean((predictions - rows.held_out.targets) ** 2)))
    layers = ((jaxbp.Mlp((2, 1)), (jaxbp.Layer(np.zeros((2, 1)), np.full(1, error)),)),) * members
    return Trial(Candidate(name, error, 0.0), layers, predictions, lambda every: layers, noise)


@pytest.fixture
def climbed(monkeypatch):
    """What a climb tries, as (units, radius), where the error of a band is known beforehand."""

    def run(error, num_rows, effort="normal"):
        tried = []

        def one(rows, num_rows, units, radius, ridges, seed, budget):
            tried.append((units, radius))
            return Trial(
                Candidate("", error(units, radius), 0.0), (), np.zeros(0), lambda every: ()
            ), ridges[2]

        monkeypatch.setattr(bands, "_try", one)
        for _ in bands.climb(some_rows(num_rows), EFFORTS[effort], 0, Budget(math.inf)):
            pass
        return tried

    return run


def test_narrower_bands_are_tried_until_two_in_a_row_are_worse(climbed):
    top = widest(2, 512)
    for best, count in ((0, 3), (1, 4), (2, 5), (4, 6)):
        tried = climbed(
            lambda units, radius, best=best: 1e-3 + abs(np.log2(top / radius) - best / 2),
            1000,
            "low",
        )
        assert tried == [(512, pytest.approx(top * 2 ** (-j / 2))) for j in range(count)]


def test_a_band_has_five_quarters_of_a_row_for_each_unit(climbed):
    for num_rows, wanted in (
        (300, {128}),
        (420, {256}),
        (739, {256}),
        (740, {512}),
        (1380, {512, 1024}),
    ):
        assert {
            units for units, _ in climbed(lambda units, radius: 1e-3 * radius, num_rows)
        } == wanted


def test_more_units_climb_from_the_best_band_on(climbed):
    narrow = widest(2, 512) / 2
    tried = climbed(lambda units, radius: 1e-3 * abs(radius / narrow - 1) + 1 / units, 20_000)
    for more, factors in ((1024, (1, 1.4, 2)), (1536, (1, 1.2)), (2048, (1, 1.2))):
        assert [radius for some, radius in tried if some == more] == pytest.approx(
            [narrow * f for f in factors]
        )


def test_where_the_widest_band_leaves_much_the_most_units_are_tried_at_once(climbed):
    top = widest(2, 2048)
    for num_rows, radii in (
        (7300, [1.17 * top]),
        (5000, [1.17 * top, top]),
    ):  # 3.5 and 2.4 rows a unit
        tried = climbed(lambda units, radius: 0.5 / radius, num_rows)
        assert {units for units, _ in tried} == {512, 2048}
        assert [radius for units, radius in tried if units == 2048] == pytest.approx(radii)


def test_a_climb_ends_at_the_goal(climbed):
    assert len(climbed(lambda units, radius: 1e-12, 20_000)) == 1


def test_the_linear_candidate_wins_within_two_percent():
    rows = some_rows(1000)
    for least, place in ((1.01, 0), (1.03, 1)):
        errors = np.ones((100, 1))
        trials = [a_trial(rows.held_out.targets + size * errors, rows) for size in (least, 1.0)]
        assert _best(trials, [rows]) is trials[place]


def test_an_average_is_taken_where_it_helps_and_of_two_networks_at_most():
    rows = some_rows(1000)
    signs = np.resize([1.0, -1.0], (100, 1))
    linear, one, other, far = (
        a_trial(rows.held_out.targets + error, rows, name=name)
        for name, error in (
            ("linear", 9.0),
            ("one", 1.0 + 0 * signs),
            ("other", 1.1 * signs),
            ("far", 3 * signs),
        )
    )
    best = _best([linear, one, other, far], [rows])
    assert best.candidate.name == "average of one and other"
    np.testing.assert_allclose(
        best.predictions, (one.predictions + other.predictions) / 2, rtol=1e-15
    )
    assert best.members == best.refit(rows.every) == one.members + other.members
    assert (
        _best([linear, one, one._replace(noise=0.0)], [rows]) is one
    )  # the same errors twice: nothing helps
    assert _best([linear, one, far], [rows]) is one
    assert (
        _best([linear, one._replace(members=2 * one.members), other], [rows]).members
        == 2 * one.members
    )


def test_of_noisy_rows_the_spectrum_is_taken_unless_another_is_surely_better():
    """Surely: by two standard errors of the difference of the squared errors."""
    rows, spread = some_rows(1000), np.resize([1.0, -1.0], (100, 1))
    targets, errors = rows.held_out.targets, np.resize([0.1, 0.1, -0.1, -0.1], (100, 1))
    for deviations, sure in ((1.8, False), (2.2, True)):
        squares = 0.01 + 1e-3 * (deviations / np.sqrt(100) + spread)  # of the spectrum, beside 0.01
        linear, best = a_trial(targets + 9, rows), a_trial(targets + errors, rows, members=2)
        spectrum = a_trial(targets + np.sqrt(squares) * np.sign(errors), rows, noise=0.01)
        assert _best([linear, best, spectrum], [rows]) is (best if sure else spectrum)
        assert _best([linear, best, spectrum._replace(noise=1e-5)], [rows]) is best


def test_an_average_that_wins_is_the_model_and_the_one_that_is_chosen(monkeypatch):
    generator = np.random.default_rng(0)
    points, outputs = generator.random((40, 2)), generator.random(40)

    def two(splits, effort, seed, budget, before):
        for name, error in (("linear", 9.0), ("one", 1.0), ("other", -1.0)):
            yield a_trial(splits[0].held_out.targets + error, splits[0], name=name)

    monkeypatch.setattr(model_fit, "_trials", two)
    monkeypatch.setattr(model_fit, "_best", lambda trials, splits: _best(trials, splits[:1]))
    model = jaxbp.fit_model(points, outputs)
    assert [(some.name, some.chosen) for some in model.history] == [
        *((name, False) for name in ("linear", "one", "other")),
        ("average of one and other", True),
    ]
    # Both of these networks give the bias 1, in standard units.
    np.testing.assert_allclose(model(points), outputs.mean() + outputs.std(), rtol=1e-12)


def test_bands_are_tried_from_200_rows_on_and_the_clock_counts_where_seconds_are_given(monkeypatch):
    asked = []
    monkeypatch.setattr(
        model_fit, "climb", lambda rows, effort, seed, budget: asked.append(budget) or iter(())
    )
    monkeypatch.setattr(model_fit, "try_units", lambda *_: None)
    monkeypatch.setattr(model_fit, "try_networks", lambda *_: None)
    generator = np.random.default_rng(0)
    for num_rows, num_inputs, seconds in (
        (199, 2, None),
        (200, 2, None),
        (200, 3, 5.0),
        (200, 4, 5.0),
    ):
        jaxbp.fit_model(
            generator.random((num_rows, num_inputs)), generator.random(num_rows), seconds=seconds
        )
    assert [budget.by_clock for budget in asked] == [False, True]


def test_a_slow_machine_gets_less_done_by_the_clock(monkeypatch):
    now = 100.0
    monkeypatch.setattr(effort, "time", SimpleNamespace(perf_counter=lambda: now))
    for took, last in (
        (1.0, 9.0),
        (2.0, 8.0),
        (4.0, 3.0),
        (9.0, 0.25),
    ):  # of 2 seconds planned; at most 4 times
        now = 100.0
        budget = Budget(10.0, by_clock=True)
        assert budget.allows(2 * RATE)
        now += took
        assert budget.left == pytest.approx(max(10 - took, 5) * RATE)
        assert not budget.allows(1.01 * last * RATE)
        assert budget.allows(0.99 * last * RATE)
    assert not Budget(10.0, by_clock=True).allows(10.1 * RATE)


def test_units_drawn_from_a_spectrum_have_its_kernel_on_average():
    """Inputs that few units read, half of them, and nearly all: where draws are clipped, weights make up for it."""
    length, strength, scale, pairs = (
        np.array([0.7, 1.5, 3.0]),
        np.array([0.05, 1.0, 30.0]),
        2.0,
        100_000,
    )
    theta = np.log(np.r_[length, strength, scale, 1e-3])
    frequencies, widths = draw_frequencies(theta, 3, pairs, np.random.default_rng(0))
    for apart in np.array([[0, 0, 0], [0.5, 0, 0], [0, 1.5, 0], [0, 0, 4.0], [1.0, 1.0, -2.0]]):
        kernel = scale * np.prod(1 + strength * np.exp(-0.5 * (apart / length) ** 2))
        terms = pairs * widths**2 * np.cos(apart @ frequencies)
        assert abs(terms.mean() - kernel) < 5 * terms.std() / np.sqrt(pairs) < 0.04 * kernel


def test_estimates_are_no_less_than_what_lapack_does():
    effort, splits = EFFORTS["low"]._replace(evaluations=0), [some_rows(375, held_out=75)]
    solve, _ = units._operations(splits, effort, Budget(math.inf))
    evaluated, _ = units._operations(splits, effort._replace(evaluations=1), Budget(math.inf))
    n, m = 300, 2048
    assert solve >= 2 * n**2 * m + 4 * n**3  # a QR factorization, and the singular values of R
    assert evaluated - solve >= 7 / 3 * n**3  # a Cholesky factorization, and the inverse
    assert units._operations(2 * splits, effort, Budget(math.inf))[0] == 2 * solve
    assert solve <= 4 * (2 * n**2 * m + 4 * n**3)
    tall = 2 * 5 * 1024**3 + 4 * 1024**3  # of 5 rows a unit, where rows are many
    assert tall <= units._operations([some_rows(20_000)], effort, Budget(1.0))[0] <= 4 * tall


def test_the_last_fit_takes_the_rows_that_there_is_time_for(monkeypatch):
    theta, taken = np.zeros(6), []

    def keep(mlp, params, inputs, targets):
        taken.append((len(inputs), mlp.sizes[1]))

    monkeypatch.setattr(units, "triangle", keep)
    monkeypatch.setattr(units, "penalized", lambda *_: (np.zeros((1, 1)), np.zeros(1)))
    rows = some_rows(20_000).every
    for seconds in (0.1, 2.0, 1000.0):
        fit = units.Units(EFFORTS["low"], 0, Budget(seconds))
        fit.found = units.Found(theta, 1.0, EFFORTS["low"].rows)
        fit.refit(rows)
    (few, num), (some, same), (every, more) = taken
    assert (few, every) == (5 * num, 20_000)
    assert num == same < more
    assert 0.99 * 2.0 * RATE < 2 * some * num**2 <= 2.0 * RATE


def test_so_does_that_of_a_band(x64, monkeypatch):
    rows, taken = some_rows(20_000).every, []
    monkeypatch.setattr(
        bands, "triangle", lambda mlp, params, inputs, targets: taken.append(len(inputs))
    )
    monkeypatch.setattr(bands, "penalized", lambda *_: (np.zeros((16, 1)), np.zeros(1)))
    mlp = jaxbp.Mlp((2, 16, 1), hidden="sine")
    for seconds in (1e-7, 1e-4, 1.0):
        bands._solve_all(mlp, draw_params(mlp), 1e-9, Budget(seconds), rows)
    few, some, every = taken
    assert (few, every) == (5 * 16, 20_000)
    assert 0.99e-4 * RATE < 2 * some * 16**2 <= 1e-4 * RATE


def test_a_spectrum_is_chosen_by_the_effort_and_goes_on_from_the_first(monkeypatch):
    asked, seen = [], []

    def choose(x, y, *, evaluations, start):
        asked.append((len(x), evaluations, start))
        return Spectrum(np.array([0, 0, 0, 0, 0, -3.0]), 0.0, evaluations)

    def best(factored, penalties):
        seen.append((factored, penalties))
        return best_penalty(factored, penalties)

    monkeypatch.setattr(units, "choose_spectrum", choose)
    monkeypatch.setattr(units, "best_penalty", best)
    rows, low = some_rows(40, held_out=10), EFFORTS["low"]
    fit = units.Units(low, 0, Budget(1.0))
    fit(rows.train)
    fit(rows.train)  # another split
    fit.refit(rows.every)
    assert [some[:2] for some in asked] == [
        (30, low.evaluations),
        (30, low.evaluations),
        (40, units.GO_ON),
    ]
    assert [some[2] is None for some in asked] == [True, True, False]
    for (
        factored,
        penalties,
    ) in seen:  # to the largest squared singular value; the noise is the penalty of the evidence
        assert {np.exp(-3), factored.singular_values[0] ** 2} <= set(penalties)


class Refusing:
    """A budget that writes down what it is asked for."""

    def allows(self, operations, overhead):
        self.operations = operations
        return False


def test_networks_are_not_tried_without_time_and_more_of_them_take_more():
    budget, taken = Refusing(), {}
    for num_outputs in (1, 2):
        for num_starts in (2, 4):
            rows = some_rows(300, num_outputs=num_outputs)
            assert try_networks(rows, (8,), num_starts, EFFORTS["low"], 0, budget) is None
            taken[num_outputs, num_starts] = budget.operations
    assert taken[1, 4] == 2 * taken[1, 2]
    assert taken[2, 2] >= 4 * taken[1, 2]  # a step factorizes a kernel of rows times outputs
    assert taken[1, 2] >= 2 * 100 * 200**3 / 3


def test_generalized_cross_validation_is_its_formula(x64):
    mlp, params, inputs, targets, hidden = layer_problem(60, 5)
    centred, values = hidden - hidden.mean(axis=0), targets - targets.mean(axis=0)
    factored = factor(mlp, params, inputs, targets)
    for penalty in (1e-3, 0.5, 20.0):
        influence = centred @ np.linalg.solve(centred.T @ centred + penalty * np.eye(5), centred.T)
        left = values - influence @ values
        expected = 60 * np.mean(np.sum(left**2, axis=0)) / (60 - 1 - np.trace(influence)) ** 2
        assert best_penalty(factored, [penalty]) == (penalty, pytest.approx(expected, rel=1e-9))


def test_the_error_of_a_penalty_is_that_of_leaving_one_out(x64):
    mlp, params, inputs, targets, _ = layer_problem(20, 40)
    factored = factor(mlp, params, inputs, targets)
    for penalty in (1e-3, 0.5):
        expected = np.mean((left_out(factored, penalty) - targets) ** 2)
        assert best_penalty(factored, [penalty]) == (penalty, pytest.approx(expected, rel=1e-12))


@pytest.mark.parametrize("size", [1e-3, 0.03, 0.3])
def test_the_ridge_that_is_chosen_is_the_share_with_the_least_score(x64, size):
    mlp, params, inputs, _, hidden = layer_problem(45, 30)
    generator = np.random.default_rng(0)
    targets = hidden @ generator.standard_normal((30, 2)) / 6 + size * generator.standard_normal(
        (45, 2)
    )
    largest = np.linalg.svd(hidden - hidden.mean(axis=0), compute_uv=False)[0]
    factored = factor(mlp, params, inputs, targets)
    scores = [best_penalty(factored, [(share * largest) ** 2])[1] for share in SHARES]
    least = SHARES[np.argmin(scores)]
    assert 0 < least < SHARES[-1]
    chosen, given = (
        jaxbp.solve_output(mlp, params, (inputs, targets), ridge=ridge)[-1]
        for ridge in (None, least)
    )
    np.testing.assert_allclose(chosen.weight, given.weight, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "flags", "error", "words"),
    [
        (
            (np.ones((4, 2)), np.ones(4)),
            {},
            ValueError,
            ("inputs and outputs", "at least 5", "got 4 and 4"),
        ),
        ((np.ones((6, 2)), np.ones(7)), {}, ValueError, ("one row each", "got 6 and 7")),
        ((np.ones(6), np.ones(6)), {}, ValueError, ("inputs must have shape (n, d)", "got (6,)")),
        (
            (np.ones((6, 2)), np.ones((6, 1, 1))),
            {},
            ValueError,
            ("outputs must have shape (n,) or (n, k)", "(6, 1, 1)"),
        ),
        ((np.full((6, 2), np.nan), np.ones(6)), {}, ValueError, ("inputs", "nan")),
        ((np.ones((6, 2)) * 1j, np.ones(6)), {}, TypeError, ("inputs", "complex")),
        (
            (np.ones((6, 2)), np.ones(6)),
            {"effort": "much"},
            ValueError,
            ("effort", "normal", "'much'"),
        ),
        ((np.ones((6, 2)), np.ones(6)), {"seconds": -1}, ValueError, ("seconds", "-1")),
    ],
)
def test_errors_name_argument_demand_and_what_came(arguments, flags, error, words):
    with pytest.raises(error) as caught:
        jaxbp.fit_model(*arguments, **flags)
    for word in words:
        assert word in str(caught.value)
