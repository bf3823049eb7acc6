"""Samples that stay on disk: memory-mapped arrays, of which a window at a time is in memory.

An epoch takes every sample once, in an order that reads the disk in runs:

    blocks      of rows that lie next to each other, BLOCK_BYTES of them; their order is a permutation, but for what is
                left over at the end of the file, which comes last
    windows     of WINDOW_BLOCKS blocks; the order of the rows of a window is a permutation

It depends on key and epoch alone, so that a run can go on from anywhere.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from jaxbp._checks import check_finite
from jaxbp._samples import as_samples
from jaxbp.losses import Loss
from jaxbp.params import Mlp, Params
from jaxbp.training.evaluation import Evaluation, evaluate
from jaxbp.training.solver import Batch, Problem

BLOCK_BYTES, WINDOW_BLOCKS = 2**16, 512  # a window is 32 MB of the file
READ_ROWS = 2**16  # that are evaluated, or handed to the compiled loop, at a time


class DiskSamples:
    """Samples of memory-mapped arrays, validated and cast as they are read.

    Attributes:
        inputs: (n, n_0).
        targets: (n, n_L), or labels (n,).
        num_samples: n.
    """

    def __init__(self, mlp: Mlp, params: Params, inputs: Any, targets: Any, loss: Loss) -> None:
        """Looks at the shapes and at the first row.

        Raises:
            ValueError, TypeError: as `loss_and_gradient` does.
        """
        self._validated = lambda inputs, targets: as_samples(mlp, params, inputs, targets, loss)
        self._dtype = params[0].weight.dtype
        self.inputs, self.targets, self.num_samples = inputs, targets, len(inputs)
        if len(targets) != len(inputs):
            raise ValueError(
                f"targets must have {len(inputs)} rows like the inputs, got {len(targets)}"
            )
        self._like = self.first(1)
        row_bytes = sum(np.asarray(array[:1]).nbytes for array in (inputs, targets))
        self._block = max(1, BLOCK_BYTES // row_bytes)
        self._window = lru_cache(maxsize=1)(self._read_window)

    def rows(self, places: np.ndarray) -> Batch:
        """Reads rows of the file, in the dtype of the parameters.

        Raises:
            ValueError: a number is not finite, or a target is not what the loss takes.
        """
        inputs, targets = (
            self._cast("inputs", self.inputs, places),
            self._cast("targets", self.targets, places),
        )
        try:
            return jax.tree.map(np.asarray, Batch(*self._validated(inputs, targets)))
        except ValueError as error:
            raise ValueError(
                f"{error} (counted from row {places[0] if len(places) else 0} on)"
            ) from None

    def in_order(self, key: tuple[int, ...], position: int, num_rows: int, room: int) -> Batch:
        """Reads the rows of some places of the run, in the order of its epochs, and pads them with
        zeros.

        Args:
            key: what the order is drawn with.
            position: the first place, counted through all epochs.
            num_rows: how many.
            room: how many rows the result has.
        """
        parts, left, rows_of_a_window = [], num_rows, WINDOW_BLOCKS * self._block
        while left:
            epoch, place = divmod(position, self.num_samples)
            number, first = divmod(place, rows_of_a_window)
            window = self._window(key, epoch, number)
            parts.append(jax.tree.map(lambda rows, a=first, b=first + left: rows[a:b], window))
            taken = len(parts[-1].inputs)
            left, position = left - taken, position + taken

        def padded(like: np.ndarray, *rows: np.ndarray) -> np.ndarray:
            return np.concatenate([*rows, np.zeros((room - num_rows, *like.shape[1:]), like.dtype)])

        return jax.tree.map(padded, self._like, *parts)

    def first(self, num_rows: int) -> Batch:
        """Reads the first rows of the file."""
        return self.rows(np.arange(min(num_rows, self.num_samples)))

    @property
    def mapped(self) -> Batch:
        """All rows as they are mapped, for what reads them part by part."""
        return Batch(self.inputs, self.targets)

    def evaluate(self, problem: Problem, params: Params) -> Evaluation:
        """Computes what `evaluate` does, of all samples."""
        loss, nonfinite = 0.0, np.zeros(problem.mlp.num_layers, int)
        for rows in self._in_file_order():
            part = jax.device_get(evaluate(problem, params, rows))
            loss, nonfinite = (
                loss + float(part.loss) * len(rows.inputs) / self.num_samples,
                nonfinite + part.nonfinite,
            )
        return Evaluation(loss, nonfinite)  # type: ignore[arg-type]

    def _cast(self, name: str, array: Any, places: np.ndarray) -> np.ndarray:
        """Reads rows, and casts numbers to the dtype of the parameters; labels stay."""
        rows = np.asarray(array[places])
        if not np.issubdtype(rows.dtype, np.floating):
            return rows
        with np.errstate(over="ignore"):
            cast = rows.astype(self._dtype)
        if not np.isfinite(cast).all():
            wrong = int(np.argwhere(~np.isfinite(cast))[0, 0])
            check_finite(f"row {places[wrong]} of {name}", rows[wrong])
            raise ValueError(
                f"row {places[wrong]} of {name} must fit into {self._dtype}, got {rows[wrong]}"
            )
        return cast

    def _in_file_order(self) -> Iterator[Batch]:
        for first in range(0, self.num_samples, READ_ROWS):
            yield self.rows(np.arange(first, min(first + READ_ROWS, self.num_samples)))

    def _read_window(self, key: tuple[int, ...], epoch: int, number: int) -> Batch:
        """The rows of a window in the order in which the epoch takes them."""
        whole = self.num_samples // self._block
        order = np.append(np.random.default_rng([*key, epoch]).permutation(whole), whole)
        blocks = np.sort(order[number * WINDOW_BLOCKS : (number + 1) * WINDOW_BLOCKS])
        places = (blocks[:, np.newaxis] * self._block + np.arange(self._block)).ravel()
        window = self.rows(places[places < self.num_samples])
        shuffled = np.random.default_rng([*key, epoch, number]).permutation(len(window.inputs))
        return jax.tree.map(lambda rows: rows[shuffled], window)
