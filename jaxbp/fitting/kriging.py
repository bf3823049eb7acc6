"""Kernel, lengths, noise and logarithms of a kriging, for rows of any layout.

Every kernel is tried on the inputs as they are and, where columns spread over many scales, on
logarithms. The evidence chooses lengths and noise of each; among them decides the geometric mean of
two errors: leave-one-out, which has to reach over gaps twice as wide as a new point will meet and
over the ends, and the deviation of the posterior between the rows, multiplied by what the
leave-one-out errors are over theirs.

Lengths count along the inputs, or along turned axes where the evidence gains enough by them: a
function of a few directions, such as sin(x1 + x2), needs fewer rows there. Of the best krigings the
axes are turned, and every kernel is tried along those that were found.

One length for each of several inputs can explain noise, and leave-one-out errors do not show it,
because the lengths were chosen with all rows. Of noisy rows five folds decide, with lengths and
noise chosen anew in each: a linear function, an even Gaussian, or what the evidence chose. Each
has to be better by a standard error than the simpler one (Breiman et al. 1984).

Legend: n rows, d inputs, k outputs.
"""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jaxbp.fitting.distance import EVEN, KERNELS, Distance, DistanceParams
from jaxbp.fitting.evidence import Kriging, Solved, rms
from jaxbp.fitting.rows import Rows, Trial, held_out_targets
from jaxbp.fitting.score import Candidate
from jaxbp.fitting.standardizing import Standardizer, standardizer
from jaxbp.fitting.term import Term

FEW, SOME, MOST = 128, 400, 2000  # rows for the first search, for its refinement, for the solution
EVALUATIONS, MORE = 40, 12  # of the evidence, in the first search and the refinement
GAIN = 3.0  # of the evidence, for the axes to be turned: 20 to 1
REFINED, TURNS = 2, 80  # candidates, and evaluations of the evidence to turn their axes
# Each starts from the lengths of the one before where inputs are many.
ORDER = ("Matern 5/2", "Matern 3/2", "Matern 1/2", "Matern 7/2", "Gaussian", "cubic", "quintic")
SCALES = 10.0  # the largest over the smallest positive number that calls for a logarithm
REFERENCES = 401  # points between the rows
ALL_NOISE = 20.0  # logarithm of a noise beside which the units are nothing
LARGEST = 1e100  # its square is finite
ROUNDING = 1e-15  # in standard units: smaller errors mean nothing
SURE = 2.0  # standard errors
NOISY = 1e-4  # of the variance: squared errors above it call for folds
SMALLER = 0.25  # times the median square: far better, whatever the largest errors say
FOLDS = 5
DOUBT = 3  # power of the errors that other kernels count by in the disagreement
# What a kernel that is too rough for the function overstates is not believed to be more.
LEAST_CALIBRATION = 0.1


@dataclass(frozen=True)
class KrigingFit:
    """A kriging in the units of the data.

    Attributes:
        kernel: a key of `KERNELS`, or "product".
        scalers: of points and outputs.
        theta: as in `Kriging`.
        strengths: (d,) of the product kernel, or None.
        solved: the solution over the rows that it was fitted to.
        axes: (d, d) along which the lengths count, one a column.
        folds: squared errors as of `fold_squares`, where they were needed for the choice.
        disagreement: mean squared difference (k,) of the other kernels between the rows.
    """

    kernel: str
    scalers: tuple[Standardizer, Standardizer]
    theta: np.ndarray
    strengths: np.ndarray | None
    solved: Solved
    axes: np.ndarray
    folds: np.ndarray | None = None
    disagreement: np.ndarray | float = 0.0

    @classmethod
    def of(
        cls,
        kernel: str,
        scalers: tuple[Standardizer, Standardizer],
        points: np.ndarray,
        outputs: np.ndarray,
        evaluations: int = 0,
        theta: np.ndarray | None = None,
        strengths: np.ndarray | None = None,
        axes: np.ndarray | None = None,
    ) -> "KrigingFit":
        """Fit to rows (n, d), (n, k), after a search from theta with so many evaluations."""
        axes = np.eye(points.shape[1]) if axes is None else axes
        x = scalers[0].standardize(points) @ axes
        rows = Kriging(kernel, x, scalers[1].standardize(outputs))
        if evaluations:
            theta = rows.search(evaluations, theta)
        assert theta is not None
        return cls(kernel, scalers, theta, strengths, rows.solve(theta, strengths), axes)

    def fit(self, points: np.ndarray, outputs: np.ndarray, evaluations: int = 0) -> "KrigingFit":
        """The same kriging of other rows."""
        known = (self.theta, self.strengths, self.axes)
        return self.of(self.kernel, self.scalers, points, outputs, evaluations, *known)

    def turned(self, evaluations: int) -> "KrigingFit":
        """The kriging of the same rows along the axes that maximise the evidence.

        The same where E falls by less than half the logarithm of the rows for each angle, and GAIN
        (Schwarz 1978; Kass and Raftery 1995).
        """
        rows = self.solved.rows
        turn, theta = rows.turn(evaluations, self.theta)
        other = Kriging(self.kernel, rows.x @ turn, rows.targets)
        theta = other.search(MORE, theta)
        d, energies = (
            len(turn),
            [one.energy_of(at)[0] for one, at in ((rows, self.theta), (other, theta))],
        )
        if energies[0] - energies[1] < d * (d - 1) / 4 * np.log(len(rows.x)) + GAIN:
            return self
        return replace(self, theta=theta, solved=other.solve(theta), axes=self.axes @ turn)

    @property
    def is_turned(self) -> bool:
        """Whether lengths count along other axes than the inputs."""
        return bool(np.any(self.axes != np.eye(len(self.axes))))

    def inputs(self, points: np.ndarray) -> np.ndarray:
        """Points (p, d) in standard units along the axes."""
        return self.scalers[0].standardize(points) @ self.axes

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Predict (p, k) at points (p, d)."""
        return self.scalers[1].restore(self.solved.predict(self.inputs(points)))

    def left_out(self) -> np.ndarray:
        """Leave-one-out errors (n, k) in the units of the outputs."""
        outputs = self.scalers[1].restore(self.solved.rows.targets)
        predicted = self.solved.rows.targets + self.solved.left_out
        with np.errstate(over="ignore"):
            return self.scalers[1].restore(predicted) - outputs

    def standardized(self) -> np.ndarray:
        """Leave-one-out errors over their deviations, (n, k)."""
        return self.solved.left_out / np.maximum(self.solved.deviations, ROUNDING)

    def calibration(self) -> np.ndarray:
        """What the deviations (k,) are to be multiplied by."""
        return np.maximum(np.sqrt(np.mean(self.standardized() ** 2, axis=0)), LEAST_CALIBRATION)

    def deviation(self, points: np.ndarray) -> np.ndarray:
        """The deviation (p, k) at points, calibrated by leave-one-out."""
        x = self.inputs(points)
        deviation = np.sqrt(self.solved.variance(x))[:, np.newaxis] * self.solved.amplitude
        slope = self.scalers[1].slope(self.scalers[1].restore(self.solved.predict(x)))
        return deviation * slope * self.calibration()

    def error(self, points: np.ndarray) -> float:
        """What the choice minimises, over the standard deviations of the outputs."""
        outputs = self.scalers[1].restore(self.solved.rows.targets)
        deviation = np.maximum(outputs.std(axis=0), np.finfo(float).tiny)
        left_out = rms(self.left_out() / deviation)
        expected = rms(self.deviation(points) / deviation)
        return float(np.sqrt(max(left_out, ROUNDING) * max(expected, ROUNDING)))

    @property
    def term(self) -> Term:
        """The distance units as a term of a model."""
        solved, rows = self.solved, self.solved.rows
        sizes = (rows.x.shape[1], len(rows.x), rows.targets.shape[1])
        parts = (solved.lengths, solved.strengths, solved.weight, solved.trend)
        params = DistanceParams(self.axes, rows.x, *parts)
        return Term(Distance(self.kernel, sizes, rows.degree), params, np.ones(sizes[2]))

    @property
    def name(self) -> str:
        """Kernel and logarithms in words."""
        if self.theta[-1] == ALL_NOISE:
            return ("constant", "linear function")[self.solved.rows.degree]
        logs = [
            side
            for side, scaler in zip(("inputs", "outputs"), self.scalers, strict=True)
            if (scaler.floor > 0).any()
        ]
        return (
            f"{self.kernel} distance units"
            + (", turned axes" if self.is_turned else "")
            + (f", logarithm of {' and '.join(logs)}" if logs else "")
        )


def kriging_trial(
    fitted: KrigingFit,
    splits: list[Rows],
    scalers: tuple[Standardizer, Standardizer],
    seconds: float,
) -> Trial:
    """Measure a kriging on the rows held out, with the lengths and noise that all rows chose.

    Args:
        fitted: the kriging of all rows.
        splits: rows in the standard units of `scalers`.
        scalers: of the rows.
        seconds: that the choice took.
    """
    start, most = time.perf_counter(), len(fitted.solved.rows.x)
    predictions, variances = [], []
    for rows in splits:
        train = [
            scaler.restore(np.asarray(part)[:most])
            for scaler, part in zip(scalers, rows.train, strict=True)
        ]
        kriging = fitted.fit(*train)
        held_out = scalers[0].restore(np.asarray(rows.held_out.inputs))
        predictions.append(scalers[1].standardize(kriging(held_out)))
        variances.append(kriging.solved.variance(kriging.inputs(held_out)))
    error = rms(np.concatenate(predictions) - held_out_targets(splits))
    return Trial(
        Candidate(fitted.name, error, seconds + time.perf_counter() - start),
        (fitted.term,),
        np.concatenate(predictions),
        lambda every: (fitted.term,),
        float(np.max(fitted.solved.noise * fitted.solved.amplitude**2)),
        fitted.scalers,
        fitted,
        np.concatenate(variances),
    )


def between(points: np.ndarray, count: int = REFERENCES, seed: int = 0) -> np.ndarray:
    """Points as new ones may come: each column by its own quantiles, evenly for one input.

    Where rows are spaced at random the next one can lie beyond the last by about a gap, where they
    are spaced by a rule it does not.
    """
    d = points.shape[1]
    levels = np.random.default_rng(seed).random((count, d))
    if d == 1:
        levels = np.linspace(0, 1, count)[:, np.newaxis]
    columns = []
    for level, column in zip(levels.T, points.T, strict=True):
        ordered = np.sort(column)
        values = np.unique(ordered)
        if len(values) > 3:
            gaps = np.diff(values)
            # The logarithms of neighbouring gaps differ by 1.8 on average for random rows.
            beyond = min(1.0, float(np.std(np.diff(np.log(gaps)))) / 1.8)
            low, high = (
                ordered[0] - beyond * gaps[:3].mean(),
                ordered[-1] + beyond * gaps[-3:].mean(),
            )
            ordered = np.r_[low, ordered, high] if beyond > 0.1 else ordered
        columns.append(np.interp(level, np.linspace(0, 1, len(ordered)), ordered))
    return np.column_stack(columns)


def choose_kriging(points: np.ndarray, outputs: np.ndarray, most: int = MOST) -> KrigingFit:
    """Choose kernel, logarithms, lengths and noise.

    Args:
        points: (n, d), in random order.
        outputs: (n, k).
        most: rows that are solved for.

    Returns:
        The best, fitted to `most` rows.
    """
    references = between(points[:most])

    def ranked(fits: list[KrigingFit]) -> list[KrigingFit]:
        return sorted(fits, key=lambda fit: fit.error(references))

    found = []
    for logs in _logarithms(points, outputs):
        scalers = (standardizer(points, logs=logs[0]), standardizer(outputs, logs=logs[1]))
        found += _kernels(scalers, points, outputs)
    if not found:  # too few rows for a linear trend in so many inputs
        scalers = standardizer(points), standardizer(outputs)
        return KrigingFit.of(EVEN, scalers, points, outputs, EVALUATIONS)
    best = ranked(_refined(ranked(found)[:REFINED], points, outputs))
    turned = [fit for fit in best if fit.is_turned]
    if turned:
        # Along these axes another kernel can be the best.
        along = _kernels(turned[0].scalers, points, outputs, turned[0])
        best = ranked(best + _refined(ranked(along)[:REFINED], points, outputs))
        found += along
    fits = [best[0], *[fit for fit in best if not fit.is_turned][: best[0].is_turned]]
    rows = points[:most], outputs[:most]
    chosen = _simplest([fit.fit(*rows) for fit in fits], *rows)
    if len(points) > SOME:  # the others know a part of the rows only
        return chosen
    return replace(chosen, disagreement=_disagreement(chosen, found, references))


def _disagreement(chosen: KrigingFit, fits: list[KrigingFit], references: np.ndarray) -> np.ndarray:
    """What other kernels predict counts by their errors (Hoeting et al. 1999, model averaging)."""
    errors = np.array([fit.error(references) for fit in fits])
    weights = (errors.min() / errors) ** DOUBT
    predicted, limit = chosen(references), chosen.scalers[1].restore(np.array([[-5.0], [5.0]]))
    others = [np.clip(np.nan_to_num(fit(references)), *limit) for fit in fits]
    squares = [np.mean((other - predicted) ** 2, axis=0) for other in others]
    return weights @ np.array(squares) / weights.sum()


def _kernels(
    scalers: tuple[Standardizer, Standardizer],
    points: np.ndarray,
    outputs: np.ndarray,
    before: KrigingFit | None = None,
) -> list[KrigingFit]:
    """A kriging of some rows for each kernel, from the lengths and axes of another."""
    theta, axes = (None, None) if before is None else (before.theta, before.axes)
    found = []
    for kernel in ORDER:
        if 2 * _polynomial_terms(kernel, points.shape[1]) < min(len(points), FEW):
            few = points[:FEW], outputs[:FEW]
            fit = KrigingFit.of(kernel, scalers, *few, EVALUATIONS, theta, axes=axes)
            # With one input a search from many starts is cheap; with more, one theta leads to the
            # next.
            theta = fit.theta if points.shape[1] > 1 else None
            found.append(fit.fit(points[:SOME], outputs[:SOME]) if len(points) > FEW else fit)
    return found


def _refined(fits: list[KrigingFit], points: np.ndarray, outputs: np.ndarray) -> list[KrigingFit]:
    """Each with its lengths chosen by more rows, and beside it the same along turned axes."""
    refined = []
    for fit in fits:
        turned = fit.fit(points[:FEW], outputs[:FEW])
        d = points.shape[1]
        if 2 < d * (d + 1) < 2 * len(turned.solved.rows.x):
            turned = turned.turned(TURNS)
        pair = [fit, turned] if turned.is_turned else [fit]
        if len(points) > FEW:
            pair = [one.fit(points[:SOME], outputs[:SOME], MORE) for one in pair]
            pair += [one.turned(TURNS) for one in pair[1:]]
        refined += pair
    return refined


def _simplest(fits: list[KrigingFit], points: np.ndarray, outputs: np.ndarray) -> KrigingFit:
    """The simplest of the best, the polynomial and an even Gaussian that the errors allow.

    Args:
        fits: the best, and where its axes are turned the best along the inputs.
        points: (n, d).
        outputs: (n, k).
    """
    best = fits[0]
    scalers = standardizer(points), standardizer(outputs)
    theta = np.r_[np.zeros(points.shape[1]), ALL_NOISE]
    alone = KrigingFit.of("Matern 1/2", scalers, points, outputs, theta=theta)
    simple = [alone]
    if points.shape[1] > 1:
        even = KrigingFit.of(EVEN, scalers, points[:FEW], outputs[:FEW], EVALUATIONS)
        simple.append(even.fit(points, outputs))
    squares = [
        np.mean(np.minimum(np.abs(fit.left_out() / scalers[1].scale), LARGEST) ** 2, axis=1)
        for fit in (best, *simple)
    ]
    if points.shape[1] == 1:
        gain = squares[1] - squares[0]
        sure = min(SURE, len(points) ** 0.5 / 3) * gain.std() / len(points) ** 0.5
        # A few large errors can hide that all others are much smaller.
        smaller = np.median(squares[0]) < SMALLER * np.median(squares[1])
        return best if smaller or gain.mean() > sure else alone
    if np.median(squares[0]) < NOISY:
        return best

    def searched(fit: KrigingFit) -> Callable[[np.ndarray, np.ndarray], KrigingFit]:
        if fit is alone:
            return fit.fit

        def search(p: np.ndarray, o: np.ndarray) -> KrigingFit:
            found = KrigingFit.of(fit.kernel, fit.scalers, p[:FEW], o[:FEW], EVALUATIONS)
            return (found.turned(TURNS) if fit.is_turned else found).fit(p, o)

        return search

    chosen, *others = [
        replace(fit, folds=fold_squares(searched(fit), points, outputs))
        for fit in (*simple, *fits[::-1])
    ]
    for fit in others:
        chosen = better(chosen, fit)
    return chosen


def better(simple: KrigingFit, other: KrigingFit) -> KrigingFit:
    """The one that folds prefer, the first unless the other is better by a standard error.

    Two that have a length for each input have nothing to be sure of.
    """
    assert simple.folds is not None
    assert other.folds is not None
    gain = simple.folds - other.folds
    even = len(np.unique(simple.theta[:-1])) == 1
    return other if gain.mean() > even * gain.std() / len(gain) ** 0.5 else simple


def fold_squares(
    fit: Callable[[np.ndarray, np.ndarray], KrigingFit], points: np.ndarray, outputs: np.ndarray
) -> np.ndarray:
    """Squared errors in standard units, over the outputs, of rows left out by folds of one size.

    Args:
        fit: of other rows, with everything chosen anew.
        points: (n, d), of which a few hundred are used.
        outputs: (n, k).
    """
    points, outputs = points[:SOME], outputs[:SOME]
    size, scale = len(points) // FOLDS, standardizer(outputs).scale
    squares = []
    for first in range(0, FOLDS * size, size):
        held = slice(first, first + size)
        train = np.delete(np.arange(len(points)), held)
        errors = (fit(points[train], outputs[train])(points[held]) - outputs[held]) / scale
        squares.append(np.mean(np.minimum(np.abs(errors), LARGEST) ** 2, axis=1))
    return np.concatenate(squares)


def _polynomial_terms(kernel: str, num_inputs: int) -> int:
    quadratic = num_inputs * (num_inputs + 1) // 2
    return 1 + num_inputs + (quadratic if KERNELS[kernel].degree == 2 else 0)


def _logarithms(points: np.ndarray, outputs: np.ndarray) -> list[tuple[Any, Any]]:
    """The columns of points and of outputs whose logarithm is taken, in each variant to try."""
    sides = []
    for values in (points, outputs):
        wide = (values.min(axis=0) > 0) & (values.max(axis=0) > SCALES * values.min(axis=0))
        sides.append([np.zeros_like(wide), wide] if wide.any() else [wide])
    return list(itertools.product(*sides))
