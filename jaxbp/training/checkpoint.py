"""Checkpoints: the progress of a run as files in a folder, of which the newest few are kept.

A file is an archive (`jaxbp._archive`) with a description of the run, which NumPy reads without the
network: start_0 and start_1 are weight and bias of the first layer at the start, best_0 ... the
parameters of the best record, state_0 ... the leaves of the `TrainState`, history_0 ... the columns
of the history, layers_0 ... those of the layer records.
"""

import errno
import hashlib
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbp._archive import Slot, read_archive, write_archive
from jaxbp._files import LOCK, locked
from jaxbp._interrupts import interrupts
from jaxbp._version import __version__
from jaxbp.training.callbacks import Checkpoint
from jaxbp.training.disk import READ_ROWS, DiskSamples
from jaxbp.training.evaluation import LayerRecord
from jaxbp.training.sharding import as_keys, largest, own_rows, to_host
from jaxbp.training.state import History, Progress, Record, TrainState

if TYPE_CHECKING:
    from jaxbp.training.loop import Run

KEPT = 3  # files
SCHEMA = 2  # of the description; others are refused
WHAT = "a checkpoint that jaxbp wrote"
# Differences with which a run may be resumed, with a warning.
WARNED = {"jax": "another version of jax", "data": "other samples"}
_NAME = re.compile(r"step-([0-9]{10})\.npz")
_DTYPES = ("float32", "float64", "int32", "int64", "uint8", "uint32", "bool")

Save = Callable[[Progress, bool], None]


@contextmanager
def saving(run: "Run", state: TrainState) -> Iterator[tuple[Save, Progress]]:
    """Lock the folder of the run's `Checkpoint`, if it has one, and listen to signals.

    Yields a function that saves the progress at a record when it is due, and the progress so far.
    On several hosts all processes read the folder and the first one writes to it.
    """
    fresh = Progress(state.params, state, state.params)
    checkpoint = next((one for one in run.callbacks if isinstance(one, Checkpoint)), None)
    if checkpoint is None:
        yield lambda progress, ended: None, fresh
        return
    folder, mesh, writes = checkpoint.path, run.problem.mesh, jax.process_index() == 0
    every = run.record_every if checkpoint.every is None else checkpoint.every
    with locked(folder) if writes else nullcontext(), interrupts() as heard:
        for left in folder.glob(".step-*.npz") if writes else ():  # of a program that was killed
            left.unlink(missing_ok=True)
        files = files_in(folder)
        last = _step(files[0]) if files else 0
        if largest(mesh, last) != -largest(mesh, -last):
            raise ValueError("Checkpoint must have a folder that all processes share")
        if files and not checkpoint.resume:
            raise ValueError(
                "Checkpoint's folder must be a folder without checkpoints unless resume is given, "
                f"{folder} has some"
            )
        about = about_run(run, state)

        def save(progress: Progress, ended: bool) -> None:
            files, step = files_in(folder), int(progress.state.step)
            last = _step(files[0]) if files else 0
            asked = largest(mesh, heard.number)  # by any process, so that all end at this record
            due = (step > last or not files) and (ended or asked or step >= last + every)
            if due and writes:
                if not (folder / LOCK).exists():
                    message = "the folder was removed while the run used it"
                    raise FileNotFoundError(errno.ENOENT, message, str(folder))
                write_checkpoint(folder / f"step-{step:010d}.npz", progress, about)
                for old in files_in(folder)[KEPT:]:
                    old.unlink(missing_ok=True)
            asked = heard.number if jax.process_count() == 1 else asked  # also while it was saved
            if asked:
                raise SystemExit(128 + asked)

        yield save, newest(files, fresh, about) if files else fresh


def files_in(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, the newest first."""
    found = (path for path in folder.glob("step-*.npz") if _NAME.fullmatch(path.name))
    return sorted(found, reverse=True)


def newest(files: list[Path], fresh: Progress, about: Mapping[str, Any]) -> Progress:
    """Read the newest intact file of this run; warn of damaged ones and set them aside."""
    for path in files:
        try:
            description, arrays = read_checkpoint(path)
            _check_run(path, description, about)
            return as_progress(fresh, description, arrays, path)
        except DamagedError as error:
            message = f"{error}; the checkpoint before it is tried"
            warnings.warn(message, RuntimeWarning, stacklevel=5)
            path.rename(path.with_suffix(".refused"))
    raise ValueError(
        f"{files[0].parent} must hold a checkpoint that is intact, none of {len(files)} is"
    )


def about_run(run: "Run", state: TrainState) -> dict[str, Any]:
    """Describe a run in numbers and texts: the same run has the same description."""
    problem, solver, train = run.problem, run.solver, run.train
    on_disk = isinstance(train, DiskSamples)
    digest = hashlib.sha256(b"on disk" if on_disk else b"")
    arrays = (train.inputs, train.targets) if isinstance(train, DiskSamples) else train.batch
    for array in (*arrays, *jax.tree.leaves(run.held_out)):
        rows = own_rows(array)
        for first in range(0, len(rows), READ_ROWS):
            digest.update(np.ascontiguousarray(rows[first : first + READ_ROWS]).tobytes())
    settings = [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(solver)]
    leaves = jax.tree.leaves(to_host(state))
    return {
        "network": {
            "sizes": list(problem.mlp.sizes),
            "activations": list(problem.mlp.activation_names),
        },
        "solver": f"{type(solver).__name__} {settings}, {jax.tree.structure(state.solver)}",
        "state": [[leaf.dtype.name, list(leaf.shape)] for leaf in leaves],
        "loss": problem.loss.name,
        "batch_size": problem.batch_size,
        "num_steps": int(problem.num_steps),
        "record_every": run.record_every,
        "record_layers": any(one.records_layers for one in run.values),
        "data": digest.hexdigest()[:16],
        "jax": jax.__version__,
    }


class DamagedError(ValueError):
    """A file that is damaged, forged, or of another kind."""


def write_checkpoint(path: Path, progress: Progress, about: Mapping[str, Any]) -> None:
    """Write one checkpoint, whole or not at all."""
    layers = progress.layer_history
    parts = {
        "start": jax.tree.leaves(to_host(progress.start)),
        "best": jax.tree.leaves(to_host(progress.best)),
        "state": jax.tree.leaves(to_host(progress.state)),
        "history": progress.history,
        "layers": () if layers is None else layers[1:],
    }
    arrays = {
        f"{part}_{i}": np.asarray(leaf)
        for part, leaves in parts.items()
        for i, leaf in enumerate(leaves)
    }
    for name, array in arrays.items():
        if array.dtype.name not in _DTYPES:
            raise ValueError(
                f"a checkpoint holds arrays of {', '.join(_DTYPES)}; "
                f"{name} of this run is {array.dtype}"
            )
    listed = [[name, array.dtype.name, list(array.shape)] for name, array in arrays.items()]
    description = {"schema": SCHEMA, "jaxbp": __version__, **about, "arrays": listed}
    write_archive(path, WHAT, description, arrays, _layout)


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read description and arrays, or raise a `DamagedError`."""
    try:
        return read_archive(path, WHAT, _layout)
    except ValueError as error:
        raise DamagedError(str(error)) from None


def as_progress(
    fresh: Progress, description: Mapping[str, Any], arrays: Mapping[str, Any], path: Path
) -> Progress:
    """Put the arrays of a checkpoint into the places that a fresh start of the same run has."""
    parts: dict[str, list[Any]] = {
        part: [array for name, array in arrays.items() if name.startswith(f"{part}_")]
        for part in ("start", "best", "state", "history", "layers")
    }
    with jax.enable_x64(True):  # a solver may keep float64 where the parameters are float32
        start = _like(fresh.start, parts["start"], path)
        best = _like(fresh.best, parts["best"], path)
        state = _like(fresh.state, parts["state"], path)
    columns = zip(*parts["history"], strict=True)
    records = tuple(Record(int(a), float(b), float(c), float(d)) for a, b, c, d in columns)
    layers = tuple(LayerRecord(*rows) for rows in zip(*parts["layers"], strict=True))
    steps, step = [record.step for record in records], int(state.step)
    if (
        step != _step(path)
        or step > description["num_steps"]
        or steps != sorted(set(steps))
        or steps[-1] != step
        or steps[0] < 0
        or len(layers) not in (0, len(records))
    ):
        raise DamagedError(
            f"{path} must hold the run up to step {_step(path)} of {description['num_steps']}, "
            f"it has step {step} and records at {steps[:3]} ... {steps[-1]}"
        )
    return Progress(start, state, best, records, layers)


def _check_run(path: Path, description: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Raise a ValueError if a checkpoint is of another run, with both values."""
    for name, wanted in about.items():
        if name not in WARNED and description.get(name) != wanted:
            raise ValueError(
                f"{path} must be of this run, with {name} {wanted}; it has {description.get(name)}"
            )
    for name, what in WARNED.items():
        # Of a run on several hosts it describes the samples of the first process, which wrote it.
        if description.get(name) != about[name] and jax.process_index() == 0:
            warnings.warn(f"{path} was written with {what}", RuntimeWarning, stacklevel=6)


def _like(tree: Any, arrays: list[np.ndarray], path: Path) -> Any:
    leaves, structure = jax.tree.flatten(to_host(tree))
    wanted = [(leaf.dtype.name, leaf.shape) for leaf in leaves]
    found = [(array.dtype.name, array.shape) for array in arrays]
    if found != wanted:
        raise DamagedError(f"{path} must hold arrays {wanted} for this run, it has {found}")
    return as_keys(tree, jax.tree.unflatten(structure, [jnp.asarray(array) for array in arrays]))


def _layout(description: dict[str, Any]) -> dict[str, Slot]:
    """Return what the arrays of a file must be, by its own list."""
    schema, listed = description.get("schema"), description.get("arrays")
    if schema != SCHEMA or not isinstance(listed, list):
        raise ValueError(f"it has schema {schema}, and this version of jaxbp reads {SCHEMA}")
    slots: dict[str, Slot] = {}
    for name, dtype, shape in listed:
        known = isinstance(name, str) and re.fullmatch(
            "(start|best|state|history|layers)_[0-9]{1,4}", name
        )
        sizes = all(type(size) is int for size in shape)
        if not known or name in slots or dtype not in _DTYPES or not sizes:
            raise ValueError(f"its list of arrays has an entry {ascii([name, dtype, shape])[:100]}")
        slots[name] = Slot(tuple(shape), dtype)
    if sum(name.startswith("history_") for name in slots) != len(History._fields):
        raise ValueError("it has no history")
    return slots


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))
