"""Many networks trained at once are those that `fit` trains one after the other."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxbp
from jaxbp.training.side_by_side import in_threads, under_vmap

MLP = jaxbp.Mlp((2, 6, 1))
KEYS = jax.random.split(jax.random.key(3), 4)
STARTS = jax.vmap(partial(jaxbp.init, MLP, dtype=np.float32))(KEYS)
GENERATOR = np.random.default_rng(0)
INPUTS = GENERATOR.standard_normal((40, 2)).astype(np.float32)
DATA = INPUTS, np.sin(INPUTS[:, :1])
HELD_OUT = INPUTS[:10] + np.float32(0.1), np.sin(INPUTS[:10, :1] + np.float32(0.1))


def start(position):
    return jax.tree.map(lambda leaf: leaf[position], STARTS)


def assert_same(found, wanted):
    """To what vmap may change of float32 sums over so few steps."""
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(
    "solver",
    [
        pytest.param(jaxbp.first_order(optax.adam(1e-2)), id="adam"),
        pytest.param(jaxbp.gauss_newton(), id="gauss", marks=pytest.mark.slow),
    ],
)
def test_each_is_what_fit_trains(solver):
    key = jax.random.key(5)
    options = {
        "solver": solver,
        "steps": 12,
        "batch_size": 16,
        "validation": HELD_OUT,
        "record_every": 4,
    }
    fits = jaxbp.fit_many(MLP, STARTS, DATA, key=key, **options)
    alone = [
        jaxbp.fit(MLP, start(i), DATA, key=own, **options)
        for i, own in enumerate(jax.random.split(key, len(KEYS)))
    ]
    np.testing.assert_array_equal(fits.step, alone[0].history.step)
    np.testing.assert_allclose(
        fits.loss, np.transpose([one.history.loss for one in alone]), rtol=1e-3
    )
    validation = np.transpose([one.history.validation_loss for one in alone])
    np.testing.assert_allclose(fits.validation_loss, validation, rtol=1e-3)
    for i, one in enumerate(alone):
        assert_same(fits.member(i), one.state.params)
    assert not fits.diverged.any()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (lambda rate: jaxbp.first_order(optax.sgd(rate)), np.float32([0.01, 0.03, 0.1, 0.2])),
        (lambda sigma: jaxbp.gauss_newton(damping=sigma), np.float32([0.03, 0.1, 0.3, 1.0])),
    ],
    ids=["learning rates", "dampings"],
)
def test_settings_differ_from_one_to_the_next(make, settings):
    fits = jaxbp.fit_many(
        MLP, STARTS, DATA, steps=6, solver=make, settings=settings, record_every=6
    )
    for i, setting in enumerate(settings):
        one = jaxbp.fit(MLP, start(i), DATA, steps=6, solver=make(float(setting)), record_every=6)
        assert_same(fits.member(i), one.state.params)


@pytest.mark.slow
def test_under_vmap_they_are_the_same():
    """As they run on an accelerator."""
    samples = jaxbp.training.Batch(*map(jnp.asarray, DATA)), None
    problem, solver = jaxbp.training.Problem(MLP, batch_size=16), jaxbp.gauss_newton()
    arguments = problem, lambda setting: solver, (STARTS, None, KEYS)
    with ThreadPoolExecutor() as pool:
        apart, together = in_threads(pool, *arguments), under_vmap(*arguments)
        for stop in (0, 6, 12):
            threads, vmapped = (look(samples, stop, 12) for look in (apart, together))
            for a, b in zip(jax.tree.leaves(threads), jax.tree.leaves(vmapped), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)


def test_threads_compute_in_the_callers_precision():
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), STARTS)
        wide_data = tuple(np.float64(array) for array in DATA)
        fits = jaxbp.fit_many(
            MLP, wide, wide_data, steps=4, record_every=2, batch_size=16, key=KEYS[0]
        )
    assert {leaf.dtype for leaf in jax.tree.leaves(fits.params)} == {np.dtype(np.float64)}
    assert fits.loss.dtype == np.float64


@pytest.mark.parametrize(
    "options", [{}, {"batch_size": 16, "key": KEYS[0]}], ids=["under vmap", "in threads"]
)
def test_they_are_compiled_once(options):
    seen = []

    def make(rate):
        seen.append(rate)
        return jaxbp.first_order(optax.sgd(rate))

    rates = np.float32([0.01, 0.1, 0.02, 0.03])
    jaxbp.fit_many(
        MLP, STARTS, DATA, steps=30, solver=make, settings=rates, record_every=5, **options
    )
    assert len(seen) == 2  # the first states, and the steps


def test_one_that_diverges_keeps_its_last_good_parameters_and_leaves_the_others_alone():
    rates = np.float32([1e-2, 1e30, 1e-2, 1e-2])
    solver = lambda rate: jaxbp.first_order(optax.sgd(rate))  # noqa: E731
    with jax.debug_nans(False):
        fits = jaxbp.fit_many(
            MLP, STARTS, DATA, steps=20, solver=solver, settings=rates, record_every=10
        )
    np.testing.assert_array_equal(fits.diverged, [False, True, False, False])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(fits.params))
    assert_same(
        fits.member(2), jaxbp.fit(MLP, start(2), DATA, steps=20, solver=solver(1e-2)).state.params
    )


def test_without_held_out_samples_the_training_loss_is_watched():
    options = {"steps": 6, "solver": jaxbp.first_order(optax.sgd(1e-2)), "record_every": 2}
    last, best = (
        jaxbp.fit_many(MLP, STARTS, DATA, keep_best=keep, **options) for keep in (False, True)
    )
    assert (np.diff(best.loss, axis=0) < 0).all()
    for i in range(len(best.diverged)):
        assert_same(best.member(i), last.member(i))


def test_the_best_of_each_is_kept_and_patience_ends_the_run():
    seen = []
    fits = jaxbp.fit_many(
        *(MLP, STARTS, DATA),
        **{
            "steps": 400,
            "solver": jaxbp.first_order(optax.sgd(1.9)),
            "validation": HELD_OUT,
            "record_every": 5,
        },
        patience=3,
        on_params=lambda step, params: seen.append((step, params)),
    )
    assert len(fits.step) < 81
    assert [step for step, _ in seen] == fits.step.tolist()
    for i, row in enumerate(
        np.argmin(np.where(np.isnan(fits.validation_loss), np.inf, fits.validation_loss), axis=0)
    ):
        kept = jax.tree.map(lambda leaf, i=i: leaf[i], seen[row][1])
        for a, b in zip(jax.tree.leaves(fits.member(i)), jax.tree.leaves(kept), strict=True):
            np.testing.assert_array_equal(a, b)
    last = np.min(fits.validation_loss[-3:], axis=0)
    assert (last >= np.min(fits.validation_loss[:-3], axis=0)).all()


def test_no_steps_give_the_starts():
    fits = jaxbp.fit_many(MLP, STARTS, DATA, steps=0)
    assert_same(fits.params, STARTS)
    assert fits.loss.shape == (1, 4)
    assert np.isnan(fits.validation_loss).all()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"settings": np.ones(3)},
            ValueError,
            r"starts and settings must have one leading axis.*\[3, 4\]",
        ),
        (
            {"settings": np.ones(4)},
            TypeError,
            "solver must be a Solver, or with settings a function",
        ),
        (
            {"solver": lambda rate: None},
            TypeError,
            "solver must be a Solver, or with settings a function",
        ),
        ({"solver": 3}, TypeError, "solver must be a Solver, or with settings a function"),
        ({"batch_size": 5}, ValueError, "key must be given with batch_size or dropout"),
        (
            {"batch_size": 50, "key": KEYS[0]},
            ValueError,
            "batch_size must be at most the number of samples, 40",
        ),
        ({"steps": -1}, ValueError, "steps must be"),
        ({"record_every": 0}, ValueError, "record_every must be"),
        ({"patience": 0}, ValueError, "patience must be"),
        (
            {"starts": jax.tree.map(jnp.sum, STARTS)},
            ValueError,
            "starts and settings must have one leading axis",
        ),
        ({"starts": STARTS[:1]}, ValueError, "params must have 2 layers"),
        ({"data": (INPUTS * np.nan, DATA[1])}, ValueError, "inputs must be finite"),
        ({"validation": INPUTS}, ValueError, "validation must be a pair"),
    ],
)
def test_what_does_not_fit_is_named(changes, error, message):
    arguments = {"starts": STARTS, "data": DATA, "steps": 2} | changes
    with pytest.raises(error, match=message):
        jaxbp.fit_many(MLP, arguments.pop("starts"), arguments.pop("data"), **arguments)
