"""`fit`: what it promises of steps, batches, schedules, stopping and faults."""

import dataclasses
import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from architectures import draw_params
from compiling import compilations

import jaxbp
from jaxbp.training import (
    OPTIMIZERS,
    SCHEDULES,
    Batch,
    Outcome,
    Problem,
    Solver,
    TrainState,
    advance,
    named_optimizer,
)
from jaxbp.training.batches import next_batch, permutations_after, permutations_at

pytestmark = pytest.mark.usefixtures("compiled_quickly")

MLP = jaxbp.Mlp((2, 8, 1))
# One of each for all tests, so that equal shapes share a compiled program.
ADAM = jaxbp.first_order(optax.adam(1e-2))
COSINE = jaxbp.first_order(optax.adam(optax.cosine_decay_schedule(1e-2, 30)))
NEWTON = jaxbp.gauss_newton()
LOSS_AND_GRADIENT = jax.jit(jaxbp.loss_and_gradient, static_argnums=(0, 4))
FAR = jaxbp.first_order(optax.sgd(1e30))


@pytest.fixture
def samples():
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((60, 2)).astype(np.float32)
    return inputs, np.sin(inputs[:, :1]) * inputs[:, 1:]


@pytest.fixture
def params():
    return draw_params(MLP, dtype=np.float32)


def loss_at(params, inputs, targets, mlp=MLP):
    return float(LOSS_AND_GRADIENT(mlp, params, inputs, targets)[0])


def assert_same(left, right):
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_array_equal(a, b)


def test_plain_descent_is_the_loop_that_anyone_would_write(samples, params):
    result = jaxbp.fit(MLP, params, samples, steps=7, solver=jaxbp.first_order(optax.sgd(0.1)))
    expected = params
    for _ in range(7):
        _, gradient = LOSS_AND_GRADIENT(MLP, expected, *samples)
        expected = jax.tree.map(
            lambda p, g: np.asarray(p) - np.float32(0.1) * np.asarray(g), expected, gradient
        )
    for a, b in zip(jax.tree.leaves(result.params), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    assert result.status == "finished"
    assert result.outcome == Outcome("finished", 7)
    assert not result.outcome.diverged


def test_zero_steps_return_the_start(samples, params):
    result = jaxbp.fit(MLP, params, samples, steps=0, solver=ADAM)
    assert_same(result.params, params)
    assert result.history.step.tolist() == [0]


def test_a_learning_rate_of_zero_changes_nothing(samples, params):
    result = jaxbp.fit(
        MLP, params, samples, steps=3, solver=jaxbp.first_order(named_optimizer("sgd", 0.0))
    )
    assert_same(result.params, params)


def test_records_come_at_the_start_at_each_chunk_and_at_the_end(samples, params):
    seen = []
    result = jaxbp.fit(
        MLP,
        params,
        samples,
        steps=25,
        record_every=10,
        validation=samples,
        callbacks=(lambda record, params: seen.append(record),),
    )
    assert result.history.step.tolist() == [0, 10, 20, 25] == [record.step for record in seen]
    for i in (0, -1):
        at = params if i == 0 else result.params
        assert result.history.loss[i] == pytest.approx(loss_at(at, *samples), rel=1e-6)
    np.testing.assert_allclose(result.history.loss, result.history.validation_loss, rtol=1e-6)
    assert (np.diff(result.history.seconds) > 0).all()


@pytest.mark.parametrize("batch_size", [None, 7])
def test_a_continued_run_is_bit_identical_to_the_whole(samples, params, batch_size):
    options = {
        "solver": dataclasses.replace(COSINE, dropout=0.2),
        "batch_size": batch_size,
        "key": jax.random.key(5),
        "validation": samples,
        "callbacks": (jaxbp.RecordLayers(),),
        "record_every": 5,
    }
    whole = jaxbp.fit(MLP, params, samples, steps=30, **options)
    first = jaxbp.fit(MLP, params, samples, steps=15, **options)
    assert first.outcome == Outcome("finished", 15)
    from_state = jaxbp.fit(MLP, first.state, samples, steps=15, **options)
    from_result = jaxbp.fit(MLP, first, samples, steps=15, **options)
    for second in (from_state, from_result):
        assert_same(whole.params, second.params)
        assert_same(jax.random.key_data(whole.state.key), jax.random.key_data(second.state.key))
        assert_same(whole.state._replace(key=None), second.state._replace(key=None))
        assert second.outcome == whole.outcome
    assert from_state.history.step.tolist() == [15, 20, 25, 30]
    assert_same(whole.history._replace(seconds=0), from_result.history._replace(seconds=0))
    assert_same(whole.layers, from_result.layers)
    assert (np.diff(from_result.history.seconds) > 0).all()
    assert from_result.run_seconds == pytest.approx(from_result.history.seconds[-1])
    assert from_result.history.seconds[:4].tolist() == first.history.seconds.tolist()
    assert from_result.compile_seconds > first.compile_seconds


def test_a_run_goes_on_as_often_as_one_likes(samples, params):
    result = params
    for _ in range(3):
        result = jaxbp.fit(MLP, result, samples, steps=4, record_every=2, solver=ADAM)
    assert result.history.step.tolist() == [0, 2, 4, 6, 8, 10, 12]
    assert_same(
        result.params, jaxbp.fit(MLP, params, samples, steps=12, record_every=2, solver=ADAM).params
    )


def test_a_start_is_not_changed(samples, params):
    """The arrays that a run starts from can be used again: nothing is donated."""
    first = jaxbp.fit(MLP, params, samples, steps=4, solver=ADAM)
    before = jax.tree.map(np.array, (params, first.state._replace(key=None), first.history))
    for start in (params, first.state, first):
        jaxbp.fit(MLP, start, samples, steps=4, solver=ADAM)
    assert_same(before, (params, first.state._replace(key=None), first.history))


@pytest.mark.parametrize(
    ("num_samples", "batch_size"), [(10, 3), (12, 4), (7, 7), (5, 1), (100, 64)]
)
def test_every_sample_is_used_equally_often(num_samples, batch_size):
    key = jax.random.key(0)
    draw, follow = jax.jit(next_batch, static_argnums=3), jax.jit(permutations_after)
    epoch = place = jnp.zeros((), jnp.int32)
    permutations = permutations_at(key, epoch, num_samples)
    drawn, starts = [], []
    for _ in range(num_samples):  # batch_size whole epochs
        starts.append((int(epoch), int(place)))
        indices, later, place = draw(permutations, epoch, place, batch_size)
        if later > epoch:
            permutations, epoch = follow(key, permutations, epoch), later
        drawn.append(np.asarray(indices))
    assert starts == [divmod(step * batch_size, num_samples) for step in range(num_samples)]
    row = np.concatenate(drawn)
    assert np.bincount(row, minlength=num_samples).tolist() == [batch_size] * num_samples
    epochs = row.reshape(batch_size, num_samples)
    assert all(sorted(epoch) == list(range(num_samples)) for epoch in epochs)
    assert (
        num_samples < 10 or batch_size == 1 or len({tuple(epoch) for epoch in epochs}) == batch_size
    )
    middle = num_samples // 2
    epoch, place = (jnp.asarray(some, jnp.int32) for some in starts[middle])
    again = draw(permutations_at(key, epoch, num_samples), epoch, place, batch_size)[0]
    np.testing.assert_array_equal(again, drawn[middle])


def test_an_epoch_of_batches_sees_every_sample(samples, params):
    inputs, targets = samples

    def after(targets):
        return jaxbp.fit(
            MLP,
            params,
            (inputs, targets),
            steps=12,
            solver=ADAM,
            batch_size=5,
            key=jax.random.key(0),
        ).params

    plain = after(targets)
    for i in range(0, len(targets), 7):
        moved = targets + np.float32(np.arange(len(targets)) == i)[:, np.newaxis]
        assert any(
            (a != b).any()
            for a, b in zip(jax.tree.leaves(after(moved)), jax.tree.leaves(plain), strict=True)
        )


def test_the_state_knows_epoch_and_place(samples, params):
    result = jaxbp.fit(
        MLP, params, samples, steps=20, batch_size=7, key=jax.random.key(0), solver=ADAM
    )
    state = result.state
    assert (int(state.step), int(state.epoch), int(state.place)) == (20, *divmod(20 * 7, 60))
    start = TrainState.start(params, ADAM)
    assert (int(start.step), int(start.epoch), int(start.place)) == (0, 0, 0)
    assert_same(jax.random.key_data(start.key), jax.random.key_data(jax.random.key(0)))


@pytest.mark.parametrize(
    ("name", "schedule"),
    [*((name, "constant") for name in OPTIMIZERS), *(("sgd", schedule) for schedule in SCHEDULES)],
)
def test_every_optimizer_and_every_schedule_learns(name, schedule, samples, params):
    optimizer = named_optimizer(name, 1e-2, schedule, steps=100)
    result = jaxbp.fit(MLP, params, samples, steps=100, solver=jaxbp.first_order(optimizer))
    assert result.history.loss[-1] < 0.95 * result.history.loss[0]


def test_momentum_is_polyaks_and_nesterovs():
    """v <- 0.9 v + g, and a step of v, or of g + 0.9 v."""
    gradients, velocities = np.array([1.0, -2.0, 0.5, 3.0], np.float32), []
    for gradient in gradients:
        velocities.append(0.9 * (velocities[-1] if velocities else 0) + gradient)
    for name, steps in (
        ("sgd", gradients),
        ("momentum", np.array(velocities)),
        ("nesterov", gradients + 0.9 * np.array(velocities)),
    ):
        optimizer = named_optimizer(name, 0.1)
        state = optimizer.init(jnp.float32(0))
        for gradient, step in zip(gradients, steps, strict=True):
            update, state = optimizer.update(jnp.float32(gradient), state)
            assert float(update) == pytest.approx(-0.1 * step, rel=1e-5)


def test_annealing_follows_its_schedule():
    """With a gradient of 1 the parameters move by the sum of the rates."""
    mlp = jaxbp.Mlp((1, 1))
    zero = (jaxbp.Layer(jnp.zeros((1, 1), jnp.float32), jnp.zeros(1, jnp.float32)),)
    # The loss -x of a logit far from saturation would not be linear; half a square far from its
    # minimum nearly is.
    far = (np.zeros((1, 1), np.float32), np.full((1, 1), 1e6, np.float32))
    solver = jaxbp.first_order(named_optimizer("sgd", 1e-6, "linear", steps=10))
    result = jaxbp.fit(mlp, zero, far, steps=10, solver=solver, loss="half_squared_error")
    rates = 1e-6 * (1 + (0.01 - 1) * np.arange(10) / 10)
    assert float(result.params[0].bias[0]) == pytest.approx(1e6 * rates.sum(), rel=1e-4)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_of_no_steps_is_one_of_a_single_step(schedule):
    params = jnp.ones(3, jnp.float32)
    updates = [
        jax.device_get(optimizer.update(params, optimizer.init(params))[0])
        for optimizer in (named_optimizer("sgd", 0.1, schedule, steps) for steps in (0, 1))
    ]
    np.testing.assert_array_equal(*updates)


def test_weight_decay_shrinks_weights_and_not_biases():
    """Without an error decay alone acts: each step multiplies W by 1 - rate * decay."""
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
    """Validation targets that contradict training make the validation loss rise."""
    inputs, targets = samples
    result = jaxbp.fit(
        MLP,
        params,
        samples,
        steps=5000,
        record_every=10,
        validation=(inputs, -targets),
        callbacks=(jaxbp.EarlyStopping(4),),
        solver=ADAM,
    )
    losses = result.history.validation_loss
    assert result.status == "stopped early"
    assert len(losses) - 1 - int(losses.argmin()) == 4
    assert result.outcome == Outcome("stopped early", int(result.state.step))
    best = loss_at(result.params, inputs, -targets)
    assert best == pytest.approx(losses.min(), rel=1e-6)
    assert loss_at(result.state.params, inputs, -targets) > best


def test_keep_best_without_validation_watches_the_training_loss(samples, params):
    solver = jaxbp.first_order(optax.adam(0.3))
    result = jaxbp.fit(
        MLP, params, samples, steps=40, record_every=1, solver=solver, callbacks=(jaxbp.KeepBest(),)
    )
    best = loss_at(result.params, *samples)
    assert best == pytest.approx(result.history.loss.min(), rel=1e-6)


def test_dropout_depends_on_the_key_and_acts(samples, params):
    fits = [
        jaxbp.fit(
            MLP,
            params,
            samples,
            steps=5,
            key=jax.random.key(seed),
            solver=jaxbp.first_order(optax.adam, learning_rate=1e-2, dropout=rate),
        ).params
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
    params = draw_params(mlp, dtype=np.float32)
    result = jaxbp.fit(
        mlp,
        params,
        (inputs, labels),
        steps=300,
        batch_size=50,
        key=jax.random.key(1),
        loss="softmax_cross_entropy",
        solver=ADAM,
    )
    predicted = jaxbp.predict(mlp, result.params, inputs).argmax(axis=1)
    assert float((predicted == labels).mean()) > 0.95


@pytest.fixture
def quiet_nans():
    with jax.debug_nans(False):
        yield


def test_overflow_at_the_start_names_the_layer(samples, params, quiet_nans):
    huge = jax.tree.map(lambda leaf: np.asarray(leaf) * np.float32(1e20), params)
    mlp = jaxbp.Mlp(MLP.sizes, hidden="relu")
    with pytest.warns(
        RuntimeWarning, match=r"layer 2 of 2 was the first to become .* after step 0;"
    ) as warned:
        result = jaxbp.fit(mlp, huge, samples, steps=5)
    assert [warning.filename for warning in warned] == [__file__]
    assert result.status.startswith("diverged: layer 2 of 2 was the first to become non-finite (")
    assert result.outcome.diverged
    assert (result.outcome.step, result.outcome.layer) == (0, 2)
    assert_same(result.params, huge)


def test_divergence_keeps_the_last_good_parameters(samples, params, quiet_nans):
    mlp = jaxbp.Mlp(MLP.sizes, hidden="relu")
    with pytest.warns(RuntimeWarning, match="diverged: .*layer"):
        result = jaxbp.fit(
            mlp,
            params,
            samples,
            steps=500,
            solver=jaxbp.first_order(optax.sgd(30.0)),
            record_every=100,
        )
    assert result.outcome.diverged
    assert (result.outcome.layer is None) == result.outcome.reason.startswith(
        "the loss is not finite"
    )
    assert result.outcome.step == int(result.state.step)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result.params))
    assert 0 < int(result.state.step) < 500
    assert np.isfinite(loss_at(result.params, *samples, mlp=mlp))


def test_an_overflow_that_relu_hides_is_seen():
    """relu(-inf) is 0 and the loss stays finite; the preactivations tell."""
    mlp = jaxbp.Mlp((1, 1, 1), hidden="relu")
    layer = jaxbp.Layer(jnp.full((1, 1), -3e38, jnp.float32), jnp.zeros(1, jnp.float32))
    inputs = np.full((3, 1), 10, np.float32)
    with pytest.warns(
        RuntimeWarning, match=r"layer 1 of 2 was the first to become non-finite \(3 preact"
    ):
        result = jaxbp.fit(mlp, (layer, layer), (inputs, np.zeros((3, 1), np.float32)), steps=3)
    assert result.outcome.layer == 1


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Halving(Solver):
    """A solver that divides the parameters and counts."""

    divisor: float = 2.0

    def init(self, params):
        return jnp.array(0)

    def step(self, problem, params, state, batch, key):
        loss, _ = jaxbp.loss_and_gradient(problem.mlp, params, *batch, problem.loss)
        return jax.tree.map(lambda leaf: leaf / self.divisor, params), state + 1, loss


def test_own_solvers_run(samples, params):
    result = jaxbp.fit(MLP, params, samples, steps=4, solver=Halving())
    assert_same(result.params, jax.tree.map(lambda leaf: leaf / 16, params))
    assert int(result.state.solver) == 4


def test_a_solver_that_is_no_pytree_is_refused(samples, params):
    class Plain(Halving):
        pass

    with pytest.raises(TypeError, match="solver must be a pytree: put @jax"):
        jaxbp.fit(MLP, params, samples, steps=1, solver=Plain())
    with pytest.raises(TypeError, match=r"solver must be a Solver, such as .*, got str"):
        jaxbp.fit(MLP, params, samples, steps=1, solver="adam")


@pytest.mark.parametrize(
    ("callbacks", "error", "message"),
    [
        (jaxbp.KeepBest(), TypeError, "callbacks must be a tuple, got KeepBest"),
        ((jaxbp.KeepBest,), TypeError, r"callbacks\[0\] must be a function"),
        ((print, 3), TypeError, r"callbacks\[1\] must be a function .*, got 3"),
        ((jaxbp.Checkpoint("a"), jaxbp.Checkpoint("b")), ValueError, "one Checkpoint at most"),
    ],
)
def test_callbacks_of_another_kind_are_refused(callbacks, error, message, samples, params):
    with pytest.raises(error, match=message):
        jaxbp.fit(MLP, params, samples, steps=1, callbacks=callbacks)
    with pytest.raises(ValueError, match="patience must be a whole number of at least 1"):
        jaxbp.EarlyStopping(0)


PROBLEM = Problem(MLP, batch_size=7, num_steps=5)


def advance_from(key, params, samples, stop=5, solver=ADAM):
    state = TrainState.start(params, solver, key)
    return advance(PROBLEM, solver, state, Batch(*map(jnp.asarray, samples)), stop)


def test_nothing_calls_back_to_python_inside_a_chunk(samples, params):
    program = str(
        jax.make_jaxpr(lambda key: advance_from(key, params, samples).state.params)(
            jax.random.key(0)
        )
    )
    assert "while" in program
    assert "callback" not in program


def test_advance_is_what_fit_runs(samples, params):
    chunk = advance_from(jax.random.key(3), params, samples)
    fitted = jaxbp.fit(
        MLP, params, samples, steps=5, batch_size=7, key=jax.random.key(3), solver=ADAM
    )
    assert chunk.alive
    assert_same(chunk.state.params, fitted.params)
    assert int(chunk.before.step) == 4
    halves = advance(
        PROBLEM,
        ADAM,
        advance_from(jax.random.key(3), params, samples, 2).state,
        Batch(*samples),
        5,
    )
    assert_same(halves.state._replace(key=None), chunk.state._replace(key=None))


@pytest.mark.parametrize(
    "solver",
    [ADAM, pytest.param(NEWTON, marks=pytest.mark.slow)],
    ids=lambda solver: type(solver).__name__,
)
def test_many_networks_advance_at_once(samples, solver, x64):
    """Vmapped over keys and starts, each is the single run."""
    keys = jax.random.split(jax.random.key(0), 3)
    samples = [array.astype(np.float64) for array in samples]
    starts = [draw_params(MLP, seed) for seed in range(3)]
    together = jax.vmap(lambda key, start: advance_from(key, start, samples, solver=solver))(
        keys, jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)
    )
    assert together.alive.all()
    for i, (key, start) in enumerate(zip(keys, starts, strict=True)):
        alone = advance_from(key, start, samples, solver=solver).state
        for many, one in zip(
            jax.tree.leaves(together.state.params), jax.tree.leaves(alone.params), strict=True
        ):
            np.testing.assert_allclose(many[i], one, rtol=0, atol=1e-9)
        assert (int(together.state.epoch[i]), int(together.state.place[i])) == (
            int(alone.epoch),
            int(alone.place),
        )


def test_networks_advance_at_once_over_settings(samples, params):
    """One program trains a network at each of many learning rates."""

    def last(solver):
        return advance_from(jax.random.key(0), params, samples, solver=solver).state.params

    rates = np.float32([0.0, 0.01, 0.1])
    together = jax.vmap(last)(jaxbp.first_order(optax.sgd, learning_rate=rates))
    assert_same(jax.tree.map(lambda leaf: leaf[0], together), params)
    alone = last(jaxbp.first_order(optax.sgd, learning_rate=0.1))
    for many, one in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(many[2], one, rtol=0, atol=1e-6)


def test_advance_stops_where_a_number_is_not_finite(samples, params, quiet_nans):
    """One of three networks diverges: it stands still, the others go on."""
    starts = jax.tree.map(lambda leaf: jnp.stack([leaf, jnp.float32(1e25) * leaf, leaf]), params)
    mlp = jaxbp.Mlp(MLP.sizes, hidden="relu")
    problem, train = Problem(mlp, num_steps=5), Batch(*map(jnp.asarray, samples))
    chunk = jax.vmap(lambda start: advance(problem, ADAM, TrainState.start(start, ADAM), train, 5))(
        starts
    )
    assert chunk.alive.tolist() == [True, False, True]
    assert chunk.state.step.tolist() == [5, 0, 5]
    assert_same(
        *(jax.tree.map(lambda leaf: leaf[1], some) for some in (chunk.state.params, starts))
    )


@pytest.mark.parametrize("solver", [ADAM, NEWTON], ids=lambda solver: type(solver).__name__)
def test_a_second_fit_compiles_nothing(samples, params, solver):
    """Numbers, key, steps and records are no part of the compiled program."""
    options = {
        "batch_size": 7,
        "solver": solver,
        "validation": samples,
        "callbacks": (jaxbp.RecordLayers(),),
    }
    first = jaxbp.fit(
        MLP, params, samples, steps=9, record_every=4, key=jax.random.key(0), **options
    )
    other = draw_params(MLP, 1, np.float32)
    with compilations() as compiled:
        jaxbp.fit(
            MLP,
            other,
            (samples[0] + 1, samples[1]),
            steps=17,
            record_every=3,
            key=jax.random.key(1),
            **options,
        )
        jaxbp.fit(MLP, first, samples, steps=5, **options)
        jaxbp.fit(MLP, first.state, samples, steps=0, **options)
    assert compiled == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (None, None),
        (lambda: optax.adam(1e-2), lambda: optax.adam(1e-2)),
        (
            lambda: (optax.adam, {"learning_rate": 0.1}),
            lambda: (optax.adam, {"learning_rate": 0.2}),
        ),
        (lambda: 0.1, lambda: 0.2),
    ],
    ids=["default", "equal optimizers", "learning rates", "dampings"],
)
def test_nor_does_a_solver_made_again(samples, params, one, other):
    """Settings are leaves, and optimizers are compared by content."""

    def solver(make):
        if make is None:
            return None
        made = make()
        if isinstance(made, float):
            return jaxbp.gauss_newton(damping=made)
        if isinstance(made, optax.GradientTransformation):
            return jaxbp.first_order(made)
        return jaxbp.first_order(made[0], **made[1])

    jaxbp.fit(MLP, params, samples, steps=2, solver=solver(one))
    with compilations() as compiled:
        jaxbp.fit(MLP, params, samples, steps=3, solver=solver(other))
    assert compiled == []


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_are_equal_if_code_and_constants_are(name):
    one, same, other = (
        jaxbp.first_order(named_optimizer(name, rate, "cosine", 10)) for rate in (0.1, 0.1, 0.2)
    )
    assert one == same
    assert hash(one) == hash(same)
    assert (one == other) == (name == "lbfgs")
    assert jaxbp.first_order(optax.sgd(0.1)) != jaxbp.first_order(optax.adam(0.1))


@pytest.mark.parametrize(
    "solver", [NEWTON, jaxbp.first_order(optax.adam, learning_rate=1e-2, weight_decay=0.1)]
)
def test_solvers_can_be_pickled(solver):
    assert pickle.loads(pickle.dumps(solver)) == solver


def test_settings_train_like_a_made_optimizer(samples, params):
    one, other = (
        jaxbp.fit(MLP, params, samples, steps=20, solver=solver).params
        for solver in (ADAM, jaxbp.first_order(optax.adam, learning_rate=1e-2))
    )
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)  # of 20 steps of float32
    with pytest.raises(TypeError, match="optimizer must be a function of learning_rate"):
        jaxbp.first_order(optax.adam(1e-2), learning_rate=1e-2)


@pytest.mark.slow
def test_strict_promotion_of_dtypes_is_no_obstacle(samples, params):
    with jax.numpy_dtype_promotion("strict"):
        for solver in (ADAM, NEWTON, jaxbp.first_order(optax.sgd, learning_rate=0.1, dropout=0.1)):
            options = {"batch_size": 7, "key": jax.random.key(0), "validation": samples}
            result = jaxbp.fit(MLP, params, samples, steps=5, solver=solver, **options)
            assert result.status == "finished"


def test_the_count_of_compilations_sees_one(samples, params):
    with compilations() as compiled:
        jaxbp.fit(
            jaxbp.Mlp((2, 3, 1)),
            draw_params(jaxbp.Mlp((2, 3, 1)), dtype=np.float32),
            samples,
            steps=2,
            solver=ADAM,
        )
    assert len(compiled) >= 2


@pytest.mark.parametrize("record_every", [1, 2, 3])
def test_an_overflow_on_a_record_falls_back_as_well(samples, params, quiet_nans, record_every):
    """Finite parameters whose outputs overflow show at the next evaluation, maybe a record."""
    mlp = jaxbp.Mlp(MLP.sizes, hidden="relu")
    with pytest.warns(RuntimeWarning, match="diverged"):
        result = jaxbp.fit(mlp, params, samples, steps=6, solver=FAR, record_every=record_every)
    assert result.outcome.diverged
    assert np.isfinite(loss_at(result.params, *samples, mlp=mlp))


def test_the_state_of_another_solver_or_network_is_refused(samples, params):
    result = jaxbp.fit(MLP, params, samples, steps=1, solver=ADAM)
    for start in (result, result.state):
        with pytest.raises(
            ValueError,
            match="start must be a state of the solver GaussNewton, got that of another",
        ):
            jaxbp.fit(MLP, start, samples, steps=1, solver=NEWTON)
        with pytest.raises(ValueError, match=r"params\[0\]\.weight must have shape \(2, 9\)"):
            jaxbp.fit(jaxbp.Mlp((2, 9, 1)), start, samples, steps=1, solver=ADAM)


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


@pytest.mark.parametrize("solver", [ADAM, NEWTON], ids=lambda solver: type(solver).__name__)
@pytest.mark.slow
def test_without_jit_the_same_comes_out(samples, params, solver):
    options = {"steps": 2, "batch_size": 9, "key": jax.random.key(0), "solver": solver}
    # The trained parameters, before an output layer is solved, whose condition number would enter
    # the tolerance.
    right = jaxbp.fit(MLP, params, samples, **options).state.params
    with jax.disable_jit():
        plain = jaxbp.fit(MLP, params, samples, **options).state.params
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


def test_masks_of_layers_and_steps_are_drawn_apart():
    first, second, _ = jaxbp.dropout_masks(
        jaxbp.Mlp((2, 6, 6, 1)), jax.random.key(0), 0.5, 50, jnp.float32
    )
    assert not np.array_equal(first, second)
    state = TrainState.start(draw_params(MLP, dtype=np.float32), ADAM, jax.random.key(1))
    keys = [state.batch_key, state.step_key, state._replace(step=state.step + 1).step_key]
    assert len({tuple(np.asarray(jax.random.key_data(key))) for key in keys}) == 3


DEEP = jaxbp.Mlp((2, 6, 6, 1), hidden="relu")
ONES = np.ones((4, 2), np.float32), np.ones((4, 1), np.float32)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Breaking(Halving):
    """Counts, and makes a bias infinite at a step: of a layer, or of one that the key draws."""

    at: int = 2
    layer: int | None = dataclasses.field(default=None, metadata={"static": True})

    def step(self, problem, params, state, batch, key):
        broken = jax.random.randint(key, (), 0, 3) if self.layer is None else self.layer
        spoilt = tuple(
            layer._replace(bias=layer.bias / jnp.where((state == self.at) & (broken == i), 0, 1.0))
            for i, layer in enumerate(params)
        )
        return spoilt, state + 1, jnp.float32(0)


def test_the_reason_of_a_divergence_is_that_of_the_step_that_diverged(quiet_nans):
    """The step is taken once more to find the reason, with its own key."""
    params = jax.tree.map(lambda leaf: leaf + 1, draw_params(DEEP, dtype=np.float32))
    for seed in range(6):
        key = jax.random.key(seed)
        with pytest.warns(RuntimeWarning, match="diverged"):
            result = jaxbp.fit(DEEP, params, ONES, steps=5, solver=Breaking(), key=key)
        at = TrainState.start(params, Breaking(), key)._replace(step=jnp.int32(2))
        assert result.outcome.layer == 1 + jax.random.randint(at.step_key, (), 0, 3)


def test_parameters_that_are_not_finite_end_a_run_though_the_loss_is(quiet_nans):
    params = jax.tree.map(lambda leaf: leaf + 1, draw_params(DEEP, dtype=np.float32))
    solver = Breaking(at=3, layer=1)
    with pytest.warns(RuntimeWarning, match="the parameters of layer 2 are not finite"):
        result = jaxbp.fit(DEEP, params, ONES, steps=6, solver=solver, record_every=2)
    assert (result.outcome.step, result.outcome.layer) == (3, 2)
    np.testing.assert_array_equal(result.params[1].bias, params[1].bias)


@pytest.mark.parametrize("solver", [ADAM, NEWTON], ids=lambda solver: type(solver).__name__)
def test_networks_without_biases_train(samples, solver):
    mlp = jaxbp.Mlp((2, 8, 1), bias=False)
    params = jaxbp.init(mlp, jax.random.key(0), dtype=np.float32)
    result = jaxbp.fit(
        mlp, params, samples, steps=30, solver=solver, callbacks=(jaxbp.RecordLayers(),)
    )
    assert result.history.loss[-1] < 0.9 * result.history.loss[0]
    assert all(layer.bias is None for layer in result.params)
    assert np.isfinite(result.layers.gradient).all()


def test_a_result_is_shown_as_a_line(samples, params):
    result = jaxbp.fit(MLP, params, samples, steps=3, validation=samples)
    first, last = result.history.loss[[0, -1]]
    assert re.fullmatch(
        rf"FitResult: finished, 3 steps, training loss {first:.4g} to {last:.4g}, "
        rf"validation loss {last:.4g}; \d+\.\d s to compile, \d+\.\d s to run",
        repr(result),
    )
