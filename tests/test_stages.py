"""Stages: their sum is one function, each is fitted to what is left, none makes the fit worse."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from architectures import draw_params
from test_gradient import LOSS_AND_GRADIENT

import jaxbp
from jaxbp.training import Outcome

pytestmark = pytest.mark.usefixtures("compiled_quickly")

NEWTON = jaxbp.gauss_newton()  # one for all, so that equal shapes share a compiled program
ADAM = jaxbp.first_order(optax.adam(1e-2))
PREDICT = jax.jit(jaxbp.predict, static_argnums=0)


def problem(num_outputs=1, dtype=np.float64):
    generator = np.random.default_rng(0)
    inputs = generator.uniform(-1, 1, (200, 2)).astype(dtype)
    targets = np.stack(
        [np.sin(3 * inputs[:, 0] + k) * inputs[:, 1] for k in range(num_outputs)], axis=1
    )
    mlps = (
        jaxbp.Mlp((2, 8, num_outputs), hidden="sine"),
        jaxbp.Mlp((2, 12, num_outputs), hidden="tanh"),
    )
    params = [draw_params(mlp, k, dtype) for k, mlp in enumerate(mlps)]
    return mlps, params, (inputs, targets.astype(dtype))


@pytest.mark.parametrize("num_outputs", [1, 3])
@pytest.mark.slow
def test_the_sum_is_that_of_the_networks(num_outputs, x64):
    mlps, params, (inputs, targets) = problem(num_outputs)
    result = jaxbp.fit_stages(mlps, params, (inputs, targets), steps=40, solver=NEWTON)
    first, second = result.stages
    by_hand = PREDICT(mlps[0], first.params, inputs) + second.scale[None] * PREDICT(
        mlps[1], second.params, inputs
    )
    predicted = np.asarray(jax.jit(result.predict)(result.stages, inputs))
    np.testing.assert_allclose(predicted, by_hand, atol=1e-14)
    np.testing.assert_array_equal(first.scale, np.ones(num_outputs))
    left = targets - np.asarray(PREDICT(mlps[0], first.params, inputs))
    np.testing.assert_allclose(second.scale, np.sqrt((left**2).mean(axis=0)), rtol=1e-12)
    # The second stage starts with targets of mean square 1, and its share of the squared error is
    # what it says.
    total = predicted - targets
    share = np.mean((total / np.asarray(second.scale)) ** 2)
    assert share <= result.results[1].history.loss[-1] * (
        1 + 1e-6
    )  # less where its output layer was solved at the end
    scaled = left / np.asarray(second.scale)
    alone = jaxbp.fit(mlps[1], params[1], (inputs, scaled), steps=40, solver=NEWTON)
    np.testing.assert_allclose(
        share, LOSS_AND_GRADIENT(mlps[1], alone.params, inputs, scaled)[0], rtol=1e-4
    )
    assert np.mean(total**2) < np.mean(left**2)


@pytest.mark.parametrize("num_outputs", [1, 3])
def test_the_history_is_that_of_the_whole_fit(num_outputs, x64):
    """All stages as one run: steps and seconds go on, losses are those of the sum, in the units of the targets."""
    mlps, params, (inputs, targets) = problem(num_outputs)
    targets = targets * 10.0 ** np.arange(
        num_outputs
    )  # outputs of unequal size leave errors of unequal size
    held_out = inputs[::3] + 0.01, targets[::3]
    result = jaxbp.fit_stages(
        mlps,
        params,
        (inputs, targets),
        steps=[20, 10],
        validation=held_out,
        record_every=10,
        solver=ADAM,
    )
    history = result.history
    left = targets - np.asarray(PREDICT(mlps[0], result.stages[0].params, inputs))
    second_scale = np.sqrt((left**2).mean(axis=0))
    assert history.step.tolist() == [0, 10, 20, 20, 30]
    assert (np.diff(history.seconds) >= 0).all()
    assert history.seconds[-1] == pytest.approx(result.run_seconds)
    assert result.run_seconds == pytest.approx(sum(some.run_seconds for some in result.results))
    assert result.compile_seconds == pytest.approx(
        sum(some.compile_seconds for some in result.results)
    )
    assert result.outcome == result.results[-1].outcome == Outcome("finished", 10)
    for losses, (points, values) in (
        (history.loss, (inputs, targets)),
        (history.validation_loss, held_out),
    ):
        one, two = (
            np.asarray(PREDICT(mlp, some.params, points))
            for mlp, some in zip(mlps, result.results, strict=True)
        )
        first = np.mean((one - values) ** 2)
        both = np.mean((one + np.asarray(second_scale) * two - values) ** 2)
        assert losses[2] == pytest.approx(first, rel=1e-6)
        if num_outputs == 1:
            assert losses[4] == pytest.approx(both, rel=1e-6)


@pytest.mark.slow
def test_it_is_differentiable_in_both_arguments(x64):
    mlps, params, data = problem()
    result = jaxbp.fit_stages(mlps, params, data, steps=5, solver=NEWTON)

    def reference(stages, inputs):
        return sum(
            stage.scale[None] * jaxbp.reference_predict(mlp, stage.params, inputs)
            for mlp, stage in zip(mlps, stages, strict=True)
        )

    report = jaxbp.check_rule(result.predict, reference, result.stages, jnp.asarray(data[0]))
    assert report.ok, str(report)


def test_a_stage_that_does_not_help_is_left_out(x64):
    mlps, params, data = problem()
    # Without a step the second network adds its random start to what is left: worse than nothing.
    result = jaxbp.fit_stages(mlps, params, data, steps=[30, 0], solver=ADAM)
    assert len(result.stages) == 1
    assert len(result.results) == 2
    alone = PREDICT(mlps[0], result.stages[0].params, data[0])
    np.testing.assert_allclose(result.predict(result.stages, data[0]), alone, rtol=0, atol=1e-15)
    assert result.history.step.tolist() == [0, 30, 30]
    assert result.outcome == Outcome("finished", 0)


@pytest.mark.parametrize("dtype", [pytest.param(np.float32, marks=pytest.mark.slow), np.float64])
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
            solver=ADAM,
        )
        assert [record.step for record in seen] == [0, 10, 20] * 2
        assert result.history.step.tolist() == [0, 10, 20, 20, 30, 40]
        assert all(np.isfinite(record.validation_loss) for record in seen)
        assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(result.stages))


@pytest.mark.slow
def test_lists_and_exact_outputs(x64):
    """The first output is exact after one stage; the second, which one network of this size cannot do, goes on."""
    generator = np.random.default_rng(0)
    inputs = generator.uniform(-1, 1, (40, 2))
    mlp = jaxbp.Mlp((2, 4, 2), hidden="tanh")
    start = draw_params(mlp)
    exact = (start[0], jaxbp.Layer(start[1].weight.at[:, 0].set(0), start[1].bias.at[0].set(0)))
    targets = np.stack([np.zeros(40), np.sin(5 * inputs[:, 0])], axis=1)
    result = jaxbp.fit_stages(
        [mlp, mlp],
        [exact, exact],
        (inputs.tolist(), targets.tolist()),
        steps=np.int64(15),
        solver=NEWTON,
    )
    assert len(result.stages) == 2
    assert np.all(np.asarray(result.stages[1].scale) > 0)


def test_an_exact_stage_is_the_last(x64):
    inputs = np.random.default_rng(0).uniform(-1, 1, (20, 2))
    mlp = jaxbp.Mlp((2, 1))
    start = (jaxbp.Layer(jnp.zeros((2, 1)), jnp.zeros(1)),)
    result = jaxbp.fit_stages(
        (mlp, mlp), (start, start), (inputs, np.zeros((20, 1))), steps=1, solver=ADAM
    )
    assert len(result.stages) == len(result.results) == 1


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
