"""Rows in standard units, their split, and what a candidate leaves for the choice.

Legend: n rows, d inputs, k outputs, h rows that a candidate was not fitted to.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxbp._checks import as_float_array, check_finite
from jaxbp.fitting.score import Candidate
from jaxbp.network import forward
from jaxbp.params import Mlp, Params
from jaxbp.training.solver import Batch

HELD_OUT_SHARE, MOST_HELD_OUT = 0.2, 2000
FEW = 100  # rows: of fewer, a fifth is too small a sample, and every fifth is held out in turn

Members = tuple[tuple[Mlp, Params], ...]
Fit = Callable[[Batch], Members]


class Rows(NamedTuple):
    """All rows in standard units, and the two parts that they are split into."""

    every: Batch
    train: Batch
    held_out: Batch


class Trial(NamedTuple):
    """A candidate with what it takes to fit it once more.

    Attributes:
        candidate: for the history.
        members: networks and parameters, of which the average is the prediction.
        predictions: (h, k) for the rows held out, those of all splits one below the other.
        refit: fits the candidate to other rows.
        noise: the share of the targets' variance that the candidate takes for noise.
    """

    candidate: Candidate
    members: Members
    predictions: np.ndarray
    refit: Fit
    noise: float = 0.0


def trial_of(
    name: str, fit: Fit, splits: list[Rows], noise: Callable[[], float] = lambda: 0.0
) -> Trial:
    """Fits a candidate to the training rows of every split, and judges it by the rows held out."""
    start = time.perf_counter()
    fits = [fit(rows.train) for rows in splits]
    predictions = [
        predicted(members, rows.held_out.inputs) for members, rows in zip(fits, splits, strict=True)
    ]
    error = rms(np.concatenate(predictions) - held_out_targets(splits))
    found = Candidate(name, error, time.perf_counter() - start)
    return Trial(found, fits[0], np.concatenate(predictions), fit, noise())


def predicted(members: Members, inputs: Any) -> np.ndarray:
    """The average of the members' outputs (n, k)."""
    return np.mean([np.asarray(forward(mlp, params, inputs)[0]) for mlp, params in members], axis=0)


def held_out_targets(splits: list[Rows]) -> np.ndarray:
    """The targets (h, k) beside `Trial.predictions`."""
    return np.concatenate([np.asarray(rows.held_out.targets) for rows in splits])


def split(inputs: np.ndarray, targets: np.ndarray, seed: int) -> list[Rows]:
    """Holds out a fifth of the rows, at most 2,000; of few rows every fifth in turn, in parts of one size."""
    num_rows = len(inputs)
    permutation = np.random.RandomState(seed).permutation(num_rows)
    size = min(MOST_HELD_OUT, max(1, round(HELD_OUT_SHARE * num_rows)))
    every = _batch(inputs, targets, permutation)
    # Parts of one size, so that one compiled program serves them all.
    starts = range(0, 5 * (num_rows // 5), num_rows // 5) if num_rows < FEW else (0,)
    size = num_rows // 5 if num_rows < FEW else size
    parts = [
        (permutation[first : first + size], np.delete(permutation, slice(first, first + size)))
        for first in starts
    ]
    return [
        Rows(every, _batch(inputs, targets, train), _batch(inputs, targets, held))
        for held, train in parts
    ]


def varying(inputs: Any) -> np.ndarray:
    """The columns of standardized inputs that are not constant."""
    return np.flatnonzero(np.ptp(np.asarray(inputs), axis=0) > 0)


def table(name: str, array: Any, *dimensions: int) -> np.ndarray:
    """The array in float64, with one of these numbers of dimensions and all numbers finite."""
    with jax.enable_x64(True):
        values = np.asarray(as_float_array(name, array, jnp.float64))
    if values.ndim not in dimensions or 0 in values.shape:
        shapes = " or ".join(
            "(n,)" if d == 1 else "(n, d)" if name == "inputs" else "(n, k)" for d in dimensions
        )
        raise ValueError(f"{name} must have shape {shapes} and not be empty, got {values.shape}")
    check_finite(name, values)
    return values


def rms(error: Any) -> float:
    """The root mean square, infinite where the error is not finite."""
    value = float(np.sqrt(np.mean(np.square(np.asarray(error)))))
    return value if np.isfinite(value) else float("inf")


def _batch(inputs: np.ndarray, targets: np.ndarray, places: np.ndarray) -> Batch:
    return Batch(jnp.asarray(inputs[places]), jnp.asarray(targets[places]))
