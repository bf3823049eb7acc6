"""Checkpoints: resumed runs are bit-identical, and damaged or forged files are refused."""

import errno
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from architectures import draw_params
from kill_runs import kill_and_compare

import jaxbp
from jaxbp._archive import Slot, write_archive
from jaxbp._files import locked
from jaxbp.training.checkpoint import WHAT, read_checkpoint

pytestmark = pytest.mark.usefixtures("compiled_quickly")
MLP = jaxbp.Mlp((2, 4, 1))
INPUTS = np.random.default_rng(0).standard_normal((21, 2)).astype(np.float32)
DATA = (INPUTS, np.sin(INPUTS[:, :1]))
PARAMS = draw_params(MLP, dtype=np.float32)
ADAM = jaxbp.first_order(optax.adam, learning_rate=1e-2, dropout=0.1)
OPTIONS = {
    "solver": ADAM,
    "steps": 12,
    "record_every": 3,
    "batch_size": 8,
    "key": jax.random.key(1),
}


class StoppedError(Exception):
    pass


def interrupted(step):
    def stop(record, params):
        if record.step == step:
            raise StoppedError

    return stop


def fit(*callbacks, **options):
    options = OPTIONS | options
    callbacks += options.pop("callbacks", ())
    return jaxbp.fit(MLP, PARAMS, DATA, callbacks=callbacks, **options)


def interrupted_run(folder, step=9, **options):
    with pytest.raises(StoppedError):
        fit(jaxbp.Checkpoint(folder), interrupted(step), **options)


def resumed(folder, **options):
    return fit(jaxbp.Checkpoint(folder, resume=True), **options)


def numbers(result):
    """All that a run leaves but times, as bytes."""
    state, history = (
        result.state._replace(key=jax.random.key_data(result.state.key)),
        result.history[:3],
    )
    leaves = jax.tree.leaves((result.params, state, history, result.layers, tuple(result.outcome)))
    return [np.asarray(leaf).tobytes() for leaf in leaves]


def steps_in(folder):
    return [
        int(path.stem.removeprefix("step-")) for path in sorted(Path(folder).glob("step-*.npz"))
    ]


@pytest.fixture(scope="module")
def whole():
    return jaxbp.fit(MLP, PARAMS, DATA, **OPTIONS)


@pytest.fixture
def folder(tmp_path):
    interrupted_run(tmp_path / "run")
    return tmp_path / "run"


def test_a_run_that_goes_on_is_the_run_that_was_not_interrupted(folder, whole):
    assert steps_in(folder) == [3, 6]
    assert numbers(resumed(folder)) == numbers(whole)
    assert steps_in(folder) == [6, 9, 12]
    assert numbers(resumed(folder)) == numbers(whole), "a run that has ended ends the same again"
    assert not [path for path in folder.iterdir() if path.name.startswith(".step")]


@pytest.mark.slow
@pytest.mark.parametrize("step", [3, 6, 9])
@pytest.mark.parametrize(
    "options",
    [
        {"solver": jaxbp.gauss_newton()},
        {
            "solver": jaxbp.first_order(optax.lbfgs()),
            "batch_size": None,
            "callbacks": (jaxbp.KeepBest(),),
        },
        {"validation": DATA, "callbacks": (jaxbp.RecordLayers(), jaxbp.EarlyStopping(2))},
        {
            "solver": jaxbp.first_order(optax.sgd(0.5, momentum=0.9)),
            "key": jax.random.key(3, impl="rbg"),
        },
    ],
)
def test_so_it_is_with_every_solver_and_option(tmp_path, options, step):
    interrupted_run(tmp_path, step, **options)
    assert numbers(resumed(tmp_path, **options)) == numbers(fit(**options))


def test_checkpoints_come_every_so_many_steps_and_at_the_end(tmp_path, whole):
    result = fit(jaxbp.Checkpoint(tmp_path, every=7))
    assert steps_in(tmp_path) == [9, 12]
    assert numbers(result) == numbers(whole)


def test_a_damaged_checkpoint_is_refused_and_the_one_before_it_used(folder, whole):
    newest = folder / "step-0000000006.npz"
    newest.write_bytes(newest.read_bytes()[:-100])
    (folder / ".step-0000000009-abc.npz").write_bytes(b"half")
    with pytest.warns(
        RuntimeWarning,
        match=r"step-0000000006.npz must be a checkpoint .*; the .* before it is tried",
    ):
        result = resumed(folder)
    assert numbers(result) == numbers(whole)
    assert not list(folder.glob(".step*"))


def test_where_none_is_whole_it_says_so(folder):
    for path in folder.glob("step-*"):
        path.write_bytes(b"")
    with (
        pytest.warns(RuntimeWarning, match="it is empty"),
        pytest.raises(ValueError, match="must hold a checkpoint that is intact, none of 2 is"),
    ):
        resumed(folder)


def test_flipped_bits_and_truncations_are_refused(folder):
    path = folder / "step-0000000006.npz"
    content, right = (
        path.read_bytes(),
        [array.tobytes() for array in read_checkpoint(path)[1].values()],
    )
    generator, refused = np.random.default_rng(0), 0
    flips = [
        (int(place), int(bit))
        for place, bit in generator.integers([len(content), 8], size=(1000, 2))
    ]
    for damaged in itertools.chain(
        (content[:i] + bytes([content[i] ^ 1 << bit]) + content[i + 1 :] for i, bit in flips),
        (content[: int(length)] for length in generator.integers(0, len(content), 100)),
    ):
        path.write_bytes(damaged)
        try:
            assert [array.tobytes() for array in read_checkpoint(path)[1].values()] == right
        except ValueError:
            refused += 1
    assert refused > 900  # the others changed a time stamp, or nothing that is read


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 99}, "it has schema 99, and this version of jaxbp reads 2"),
        ({"arrays": [["state_0", "int32", [2**40]]]}, "it has no history|its member"),
        ({"arrays": [["../../x", "int32", []]]}, r"its list of arrays has an entry \['../../x'"),
        ({"arrays": [["state_0", "object", []]]}, "its list of arrays has an entry"),
        ({"arrays": [["state_0", "int32", []]] * 2}, "its list of arrays has an entry"),
        ({"arrays": None}, "schema"),
    ],
)
def test_a_file_made_to_harm_is_refused(folder, changes, message):
    description, arrays = read_checkpoint(folder / "step-0000000006.npz")
    slots = {name: Slot(array.shape, array.dtype.name) for name, array in arrays.items()}
    write_archive(
        folder / "step-0000000009.npz", WHAT, description | changes, arrays, lambda _: slots
    )
    with pytest.raises(ValueError, match=message):
        read_checkpoint(folder / "step-0000000009.npz")


@pytest.mark.parametrize("step", [-(2**31), -1, 5, 30, 1000])
def test_a_forged_step_is_refused(folder, whole, step):
    """The state of a checkpoint, its records and its name must be of one step of the run."""
    path = folder / "step-0000000006.npz"
    description, arrays = read_checkpoint(path)
    slots = {name: Slot(array.shape, array.dtype.name) for name, array in arrays.items()}
    forged = arrays | {"state_0": np.asarray(step, np.int32)}
    write_archive(path, WHAT, description, forged, lambda _: slots)
    with pytest.warns(RuntimeWarning, match="must hold the run up to step 6 of 12, it has step"):
        result = resumed(folder)
    assert numbers(result) == numbers(whole)


def test_a_renamed_checkpoint_is_refused(folder, whole):
    (folder / "step-0000000006.npz").rename(folder / "step-0000000030.npz")
    with pytest.warns(RuntimeWarning, match="must hold the run up to step 30 of 12"):
        assert numbers(resumed(folder)) == numbers(whole)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 13}, "with num_steps 13; it has 12"),
        ({"batch_size": 7}, "with batch_size 7; it has 8"),
        (
            {"solver": jaxbp.first_order(optax.sgd(1e-2))},
            "with solver .*; it has .*ScaleByAdamState",
        ),
        (
            {"solver": jaxbp.first_order(optax.adam, learning_rate=0.1, dropout=0.1)},
            r"with solver FirstOrder \[0.1, 0.1\], .*; it has FirstOrder \[0.01, 0.1\]",
        ),
        ({"loss": "half_squared_error"}, "with loss half_squared_error; it has mean_squared_error"),
    ],
)
def test_another_run_is_refused_with_both_values(folder, options, message):
    with pytest.raises(ValueError, match=message):
        resumed(folder, **options)


def test_another_network_or_dtype_is_refused_other_samples_are_warned_of(folder, x64):
    mlp = jaxbp.Mlp((2, 5, 1))
    options = {"callbacks": (jaxbp.Checkpoint(folder, resume=True),), **OPTIONS}
    with pytest.raises(ValueError, match=r"with network .*\[2, 5, 1\].*; it has .*\[2, 4, 1\]"):
        jaxbp.fit(mlp, draw_params(mlp, dtype=np.float32), DATA, **options)
    with pytest.raises(ValueError, match=r"with state .*float64.*; it has .*float32"):
        jaxbp.fit(MLP, draw_params(MLP), DATA, **options)
    with pytest.warns(RuntimeWarning, match="was written with other samples"):
        jaxbp.fit(MLP, PARAMS, (INPUTS, np.cos(INPUTS[:, :1])), **options)


def test_a_folder_belongs_to_one_run_at_a_time(folder):
    with (
        locked(folder),
        pytest.raises(ValueError, match="must be used by one run at a time, another one has it"),
    ):
        resumed(folder)
    with pytest.raises(
        ValueError,
        match=r"must be a folder without checkpoints unless resume is given, .* has some",
    ):
        fit(jaxbp.Checkpoint(folder))
    with pytest.raises(ValueError, match="every must be a whole number of at least 1, got 0"):
        jaxbp.Checkpoint(folder, every=0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_at_the_next_record_and_exits(tmp_path, whole, number):
    handlers = [signal.getsignal(some) for some in (signal.SIGTERM, signal.SIGINT)]

    def kill(record, params):
        if record.step == 6:
            os.kill(os.getpid(), number)

    with pytest.raises(SystemExit) as ended:
        fit(jaxbp.Checkpoint(tmp_path, every=1000), kill)
    assert ended.value.code == 128 + number
    assert steps_in(tmp_path) == [6]
    assert [signal.getsignal(some) for some in (signal.SIGTERM, signal.SIGINT)] == handlers
    assert numbers(resumed(tmp_path)) == numbers(whole)


def test_a_second_signal_ends_at_once():
    code = (
        "import os, signal, time; from jaxbp._interrupts import interrupts\n"
        "with interrupts() as heard:\n"
        "    os.kill(os.getpid(), signal.SIGINT); assert heard.number == 2\n"
        "    os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=50).returncode == 143


def test_a_full_disk_keeps_the_last_good_file(folder, whole, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.glob("step-*")}

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(np.lib.format, "write_array", full)
        with pytest.raises(OSError, match="No space left on device"):
            resumed(folder)
    assert {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"
    } == before
    assert numbers(resumed(folder)) == numbers(whole)


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_the_same(tmp_path):
    assert kill_and_compare(tmp_path, kills=10) == 10


ELSEWHERE = """
import os, sys
folder, cores, devices, stop = sys.argv[1], *map(int, sys.argv[2:])
if hasattr(os, "sched_setaffinity"):  # JAX starts as many threads as there are cores
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
import jax, numpy as np, optax, jaxbp
mlp = jaxbp.Mlp((2, 64, 64, 1))
inputs = np.random.default_rng(0).standard_normal((20_000, 2)).astype(np.float32)
data, params = (inputs, np.sin(inputs[:, :1]) * inputs[:, 1:]), jaxbp.init(mlp, jax.random.key(0))
def end(record, params):
    if record.step == stop:
        sys.exit(0)
callbacks = jaxbp.Checkpoint(folder, resume=True), end
options = {"callbacks": callbacks, "solver": jaxbp.first_order(optax.adam(1e-2))}
result = jaxbp.fit(mlp, params, data, steps=200, record_every=50, **options)
np.savez(sys.argv[1] + ".npz", *jax.tree.leaves(result.params))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("cores", "devices"), [(1, 1), (2, 2), (1, 8)])
def test_with_other_threads_or_devices_it_ends_nearly_the_same(tmp_path, cores, devices):
    """Sums are taken in another order there."""

    def end(name, *places):
        for some, stop in zip(places, (150, -1) if len(places) > 1 else (-1,), strict=True):
            subprocess.run(
                [sys.executable, "-c", ELSEWHERE, tmp_path / name, *map(str, (*some, stop))],
                check=True,
            )
        with np.load(tmp_path / f"{name}.npz") as file:
            return np.concatenate([leaf.ravel() for leaf in file.values()])

    here, there = end("here", (2, 1)), end("there", (2, 1), (cores, devices))
    assert steps_in(tmp_path / "there")[0] == 100
    assert np.linalg.norm(here - there) <= 1e-5 * np.linalg.norm(here)
