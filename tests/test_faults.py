"""Faults of the surroundings: disks, folders, signals, outputs. The last good file stays, one line
says what failed."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import warnings
from contextlib import suppress
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from architectures import draw_params
from matplotlib import font_manager
from matplotlib.figure import Figure

import jaxbp
from jaxbp import viz
from jaxbp.training import checkpoint, samples
from jaxbp.training.checkpoint import read_checkpoint

pytestmark = pytest.mark.usefixtures("compiled_quickly")
ROOT = Path(__file__).parent.parent
MLP = jaxbp.Mlp((2, 40, 40, 1))
INPUTS = np.random.default_rng(0).standard_normal((21, 2)).astype(np.float32)
DATA = (INPUTS, np.sin(INPUTS[:, :1]))
PARAMS = draw_params(MLP, dtype=np.float32)
MODEL = jaxbp.Model.for_data(MLP, PARAMS, *DATA)
OPTIONS = {"steps": 12, "record_every": 3, "solver": jaxbp.first_order(optax.adam(1e-2))}


def mount(*arguments):
    """Mounts, or skips the test where that is not possible: on other systems, and for users who may
    not."""
    program = shutil.which("mount")
    if (
        program is None
        or subprocess.run(
            [program, *map(str, arguments)], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("NO MOUNT: a full and a read-only disk need Linux and its root")


def immutable(folder, mode):
    """Lets nobody write to a folder, not even root; a disk on which a file is open is not made
    read-only."""
    program = shutil.which("chattr")
    if (
        program is None
        or subprocess.run([program, mode, folder], check=False, capture_output=True).returncode
    ):
        pytest.skip(
            "NO MOUNT: a folder that root cannot write to needs Linux, its root, and a disk that knows chattr"  # noqa: E501
        )


@pytest.fixture
def disk(tmp_path):
    """A disk of 256 kB, which holds a few checkpoints of this network."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=256k", "tmpfs", folder)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    with (folder / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1024))


def at_step(step, act, *arguments):
    return lambda record, params: act(*arguments) if record.step == step else None


def good(folder):
    return {path.name: path.read_bytes() for path in folder.glob("step-*") if read_checkpoint(path)}


def fit(folder, *callbacks, **options):
    callbacks = jaxbp.Checkpoint(folder, resume=True), *callbacks
    return jaxbp.fit(MLP, PARAMS, DATA, callbacks=callbacks, **OPTIONS | options)


@pytest.mark.parametrize(
    ("fault", "mend", "message"),
    [
        (
            fill,
            lambda folder: (folder / "filler").unlink(),
            r"No space left on device: '.*run/step-0000000009.npz'",
        ),
        (
            lambda folder: immutable(folder / "run", "+i"),
            lambda folder: immutable(folder / "run", "-i"),
            "Operation not permitted: '.*run/",
        ),
    ],
    ids=["full", "read-only"],
)
def test_a_disk_that_takes_no_more_keeps_the_last_good_file(disk, fault, mend, message):
    # The checkpoint of step 6 is on the disk before the record of step 9 comes.
    with pytest.raises(OSError, match=message) as failed:
        fit(disk / "run", at_step(9, fault, disk))
    assert "\n" not in str(failed.value)
    assert sorted(good(disk / "run")) == ["step-0000000003.npz", "step-0000000006.npz"]
    mend(disk)
    whole = jaxbp.fit(MLP, PARAMS, DATA, **OPTIONS)
    for a, b in zip(
        jax.tree.leaves(fit(disk / "run").params), jax.tree.leaves(whole.params), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_a_folder_that_is_removed_while_the_run_uses_it_is_not_made_again(tmp_path):
    """A second run could have taken its place."""
    with pytest.raises(
        FileNotFoundError, match=r"the folder was removed while the run used it: '.*/run'"
    ):
        fit(tmp_path / "run", at_step(9, shutil.rmtree, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_read_only_folder_is_named_before_the_run_begins(disk):
    mount("-o", "remount,ro", disk)
    with pytest.raises(OSError, match=r"Read-only file system: '.*/run'"):
        fit(disk / "run")
    with pytest.raises(
        OSError, match=r"Read-only file system: '.*model.npz'|Read-only file system: '.*\.model-"
    ):
        MODEL.save(disk / "model.npz")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (fill, "No space left on device"),
        (
            lambda folder: mount("-o", "remount,ro", folder),
            "error: out must be a folder that can be written to, got ",
        ),
    ],
    ids=["full", "read-only"],
)
def test_a_script_says_in_one_line_what_the_disk_refused(disk, fault, message):
    flags = ["--steps", "3", "--samples", "400", "--quiet", "--out", disk]
    fault(disk)
    command = [sys.executable, ROOT / "experiments" / "fit_surface.py", *flags]
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert message in ended.stderr
    assert {path.name for path in disk.iterdir()} <= {"filler"}


@pytest.mark.parametrize(
    "arguments",
    [["experiments/one_layer.py", "--out", "{}/out"], ["-m", "jaxbp", "info", "{}/model.npz"]],
    ids=["experiment", "command"],
)
@pytest.mark.parametrize("output", ["closed", pytest.param("full", marks=pytest.mark.slow)])
def test_without_an_output_one_line_says_so(tmp_path, arguments, output):
    MODEL.save(tmp_path / "model.npz")
    before = (tmp_path / "model.npz").read_bytes()
    arguments = [argument.format(tmp_path) for argument in arguments]
    if output == "full" and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    place = {"closed": ">&-", "full": ">/dev/full"}[output]
    ended = subprocess.run(
        ["sh", "-c", f'exec "$@" {place}', "sh", sys.executable, *arguments],
        **{"cwd": ROOT, "env": os.environ | {"PYTHONPATH": str(ROOT)}},
        **{"stderr": subprocess.PIPE, "text": True, "check": False},
    )
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("error: ")
    assert (
        "standard output must be open, it is closed" if output == "closed" else "No space left"
    ) in ended.stderr
    assert (tmp_path / "model.npz").read_bytes() == before


@pytest.mark.parametrize(
    ("module", "name", "steps"),
    [
        (samples, "evaluate", []),
        (checkpoint, "write_archive", [3]),
        (checkpoint, "write_checkpoint", [3]),
    ],
    ids=["compile", "write", "save"],
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_within_compilation_or_a_save_ends_after_the_next_one(
    tmp_path, monkeypatch, module, name, steps, number
):
    function, calls = getattr(module, name), []

    def struck(*arguments):
        if not calls:
            os.kill(os.getpid(), number)
        calls.append(name)
        return function(*arguments)

    monkeypatch.setattr(module, name, struck)
    with pytest.raises(SystemExit) as ended:
        fit(tmp_path)
    assert ended.value.code == 128 + number
    assert sorted(good(tmp_path)) == [f"step-{step:010d}.npz" for step in steps or [0]]
    assert not list(tmp_path.glob(".step*"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Path.touch, "it is empty"),
        (Path.mkdir, "it is a directory"),
        (lambda path: (path.write_bytes(b"x"), path.chmod(0)), "Permission denied"),
    ],
    ids=["empty", "directory", "unreadable"],
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, monkeypatch, make, message):
    fit(tmp_path / "run", steps=3)
    newest = tmp_path / "run" / "step-0000000009.npz"
    make(newest)
    if message == "Permission denied" and os.geteuid() == 0:  # whom permissions do not stop
        opened = Path.open

        def forbidden(path, *arguments, **options):
            if path == newest:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return opened(path, *arguments, **options)

        monkeypatch.setattr(Path, "open", forbidden)
    with pytest.warns(RuntimeWarning, match=message) as warned:
        result = fit(tmp_path / "run", steps=3)
    assert [str(warning.message).count("\n") for warning in warned] == [0]
    assert result.history.step.tolist() == [0, 3]
    assert newest.with_suffix(".refused").exists()


def test_a_checkpoint_of_another_version_of_jax_is_read_with_a_warning(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(jax, "__version__", "0.0.1")
        fit(tmp_path, steps=3)
    with pytest.warns(
        RuntimeWarning, match=r"step-0000000003.npz was written with another version of jax"
    ):
        fit(tmp_path, steps=3)


@pytest.mark.parametrize("name", ["my run", "größe", "no.suffix"])
def test_checkpoints_are_where_they_were_asked_for(tmp_path, monkeypatch, name):
    monkeypatch.setenv("HOME", str(tmp_path))
    fit(f"~/runs/{name}", steps=0)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [name]


def test_pictures_need_no_display(tmp_path):
    code = (
        "import sys, numpy as np; from jaxbp import viz\n"
        "viz.save_figure(viz.draw_curves(np.arange(3), {'a': np.array([1.0, np.nan, 2.0])}).figure, sys.argv[1])"  # noqa: E501
    )
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    subprocess.run(
        [sys.executable, "-c", code, tmp_path / "curve.png"], check=True, env=environment
    )
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_font_installed_after_matplotlib_looked_is_found(monkeypatch):
    fonts = font_manager.FontManager.__new__(font_manager.FontManager)
    fonts.__dict__ = vars(font_manager.fontManager) | {"ttflist": []}
    path = font_manager.findfont("DejaVu Sans Mono")
    monkeypatch.setattr(font_manager, "fontManager", fonts)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [__file__, path])
    style = sys.modules["jaxbp.viz.style"]  # the name is also that of a function
    monkeypatch.setattr(style, "CHINESE_FAMILIES", ("no such font", "DejaVu Sans Mono"))
    style.chinese_family.cache_clear()
    try:
        assert style.chinese_family() == "DejaVu Sans Mono"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figure = Figure()
            figure.suptitle("true")
            assert viz.translate(figure, "zh").get_suptitle() == "真实值"
    finally:
        style.chinese_family.cache_clear()
