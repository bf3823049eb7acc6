"""`fit`: what it promises of steps, batches, schedules, stopping and faults."""

from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from architectures import draw_params
from test_gradient import LOSS_AND_GRADIENT

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
        MLP, params, samples, steps=25, record_every=10, validation=samples, on_record=seen.append
    )
    assert result.history.step.tolist() == [0, 10, 20, 25] == [record.step for record in seen]
    for i in (0, -1):
        at = params if i == 0 else result.params
        assert result.history.loss[i] == pytest.approx(loss_at(at, *samples), rel=1e-6)
    np.testing.assert_allclose(result.history.loss, result.history.validation_loss, rtol=1e-6)
    assert (np.diff(result.history.seconds) > 0).all()


@pytest.mark.parametrize("solver", [COSINE, NEWTON], ids=lambda solver: solver.name)
@pytest.mark.parametrize("batch_size", [None, 7])
def test_a_run_can_be_cut_in_two(samples, params, batch_size, solver):
    """The state holds all that the later steps depend on, and the result of a result is that of the whole run."""
    options = {
        "solver": solver
        if solver is COSINE
        else jaxbp.gauss_newton(tail=0.0),  # whose step is the same at any length
        "batch_size": batch_size,
        "key": jax.random.key(5),
        "dropout": 0.2 if solver is COSINE else 0.0,
        "validation": samples,
        "record_layers": True,
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
    """One number, and gradients that do not follow it: v <- 0.9 v + g, a step of v, or of g + 0.9 v."""
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
        MLP,
        params,
        samples,
        steps=5000,
        record_every=10,
        validation=(inputs, -targets),
        patience=4,
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
        MLP, params, samples, steps=40, record_every=1, solver=solver, keep_best=True
    )
    best = loss_at(result.params, *samples)
    assert best == pytest.approx(result.history.loss.min(), rel=1e-6)


def test_dropout_depends_on_the_key_and_acts(samples, params):
    fits = [
        jaxbp.fit(
            MLP, params, samples, steps=5, dropout=rate, key=jax.random.key(seed), solver=ADAM
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
        mlp, params, (inputs, labels), steps=300, batch_size=50, key=jax.random.key(1), loss="softmax_cross_entropy",
        solver=ADAM,
    )  # fmt: skip
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


def test_any_solver_of_the_right_form_runs(samples, params):
    """A solver is two functions: here one that halves the parameters and counts."""

    def step(problem, params, state, batch, key):
        loss, _ = problem.loss_and_gradient(params, batch, key)
        return jax.tree.map(lambda leaf: leaf / 2, params), state + 1, loss

    result = jaxbp.fit(
        MLP, params, samples, steps=4, solver=Solver("halving", lambda params: jnp.array(0), step)
    )
    assert_same(result.params, jax.tree.map(lambda leaf: leaf / 16, params))
    assert int(result.state.solver) == 4


PROBLEM = Problem(MLP, batch_size=7)


def advance_from(key, params, samples, stop=5, solver=ADAM):
    state = TrainState.start(params, solver, key)
    return advance(PROBLEM, solver, state, Batch(*map(jnp.asarray, samples)), stop, 5)


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
        5,
    )
    assert_same(halves.state._replace(key=None), chunk.state._replace(key=None))


@pytest.mark.parametrize(
    "solver", [ADAM, pytest.param(NEWTON, marks=pytest.mark.slow)], ids=lambda solver: solver.name
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


@pytest.mark.slow
def test_a_solver_can_be_made_inside_a_vmapped_function(samples, params):
    """So that one program trains a network at each of many learning rates."""

    def last(rate):
        solver = jaxbp.first_order(optax.sgd(rate))
        return advance_from(jax.random.key(0), params, samples, solver=solver).state.params

    rates = np.float32([0.0, 0.01, 0.1])
    together = jax.jit(jax.vmap(last))(rates)
    assert_same(jax.tree.map(lambda leaf: leaf[0], together), params)
    for many, one in zip(jax.tree.leaves(together), jax.tree.leaves(last(0.1)), strict=True):
        np.testing.assert_allclose(many[2], one, rtol=0, atol=1e-6)


def test_advance_stops_where_a_number_is_not_finite(samples, params, quiet_nans):
    """One of three networks diverges: it stands still, the others go on."""
    starts = jax.tree.map(lambda leaf: jnp.stack([leaf, jnp.float32(1e25) * leaf, leaf]), params)
    mlp = jaxbp.Mlp(MLP.sizes, hidden="relu")
    problem, train = Problem(mlp), Batch(*map(jnp.asarray, samples))
    chunk = jax.vmap(
        lambda start: advance(problem, ADAM, TrainState.start(start, ADAM), train, 5, 5)
    )(starts)
    assert chunk.alive.tolist() == [True, False, True]
    assert chunk.state.step.tolist() == [5, 0, 5]
    assert_same(
        *(jax.tree.map(lambda leaf: leaf[1], some) for some in (chunk.state.params, starts))
    )


@contextmanager
def compilations():
    """Collects the names of the programs that are compiled meanwhile."""
    names, inside = [], [True]

    def listen(event, duration, **details):
        if inside and event == "/jax/core/compile/backend_compile_duration":
            names.append(details.get("fun_name", event))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield names
    finally:
        inside.clear()  # listeners cannot be taken back without touching those of others


@pytest.mark.parametrize("solver", [ADAM, NEWTON], ids=lambda solver: solver.name)
def test_a_second_fit_compiles_nothing(samples, params, solver):
    """One program for one solver, problem and shape, whatever the numbers, the key, the steps and the records."""
    options = {"batch_size": 7, "solver": solver, "validation": samples, "record_layers": True}
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


def test_nor_does_a_second_fit_by_the_solver_that_fit_takes_itself(samples, params):
    jaxbp.fit(MLP, params, samples, steps=2)
    with compilations() as compiled:
        jaxbp.fit(MLP, params, samples, steps=3)
    assert compiled == []


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
    """Finite parameters whose outputs overflow show only at the next evaluation, which may be a record."""
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
            match="start must be a state of the solver gauss_newton, got that of another",
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


@pytest.mark.parametrize("solver", [ADAM, NEWTON], ids=lambda solver: solver.name)
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
