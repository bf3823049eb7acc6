"""The rules: what a solver gets, how it may choose its settings, what counts.

A budget in seconds is for training and, where a solver chooses by itself, for choosing and for the
predictions that are judged; compiling is apart. Who trains in steps runs a schedule that ends with
the budget.
"""

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from contest.problems import Problem

REFIT = 2.0  # all samples take so much longer than four fifths of them: 0.8^-3, where a matrix is factorized

Predict = Callable[
    [np.ndarray], np.ndarray
]  # points (m, d) in standard units -> values (m,) or (m, 1)


class Fitted(NamedTuple):
    """A trained model; its seconds of training are without those of compiling."""

    predict: Predict
    seconds: float
    compile_seconds: float = 0.0
    steps: int = 0


class Entry(NamedTuple):
    """What a solver reached; `nrmse` is its error over the standard deviation, NaN if it failed."""

    steps: int
    seconds: float
    compile_seconds: float
    nrmse: float
    settings: str


Train = Callable[[Problem, float], Fitted]  # in about so many seconds
Compete = Callable[[Problem, float], Entry]  # with a budget in seconds


class Entrant(NamedTuple):
    """A solver."""

    name: str
    compete: Compete


def direct(fit: Callable[[Problem], Predict]) -> Train:
    """A method without steps, which takes the time that it takes."""

    def train(problem: Problem, seconds: float) -> Fitted:
        start = time.perf_counter()
        return Fitted(fit(problem), time.perf_counter() - start)

    return train


def paced(fit: Callable[[Problem, int], Fitted], trial_steps: int) -> Train:
    """As many steps as fit into the time; a run tells the next one on as many samples how long they take."""
    pace: dict[tuple[int, ...], float] = {}

    def run(problem: Problem, steps: int) -> Fitted:
        fitted = fit(problem, steps)
        pace[problem.train.points.shape] = max(fitted.seconds, 1e-9) / max(1, fitted.steps)
        return fitted

    def train(problem: Problem, seconds: float) -> Fitted:
        if problem.train.points.shape not in pace:
            run(problem, trial_steps)
        return run(problem, max(1, int(seconds / pace[problem.train.points.shape])))

    return train


def best_of(trains: Mapping[str, Train]) -> Compete:
    """Each setting gets the whole budget, and the smallest error at the judged points counts.

    That favours a solver with several settings: which of them is best nobody could know before.
    """

    def compete(problem: Problem, seconds: float) -> Entry:
        entries = []
        for settings, train in trains.items():
            fitted = train(problem, seconds)
            error = problem.error(fitted.predict(problem.test.points))
            entries.append(
                Entry(fitted.steps, fitted.seconds, fitted.compile_seconds, error, settings)
            )
        return min(entries, key=lambda entry: nan_last(entry.nrmse))

    return compete


def chosen(trains: Mapping[str, Train]) -> Compete:
    """The setting that is best on held-out samples counts; trials, the last fit and predicting
    share the budget.

    Trials run in the order given, cheap ones first, while the best so far can still be fitted in
    time.
    """

    def compete(problem: Problem, seconds: float) -> Entry:
        start, trial, share = time.perf_counter(), problem.hold_out(), seconds / (len(trains) + 3)
        spent = compiling = predicting = longest = reserved = 0.0
        errors: dict[str, float] = {}  # each smaller than the one before it

        def fit(settings: str, problem: Problem, allowed: float) -> Entry:
            nonlocal spent, compiling, predicting
            steps, error = 0, math.nan
            with contextlib.suppress(np.linalg.LinAlgError):  # singular equations: a failure
                fitted = trains[settings](problem, allowed)
                begun, steps, compiling = (
                    time.perf_counter(),
                    fitted.steps,
                    compiling + fitted.compile_seconds,
                )
                error = problem.error(fitted.predict(problem.test.points))
                predicting = time.perf_counter() - begun
            spent = time.perf_counter() - start - compiling
            return Entry(steps, spent, compiling, error, settings)

        for settings in trains:
            before = spent
            if errors and before + longest + reserved > seconds:
                break
            error = nan_last(fit(settings, trial, share).nrmse)
            longest = max(longest, spent - before)
            more_points = len(problem.test.values) / len(trial.test.values)
            needed = REFIT * (spent - before - predicting) + more_points * predicting
            if not errors or (spent + needed <= seconds and error < min(errors.values())):
                errors[settings], reserved = error, needed
        for settings in reversed(errors):
            entry = fit(settings, problem, max(seconds - spent, share))
            if not math.isnan(entry.nrmse):
                break
        return entry

    return compete


def nan_last(error: float) -> float:
    """A key to sort errors by."""
    return math.inf if math.isnan(error) else error
