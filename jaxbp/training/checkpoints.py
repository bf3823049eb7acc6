"""Checkpoints: the progress of a run in a folder, a file a time, of which the last few are kept.

Whoever goes on from a folder gets the newest file that is whole. A signal that asks the program to
end is answered by one more.
"""

import errno
import hashlib
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from jaxbp._files import LOCK, locked
from jaxbp._interrupts import Interrupts, interrupts
from jaxbp.training.checkpoint_file import as_progress, read_checkpoint, write_checkpoint
from jaxbp.training.chunks import Run
from jaxbp.training.disk import READ_ROWS, DiskSamples
from jaxbp.training.hosts import every_process, writes
from jaxbp.training.progress import Progress

KEPT = 3  # files
PLACE = {
    "jax": "another version of jax",
    "data": "other samples",
}  # what a run may go on in spite of, with a warning
_NAME = re.compile(r"step-([0-9]{10})\.npz")


class Checkpoints(NamedTuple):
    """The checkpoints of one run; what a run without a folder has does nothing.

    Attributes:
        folder: where they are, None for nowhere.
        every: the number of steps from one to the next at least; they are taken at records.
        about: what the description says of the run.
        heard: signals that ask the program to end.
        mesh: of the devices of the run; of the processes that they belong to the first one writes.
    """

    folder: Path | None
    every: int
    about: Mapping[str, Any]
    heard: Interrupts
    mesh: Mesh | None = None

    def save(self, progress: Progress, ended: bool) -> None:
        """Saves at the end, after `every` steps, or before a signal ends the program with exit
        status 128 + its number.

        Raises:
            OSError: the file cannot be written; those before it stay.
            SystemExit: a signal asked for it.
        """
        if self.folder is None:
            return
        files = files_in(self.folder)
        last, step = _step(files[0]) if files else 0, int(progress.state.step)
        # What any process heard, so that all of them end at the same record.
        asked = max(every_process(self.mesh, self.heard.number or 0))
        due = (step > last or not files) and (ended or asked or step >= last + self.every)
        if due and writes(self.mesh):
            if not (self.folder / LOCK).exists():  # which a new folder would not have
                raise FileNotFoundError(
                    errno.ENOENT, "the folder was removed while the run used it", str(self.folder)
                )
            write_checkpoint(self.folder / f"step-{step:010d}.npz", progress, self.about)
            for old in files_in(self.folder)[KEPT:]:
                old.unlink(missing_ok=True)
        if self.mesh is None:
            asked = self.heard.number or 0  # also while it was saved
        if asked:
            raise SystemExit(128 + asked)


@contextmanager
def checkpoints(
    folder: Path | None, every: int, resume: bool, run: Run
) -> Iterator[tuple[Checkpoints, Progress]]:
    """Locks the folder and listens to signals within the block; gives the checkpoints, and where
    the run stands.

    On several hosts all processes read the folder and the first one writes to it.

    Raises:
        ValueError: another run has the folder, the processes see different ones, it holds
            checkpoints and is not to go on from them, none of them is whole, or they are those of
            another run.
        OSError: the folder cannot be written.
    """
    fresh = Progress.of(run.state)
    if folder is None:
        yield Checkpoints(None, every, {}, Interrupts()), fresh
        return
    mesh = run.problem.mesh
    with locked(folder) if writes(mesh) else nullcontext(), interrupts() as heard:
        for left in (
            folder.glob(".step-*.npz") if writes(mesh) else ()
        ):  # of a program that was killed while it wrote
            left.unlink(missing_ok=True)
        files = files_in(folder)
        steps = every_process(mesh, _step(files[0]) if files else 0)
        if len(set(steps)) > 1:
            raise ValueError(
                f"checkpoint must be a folder that all processes share, theirs end at steps {steps}"
            )
        if files and not resume:
            raise ValueError(
                f"checkpoint must be a folder without checkpoints unless resume is given, {folder} has some"
            )
        about = about_run(run)
        yield (
            Checkpoints(folder, every, about, heard, mesh),
            newest(files, fresh, about) if files else fresh,
        )


def files_in(folder: Path) -> list[Path]:
    """The checkpoints in a folder, the newest first."""
    return sorted(
        (path for path in folder.glob("step-*.npz") if _NAME.fullmatch(path.name)), reverse=True
    )


def newest(files: list[Path], fresh: Progress, about: Mapping[str, Any]) -> Progress:
    """Reads the newest file that is whole, and warns of each that is not."""
    for path in files:
        try:
            description, arrays = read_checkpoint(path)
        except ValueError as error:
            warnings.warn(
                f"{error}; the checkpoint before it is tried", RuntimeWarning, stacklevel=5
            )
            path.rename(path.with_suffix(".refused"))
            continue
        for name, wanted in about.items():
            if name not in PLACE and description.get(name) != wanted:
                raise ValueError(
                    f"{path} must be of this run, with {name} {wanted}; it has {description.get(name)}"
                )
        for name, what in PLACE.items():
            # Of a run on several hosts it tells of the samples of the first process, which wrote
            # it.
            if description.get(name) != about[name] and jax.process_index() == 0:
                warnings.warn(f"{path} was written with {what}", RuntimeWarning, stacklevel=5)
        return as_progress(fresh, description, arrays, path)
    raise ValueError(
        f"{files[0].parent} must hold a checkpoint that is whole, none of {len(files)} is"
    )


def about_run(run: Run) -> dict[str, Any]:
    """What makes a run the same run, as JSON holds it."""
    problem, digest = (
        run.problem,
        hashlib.sha256(b"on disk" if isinstance(run.train, DiskSamples) else b""),
    )
    for array in (run.train.inputs, run.train.targets, *jax.tree.leaves(run.held_out)):
        rows = np.asarray(array)
        for first in range(0, len(rows), READ_ROWS):  # some may be on disk
            digest.update(np.ascontiguousarray(rows[first : first + READ_ROWS]).tobytes())
    mlp = problem.mlp
    return {
        "network": {
            "sizes": list(mlp.sizes),
            "activations": list(mlp.activation_names),
        },
        "solver": f"{run.solver.name}, {jax.tree.structure(run.state.solver)}",
        "state": [[str(leaf.dtype), list(leaf.shape)] for leaf in jax.tree.leaves(run.state)],
        **{"loss": problem.loss.name, "dropout": float(problem.dropout)},
        "batch_size": None if problem.batch_size is None else int(problem.batch_size),
        "tile": None if problem.tile is None else int(problem.tile),
        **{"num_steps": int(run.num_steps), "record_every": int(run.record_every)},
        **{
            "record_layers": bool(run.record_layers),
            "data": digest.hexdigest()[:16],
            "jax": jax.__version__,
        },
    }


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))
