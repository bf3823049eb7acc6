"""What the recorder says of each layer, against backprop and NumPy; that it calls nothing back."""

import jax
import numpy as np
import optax
import pytest

import jaxbp
from jaxbp.training import Batch, Problem
from jaxbp.training.recorder import RECORDED_SAMPLES, layer_record


pytestmark = pytest.mark.usefixtures("compiled_quickly")


def problem(hidden="tanh", num_samples=60):
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((num_samples, 3))
    mlp = jaxbp.Mlp((3, 7, 5, 1), hidden=hidden)
    return mlp, jaxbp.init(mlp, jax.random.key(0)), (inputs, np.sin(inputs[:, :1]))


def norms(layers):
    return [np.sqrt(np.sum(np.square(weight)) + np.sum(np.square(bias))) for weight, bias in layers]


def test_the_numbers_are_those_of_backprop(x64):
    mlp, params, data = problem()
    rate = 0.1
    result = jaxbp.fit(
        mlp, params, data, steps=3, record_every=1, record_layers=True, solver=jaxbp.first_order(optax.sgd(rate))
    )
    layers = result.layers
    assert layers.step.tolist() == [0, 1, 2, 3]
    assert all(field.shape == (4, 3) for field in layers[1:])
    first, last = jaxbp.backprop(mlp, params, *data), jaxbp.backprop(mlp, result.params, *data)
    for row, trace in ((0, first), (3, last)):
        np.testing.assert_allclose(layers.gradient[row], norms(trace.gradient), rtol=1e-12)
        np.testing.assert_allclose(layers.weight[row], norms(trace.params), rtol=1e-12)
        np.testing.assert_allclose(layers.node_error[row], [np.linalg.norm(d) for d in trace.node_errors], rtol=1e-12)
        means = [np.sqrt(np.mean(np.square(a))) for a in trace.activations]
        np.testing.assert_allclose(layers.activation[row], means, rtol=1e-12)
    # A step of plain descent changes the parameters by rate times the gradient before it.
    np.testing.assert_allclose(layers.update[1:], rate * layers.gradient[:-1], rtol=1e-9)
    assert (layers.update[0] == 0).all()


def test_dead_and_saturated_units_are_counted(x64):
    mlp, params, data = problem("relu")
    weight, bias = params[0]
    dead = (params[0]._replace(weight=weight.at[:, :2].set(0), bias=bias.at[:2].set(-1)), *params[1:])
    record = layer_record(Problem(mlp, "mean_squared_error"), dead, dead, Batch(*map(jax.numpy.asarray, data)))
    pre = data[0] @ np.asarray(dead[0].weight) + np.asarray(dead[0].bias)
    assert float(record.dead[0]) == pytest.approx(np.mean((pre <= 0).all(axis=0)))
    assert float(record.dead[0]) >= 2 / 7
    assert float(record.saturated[0]) == pytest.approx(np.mean(pre <= 0))
    mlp, params, data = problem("tanh")
    large = (params[0]._replace(weight=100 * params[0].weight), *params[1:])
    record = layer_record(Problem(mlp, "mean_squared_error"), large, large, Batch(*map(jax.numpy.asarray, data)))
    slope = 1 - np.tanh(data[0] @ np.asarray(large[0].weight)) ** 2
    assert float(record.saturated[0]) == pytest.approx(np.mean(slope < 0.01))


def test_it_changes_nothing_and_calls_nothing_back(x64):
    mlp, params, data = problem()
    plain, recorded = (
        jaxbp.fit(mlp, params, data, steps=5, record_every=2, record_layers=record) for record in (False, True)
    )
    assert plain.layers is None
    for a, b in zip(jax.tree.leaves(plain.params), jax.tree.leaves(recorded.params), strict=True):
        np.testing.assert_array_equal(a, b)
    train = Batch(*map(jax.numpy.asarray, data))
    jaxpr = str(jax.make_jaxpr(lambda p: layer_record(Problem(mlp, "mean_squared_error"), p, p, train))(params))
    assert "callback" not in jaxpr


def test_many_samples_are_measured_by_the_first(x64):
    mlp, params, (inputs, targets) = problem(num_samples=RECORDED_SAMPLES + 100)
    result = jaxbp.fit(mlp, params, (inputs, targets), steps=0, record_layers=True)
    trace = jaxbp.backprop(mlp, params, inputs[:RECORDED_SAMPLES], targets[:RECORDED_SAMPLES])
    np.testing.assert_allclose(result.layers.gradient[0], norms(trace.gradient), rtol=1e-10)


def test_parameters_are_handed_out_at_each_record(x64):
    mlp, params, data = problem()
    seen = {}
    result = jaxbp.fit(mlp, params, data, steps=5, record_every=2, on_params=seen.__setitem__)
    assert list(seen) == [0, 2, 4, 5]
    np.testing.assert_array_equal(seen[0][0].weight, params[0].weight)
    np.testing.assert_array_equal(seen[5][0].weight, result.params[0].weight)
