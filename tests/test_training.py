"""`fit`: what it promises of steps, batches, schedules, stopping and faults."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxbp
from jaxbp.training import Solver, named_optimizer
from jaxbp.training.batches import next_batch, orders_at

MLP = jaxbp.Mlp((2, 8, 1))


@pytest.fixture
def samples():
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((60, 2)).astype(np.float32)
    return inputs, np.sin(inputs[:, :1]) * inputs[:, 1:]


@pytest.fixture
def params():
    return jaxbp.init(MLP, jax.random.key(0), dtype=jnp.float32)


def assert_same(left, right):
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_array_equal(a, b)


def test_plain_descent_is_the_loop_that_anyone_would_write(samples, params):
    result = jaxbp.fit(MLP, params, samples, steps=7, solver=jaxbp.first_order(optax.sgd(0.1)))
    expected, step = params, jax.jit(jaxbp.loss_and_gradient, static_argnums=0)
    for _ in range(7):
        _, gradient = step(MLP, expected, *samples)
        expected = jax.tree.map(lambda p, g: p - 0.1 * g, expected, gradient)
    for a, b in zip(jax.tree.leaves(result.params), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    assert result.status == "finished"


def test_zero_steps_return_the_start(samples, params):
    result = jaxbp.fit(MLP, params, samples, steps=0)
    assert_same(result.params, params)
    assert result.history.step.tolist() == [0]


def test_a_learning_rate_of_zero_changes_nothing(samples, params):
    result = jaxbp.fit(MLP, params, samples, steps=3, solver=jaxbp.first_order(named_optimizer("sgd", 0.0)))
    assert_same(result.params, params)


def test_records_come_at_the_start_at_each_chunk_and_at_the_end(samples, params):
    seen = []
    result = jaxbp.fit(MLP, params, samples, steps=25, record_every=10, validation=samples, on_record=seen.append)
    assert result.history.step.tolist() == [0, 10, 20, 25] == [record.step for record in seen]
    for i in (0, -1):
        at = params if i == 0 else result.params
        assert result.history.loss[i] == pytest.approx(float(jaxbp.loss_and_gradient(MLP, at, *samples)[0]), rel=1e-6)
    np.testing.assert_allclose(result.history.loss, result.history.validation_loss, rtol=1e-6)
    assert (np.diff(result.history.seconds) > 0).all()


@pytest.mark.parametrize("batch_size", [None, 7])
def test_a_run_can_be_cut_in_two(samples, params, batch_size):
    """The state holds all that the later steps depend on."""
    options = {
        "solver": jaxbp.first_order(optax.adam(optax.cosine_decay_schedule(1e-2, 30))),
        "batch_size": batch_size,
        "key": jax.random.key(5),
        "dropout": 0.2,
    }
    whole = jaxbp.fit(MLP, params, samples, steps=30, **options)
    first = jaxbp.fit(MLP, params, samples, steps=11, **options)
    second = jaxbp.fit(MLP, params, samples, steps=19, state=first.state, **options)
    assert_same(whole.params, second.params)
    assert second.history.step.tolist() == [11, 30]


@pytest.mark.parametrize(("num_samples", "batch_size"), [(10, 3), (12, 4), (7, 7), (5, 1), (100, 64)])
def test_every_sample_is_used_equally_often(num_samples, batch_size):
    key = jax.random.key(0)
    orders = orders_at(key, 0, batch_size, num_samples)
    draw = jax.jit(next_batch, static_argnums=2)
    drawn = []
    for _ in range(num_samples):  # batch_size whole epochs
        indices, orders = draw(key, orders, batch_size)
        drawn.append(np.asarray(indices))
    row = np.concatenate(drawn)
    assert np.bincount(row, minlength=num_samples).tolist() == [batch_size] * num_samples
    epochs = row.reshape(batch_size, num_samples)
    assert all(sorted(epoch) == list(range(num_samples)) for epoch in epochs)
    assert num_samples < 10 or batch_size == 1 or len({tuple(epoch) for epoch in epochs}) == batch_size
    middle = orders_at(key, num_samples // 2, batch_size, num_samples)
    np.testing.assert_array_equal(draw(key, middle, batch_size)[0], drawn[num_samples // 2])


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw", "lbfgs"])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_every_optimizer_learns(name, schedule, samples, params):
    optimizer = named_optimizer(name, 1e-2, schedule, steps=100)
    result = jaxbp.fit(MLP, params, samples, steps=100, solver=jaxbp.first_order(optimizer))
    assert result.history.loss[-1] < 0.95 * result.history.loss[0]


def test_annealing_follows_its_schedule():
    """With a gradient of 1 the parameters move by the sum of the rates."""
    mlp = jaxbp.Mlp((1, 1))
    zero = (jaxbp.Layer(jnp.zeros((1, 1), jnp.float32), jnp.zeros(1, jnp.float32)),)
    # The loss -x of a logit far from saturation would not be linear; half a square far from its minimum nearly is.
    far = (np.zeros((1, 1), np.float32), np.full((1, 1), 1e6, np.float32))
    solver = jaxbp.first_order(named_optimizer("sgd", 1e-6, "linear", steps=10))
    result = jaxbp.fit(mlp, zero, far, steps=10, solver=solver, loss="half_squared_error")
    rates = 1e-6 * (1 + (0.01 - 1) * np.arange(10) / 10)
    assert float(result.params[0].bias[0]) == pytest.approx(1e6 * rates.sum(), rel=1e-4)


def test_weight_decay_shrinks_weights_and_not_biases():
    """Targets are met, so that decay alone acts: W is multiplied by 1 - rate * decay at each step."""
    mlp = jaxbp.Mlp((2, 3))
    params = (jaxbp.Layer(jnp.ones((2, 3), jnp.float32), jnp.ones(3, jnp.float32)),)
    inputs = np.zeros((4, 2), np.float32)
    solver = jaxbp.first_order(optax.sgd(0.1), weight_decay=0.5)
    result = jaxbp.fit(mlp, params, (inputs, np.ones((4, 3), np.float32)), steps=10, solver=solver)
    np.testing.assert_allclose(result.params[0].weight, 0.95**10, rtol=1e-5)
    np.testing.assert_array_equal(result.params[0].bias, 1)


def test_clipping_bounds_a_step(samples, params):
    solver = jaxbp.first_order(optax.sgd(1.0), clip_norm=1e-2)
    result = jaxbp.fit(MLP, params, samples, steps=1, solver=solver)
    moved = jax.tree.map(lambda a, b: a - b, result.params, params)
    assert float(optax.tree.norm(moved)) == pytest.approx(1e-2, rel=1e-3)


def test_early_stopping_keeps_the_best(samples, params):
    """Validation samples whose targets contradict training make the validation loss rise from some record on."""
    inputs, targets = samples
    result = jaxbp.fit(
        MLP, params, samples, steps=5000, record_every=10, validation=(inputs, -targets), patience=4,
        solver=jaxbp.first_order(optax.adam(1e-2)),
    )  # fmt: skip
    losses = result.history.validation_loss
    assert result.status == "stopped early"
    assert len(losses) - 1 - int(losses.argmin()) == 4
    best = float(jaxbp.loss_and_gradient(MLP, result.params, inputs, -targets)[0])
    assert best == pytest.approx(losses.min(), rel=1e-6)
    assert float(jaxbp.loss_and_gradient(MLP, result.state.params, inputs, -targets)[0]) > best


def test_keep_best_without_validation_watches_the_training_loss(samples, params):
    solver = jaxbp.first_order(optax.adam(0.3))
    result = jaxbp.fit(MLP, params, samples, steps=40, record_every=1, solver=solver, keep_best=True)
    best = float(jaxbp.loss_and_gradient(MLP, result.params, *samples)[0])
    assert best == pytest.approx(result.history.loss.min(), rel=1e-6)


def test_dropout_depends_on_the_key_and_acts(samples, params):
    fits = [
        jaxbp.fit(MLP, params, samples, steps=5, dropout=rate, key=jax.random.key(seed)).params
        for rate, seed in ((0.5, 0), (0.5, 0), (0.5, 1), (0.0, 0))
    ]
    assert_same(fits[0], fits[1])
    assert not np.array_equal(fits[0][0].weight, fits[2][0].weight)
    assert not np.array_equal(fits[0][0].weight, fits[3][0].weight)


def test_labels_and_classes_are_learnt():
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((200, 2)).astype(np.float32)
    labels = (inputs[:, 0] > 0).astype(int) + 2 * (inputs[:, 1] > 0)
    mlp = jaxbp.Mlp((2, 16, 4), hidden="relu")
    params = jaxbp.init(mlp, jax.random.key(0), "he", dtype=jnp.float32)
    result = jaxbp.fit(
        mlp, params, (inputs, labels), steps=300, batch_size=50, key=jax.random.key(1), loss="softmax_cross_entropy",
        solver=jaxbp.first_order(optax.adam(1e-2)),
    )  # fmt: skip
    predicted = jaxbp.predict(mlp, result.params, inputs).argmax(axis=1)
    assert float((predicted == labels).mean()) > 0.95


@pytest.fixture
def quiet_nans():
    with jax.debug_nans(False):
        yield


def test_overflow_at_the_start_names_the_layer(samples, params, quiet_nans):
    huge = jax.tree.map(lambda leaf: (leaf * 1e20).astype(jnp.float32), params)
    mlp = jaxbp.Mlp(MLP.sizes, hidden="relu")
    with pytest.warns(RuntimeWarning, match="layer 2 of 2 lost finiteness first, in .* at step 0"):
        result = jaxbp.fit(mlp, huge, samples, steps=5)
    assert result.status.startswith("diverged")
    assert_same(result.params, huge)


def test_divergence_keeps_the_last_good_parameters(samples, params, quiet_nans):
    mlp = jaxbp.Mlp(MLP.sizes, hidden="relu")
    with pytest.warns(RuntimeWarning, match="diverged: .*layer"):
        result = jaxbp.fit(mlp, params, samples, steps=500, solver=jaxbp.first_order(optax.sgd(30.0)), record_every=100)
    assert result.status.startswith("diverged")
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(result.params))
    assert 0 < int(result.state.step) < 500
    assert jnp.isfinite(jaxbp.loss_and_gradient(mlp, result.params, *samples)[0])


def test_an_overflow_that_relu_hides_is_seen():
    """relu(-inf) is 0 and the loss stays finite; the preactivations tell."""
    mlp = jaxbp.Mlp((1, 1, 1), hidden="relu")
    layer = jaxbp.Layer(jnp.full((1, 1), -3e38, jnp.float32), jnp.zeros(1, jnp.float32))
    inputs = np.full((3, 1), 10, np.float32)
    with pytest.warns(RuntimeWarning, match="layer 1 of 2 lost finiteness first, in 3 preactivations"):
        jaxbp.fit(mlp, (layer, layer), (inputs, np.zeros((3, 1), np.float32)), steps=3)


def test_any_solver_of_the_right_form_runs(samples, params):
    """A solver is two functions: here one that halves the parameters and counts."""

    def step(problem, params, state, batch, key):
        loss, _ = problem.loss_and_gradient(params, batch, key)
        return jax.tree.map(lambda leaf: leaf / 2, params), state + 1, loss

    result = jaxbp.fit(MLP, params, samples, steps=4, solver=Solver("halving", lambda params: jnp.array(0), step))
    assert_same(result.params, jax.tree.map(lambda leaf: leaf / 16, params))
    assert int(result.state.solver) == 4


def test_nothing_calls_back_to_python_inside_a_chunk(samples, params):
    from jaxbp.training.solver import Batch, Problem
    from jaxbp.training.state import TrainState
    from jaxbp.training.steps import advance, orders_for

    solver = jaxbp.first_order(optax.adam(1e-3))
    state = TrainState(jnp.array(0), params, solver.init(params), jax.random.key(0))
    arguments = (state, orders_for(state, 7, 60), jnp.array(5), Batch(*map(jnp.asarray, samples)))
    program = str(jax.make_jaxpr(lambda *a: advance(Problem(MLP, "mean_squared_error"), solver, 7, *a))(*arguments))
    assert "while" in program
    assert "callback" not in program


@pytest.mark.parametrize("record_every", [1, 2, 3])
def test_an_overflow_on_a_record_falls_back_as_well(samples, params, quiet_nans, record_every):
    """Finite parameters whose outputs overflow show only at the next evaluation, which may be a record."""
    mlp = jaxbp.Mlp(MLP.sizes, hidden="relu")
    with pytest.warns(RuntimeWarning, match="diverged"):
        result = jaxbp.fit(
            mlp, params, samples, steps=6, solver=jaxbp.first_order(optax.sgd(1e30)), record_every=record_every
        )
    assert jnp.isfinite(jaxbp.predict(mlp, result.params, samples[0])).all()


def test_the_state_of_another_solver_is_refused(samples, params):
    result = jaxbp.fit(MLP, params, samples, steps=1, solver=jaxbp.first_order(optax.adam(1e-3)))
    with pytest.raises(ValueError, match="state must come from the solver gauss_newton"):
        jaxbp.fit(MLP, params, samples, steps=1, solver=jaxbp.gauss_newton(), state=result.state)


@pytest.mark.skipif(jax.config.jax_enable_x64, reason="nothing is narrowed with x64")
def test_fit_warns_once_of_float64(samples, params):
    wide = tuple(array.astype(np.float64) for array in samples)
    with pytest.warns(UserWarning, match="inputs and targets and validation inputs") as caught:
        jaxbp.fit(MLP, params, wide, steps=0, validation=wide)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    narrowed = pytest.warns(UserWarning, match="float32 is used")
    with narrowed, pytest.raises(ValueError, match="inputs must fit into float32, got 1e"):
        jaxbp.fit(MLP, params, (wide[0] + 1e39, wide[1]), steps=0)


@pytest.mark.parametrize("solver", [jaxbp.first_order(optax.adam(1e-2)), jaxbp.gauss_newton()], ids=lambda s: s.name)
def test_without_jit_the_same_comes_out(samples, params, solver):
    options = {"steps": 2, "batch_size": 9, "key": jax.random.key(0), "solver": solver}
    right = jaxbp.fit(MLP, params, samples, **options).params
    with jax.disable_jit():
        plain = jaxbp.fit(MLP, params, samples, **options).params
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
