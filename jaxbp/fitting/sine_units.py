"""Several inputs: one spectrum by evidence, as a product kernel at the samples and as sine units.

The kernel at the samples (`KrigingFit`) is exact where rows are few. Sine units with frequencies
drawn from the same spectrum approximate it, and their least-squares problem has the square root of
its condition number: they give more digits where rows are many and free of noise.

Legend: n rows, d inputs, k outputs.
"""

import math
import time
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from jaxbp.fitting.bands import paired
from jaxbp.fitting.distance import PRODUCT
from jaxbp.fitting.effort import Budget, Effort
from jaxbp.fitting.kriging import EVALUATIONS, KrigingFit, fold_squares, kriging_trial
from jaxbp.fitting.rows import Rows, Terms, Trial, one_term, trial_of, varying
from jaxbp.fitting.spectrum import choose_spectrum, draw_frequencies
from jaxbp.fitting.standardizing import Standardizer
from jaxbp.least_squares import best_penalty, factor, penalized, solution, triangle, with_output
from jaxbp.params import Mlp, Params
from jaxbp.training import Batch

MOST_UNITS, FEWEST_UNITS = 8192, 1024
TRIAL_UNITS = 2048  # enough to compare candidates by
MOST_ROWS = 5  # times the units: what a trial is fitted to
PENALTIES = 10.0 ** np.arange(-28, 1.0)  # of the largest squared singular value
COMPILING = 1.0  # seconds
ROWS_OF_FOLDS = 200  # that a spectrum is chosen on in each
WELL_KNOWN = 1e-4  # noise above it leaves nothing for more units to gain


@dataclass
class SineUnits:
    """Fits sine units to rows: to the training rows first, at last to all of them.

    Attributes:
        theta: the spectrum.
        effort: bounds the number of units.
        seed: of the frequencies.
        budget: what time is left for the last solve.
        penalty: of the output layer, chosen by the first fit.
    """

    theta: np.ndarray
    effort: Effort
    seed: int
    budget: Budget
    penalty: float | None = None

    def __call__(self, batch: Batch) -> Terms:
        """Draw the units and solve their output layer, the penalty by cross-validation."""
        num = min(most_units(len(batch.inputs), self.effort.operations), TRIAL_UNITS)
        terms, self.penalty = self._solve(batch, num)
        return terms

    def refit(self, every: Batch) -> Terms:
        """Fit to all rows, with more units where there is time."""
        num_rows = len(every.inputs)
        num = most_units(num_rows, self.effort.operations)
        if np.exp(self.theta[-1]) > WELL_KNOWN:
            num = min(num, TRIAL_UNITS)
        if num_rows <= num + 1 or self.penalty is None:
            return self._solve(every, num)[0]
        mlp, params, widths = self._draw(every, num)
        few = max(MOST_ROWS * num, int(self.budget.left / (2 * num**2)))
        factored = triangle(mlp, params, every.inputs[:few], every.targets[:few])
        return one_term(mlp, with_output(params, *penalized(factored, self.penalty, widths)))

    def _draw(self, batch: Batch, num: int) -> tuple[Mlp, Params, np.ndarray]:
        columns, generator = varying(batch.inputs), np.random.default_rng([self.seed, num])
        frequencies = np.zeros((batch.inputs.shape[1], num // 2))
        frequencies[columns], widths = draw_frequencies(
            self.theta, len(columns), num // 2, generator
        )
        mlp = Mlp((batch.inputs.shape[1], num, batch.targets.shape[1]), hidden="sine")
        return mlp, paired(frequencies, batch.targets.shape[1]), np.r_[widths, widths]

    def _solve(self, batch: Batch, num: int) -> tuple[Terms, float]:
        mlp, params, widths = self._draw(batch, num)
        rows = slice(0, MOST_ROWS * num)
        factored = factor(mlp, params, batch.inputs[rows], batch.targets[rows], widths)
        tried = np.r_[PENALTIES * factored.singular_values[0] ** 2, np.exp(self.theta[-1])]
        penalty = best_penalty(factored, tried)[0]
        return one_term(mlp, with_output(params, *solution(factored, penalty))), penalty


def most_units(num_rows: int, operations: float) -> int:
    """A power of two: as many units as can be solved for, never fewer for more rows."""
    wide = (operations - 10 * num_rows**3) / (3 * num_rows**2)
    tall = math.sqrt(operations / (2 * num_rows))
    num = max(FEWEST_UNITS, min(tall, num_rows / 2), wide if wide > 2 * num_rows else 0)
    return int(2 ** math.floor(math.log2(min(num, MOST_UNITS))))


def try_units(
    splits: list[Rows],
    scalers: tuple[Standardizer, Standardizer],
    effort: Effort,
    seed: int,
    budget: Budget,
    folded: bool = False,
) -> list[Trial]:
    """Try the spectrum as a product kernel and as sine units, if there is time.

    Args:
        splits: the rows in standard units.
        scalers: of the rows.
        effort: bounds rows, evaluations and units.
        seed: of the frequencies.
        budget: what time is left.
        folded: whether five folds are to choose between this and another kriging.
    """
    every = splits[0].every
    inputs, targets = np.asarray(every.inputs), np.asarray(every.targets)
    columns, few = varying(inputs), min(len(inputs), effort.rows)
    evidence = effort.evaluations * (3.5 * few**3 + 60 * few**2 * len(columns))
    if not budget.allows(evidence, overhead=COMPILING):
        return []
    start = time.perf_counter()
    theta = choose_spectrum(
        inputs[:few][:, columns], targets[:few], evaluations=effort.evaluations
    ).theta
    noise = float(np.exp(theta[-1]))
    trials = []
    if len(inputs) <= effort.kriging_rows:
        points = scalers[0].restore(inputs), scalers[1].restore(targets)
        fitted = product_kriging(theta, scalers, *points)
        if folded:
            squares = fold_squares(partial(_searched, scalers), *points)
            fitted = replace(fitted, folds=squares)
        trials.append(kriging_trial(fitted, splits, scalers, time.perf_counter() - start))
        if folded:
            return trials
    solve = len(splits) * 2.0 * len(inputs) * min(len(inputs), TRIAL_UNITS) ** 2
    if budget.allows(solve, effort.operations, overhead=COMPILING):
        units = SineUnits(theta, effort, seed, budget)
        trial = trial_of("sine units of a spectrum by evidence", units, splits, noise)
        trials.append(trial._replace(refit=units.refit))
    return trials


def product_kriging(
    theta: np.ndarray,
    scalers: tuple[Standardizer, Standardizer],
    points: np.ndarray,
    outputs: np.ndarray,
) -> KrigingFit:
    """The kriging of a spectrum."""
    columns = varying(points)
    d, strengths = len(columns), np.zeros(points.shape[1])
    strengths[columns] = np.exp(theta[d : 2 * d])
    lengths = np.zeros(points.shape[1])
    lengths[columns] = theta[:d]
    own = np.r_[lengths, theta[-1] - theta[-2]]
    return KrigingFit.of(PRODUCT, scalers, points, outputs, theta=own, strengths=strengths)


def _searched(
    scalers: tuple[Standardizer, Standardizer], points: np.ndarray, outputs: np.ndarray
) -> KrigingFit:
    """The same with a spectrum chosen for few rows."""
    inputs, targets = scalers[0].standardize(points), scalers[1].standardize(outputs)
    columns = varying(points)
    theta = choose_spectrum(
        inputs[:ROWS_OF_FOLDS, columns], targets[:ROWS_OF_FOLDS], evaluations=EVALUATIONS
    ).theta
    return product_kriging(theta, scalers, points, outputs)
