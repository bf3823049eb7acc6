"""The output layer solved by least squares, against NumPy."""

import jax
import numpy as np
import pytest

import jaxbp
from jaxbp.least_squares import (
    SHARES,
    best_penalty,
    factor,
    hidden_activations,
    left_out,
    penalized,
    solution,
    solved,
    triangle,
)


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


@pytest.mark.parametrize("ridge", [0.0, 0.01, None])
def test_a_weight_counts_as_so_many_rows(x64, ridge):
    mlp, params, inputs, targets, hidden = layer_problem(60, 8)
    weights = np.arange(60) % 4
    found = solved(mlp, params, inputs, targets, ridge, weights)[-1]
    rows = inputs.repeat(weights, 0), targets.repeat(weights, 0)
    wanted = jaxbp.solve_output(mlp, params, rows, ridge=ridge)[-1]
    np.testing.assert_allclose(found.weight, wanted.weight, rtol=1e-9)
    np.testing.assert_allclose(found.bias, wanted.bias, rtol=1e-9)
    if ridge == 0:
        roots = np.sqrt(weights)[:, np.newaxis]
        columns = np.column_stack([hidden, np.ones(60)])
        layer = np.linalg.lstsq(roots * columns, roots * targets, rcond=None)[0]
        np.testing.assert_allclose(found.weight, layer[:-1], rtol=1e-9)
