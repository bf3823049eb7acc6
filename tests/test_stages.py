"""Stages: their sum is one function, each is fitted to what is left, none makes the fit worse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxbp


def problem(num_outputs=1, dtype=np.float64):
    generator = np.random.default_rng(0)
    inputs = generator.uniform(-1, 1, (200, 2)).astype(dtype)
    targets = np.stack([np.sin(3 * inputs[:, 0] + k) * inputs[:, 1] for k in range(num_outputs)], axis=1)
    mlps = (jaxbp.Mlp((2, 8, num_outputs), hidden="sine"), jaxbp.Mlp((2, 12, num_outputs), hidden="tanh"))
    params = [jaxbp.init(mlp, jax.random.key(k), "sine", dtype=dtype) for k, mlp in enumerate(mlps)]
    return mlps, params, (inputs, targets.astype(dtype))


@pytest.mark.parametrize("num_outputs", [1, 3])
def test_the_sum_is_that_of_the_networks(num_outputs, x64):
    mlps, params, (inputs, targets) = problem(num_outputs)
    result = jaxbp.fit_stages(mlps, params, (inputs, targets), steps=40, solver=jaxbp.gauss_newton())
    first, second = result.params
    by_hand = jaxbp.predict(mlps[0], first.params, inputs) + second.scale[None] * jaxbp.predict(
        mlps[1], second.params, inputs
    )
    np.testing.assert_allclose(jax.jit(result.predict)(result.params, inputs), by_hand, atol=1e-14)
    np.testing.assert_array_equal(first.scale, np.ones(num_outputs))
    left = targets - np.asarray(jaxbp.predict(mlps[0], first.params, inputs))
    np.testing.assert_allclose(second.scale, np.sqrt((left**2).mean(axis=0)), rtol=1e-12)
    # The second stage starts with targets of mean square 1, and its share of the squared error is what it says.
    total = np.asarray(result.predict(result.params, inputs)) - targets
    np.testing.assert_allclose(
        np.mean((total / np.asarray(second.scale)) ** 2), result.results[1].history.loss[-1], rtol=1e-6
    )
    assert np.mean(total**2) < np.mean(left**2)


def test_it_is_differentiable_in_both_arguments(x64):
    mlps, params, data = problem()
    result = jaxbp.fit_stages(mlps, params, data, steps=5, solver=jaxbp.gauss_newton())

    def reference(stages, inputs):
        return sum(
            stage.scale[None] * jaxbp.reference_predict(mlp, stage.params, inputs)
            for mlp, stage in zip(mlps, stages, strict=True)
        )

    report = jaxbp.check_rule(result.predict, reference, result.params, jnp.asarray(data[0]))
    assert report.ok, str(report)


def test_a_stage_that_does_not_help_is_left_out(x64):
    mlps, params, data = problem()
    # Without a step the second network adds its random start to what is left: worse than nothing.
    result = jaxbp.fit_stages(mlps, params, data, steps=[30, 0], solver=jaxbp.gauss_newton())
    assert len(result.params) == 1
    assert len(result.results) == 2
    alone = jaxbp.predict(mlps[0], result.params[0].params, data[0])
    np.testing.assert_array_equal(result.predict(result.params, data[0]), alone)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_validation_key_and_batches_reach_every_stage(dtype):
    with jax.enable_x64(dtype == np.float64):
        mlps, params, data = problem(dtype=dtype)
        seen = []
        result = jaxbp.fit_stages(
            mlps,
            params,
            data,
            steps=20,
            batch_size=50,
            key=jax.random.key(3),
            validation=(data[0][:30], data[1][:30]),
            record_every=10,
            on_record=seen.append,
        )
        assert [record.step for record in seen] == [0, 10, 20] * 2
        assert all(np.isfinite(record.validation_loss) for record in seen)
        assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(result.params))


def test_lists_and_exact_outputs(x64):
    """The first output is exact after one stage; the second, which one network of this size cannot do, goes on."""
    generator = np.random.default_rng(0)
    inputs = generator.uniform(-1, 1, (40, 2))
    mlp = jaxbp.Mlp((2, 4, 2), hidden="tanh")
    start = jaxbp.init(mlp, jax.random.key(0))
    exact = (start[0], start[1]._replace(weight=start[1].weight.at[:, 0].set(0)))
    targets = np.stack([np.zeros(40), np.sin(5 * inputs[:, 0])], axis=1)
    solver = jaxbp.gauss_newton()
    result = jaxbp.fit_stages(
        [mlp, mlp], [exact, exact], (inputs.tolist(), targets.tolist()), steps=np.int64(15), solver=solver
    )
    assert len(result.params) == 2
    assert np.all(np.asarray(result.params[1].scale) > 0)


def test_an_exact_stage_is_the_last(x64):
    inputs = np.random.default_rng(0).uniform(-1, 1, (20, 2))
    mlp = jaxbp.Mlp((2, 1))
    start = (jaxbp.Layer(jnp.zeros((2, 1)), jnp.zeros(1)),)
    result = jaxbp.fit_stages((mlp, mlp), (start, start), (inputs, np.zeros((20, 1))), steps=1)
    assert len(result.params) == len(result.results) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": "softmax_cross_entropy"}, "loss must be one of"),
        ({"steps": [1]}, "one entry for each stage, at least one; got 2, 2 and 1"),
        ({"mlps": (), "params": ()}, "one entry for each stage, at least one; got 0, 0 and 0"),
        (
            {"mlps": (jaxbp.Mlp((2, 1)), jaxbp.Mlp((3, 1)))},
            r"mlps\[1\] must have 2 inputs and 1 outputs like mlps\[0\]",
        ),
        ({"batch_size": 3}, "key must be given"),
        ({"data": [1]}, "data must be a pair"),
    ],
)
def test_bad_arguments_are_named(change, message, x64):
    mlps, params, data = problem()
    arguments = {"mlps": mlps, "params": params, "data": data, "steps": 1} | change
    with pytest.raises(ValueError, match=message):
        jaxbp.fit_stages(**arguments)
