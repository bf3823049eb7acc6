"""The degree of a polynomial: an analytic function of few inputs needs few terms.

Their error falls geometrically with the degree, down to rounding. One orthogonal factorization
serves all degrees, because the terms are ordered by theirs; the rows held out choose among them.
Terms that the rows hardly tell from those before, such as cubes on three levels, end the series: it
would be free between the rows.

Legend: n rows, d inputs, t terms, k outputs.

References:
    Trefethen 2019, Approximation Theory and Approximation Practice, chapters 3 and 8.
"""

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from jaxbp.fitting.effort import Budget
from jaxbp.fitting.evidence import rms
from jaxbp.fitting.polynomials import MOST_TERMS, Polynomial, PolynomialParams
from jaxbp.fitting.rows import Rows, Terms, Trial, held_out_targets, varying
from jaxbp.fitting.score import Candidate
from jaxbp.fitting.term import Term
from jaxbp.least_squares import Triangle, triangle_of
from jaxbp.training import Batch

MOST_INPUTS = 4
SHARE = 0.5  # of the rows: more terms are not tried
ROWS_PER_TERM = 12
COST = 6.0  # operations a row and squared term, the terms themselves included
TRIAL_SHARE = 0.03  # of the time: as many rows more
FIRST_TERMS = 200
LEAST_PIVOT = 1e-3  # of a term beside those before, over its size where rows lie evenly
FLAT = 1.1  # times the least error: a lower degree is as good
CONVERGED = 0.1  # of the standard deviation: of few rows a series that leaves more is not believed
EXACT = 1e-14  # of the standard deviation: rounding is all that is left


@dataclass(frozen=True)
class PolynomialFit:
    """Fits a polynomial to rows.

    Attributes:
        network: the polynomial.
        centre: (d,) of all rows.
        half: (d,) of all rows.
        budget: what time is left for the last solve.
    """

    network: Polynomial
    centre: np.ndarray
    half: np.ndarray
    budget: Budget

    @classmethod
    def of(
        cls, inputs: np.ndarray, num_outputs: int, degree: int, budget: Budget
    ) -> "PolynomialFit":
        """A polynomial of this degree over the range of inputs (n, d)."""
        low, high = inputs.min(axis=0), inputs.max(axis=0)
        degrees = tuple(degree if one else 0 for one in high > low)
        half = np.where(high > low, (high - low) / 2, 1.0)
        return cls(Polynomial(degrees, num_outputs), (low + high) / 2, half, budget)

    def factor(self, batch: Batch, most: int = 0) -> Triangle:
        """Factor the terms but the constant, of as many rows as they need, or of `most`."""
        most = max(most, self.rows_needed)
        inputs, targets = (np.asarray(part)[:most] for part in batch)
        return triangle_of(
            lambda some: self.units(some)[:, 1:], self.network.num_terms - 1, inputs, targets
        )

    @property
    def rows_needed(self) -> int:
        """Of more rows the error hardly falls where they have no noise."""
        return ROWS_PER_TERM * self.network.num_terms

    def units(self, inputs: np.ndarray) -> np.ndarray:
        """The terms (n, t)."""
        return self.network.units(np, PolynomialParams(self.centre, self.half, None), inputs).T

    def __call__(self, every: Batch) -> Terms:
        """Fit to all rows, or to as many as there is time for."""
        count = self.network.num_terms
        factored = self.factor(every, int(self.budget.left / (COST * count**2)))
        return self.terms(solve_terms(factored, count))

    def terms(self, weight: np.ndarray) -> Terms:
        """The polynomial with this output layer (t, k)."""
        params = PolynomialParams(self.centre, self.half, weight)
        return (Term(self.network, params, np.ones(weight.shape[1])),)


def solve_terms(factored: Triangle, count: int) -> np.ndarray:
    """The output layer (count, k) of the first terms, the constant included."""
    size = count - 1
    weight = solve_triangular(factored.hidden[:size, :size], factored.projected[:size])
    fan_in = len(factored.hidden)
    constant = factored.means[fan_in:] - factored.means[:size] @ weight
    return np.concatenate([constant[np.newaxis], weight])


def try_polynomials(splits: list[Rows], budget: Budget, least: float) -> Trial | None:
    """Try all degrees that the rows suffice for; the rows held out choose one.

    The degree is doubled until a decline as before would not reach the least error so far.
    """
    start, every = time.perf_counter(), np.asarray(splits[0].every.inputs)
    d, num_outputs = len(varying(every)), splits[0].every.targets.shape[1]
    num_rows = min(len(rows.train.inputs) for rows in splits)
    most = _most_degree(d, min(MOST_TERMS, SHARE * num_rows))
    if d > MOST_INPUTS or most < 2:
        return None
    targets = held_out_targets(splits)
    errors, degree = [math.inf], min(most, _most_degree(d, FIRST_TERMS))
    best: Any = None
    while True:
        fit = PolynomialFit.of(every, num_outputs, degree, budget)
        operations = COST * fit.network.num_terms**2
        if not budget.allows(
            operations * min(len(every), fit.rows_needed), operations * len(every)
        ):
            break
        some = int(TRIAL_SHARE * budget.left / operations)
        factors = [fit.factor(rows.train, some) for rows in splits]
        units = [fit.units(np.asarray(rows.held_out.inputs)) for rows in splits]
        known = min(map(_num_known, factors))
        if known < fit.network.num_terms:
            most = min(most, _most_degree(d, known))
        for lower in range(len(errors), min(degree, most) + 1):
            count = math.comb(lower + d, d)
            weights = [solve_terms(factored, count) for factored in factors]
            predictions = np.concatenate(
                [some[:, :count] @ weight for some, weight in zip(units, weights, strict=True)]
            )
            errors.append(max(rms(predictions - targets), np.finfo(float).tiny))
            if errors[-1] * FLAT < min(errors[:-1]):
                best = lower, predictions, weights[0]
        if degree >= most or min(errors) < EXACT:
            break
        half, now = (min(errors[-place:][:2]) for place in (degree // 2, 2))
        expected = math.log(now) + 2 * (min(2 * degree, most) / degree - 1) * math.log(now / half)
        if expected > math.log(least):
            break
        degree = min(2 * degree, most)
    if best is None or (len(splits) > 1 and errors[best[0]] > CONVERGED):
        return None
    chosen, predictions, weight = best
    fit = PolynomialFit.of(every, num_outputs, chosen, budget)
    candidate = Candidate(str(fit.network), errors[chosen], time.perf_counter() - start)
    return Trial(candidate, fit.terms(weight), predictions, fit)


def _most_degree(num_inputs: int, most_terms: float) -> int:
    """The largest degree with at most so many terms."""
    degree = 0
    while math.comb(degree + 1 + num_inputs, num_inputs) <= most_terms:
        degree += 1
    return degree


def _num_known(factored: Triangle) -> int:
    """The number of terms before the first that is nearly a combination of those before."""
    pivots = np.abs(np.diag(factored.hidden)) / factored.num_samples**0.5
    return 1 + int(np.argmax(np.r_[pivots < LEAST_PIVOT, True]))
