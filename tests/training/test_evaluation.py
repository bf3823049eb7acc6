"""What the recorder says of each layer, against backprop and NumPy; that it calls nothing back."""

import jax
import numpy as np
import optax
import pytest
from architectures import draw_params

import jaxbp
from jaxbp.training import Batch, Problem
from jaxbp.training.evaluation import RECORDED_SAMPLES, layer_record

pytestmark = pytest.mark.usefixtures("compiled_quickly")
ADAM = jaxbp.first_order(optax.adam(1e-2))


def problem(hidden="tanh", num_samples=60):
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((num_samples, 3))
    mlp = jaxbp.Mlp((3, 7, 5, 1), hidden=hidden)
    return mlp, draw_params(mlp), (inputs, np.sin(inputs[:, :1]))


def norms(layers):
    return [np.sqrt(np.sum(np.square(weight)) + np.sum(np.square(bias))) for weight, bias in layers]


def test_the_numbers_are_those_of_backprop(x64):
    mlp, params, data = problem()
    rate = 0.1
    result = jaxbp.fit(
        mlp,
        params,
        data,
        steps=3,
        record_every=1,
        callbacks=(jaxbp.RecordLayers(),),
        solver=jaxbp.first_order(optax.sgd(rate)),
    )
    layers = result.layers
    assert layers.step.tolist() == [0, 1, 2, 3]
    assert all(field.shape == (4, 3) for field in layers[1:])
    passes = jax.jit(jaxbp.backprop, static_argnums=0)
    first, last = passes(mlp, params, *data), passes(mlp, result.params, *data)
    for row, trace in ((0, first), (3, last)):
        np.testing.assert_allclose(layers.gradient[row], norms(trace.gradient), rtol=1e-12)
        np.testing.assert_allclose(layers.weight[row], norms(trace.params), rtol=1e-12)
    # A step of plain descent changes the parameters by rate times the gradient before it.
    np.testing.assert_allclose(layers.update[1:], rate * layers.gradient[:-1], rtol=1e-9)
    assert (layers.update[0] == 0).all()


def test_dead_units_are_counted(x64):
    mlp, params, data = problem("relu")
    weight, bias = params[0]
    weight, bias = np.array(weight), np.array(bias)
    weight[:, :2], bias[:2] = 0, -1
    dead = (jaxbp.Layer(weight, bias), *params[1:])
    record = layer_record(Problem(mlp), dead, dead, Batch(*data))
    pre = data[0] @ weight + bias
    assert float(record.dead[0]) == pytest.approx(np.mean((pre <= 0).all(axis=0)))
    assert float(record.dead[0]) >= 2 / 7
    alive = layer_record(Problem(mlp), params, params, Batch(*data))
    assert float(alive.dead[2]) == 0
    # A unit whose slope is small for every sample is not dead: some error passes.
    mlp, params, data = problem("tanh")
    large = (jaxbp.Layer(np.full((3, 7), 1e-3), np.full(7, 8.0)), *params[1:])
    record = layer_record(Problem(mlp), large, large, Batch(*data))
    assert float(record.dead[0]) == 0


def test_it_changes_nothing_and_calls_nothing_back(x64):
    mlp, params, data = problem()
    plain, recorded = (
        jaxbp.fit(
            mlp,
            params,
            data,
            steps=5,
            record_every=2,
            callbacks=(jaxbp.RecordLayers(),) if record else (),
            solver=ADAM,
        )
        for record in (False, True)
    )
    assert plain.layers is None
    for a, b in zip(jax.tree.leaves(plain.params), jax.tree.leaves(recorded.params), strict=True):
        np.testing.assert_array_equal(a, b)
    train = Batch(*map(jax.numpy.asarray, data))
    jaxpr = str(jax.make_jaxpr(lambda p: layer_record(Problem(mlp), p, p, train))(params))
    assert "callback" not in jaxpr


def test_many_samples_are_measured_by_the_first(x64):
    mlp, params, (inputs, targets) = problem(num_samples=RECORDED_SAMPLES + 100)
    result = jaxbp.fit(
        mlp, params, (inputs, targets), steps=0, callbacks=(jaxbp.RecordLayers(),), solver=ADAM
    )
    trace = jax.jit(jaxbp.backprop, static_argnums=0)(
        mlp, params, inputs[:RECORDED_SAMPLES], targets[:RECORDED_SAMPLES]
    )
    np.testing.assert_allclose(result.layers.gradient[0], norms(trace.gradient), rtol=1e-10)


def test_parameters_are_handed_out_at_each_record(x64):
    mlp, params, data = problem()
    seen = {}

    def keep(record, params):
        seen[record.step] = params

    result = jaxbp.fit(mlp, params, data, steps=5, record_every=2, callbacks=(keep,), solver=ADAM)
    assert list(seen) == [0, 2, 4, 5]
    np.testing.assert_array_equal(seen[0][0].weight, params[0].weight)
    np.testing.assert_array_equal(seen[5][0].weight, result.params[0].weight)
