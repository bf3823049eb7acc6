"""The time that a solver gets, the choice of its settings, and its result.

A budget in seconds is for training and, where settings are chosen on validation samples, for the
choice and for predicting; compilation is excluded. Solvers with steps run a schedule that ends with
the budget.
"""

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from solvers.problems import Problem

REFIT = 2.0  # all samples take longer than four fifths: 0.8^-3, where a matrix is factorized

Predict = Callable[[np.ndarray], np.ndarray]  # points (m, d) in standard units -> values


class Fitted(NamedTuple):
    """A trained model; its seconds exclude compilation."""

    predict: Predict
    seconds: float
    compile_seconds: float = 0.0
    steps: int = 0


class Result(NamedTuple):
    """The test error of a solver over the standard deviation (NaN if it failed), and its times."""

    steps: int
    seconds: float
    compile_seconds: float
    nrmse: float
    settings: str


Train = Callable[[Problem, float], Fitted]  # in about so many seconds
Solver = Callable[[Problem, float], Result]  # with a budget in seconds


def direct(fit: Callable[[Problem], Predict]) -> Train:
    """Return a method without steps, whatever time it takes."""

    def train(problem: Problem, seconds: float) -> Fitted:
        start = time.perf_counter()
        return Fitted(fit(problem), time.perf_counter() - start)

    return train


def paced(fit: Callable[[Problem, int], Fitted], trial_steps: int) -> Train:
    """Return a method with as many steps as fit into the time, by the pace of earlier runs."""
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


def best_of(trains: Mapping[str, Train]) -> Solver:
    """Return a solver that gives each setting the whole budget; the least test error counts.

    This favours a solver with several settings, which are chosen with hindsight.
    """

    def solve(problem: Problem, seconds: float) -> Result:
        results = []
        for settings, train in trains.items():
            fitted = train(problem, seconds)
            error = problem.error(fitted.predict(problem.test.points))
            times = (fitted.steps, fitted.seconds, fitted.compile_seconds)
            results.append(Result(*times, error, settings))
        return min(results, key=lambda result: nan_last(result.nrmse))

    return solve


def chosen(trains: Mapping[str, Train]) -> Solver:
    """Return a solver whose setting is chosen by validation error.

    Trials, the last fit and predicting share the budget. Trials run in the order given, cheap ones
    first, while the best so far can still be fitted in time.
    """

    def solve(problem: Problem, seconds: float) -> Result:
        start, trial, share = time.perf_counter(), problem.split(), seconds / (len(trains) + 3)
        spent = compiling = predicting = longest = reserved = 0.0
        errors: dict[str, float] = {}  # each smaller than the one before it

        def fit(settings: str, problem: Problem, allowed: float) -> Result:
            nonlocal spent, compiling, predicting
            steps, error = 0, math.nan
            with contextlib.suppress(np.linalg.LinAlgError):  # singular equations: a failure
                fitted = trains[settings](problem, allowed)
                begun, steps = time.perf_counter(), fitted.steps
                compiling += fitted.compile_seconds
                error = problem.error(fitted.predict(problem.test.points))
                predicting = time.perf_counter() - begun
            spent = time.perf_counter() - start - compiling
            return Result(steps, spent, compiling, error, settings)

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
            result = fit(settings, problem, max(seconds - spent, share))
            if not math.isnan(result.nrmse):
                break
        return result

    return solve


def nan_last(error: float) -> float:
    """Return a key to sort errors by."""
    return math.inf if math.isnan(error) else error
