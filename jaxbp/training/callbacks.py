"""Callbacks of `fit` and `fit_many`.

Any function `(record, params) -> None` is a callback: it is called on the host with each `Record`
and the parameters at that record, for progress bars, logs and films. The callbacks below are
values that ask the loop for more.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxbp._checks import check_count
from jaxbp._files import as_path
from jaxbp.training.state import Record


class Callback:
    """Base class of the callbacks that are values.

    Attributes:
        keeps_best: whether the result has the parameters of the best record.
        records_layers: whether every layer is measured at each record.
    """

    keeps_best = False
    records_layers = False

    def stops(self, records: tuple[Record, ...]) -> bool:
        """Return whether the run ends after these records."""
        return False


@dataclass(frozen=True)
class KeepBest(Callback):
    """Return the parameters of the record with the smallest validation loss, not the last.

    Without validation samples the training loss decides. In `fit_many` each network keeps its own.

    Examples:
        >>> import jaxbp
        >>> jaxbp.KeepBest()
        KeepBest()
    """

    keeps_best = True


@dataclass(frozen=True)
class EarlyStopping(Callback):
    """Stop after `patience` records without a smaller validation loss, and keep the best.

    Without validation samples the training loss decides. `fit_many` stops when no network has
    improved.

    Attributes:
        patience: number of records.

    Raises:
        ValueError: patience is not a positive whole number.

    Examples:
        >>> import jaxbp
        >>> jaxbp.EarlyStopping(patience=5)
        EarlyStopping(patience=5)
    """

    patience: int = 10
    keeps_best = True

    def __post_init__(self) -> None:
        check_count("patience", self.patience, minimum=1)

    def stops(self, records: tuple[Record, ...]) -> bool:
        """Return whether the last `patience` records brought no improvement."""
        if len(records) <= self.patience:
            return False
        losses = np.array([record.watched for record in records])
        earlier, later = losses[: -self.patience], losses[-self.patience :]
        return not (later.min(axis=0) < earlier.min(axis=0)).any()


@dataclass(frozen=True)
class RecordLayers(Callback):
    """Measure every layer at each record: see `LayerRecord` and `FitResult.layers`.

    Examples:
        >>> import jaxbp
        >>> jaxbp.RecordLayers()
        RecordLayers()
    """

    records_layers = True


@dataclass(frozen=True)
class Checkpoint(Callback):
    """Save the run in a folder, so that it can be resumed.

    A checkpoint is written at the first record after `every` steps and at the end. SIGTERM and
    SIGINT save at the next record and exit with 128 + their number.

    Attributes:
        folder: made if it is missing.
        every: number of steps from one checkpoint to the next; None for each record.
        resume: continue from the newest intact checkpoint in the folder, if there is one. The
            result is bit-identical to that of the same call without an interruption, on the same
            machine with the same versions.

    Raises:
        ValueError: every is not a positive whole number.

    Examples:
        >>> import jaxbp
        >>> checkpoint = jaxbp.Checkpoint("run", every=500, resume=True)
    """

    folder: str | os.PathLike[str]
    every: int | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        if self.every is not None:
            check_count("every", self.every, minimum=1)

    @property
    def path(self) -> Path:
        """Folder as a path."""
        return as_path(os.fspath(self.folder))


def check_callbacks(callbacks: Any) -> tuple[Any, ...]:
    """Return the callbacks as a tuple, or raise a TypeError with the first that is none."""
    if not isinstance(callbacks, (tuple, list)):
        raise TypeError(f"callbacks must be a tuple, got {type(callbacks).__name__}")
    for position, one in enumerate(callbacks):
        if isinstance(one, type) or not (isinstance(one, Callback) or callable(one)):
            raise TypeError(
                f"callbacks[{position}] must be a function (record, params) or one of KeepBest(), "
                f"EarlyStopping(), RecordLayers() and Checkpoint(folder), got {one!r}"
            )
    if sum(isinstance(one, Checkpoint) for one in callbacks) > 1:
        raise ValueError("callbacks must hold one Checkpoint at most")
    return tuple(callbacks)
