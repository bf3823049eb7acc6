"""Samples on disk: each is used once an epoch, and the run is that of the same batches."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from architectures import draw_params
from compiling import compilations
from jax.sharding import Mesh

import jaxbp
from jaxbp.losses import LOSSES
from jaxbp.training import disk

pytestmark = pytest.mark.usefixtures("compiled_quickly")
MLP = jaxbp.Mlp((2, 5, 1))
NUM_SAMPLES, BATCH = 107, 10  # blocks of 8 rows: 13 of them and 3 rows more; windows of 4 blocks
RATE = 0.05
DESCENT = jaxbp.first_order(optax.sgd(RATE))
KEY = jax.random.key(4)
ORDER = tuple(np.ravel(jax.random.key_data(KEY)).tolist())


def mapped(folder, name, array):
    np.save(folder / f"{name}.npy", array)
    return np.load(folder / f"{name}.npy", mmap_mode="r")


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch):
    monkeypatch.setattr(disk, "BLOCK_BYTES", 8 * 24)
    monkeypatch.setattr(disk, "WINDOW_BLOCKS", 4)


@pytest.fixture
def samples(tmp_path, x64):
    inputs = np.random.default_rng(0).standard_normal((NUM_SAMPLES, 2))
    return mapped(tmp_path, "inputs", inputs), mapped(tmp_path, "targets", np.sin(inputs[:, :1]))


def fit(samples, steps=25, **options):
    known = {"solver": DESCENT, "batch_size": BATCH, "key": KEY, "record_every": 10}
    return jaxbp.fit(MLP, draw_params(MLP), samples, steps=steps, **known | options)


def assert_same(found, wanted):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_array_equal(a, b)


def stored(samples):
    return disk.DiskSamples(MLP, draw_params(MLP), *samples, LOSSES["mean_squared_error"])


def test_an_epoch_takes_every_sample_once_in_an_order_of_its_own(samples):
    source, inputs = stored(samples), np.asarray(samples[0])
    epochs = [
        source.in_order(ORDER, epoch * NUM_SAMPLES, NUM_SAMPLES, NUM_SAMPLES) for epoch in range(3)
    ]
    orders = [
        [np.flatnonzero((inputs == row).all(axis=1)).item() for row in epoch.inputs]
        for epoch in epochs
    ]
    for epoch, order in zip(epochs, orders, strict=True):
        assert sorted(order) == list(range(NUM_SAMPLES))
        np.testing.assert_array_equal(epoch.targets, samples[1][order])
    assert len({tuple(order) for order in [list(range(NUM_SAMPLES)), *orders]}) == 4
    other = source.in_order((*ORDER, 1), 0, NUM_SAMPLES, NUM_SAMPLES)
    assert not np.array_equal(other.inputs, epochs[0].inputs)
    first = sorted(orders[0][:32])  # a window reads 4 runs of 8 rows
    assert np.count_nonzero(np.diff(first) != 1) <= 3


def test_places_are_read_from_anywhere(samples):
    source = stored(samples)
    whole = source.in_order(ORDER, 0, 3 * NUM_SAMPLES, 3 * NUM_SAMPLES)
    for position, count, room in (
        (0, 1, 1),
        (30, 5, 9),
        (100, 120, 120),
        (NUM_SAMPLES, 0, 4),
        (NUM_SAMPLES - 1, 2, 2),
    ):
        part = source.in_order(ORDER, position, count, room)
        for array, all_rows in zip(part, whole, strict=True):
            np.testing.assert_array_equal(array[:count], all_rows[position : position + count])
            assert len(array) == room
            assert not array[count:].any()


ALL_AT_ONCE = 2**16
ONE_BY_ONE = pytest.param(10, marks=pytest.mark.slow)


@pytest.mark.parametrize("read_rows", [ONE_BY_ONE, 40, ALL_AT_ONCE])
def test_a_run_descends_along_these_batches(read_rows, samples, monkeypatch):
    """The same descent with JAX's own gradient; 25 steps end in the third epoch."""
    monkeypatch.setattr(disk, "READ_ROWS", read_rows)
    with compilations() as compiled:
        result = fit(samples)
    assert compiled.count("jit(advance)") == 1
    key = tuple(np.ravel(jax.random.key_data(jax.random.split(KEY)[0])).tolist())
    rows = stored(samples).in_order(key, 0, 25 * BATCH, 25 * BATCH)
    params = draw_params(MLP)

    @jax.jit
    def descend(params, inputs, targets):
        def loss(params):
            return jnp.mean((jaxbp.reference_predict(MLP, params, inputs) - targets) ** 2)

        return jax.tree.map(
            lambda leaf, change: leaf - RATE * change, params, jax.grad(loss)(params)
        )

    for first in range(0, 25 * BATCH, BATCH):
        params = descend(params, *(array[first : first + BATCH] for array in rows))
    for a, b in zip(jax.tree.leaves(result.params), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=25 * 2.0**-50)
    assert (int(result.state.epoch), int(result.state.place)) == divmod(25 * BATCH, NUM_SAMPLES)
    error = np.asarray(jaxbp.predict(MLP, params, np.asarray(samples[0]))) - samples[1]
    np.testing.assert_allclose(result.history.loss[-1], np.mean(error**2), rtol=1e-12)
    np.testing.assert_array_equal(result.history.step, [0, 10, 20, 25])


def test_records_change_nothing(samples):
    assert_same(fit(samples, record_every=3).params, fit(samples, record_every=25).params)


def test_a_run_goes_on_from_a_checkpoint_bit_for_bit(samples, tmp_path):
    def stop(record, params):
        if record.step == 20:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fit(samples, callbacks=(jaxbp.Checkpoint(tmp_path), stop))
    resumed = fit(samples, callbacks=(jaxbp.Checkpoint(tmp_path, resume=True),))
    assert_same(resumed.params, fit(samples).params)


def test_a_checkpoint_tells_other_samples_and_those_in_memory_apart(samples, tmp_path):
    fit(samples, steps=10, callbacks=(jaxbp.Checkpoint(tmp_path),))
    in_memory = tuple(map(np.array, samples))
    for others in (in_memory, (samples[0], mapped(tmp_path, "others", in_memory[1] + 1))):
        with pytest.warns(RuntimeWarning, match="was written with other samples"):
            fit(others, steps=10, callbacks=(jaxbp.Checkpoint(tmp_path, resume=True),))


def test_without_a_batch_size_all_are_in_memory(samples):
    found = [fit(some, batch_size=None) for some in (samples, tuple(map(np.array, samples)))]
    assert_same(found[0].params, found[1].params)


@pytest.mark.slow
def test_devices_share_the_batches(samples):
    one, shared = fit(samples), fit(samples, mesh=Mesh(jax.devices()[:2], ("samples",)))
    for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(shared.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=25 * 2.0**-50)


@pytest.mark.slow
def test_the_best_and_the_layers_are_those_of_all_samples(samples):
    result = fit(
        samples,
        callbacks=(jaxbp.KeepBest(), jaxbp.RecordLayers()),
        validation=tuple(array[:7] for array in samples),
    )
    assert result.layers.gradient.shape == (4, 2)
    assert np.isfinite(result.layers.gradient).all()
    assert np.isfinite(result.history.validation_loss).all()
    trace = jaxbp.backprop(MLP, result.state.params, *map(np.asarray, samples))
    norms = [np.sqrt(np.sum(layer.weight**2) + np.sum(layer.bias**2)) for layer in trace.gradient]
    np.testing.assert_allclose(result.layers.gradient[-1], norms, rtol=1e-10)


@pytest.mark.slow
def test_gauss_newton_takes_them_and_solves_the_output_layer_over_all(samples):
    result = fit(samples, solver=jaxbp.gauss_newton(), batch_size=40, steps=20)
    assert result.history.loss[-1] < 0.01 * result.history.loss[0]
    wanted = jaxbp.solve_output(MLP, result.state.params, tuple(map(np.array, samples)))
    for a, b in zip(jax.tree.leaves(result.params), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("read_rows", [ONE_BY_ONE, ALL_AT_ONCE])
def test_a_run_that_diverges_says_where(read_rows, samples, monkeypatch):
    """Also where the step that shows it is the first of a piece."""
    monkeypatch.setattr(disk, "READ_ROWS", read_rows)
    far = jaxbp.first_order(optax.sgd(1e100))
    with pytest.warns(RuntimeWarning, match=r"diverged: .* after step \d"):
        result = fit(samples, solver=far)
    assert result.outcome.diverged
    assert np.isfinite(result.history.loss).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result.params))
    assert result.outcome.step == int(result.state.step) < 10


def test_numbers_are_cast_as_they_are_read(tmp_path):
    with jax.enable_x64(False):
        inputs = np.random.default_rng(0).standard_normal((40, 2))
        samples = (
            mapped(tmp_path, "inputs", inputs),
            mapped(tmp_path, "targets", np.round(inputs[:, :1]).astype(int)),
        )
        with pytest.warns(UserWarning, match="inputs came as float64 and float32 is used"):
            result = jaxbp.fit(
                *(MLP, draw_params(MLP, dtype=np.float32), samples),
                **{"steps": 3, "batch_size": 8, "key": KEY, "solver": DESCENT},
            )
    assert result.params[0].weight.dtype == np.float32
    assert np.isfinite(result.history.loss[-1])


def with_row(array, row, value):
    changed = np.array(array)
    changed[row] = value
    return changed


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            lambda x, t: (with_row(x, 71, np.nan), t),
            {},
            r"row 71 of inputs must be finite, got row 71 of inputs\[0\]",
        ),
        (lambda x, t: (x, with_row(t, 106, np.inf)), {}, "row 106 of targets must be finite"),
        (lambda x, t: (x, t[:90]), {}, "targets must have 107 rows like the inputs, got 90"),
        (
            lambda x, t: (x[:, :1], t),
            {},
            r"inputs must have 2 columns for sizes \(2, 5, 1\), got 1",
        ),
        (lambda x, t: (x, t[:, 0]), {}, r"targets must have shape \(1, 1\) like the outputs"),
        (lambda x, t: (x[:0], t[:0]), {}, "at least one sample"),
        (
            lambda x, t: (x, t),
            {"batch_size": 108},
            "batch_size must be at most the number of samples, 107, got 108",
        ),
        (lambda x, t: (x, t), {"loss": "mean"}, "loss must be one of"),
        (lambda x, t: (x, t), {"key": None}, "key must be given with batch_size"),
        (
            lambda x, t: (x, with_row(0 * t, 80, 2)),
            {"loss": "binary_cross_entropy"},
            r"counted from row 0 on",
        ),
    ],
)
def test_what_is_wrong_is_named(change, options, message, samples, tmp_path):
    arrays = change(*map(np.asarray, samples))
    wrong = [mapped(tmp_path, f"wrong_{i}", array) for i, array in enumerate(arrays)]
    with pytest.raises(ValueError, match=message):
        fit(tuple(wrong), **options)


def test_on_several_hosts_they_must_be_in_memory(samples, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ValueError, match="data must be in memory on several hosts"):
        fit(samples)


PROGRAM = """
import sys, jax, numpy as np, optax, jaxbp
def megabytes():  # that belong to the process alone: pages of mapped files do not
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))
names = ("inputs", "targets")
inputs, targets = (np.load(f"{sys.argv[1]}/{name}.npy", mmap_mode="r") for name in names)
mlp, most = jaxbp.Mlp((8, 8, 1)), []
options = {"steps": 400, "record_every": 100, "batch_size": 1000, "key": jax.random.key(0)}
params = jaxbp.init(mlp, jax.random.key(0), dtype=np.float32)
for rows in (slice(0, 1_000_000), slice(None)):
    before, most = megabytes(), []
    data = inputs[rows], targets[rows]
    jaxbp.fit(mlp, params, data, callbacks=(lambda *_: most.append(megabytes()),), **options)
    print(max(most) - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
def test_ten_million_samples_take_no_more_memory_than_one_million(tmp_path):
    count = 10_000_000
    inputs = np.lib.format.open_memmap(tmp_path / "inputs.npy", "w+", np.float32, (count, 8))
    targets = np.lib.format.open_memmap(tmp_path / "targets.npy", "w+", np.float32, (count, 1))
    for first in range(0, count, 1_000_000):
        rows = slice(first, first + 1_000_000)
        inputs[rows] = np.random.default_rng(first).standard_normal((1_000_000, 8), np.float32)
        targets[rows] = np.sin(inputs[rows, :1])
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    # A window takes 32 MB as it is read, cast, validated and shuffled; the file 360. The first run
    # also compiles.
    assert float(said[1]) < 4 * 32 + 32
    del inputs, targets
