"""Many networks trained at once are those that `fit` trains one after the other."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from compiling import compilations

import jaxbp
from jaxbp.training import loop

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
        (partial(jaxbp.first_order, optax.sgd), {"learning_rate": [0.01, 0.03, 0.1, 0.2]}),
        (jaxbp.gauss_newton, {"damping": [0.03, 0.1, 0.3, 1.0]}),
        (jaxbp.gauss_newton, {"momentum": [0.0, 0.5, 0.9, 0.95], "damping": 0.2}),
    ],
    ids=["learning rates", "dampings", "momenta"],
)
def test_settings_differ_between_networks(make, settings):
    stacked = {name: np.float32(values) for name, values in settings.items()}
    fits = jaxbp.fit_many(MLP, STARTS, DATA, steps=6, solver=make(**stacked), record_every=6)
    for i in range(len(KEYS)):
        own = {name: float(np.broadcast_to(value, 4)[i]) for name, value in stacked.items()}
        one = jaxbp.fit(MLP, start(i), DATA, steps=6, solver=make(**own), record_every=6)
        assert_same(fits.member(i), one.state.params)


@pytest.mark.slow
def test_under_vmap_they_are_the_same(monkeypatch):
    """As they run on an accelerator."""
    options = {"steps": 12, "record_every": 6, "solver": jaxbp.gauss_newton(), "validation": DATA}
    found = []
    for small in (-1, np.inf):
        monkeypatch.setattr(loop, "SMALL", small)
        found.append(jaxbp.fit_many(MLP, STARTS, DATA, **options))
    for a, b in zip(*map(jax.tree.leaves, found), strict=True):
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
    """Also for other settings."""
    rates = np.float32([0.01, 0.1, 0.02, 0.03])
    options = options | {"steps": 30, "record_every": 5}
    with compilations() as compiled:
        jaxbp.fit_many(MLP, STARTS, DATA, solver=descent(rates), **options)
    visits = [name for name in compiled if "visit" in name]
    assert len(visits) == 1
    with compilations() as compiled:
        jaxbp.fit_many(MLP, STARTS, DATA, solver=descent(rates / 2), **options)
    assert compiled == []


def descent(rate):
    return jaxbp.first_order(optax.sgd, learning_rate=rate)


def test_one_that_diverges_keeps_its_last_good_parameters_and_leaves_the_others_alone():
    rates = np.float32([1e-2, 1e30, 1e-2, 1e-2])
    with jax.debug_nans(False):
        fits = jaxbp.fit_many(MLP, STARTS, DATA, steps=20, solver=descent(rates), record_every=10)
    np.testing.assert_array_equal(fits.diverged, [False, True, False, False])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(fits.params))
    alone = jaxbp.fit(MLP, start(2), DATA, steps=20, solver=descent(1e-2)).state.params
    assert_same(fits.member(2), alone)


def test_without_held_out_samples_the_training_loss_is_watched():
    options = {"steps": 6, "solver": jaxbp.first_order(optax.sgd(1e-2)), "record_every": 2}
    last, best = (
        jaxbp.fit_many(MLP, STARTS, DATA, callbacks=callbacks, **options)
        for callbacks in ((), (jaxbp.KeepBest(),))
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
        callbacks=(
            jaxbp.EarlyStopping(3),
            lambda record, params: seen.append((record.step, params)),
        ),
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
            {"solver": jaxbp.gauss_newton(damping=np.ones(3))},
            ValueError,
            r"starts and the settings of solver must have one leading axis.*\[3, 4\]",
        ),
        ({"solver": 3}, TypeError, "solver must be a Solver"),
        ({"callbacks": (jaxbp.RecordLayers(),)}, ValueError, "must not hold RecordLayers"),
        ({"callbacks": (jaxbp.Checkpoint("x"),)}, ValueError, "must not hold Checkpoint"),
        ({"batch_size": 5}, ValueError, "key must be given with batch_size or dropout"),
        (
            {"batch_size": 50, "key": KEYS[0]},
            ValueError,
            "batch_size must be at most the number of samples, 40",
        ),
        ({"steps": -1}, ValueError, "steps must be"),
        ({"record_every": 0}, ValueError, "record_every must be"),
        (
            {"starts": jax.tree.map(jnp.sum, STARTS)},
            ValueError,
            "starts and the settings of solver must have one leading axis",
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
