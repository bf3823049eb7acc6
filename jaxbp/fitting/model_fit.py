"""`fit_model`: from samples to a function in the units of its data, in one call.

A fifth of the rows is held out, few candidates are tried, and the held-out rows decide:

    linear      the output layer alone, solved
    bands       up to three inputs and many rows: random sine units up to a frequency, the output layer solved
    units       more inputs, few rows or noise: sine units from a spectrum that the evidence chooses
    networks    where these leave much and no noise explains it: tanh networks by Gauss-Newton from node errors

The winner is fitted once more to all rows, or the average of the best two where that predicts
better. `model.history` lists what was tried.

Legend: n rows, d inputs, k outputs.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbp._checks import check_number, look_up
from jaxbp._threads import one_blas_thread
from jaxbp.fitting.bands import FEWER_UNITS, LEAST_ROWS, climb
from jaxbp.fitting.effort import EFFORTS, Budget, Effort
from jaxbp.fitting.model import Candidate, Model
from jaxbp.fitting.networks import try_networks
from jaxbp.fitting.rows import (
    FEW,
    Members,
    Rows,
    Trial,
    held_out_targets,
    rms,
    split,
    table,
    trial_of,
    varying,
)
from jaxbp.fitting.standardizing import standardizer
from jaxbp.fitting.term import Term
from jaxbp.fitting.units import try_units
from jaxbp.least_squares import solved
from jaxbp.params import Layer, Mlp, Params
from jaxbp.training.solver import Batch

LEAST_ROWS_OF_ALL = 5
TINY = 10  # rows: of fewer, nothing but a linear function is to be had
MOST_INPUTS_OF_BANDS = 3  # the units that a band needs grow with its volume
ROWS_OF_BANDS = (
    4000  # of so many, a spectrum chosen on some hundred of them has nothing to add to a band
)
EXACT = 1e-8  # of the held-out standard deviation: below it nothing more is tried
ROUGH = 1e-3  # networks reach 1e-4 where rows are many: below this they do not win
TIE = 1.02  # of the least error: the linear candidate is the safer one
NOISY = 1e-4  # of the variance: of noisy rows the evidence of all knows more than the few held out
HELPS = 0.98  # of the least error, for an average to be taken
NEAR = 1.5  # times the least error, to be averaged with the best


def fit_model(
    inputs: Any,
    outputs: Any,
    *,
    seconds: float | None = None,
    effort: str = "normal",
    seed: int = 0,
    names: Sequence[str] = (),
    on_candidate: Callable[[Candidate], None] | None = None,
) -> Model:
    """Fits a smooth function to samples, as accurately as they allow.

    Args:
        inputs: (n, d) in any units, n at least 5.
        outputs: (n,) or (n, k) in any units.
        seconds: what the fit is to take; what is estimated to take longer is not started. The clock
            counts then, and with another machine another candidate may win. Without it, operations
            counted beforehand decide.
        effort: low, normal or high: about 3, 15 or 60 seconds at most on one core of a laptop.
        seed: of the split, the frequencies and the starts: the same seed gives the same model.
        names: of the columns of inputs and outputs, kept in the model.
        on_candidate: called with each candidate when it has been tried.

    Returns:
        The model. `model.history` has each candidate with its error on rows that it was not fitted
        to: a fifth of all and at most 2,000, or of fewer than 100 rows each fifth in turn.

    Raises:
        ValueError: a shape does not fit, a number is not finite, or there are too few rows.
        TypeError: an array does not hold real numbers.
    """
    chosen = look_up("effort", effort, EFFORTS)
    limit = chosen.seconds if seconds is None else check_number("seconds", seconds, minimum=0)
    budget = Budget(limit, by_clock=seconds is not None)
    points, values = table("inputs", inputs, 2), table("outputs", outputs, 1, 2)
    if len(points) != len(values) or len(points) < LEAST_ROWS_OF_ALL:
        counts = f"{len(points)} and {len(values)}"
        raise ValueError(
            f"inputs and outputs must have one row each, at least {LEAST_ROWS_OF_ALL}; got {counts}"
        )
    columns = values.reshape(len(values), -1)
    with jax.enable_x64(True), one_blas_thread():
        scalers = standardizer(points), standardizer(columns)
        splits = split(scalers[0].standardize(points), scalers[1].standardize(columns), seed)
        trials: list[Trial] = []
        for trial in _trials(splits, chosen, seed, budget, trials):
            trials.append(trial)
            if on_candidate is not None:
                on_candidate(trial.candidate)
        best = _best(trials, splits)
        members = best.refit(splits[0].every)
    history = tuple(trial.candidate._replace(chosen=trial is best) for trial in trials)
    if not any(trial is best for trial in trials):
        history += (best.candidate._replace(chosen=True),)
    share = np.full(columns.shape[1], 1 / len(members))
    terms = tuple(Term(mlp, jax.tree.map(np.asarray, params), share) for mlp, params in members)
    return Model(terms, *scalers, values.ndim == 1, history=history, names=tuple(names))


def _trials(
    splits: list[Rows], effort: Effort, seed: int, budget: Budget, before: list[Trial]
) -> Iterator[Trial]:
    """Tries one kind after the other, until nothing is left to improve or the time is over."""
    rows = splits[0]
    num_rows, num_inputs = len(rows.every.inputs), len(varying(rows.every.inputs))
    yield trial_of("linear", _linear, splits)

    def least() -> float:
        return min(trial.candidate.held_out for trial in before)

    if (
        num_rows < TINY
        or num_inputs == 0
        or len(varying(rows.every.targets)) == 0
        or least() < EXACT
    ):
        return
    few_inputs = num_inputs <= MOST_INPUTS_OF_BANDS
    if few_inputs and len(rows.train.inputs) >= LEAST_ROWS * FEWER_UNITS[0]:
        yield from climb(rows, effort, seed, budget)
    if least() > EXACT and not (few_inputs and num_rows > ROWS_OF_BANDS):
        trial = try_units(splits, effort, seed, budget)
        if trial is not None:
            yield trial
    noise = max(trial.noise for trial in before)
    for hidden, num_starts in effort.networks:
        if num_rows < FEW or least() < max(ROUGH, 2 * np.sqrt(noise)):
            return
        trial = try_networks(rows, hidden, num_starts, effort, seed, budget)
        if trial is not None:
            yield trial


def _best(trials: list[Trial], splits: list[Rows]) -> Trial:
    """Chooses the least error, or the average of two where that is better by 2 %.

    The linear candidate wins within 2 %; of noisy rows the spectrum by evidence, unless another is
    surely better.
    """
    errors = np.array([trial.candidate.held_out for trial in trials])
    best = trials[0 if errors[0] <= TIE * errors.min() else int(np.argmin(errors))]
    for trial in trials:
        if (
            trial.noise > NOISY
            and best is not trials[0]
            and not _surely_better(best, trial, splits)
        ):
            best = trial
    others = [
        trial
        for trial in trials
        if trial is not best and trial.candidate.held_out < NEAR * errors.min()
    ]
    if not others:
        return best
    other = min(others, key=lambda trial: trial.candidate.held_out)
    predictions = (best.predictions + other.predictions) / 2
    error = rms(predictions - held_out_targets(splits))
    if error > HELPS * errors.min() or len(best.members) + len(other.members) > 2:
        return best
    name = f"average of {best.candidate.name} and {other.candidate.name}"

    def refit(every: Batch) -> Members:
        return best.refit(every) + other.refit(every)

    return Trial(Candidate(name, error, 0.0), best.members + other.members, predictions, refit)


def _surely_better(one: Trial, other: Trial, splits: list[Rows]) -> bool:
    """Whether the rows held out prefer it by more than two standard errors of the difference."""
    targets = held_out_targets(splits)
    squares = [np.mean((trial.predictions - targets) ** 2, axis=1) for trial in (one, other)]
    gain = squares[1] - squares[0]
    return bool(gain.mean() > 2 * gain.std() / np.sqrt(len(gain)))


def _linear(batch: Batch) -> Members:
    """The output layer alone."""
    num_inputs, num_outputs = batch.inputs.shape[1], batch.targets.shape[1]
    mlp = Mlp((num_inputs, num_outputs))
    zero: Params = (Layer(jnp.zeros((num_inputs, num_outputs)), jnp.zeros((num_outputs,))),)
    return ((mlp, solved(mlp, zero, batch.inputs, batch.targets)),)
