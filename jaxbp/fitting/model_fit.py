"""`fit_model`: from samples to a function in the units of its data, in one call.

    kriging     distance units at the samples: any layout of rows, never far from them
    polynomials up to four inputs: products of Chebyshev polynomials, exact for entire functions
    spectrum    two inputs and more: a product kernel and sine units of a spectrum by evidence
    bands       up to three inputs and many rows: sine units that fill a ball of frequencies
    networks    where these leave much and no noise explains it: tanh networks by Gauss-Newton

A fifth of the rows is held out and decides; the kriging, which cannot explode between the rows, is
taken where another is not clearly better, or differs there by more than both can be wrong.
Of noisy rows of several inputs five folds choose among krigings, a ridge regression among them.
The winner is fitted once more to all rows. `model.history` lists what was tried.

Legend: n rows, d inputs, k outputs.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbp._checks import check_count, check_number, look_up
from jaxbp._threads import one_blas_thread
from jaxbp.fitting.bands import GOAL, LEAST_ROWS, UNITS, try_bands
from jaxbp.fitting.bars import error_bars
from jaxbp.fitting.boxes import try_boxes
from jaxbp.fitting.degrees import try_polynomials
from jaxbp.fitting.effort import EFFORTS, Budget, Effort
from jaxbp.fitting.evidence import rms
from jaxbp.fitting.frames import frame_values, names_of
from jaxbp.fitting.kriging import (
    NOISY,
    SMALLER,
    SURE,
    better,
    between,
    choose_kriging,
    kriging_trial,
)
from jaxbp.fitting.model import Candidate, Model, ranges_of
from jaxbp.fitting.networks import try_networks
from jaxbp.fitting.rows import (
    FEW,
    Rows,
    Trial,
    held_out_targets,
    one_term,
    predicted,
    split,
    table,
    varying,
)
from jaxbp.fitting.sine_units import try_units
from jaxbp.fitting.standardizing import Standardizer, standardizer
from jaxbp.least_squares import solved
from jaxbp.params import Layer, Mlp, Params
from jaxbp.training import Batch

LEAST_ROWS_OF_ALL = 5
MOST_INPUTS_OF_BANDS = 3  # the units that a band needs grow with its volume
ROWS_OF_BANDS = 4000  # of so many, a spectrum of some hundred has nothing to add to a band
MANY_ROWS = 800  # of the kriging, where all rows are too many
EXPECTED_OF_SINES = 1e-3  # what leaves more after the bands is too rough for sines
EXACT = 1e-8  # of the held-out standard deviation: below it nothing more is tried
ROUGH = 1e-3  # networks reach 1e-4 where rows are many: below this they do not win
SMALL_STARTS = 3  # of a network with at most max_units
SAFER = 1.1  # times the least error, for the kriging to be taken
WORST = 1.5  # times the least error: never taken
MOST_REFERENCES = 2001  # points between the rows
DIFFERS = 10.0  # times the errors of both and the kriging's deviation, between the rows


def fit_model(
    inputs: Any,
    outputs: Any,
    *,
    seconds: float | None = None,
    effort: str = "normal",
    seed: int = 0,
    names: Sequence[str] = (),
    max_units: int | None = None,
    on_candidate: Callable[[Candidate], None] | None = None,
) -> Model:
    """Fit a function to samples, as accurately as they allow.

    Args:
        inputs: (n, d), or (n,) of one input, in any units, n at least 5; an array, or a data frame
            of pandas or polars.
        outputs: (n,) or (n, k) in any units; an array, a series or a data frame.
        seconds: the time for the fit; candidates estimated to take longer are not started. With
            it the clock counts, and another machine may choose another candidate. Without it,
            operations counted beforehand decide.
        effort: low, normal or high: about 3, 15 or 60 seconds at most on one core of a laptop.
        seed: of the split, the frequencies and the starts: the same seed gives the same model.
        names: of the columns of inputs, then of outputs, kept in the model; by default those of
            the data frames.
        max_units: the most hidden units; the model is then a network of two layers of half as many,
            small and fast, instead of the most accurate candidate.
        on_candidate: called with each candidate when it has been tried.

    Returns:
        The model. `model.history` has each candidate with its error on rows that it was not fitted
        to: a fifth of all and at most 2,000, or of fewer than 100 rows each fifth in turn.
        `model.error`, `model.std` and `model.interval` say how far to trust it.

    Raises:
        ValueError: a shape does not fit, a number is not finite or masked, a scale is extreme, or
            there are too few rows.
        TypeError: an array does not hold real numbers.

    Examples:
        >>> import numpy as np
        >>> import jaxbp
        >>> hours = np.linspace(0, 12, 20)
        >>> model = jaxbp.fit_model(hours, np.exp(-hours / 3))
        >>> print(model([6.0]).round(3))
        [0.135]
        >>> lower, upper = model.interval([6.0])
        >>> print((lower < np.exp(-2.0)) & (np.exp(-2.0) < upper))
        [ True]
    """
    chosen = look_up("effort", effort, EFFORTS)
    limit = chosen.seconds if seconds is None else check_number("seconds", seconds, minimum=0)
    budget = Budget(limit, by_clock=seconds is not None)
    if max_units is not None:
        check_count("max_units", max_units, minimum=2)
    points = table("inputs", frame_values("inputs", inputs), 1, 2)
    points = points.reshape(len(points), -1)
    values = table("outputs", frame_values("outputs", outputs), 1, 2)
    if len(points) != len(values) or len(points) < LEAST_ROWS_OF_ALL:
        counts = f"{len(points)} and {len(values)}"
        raise ValueError(
            f"inputs and outputs must have one row each, at least {LEAST_ROWS_OF_ALL}; got {counts}"
        )
    columns = values.reshape(len(values), -1)
    names = tuple(names) or names_of(inputs, outputs, points.shape[1], columns.shape[1])
    if len(names) not in (0, points.shape[1] + columns.shape[1]):
        wanted = f"{points.shape[1]} inputs and {columns.shape[1]} outputs"
        raise ValueError(f"names must have one for each of {wanted}, got {len(names)}")
    order = np.random.RandomState(seed).permutation(len(points))
    points, columns = points[order], columns[order]
    with jax.enable_x64(True), one_blas_thread():
        scalers = standardizer(points), standardizer(columns)
        rows = [
            scaler.standardize(part)
            for scaler, part in zip(scalers, (points, columns), strict=True)
        ]
        splits = split(*rows)
        if len(varying(rows[0])) == 0 or len(varying(rows[1])) == 0:
            terms = _linear(splits[0].every)
            found = Candidate("linear", 0.0 if len(varying(rows[1])) == 0 else 1.0, 0.0, True)
            return Model(terms, *scalers, values.ndim == 1, history=(found,), names=tuple(names))
        start = time.perf_counter()
        # Of more rows boxes of units are solved for; a part of them is enough to choose by.
        most = chosen.kriging_rows if len(points) <= chosen.kriging_rows else MANY_ROWS
        safe = choose_kriging(points, columns, most)
        trials: list[Trial] = []
        first = kriging_trial(safe, splits, scalers, time.perf_counter() - start)
        if max_units is None:
            others = _trials(splits, scalers, chosen, seed, budget, trials)
        else:
            others = _small_networks(splits, max_units, chosen, seed)
        for trial in itertools.chain([first], others):
            trials.append(trial)
            if on_candidate is not None:
                on_candidate(trial.candidate)
        small = min(trials[1:], key=lambda one: one.candidate.held_out, default=first)
        best = small if max_units is not None else _best(trials, splits, scalers, points)
        terms = best.refit(splits[0].every)
        best_scalers = best.scalers or scalers
        history = tuple(one.candidate._replace(chosen=one is best) for one in trials)
        model = Model(terms, *best_scalers, values.ndim == 1, history=history, names=tuple(names))
        posterior = best if best.kriging is not None else trials[0]
        bars = error_bars(model, best, posterior, held_out_targets(splits), points)
    return replace(model, bars=bars, ranges=ranges_of(points))


def _small_networks(
    splits: list[Rows], max_units: int, effort: Effort, seed: int
) -> Iterator[Trial]:
    """Train one network of two layers from a few starts."""
    if len(splits) > 1:
        count = len(splits[0].every.inputs)
        raise ValueError(f"inputs must have at least {FEW} rows with max_units, got {count}")
    hidden = max_units // 2, max_units - max_units // 2
    for start in range(SMALL_STARTS):
        trial = try_networks(splits[0], hidden, 1, effort, seed + start, Budget(np.inf))
        if trial is not None:
            yield trial


def _trials(
    splits: list[Rows],
    scalers: tuple[Standardizer, Standardizer],
    effort: Effort,
    seed: int,
    budget: Budget,
    before: list[Trial],
) -> Iterator[Trial]:
    """Try one kind after the other, until nothing is left to improve or the time is over."""
    rows = splits[0]
    num_rows, num_inputs = len(rows.every.inputs), len(varying(rows.every.inputs))

    def least() -> float:
        return min(trial.candidate.held_out for trial in before)

    def exact() -> bool:
        return least() < EXACT

    polynomial = try_polynomials(splits, budget, least())
    if polynomial is not None:
        yield polynomial
    if least() < GOAL:
        return
    few_inputs = num_inputs <= MOST_INPUTS_OF_BANDS
    if not exact() and few_inputs and len(rows.train.inputs) >= LEAST_ROWS * UNITS[-1]:
        yield from try_bands(rows, seed, budget)
    if few_inputs and num_rows > MANY_ROWS and least() > GOAL:
        yield from try_boxes(rows, num_inputs, budget, rough=least() > EXPECTED_OF_SINES)
    if not exact() and num_inputs > 1 and not (few_inputs and num_rows > ROWS_OF_BANDS):
        folded = before[0].kriging.folds is not None
        yield from try_units(splits, scalers, effort, seed, budget, folded)
    noise = max(trial.noise for trial in before)
    for hidden, num_starts in effort.networks:
        if num_rows < FEW or least() < max(ROUGH, 2 * np.sqrt(noise)):
            return
        trial = try_networks(rows, hidden, num_starts, effort, seed, budget)
        if trial is not None:
            yield trial


def _best(
    trials: list[Trial],
    splits: list[Rows],
    scalers: tuple[Standardizer, Standardizer],
    points: np.ndarray,
) -> Trial:
    """Choose the least error; the kriging where it is as good, or where another is far from it.

    Among krigings with errors of folds these decide. Of noisy rows another has to be surely better.
    """
    safe, others = trials[0], trials[1:]
    for trial in trials[1:]:
        if trial.kriging is not None and trial.kriging.folds is not None:
            others = [one for one in others if one is not trial]
            if better(safe.kriging, trial.kriging) is trial.kriging:
                safe = trial
    # Of noisy rows the evidence and the folds of all know more than the few held out.
    if safe.noise > NOISY or safe.kriging.folds is not None:
        bound = safe.candidate.held_out / WORST
        others = [
            trial
            for trial in others
            if trial.candidate.held_out < bound or _surely_better(trial, safe, splits)
        ]
    least = min([trial.candidate.held_out for trial in others], default=np.inf)
    # Beside noise what a kriging of a part of the rows lacks is a small share of its error.
    tie = 1.0 if safe.noise > NOISY and len(points) > len(safe.kriging.solved.rows.x) else SAFER
    if safe.candidate.held_out <= tie * least:
        return safe
    count = len(points) if points.shape[1] > 1 else 4 * len(points) + 1
    references = between(points, min(count, MOST_REFERENCES))
    expected = scalers[1].standardize(safe.kriging(references))
    doubt = safe.kriging.deviation(references) / scalers[1].scale
    for best in sorted(others, key=lambda one: one.candidate.held_out):
        if best.kriging is not None:
            return best
        predictions = predicted(best.terms, jnp.asarray(scalers[0].standardize(references)))
        bound = DIFFERS * (safe.candidate.held_out + best.candidate.held_out + doubt)
        differs = np.abs(predictions - expected) / bound
        if np.quantile(differs, 0.99) < 1 and rms(differs) < 1:
            return best
    return safe


def _surely_better(one: Trial, other: Trial, splits: list[Rows]) -> bool:
    """Whether the rows held out prefer it by two standard errors, or four times in the median."""
    targets = held_out_targets(splits)
    squares = [np.mean((trial.predictions - targets) ** 2, axis=1) for trial in (one, other)]
    gain = squares[1] - squares[0]
    sure = gain.mean() > SURE * gain.std() / np.sqrt(len(gain))
    return bool(sure or np.median(squares[0]) < SMALLER * np.median(squares[1]))


def _linear(batch: Batch) -> tuple[Any, ...]:
    """The output layer alone."""
    num_inputs, num_outputs = batch.inputs.shape[1], batch.targets.shape[1]
    mlp = Mlp((num_inputs, num_outputs))
    zero: Params = (Layer(jnp.zeros((num_inputs, num_outputs)), jnp.zeros((num_outputs,))),)
    return one_term(mlp, solved(mlp, zero, batch.inputs, batch.targets))
