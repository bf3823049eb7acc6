"""Samples that stay on disk: memory-mapped arrays, read one window at a time.

An epoch takes every sample once, in an order that reads the disk in runs:

    blocks      of adjacent rows, BLOCK_BYTES of them; their order is a permutation, but the
                incomplete block at the end of the file comes last
    windows     of WINDOW_BLOCKS blocks; the order of the rows of a window is a permutation

The order depends on key and epoch alone, so a run can be resumed anywhere.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import jax
import numpy as np

from jaxbp._checks import check_finite
from jaxbp._samples import as_samples
from jaxbp.losses import Loss
from jaxbp.params import Mlp, Params
from jaxbp.training.batches import Piece
from jaxbp.training.evaluation import Evaluation, evaluate
from jaxbp.training.sharding import share
from jaxbp.training.solver import Batch, Problem
from jaxbp.training.state import TrainState

BLOCK_BYTES, WINDOW_BLOCKS = 2**16, 512  # a window is 32 MB of the file
READ_ROWS = 2**16  # that are evaluated, or handed to the compiled loop, at a time


class DiskSamples:
    """Samples of memory-mapped arrays, validated and cast as they are read."""

    def __init__(self, mlp: Mlp, params: Params, inputs: Any, targets: Any, loss: Loss) -> None:
        """Check the shapes and the first row."""
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
        self._window: tuple[Any, Any] = (None, None)

    def pieces(
        self, problem: Problem, state: TrainState, stop: int, most_steps: int
    ) -> Iterator[tuple[Piece, int]]:
        """Yield the samples of the steps until `stop`, in pieces of equal shape, and their ends."""
        batch_size, start = problem.batch_size or 1, int(state.step)
        steps = max(1, min(most_steps, READ_ROWS // batch_size))
        key = tuple(np.ravel(jax.random.key_data(state.batch_key)).tolist())
        position = int(state.epoch) * self.num_samples + int(state.place)
        edges = [*range(start, stop, steps), stop] if stop > start else [start, start]
        for first, last in pairwise(edges):
            place = position + (first - start) * batch_size
            rows = self.in_order(key, place, (last - first) * batch_size, steps * batch_size)
            step = np.asarray(first, np.int32)
            yield Piece(share(problem.mesh, rows), step, self.num_samples), last

    def evaluate(self, problem: Problem, params: Params) -> Evaluation:
        """Evaluate parameters over all samples, part by part."""
        loss, nonfinite = 0.0, np.zeros(problem.mlp.num_layers, int)
        for first in range(0, self.num_samples, READ_ROWS):
            rows = self.rows(np.arange(first, min(first + READ_ROWS, self.num_samples)))
            part = jax.device_get(evaluate(problem, params, rows))
            loss += float(part.loss) * len(rows.inputs) / self.num_samples
            nonfinite = nonfinite + part.nonfinite
        return Evaluation(loss, nonfinite)  # type: ignore[arg-type]

    def first(self, num_rows: int) -> Batch:
        """Read the first rows of the file."""
        return self.rows(np.arange(min(num_rows, self.num_samples)))

    def all_rows(self, problem: Problem) -> Batch:
        """Return all rows as they are mapped."""
        return Batch(self.inputs, self.targets)

    def rows(self, places: np.ndarray) -> Batch:
        """Read rows of the file, in the dtype of the parameters."""
        inputs = self._cast("inputs", self.inputs, places)
        targets = self._cast("targets", self.targets, places)
        try:
            return jax.tree.map(np.asarray, Batch(*self._validated(inputs, targets)))
        except ValueError as error:
            first = places[0] if len(places) else 0
            raise ValueError(f"{error} (counted from row {first} on)") from None

    def in_order(self, key: tuple[int, ...], position: int, num_rows: int, room: int) -> Batch:
        """Read rows from a place of the run on, counted through all epochs, padded with zeros."""
        parts, left, rows_of_a_window = [], num_rows, WINDOW_BLOCKS * self._block
        while left:
            epoch, place = divmod(position, self.num_samples)
            number, first = divmod(place, rows_of_a_window)
            window = self._window_at(key, epoch, number)
            parts.append(jax.tree.map(lambda rows, a=first, b=first + left: rows[a:b], window))
            taken = len(parts[-1].inputs)
            left, position = left - taken, position + taken

        def padded(like: np.ndarray, *rows: np.ndarray) -> np.ndarray:
            return np.concatenate([*rows, np.zeros((room - num_rows, *like.shape[1:]), like.dtype)])

        return jax.tree.map(padded, self._like, *parts)

    def _cast(self, name: str, array: Any, places: np.ndarray) -> np.ndarray:
        """Read rows, and cast numbers to the dtype of the parameters; labels stay."""
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

    def _window_at(self, key: tuple[int, ...], epoch: int, number: int) -> Batch:
        """Return the rows of a window in the order of the epoch; the last window is kept."""
        if self._window[0] != (key, epoch, number):
            whole = self.num_samples // self._block
            order = np.append(np.random.default_rng([*key, epoch]).permutation(whole), whole)
            blocks = np.sort(order[number * WINDOW_BLOCKS : (number + 1) * WINDOW_BLOCKS])
            places = (blocks[:, np.newaxis] * self._block + np.arange(self._block)).ravel()
            window = self.rows(places[places < self.num_samples])
            generator = np.random.default_rng([*key, epoch, number])
            shuffled = generator.permutation(len(window.inputs))
            rows = jax.tree.map(lambda rows: rows[shuffled], window)
            self._window = (key, epoch, number), rows
        return self._window[1]
