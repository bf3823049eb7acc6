"""More inputs, few rows, or noise: sine units drawn from a spectrum that the evidence chooses, the
output layer solved.

Legend: n rows, d inputs, k outputs.
"""

import math
from typing import NamedTuple

import numpy as np

from jaxbp.fitting.bands import paired
from jaxbp.fitting.effort import Budget, Effort
from jaxbp.fitting.rows import Members, Rows, Trial, trial_of, varying
from jaxbp.fitting.spectrum import choose_spectrum, draw_frequencies
from jaxbp.least_squares import best_penalty, factor, penalized, solution, triangle, with_output
from jaxbp.params import Mlp
from jaxbp.training.solver import Batch

MOST_UNITS, FEWEST_UNITS = 8192, 1024
TRIAL_UNITS = 2048  # enough to compare candidates by
TALL_UNITS = 2048  # where rows are many
MOST_ROWS = 5  # times the units: what a trial is fitted to
PENALTIES = 10.0 ** np.arange(-28, 1.0)  # of the largest squared singular value
COMPILING = 1.0  # seconds
SHORTENED = 3  # times that the evidence gets less, where there is no time for it
GO_ON = 40  # evaluations for the spectrum of all rows, from that of the training rows
WELL_KNOWN = 1e-4  # noise above it leaves nothing for more units to gain


class Found(NamedTuple):
    """What the first fit leaves to the later ones.

    Attributes:
        theta: the spectrum.
        penalty: of the output layer, in units of the noise's variance.
        num_rows: the rows that the evidence was evaluated on.
    """

    theta: np.ndarray
    penalty: float
    num_rows: int


class Units:
    """Fits sine units to rows: called first with the training rows, at last with all, where it goes on."""

    def __init__(self, effort: Effort, seed: int, budget: Budget) -> None:
        """Fixes what does not depend on the rows."""
        self.effort, self.seed, self.budget = effort, seed, budget
        self.found: Found | None = None
        self.last = False

    def __call__(self, batch: Batch) -> Members:
        """Chooses a spectrum, draws the units, solves their output layer."""
        inputs, targets = np.asarray(batch.inputs), np.asarray(batch.targets)
        columns = varying(inputs)
        rows = slice(0, self.effort.rows)
        some = len(inputs[rows])
        start = self.found.theta if self.last and self.found else None
        if start is not None and self.found is not None and some == self.found.num_rows:
            theta = start
        else:
            evaluations = self.effort.evaluations if start is None else GO_ON
            theta = choose_spectrum(
                inputs[rows][:, columns], targets[rows], evaluations=evaluations, start=start
            ).theta
        num = self._num_units(len(inputs), float(np.exp(theta[-1])))
        generator = np.random.default_rng([self.seed, num])
        frequencies = np.zeros((inputs.shape[1], num // 2))
        frequencies[columns], widths = draw_frequencies(theta, len(columns), num // 2, generator)
        mlp, params = (
            Mlp((inputs.shape[1], num, targets.shape[1]), hidden="sine"),
            paired(frequencies, targets.shape[1]),
        )
        both, noise = np.r_[widths, widths], float(np.exp(theta[-1]))
        if self.last and self.found and len(inputs) > num + 1:
            few = max(
                MOST_ROWS * num, int(self.budget.left / (2 * num**2))
            )  # as many as there is time for
            factored_rows = triangle(mlp, params, batch.inputs[:few], batch.targets[:few])
            layer = penalized(factored_rows, self.found.penalty, both)
            return ((mlp, with_output(params, *layer)),)
        most = MOST_ROWS * num
        factored = factor(mlp, params, batch.inputs[:most], batch.targets[:most], both)
        penalty = best_penalty(
            factored, np.r_[PENALTIES * factored.singular_values[0] ** 2, noise]
        )[0]
        if not self.last and self.found is None:
            self.found = Found(theta, penalty, some)
        return ((mlp, with_output(params, *solution(factored, penalty))),)

    def noise(self) -> float:
        """The share of the variance that the first spectrum takes for noise."""
        return float(np.exp(self.found.theta[-1])) if self.found else 0.0

    def refit(self, every: Batch) -> Members:
        """Goes on to all rows, with more units where they are few."""
        self.last = True
        return self(every)

    def _num_units(self, num_rows: int, noise: float) -> int:
        num = _most_units(num_rows, self.effort.operations)
        if num == FEWEST_UNITS:
            return _tall_units(num_rows, self.budget) if self.last else FEWEST_UNITS
        return min(num, TRIAL_UNITS) if not self.last or noise > WELL_KNOWN else num


def _most_units(num_rows: int, operations: float) -> int:
    """A power of two: as many as the singular value decomposition of few rows, or of the units, allows."""
    num = (operations - 10 * num_rows**3) / (3 * num_rows**2)
    if num < 2 * num_rows:
        return FEWEST_UNITS
    return int(2 ** math.floor(math.log2(min(max(num, FEWEST_UNITS), MOST_UNITS))))


def _tall_units(num_rows: int, budget: Budget) -> int:
    """Where rows are many: more units if all rows can be solved for in time."""
    many = num_rows > 2 * TALL_UNITS and 2.0 * num_rows * TALL_UNITS**2 <= budget.left
    return TALL_UNITS if many else FEWEST_UNITS


def try_units(splits: list[Rows], effort: Effort, seed: int, budget: Budget) -> Trial | None:
    """Tries the units; where time is short, with fewer rows and evaluations of the evidence; where it is over, not."""
    for shorter in range(SHORTENED + 1):
        less = effort._replace(
            evaluations=max(30, effort.evaluations >> shorter),
            rows=int(effort.rows * 0.6**shorter),
            operations=effort.operations / 4**shorter,
        )
        if not budget.allows(*_operations(splits, less, budget), overhead=COMPILING):
            continue
        units = Units(less, seed, budget)
        trial = trial_of("sine units of a spectrum by evidence", units, splits, units.noise)
        return trial._replace(refit=units.refit)
    return None


def _operations(splits: list[Rows], effort: Effort, budget: Budget) -> tuple[float, float]:
    """Those of the trial, all splits, and those of the fit to all rows."""
    num_rows, every = len(splits[0].train.inputs), len(splits[0].every.inputs)
    rows = min(num_rows, effort.rows)
    evaluations = effort.evaluations + (GO_ON if rows < min(every, effort.rows) else 0)
    evidence = evaluations * (3.5 * rows**3 + 60 * rows**2 * splits[0].train.inputs.shape[1])
    if _most_units(num_rows, effort.operations) > FEWEST_UNITS:
        solve = 3.0 * num_rows**2 * TRIAL_UNITS + 10 * num_rows**3
    else:
        solve = (
            2.0 * min(num_rows, MOST_ROWS * FEWEST_UNITS) * FEWEST_UNITS**2 + 10 * FEWEST_UNITS**3
        )
    wide = _most_units(every, effort.operations) > FEWEST_UNITS
    tall = 2.0 * every * _tall_units(every, budget) ** 2
    return len(splits) * (evidence + solve), effort.operations if wide else tall
