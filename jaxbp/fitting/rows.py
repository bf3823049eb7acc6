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
from jaxbp.fitting.evidence import rms
from jaxbp.fitting.score import Candidate
from jaxbp.fitting.standardizing import Standardizer
from jaxbp.fitting.term import Term
from jaxbp.params import Mlp, Params
from jaxbp.training import Batch

HELD_OUT_SHARE, MOST_HELD_OUT = 0.2, 2000
FEW = 100  # rows: of fewer, a fifth is too small a sample, and every fifth is held out in turn
LARGEST = 1e140  # the squares of larger numbers overflow

Terms = tuple[Term, ...]
Fit = Callable[[Batch], Terms]


class Rows(NamedTuple):
    """All rows in standard units, and the two parts that they are split into."""

    every: Batch
    train: Batch
    held_out: Batch


class Trial(NamedTuple):
    """A candidate with what it takes to fit it once more.

    Attributes:
        candidate: for the history.
        terms: fitted to the training rows; their sum is the prediction.
        predictions: (h, k) for the rows held out, those of all splits one below the other.
        refit: fits the candidate to other rows.
        noise: the share of the targets' variance that the candidate takes for noise.
        scalers: its own, where it reads logarithms.
        kriging: of all rows, where it is one.
        variances: (h,) its posterior variances for the rows held out.
    """

    candidate: Candidate
    terms: Terms
    predictions: np.ndarray
    refit: Fit
    noise: float = 0.0
    scalers: tuple[Standardizer, Standardizer] | None = None
    kriging: Any = None
    variances: np.ndarray | None = None


def trial_of(name: str, fit: Fit, splits: list[Rows], noise: float = 0.0) -> Trial:
    """Fit a candidate to the training rows of every split, and measure it on the rows held out."""
    start = time.perf_counter()
    fits = [fit(rows.train) for rows in splits]
    predictions = np.concatenate(
        [predicted(terms, rows.held_out.inputs) for terms, rows in zip(fits, splits, strict=True)]
    )
    error = rms(predictions - held_out_targets(splits))
    found = Candidate(name, error, time.perf_counter() - start)
    return Trial(found, fits[0], predictions, fit, noise)


def one_term(mlp: Mlp, params: Params) -> Terms:
    """A network by itself, as NumPy arrays."""
    return (jax.tree.map(np.asarray, Term(mlp, params, np.ones(mlp.sizes[-1]))),)


def predicted(terms: Terms, inputs: Any) -> np.ndarray:
    """The sum of the networks' outputs (n, k)."""
    return np.sum([np.asarray(term(inputs)) for term in terms], axis=0)


def held_out_targets(splits: list[Rows]) -> np.ndarray:
    """The targets (h, k) beside `Trial.predictions`."""
    return np.concatenate([np.asarray(rows.held_out.targets) for rows in splits])


def split(inputs: np.ndarray, targets: np.ndarray) -> list[Rows]:
    """Hold out the first fifth of permuted rows, at most 2,000; of few rows every fifth in turn."""
    num_rows = len(inputs)
    size = min(MOST_HELD_OUT, max(1, round(HELD_OUT_SHARE * num_rows)))
    every = Batch(jnp.asarray(inputs), jnp.asarray(targets))
    # Parts of one size, so that one compiled program serves them all.
    size = num_rows // 5 if num_rows < FEW else size
    starts = range(0, 5 * size, size) if num_rows < FEW else (0,)
    splits = []
    for first in starts:
        held = np.arange(first, first + size)
        parts = [
            Batch(jnp.asarray(inputs[places]), jnp.asarray(targets[places]))
            for places in (np.delete(np.arange(num_rows), held), held)
        ]
        splits.append(Rows(every, *parts))
    return splits


def varying(inputs: Any) -> np.ndarray:
    """The columns of standardized inputs that are not constant."""
    return np.flatnonzero(np.ptp(np.asarray(inputs), axis=0) > 0)


def table(name: str, array: Any, *dimensions: int) -> np.ndarray:
    """The array in float64, with one of these numbers of dimensions and all numbers finite.

    Raises:
        ValueError: the shape does not fit, values are masked or not finite, or their scale is so
            large or small that squares overflow or vanish.
    """
    if np.ma.is_masked(array):
        raise ValueError(f"{name} must have no masked values, got {np.ma.count_masked(array)}")
    with jax.enable_x64(True):
        values = np.asarray(as_float_array(name, array, jnp.float64))
    if values.ndim not in dimensions or 0 in values.shape:
        shapes = " or ".join(
            "(n,)" if d == 1 else "(n, d)" if name == "inputs" else "(n, k)" for d in dimensions
        )
        raise ValueError(f"{name} must have shape {shapes} and not be empty, got {values.shape}")
    check_finite(name, values)
    columns = values.reshape(len(values), -1)
    sizes = np.abs(columns).max(axis=0)
    extents = np.ptp(columns / np.where(sizes > 0, sizes, 1.0), axis=0) * sizes
    for size, extent in zip(sizes, extents, strict=True):
        if size > LARGEST or 0 < extent < 1 / LARGEST:
            came = size if size > LARGEST else extent
            raise ValueError(
                f"{name} must vary between 1e-140 and 1e140 in each column: "
                f"change the unit, got {came:.3g}"
            )
    return values
