"""Error bars: the posterior deviation of a kriging, calibrated by the errors of the chosen model.

    std(x)_k = deviation_k sqrt(V(x)),   deviation_k^2 = mean over i of (e_ik)^2 / V_i

with the kriging's variance V of a new observation, and the errors e_i of rows that the prediction
did not see, with the variance V_i that the kriging had for them. V grows away from the rows and in
their gaps, whichever candidate was chosen. Where a kriging was chosen, its deviation is widened by
the disagreement of the other kernels: few rows do not tell which is right. Intervals use the
quantiles of e_i over its deviation.

Legend: p points, d inputs, m rows of the kriging, k outputs.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np
from scipy.stats import norm, t

from jaxbp.fitting.evidence import Kriging
from jaxbp.fitting.kriging import between
from jaxbp.fitting.rows import Trial
from jaxbp.fitting.standardizing import Standardizer

# Of the quantiles that are kept.
LEVELS = np.r_[np.linspace(0, 0.95, 20), 0.975, 0.99, 0.995, 0.999]
PRIOR = 10.0  # leave-one-out errors that the posterior is worth
ROUNDING = 4  # times the precision of the predictions: no error is less
FEW = 50  # errors: of fewer the quantiles are Student's


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class ErrorBars:
    """What `Model.std`, `Model.interval` and `Model.error` read; a pytree.

    Attributes:
        kernel: of the kriging, as in `Distance`.
        input_scaler: of its inputs.
        axes: (d, d) along which its lengths count.
        centres: (m, d) its rows in standard units along the axes.
        theta: (d + 1,) logarithms of lengths and noise.
        strengths: (d,) of the product kernel.
        deviation: (k,) in standard units of the outputs.
        quantiles: of | error | over its deviation, at `LEVELS`.
        error: (k,) the root mean square error expected of new observations, in their units.
    """

    kernel: str = field(metadata={"static": True})
    input_scaler: Standardizer
    axes: Any
    centres: Any
    theta: Any
    strengths: Any
    deviation: Any
    quantiles: Any
    error: Any

    def std(self, points: np.ndarray) -> np.ndarray:
        """The standard deviation (p, k) in standard units of the outputs."""
        centres = np.asarray(self.centres)
        rows = Kriging(self.kernel, centres, np.zeros((len(centres), 1)))
        solved = rows.solve(np.asarray(self.theta), np.asarray(self.strengths))
        variance = solved.variance(self.input_scaler.standardize(points) @ np.asarray(self.axes))
        return np.sqrt(variance)[:, np.newaxis] * np.asarray(self.deviation)

    def factor(self, coverage: float) -> float:
        """How many deviations an interval of this coverage reaches to either side."""
        return float(np.interp(coverage, LEVELS, self.quantiles))


def error_bars(
    model: Any, best: Trial, posterior: Trial, targets: np.ndarray, points: np.ndarray
) -> ErrorBars:
    """Calibrate the bars of a model.

    Args:
        model: fitted to all rows.
        best: its trial.
        posterior: the kriging whose variance is taken, `best` itself where that is one.
        targets: (h, k) of the rows held out, in standard units.
        points: (n, d) all rows.
    """
    fitted, scaler = posterior.kriging, model.output_scaler
    solved = fitted.solved
    theta = np.log(np.r_[solved.lengths, solved.noise])
    if best is posterior:
        standardized = fitted.standardized()
        # Few errors say little: the posterior itself counts as much as some more of them.
        squares = np.sum(standardized**2, axis=0) + PRIOR
        deviation = solved.amplitude * np.sqrt(squares / (len(standardized) + PRIOR))
        measured = rms_of_columns(fitted.left_out())
    else:
        errors = best.predictions - targets
        standardized = errors / np.sqrt(np.asarray(posterior.variances))[:, np.newaxis]
        deviation = rms_of_columns(standardized)
        measured = rms_of_columns(errors) * scaler.scale
    size = rms_of_columns(standardized) + np.finfo(float).tiny
    relative = np.abs(standardized / size).ravel()
    if len(relative) < FEW:
        freedom = max(1, len(solved.weight) - solved.trend.shape[0])
        quantiles = t.ppf((1 + LEVELS) / 2, freedom)
    else:
        quantiles = np.quantile(relative, LEVELS)
        quantiles[-3:] = np.maximum(quantiles[-3:], norm.ppf((1 + LEVELS[-3:]) / 2))
    known = (
        *(fitted.kernel, fitted.scalers[0], fitted.axes, solved.rows.x),
        *(theta, solved.strengths, deviation, quantiles, measured),
    )
    bars, references = ErrorBars(*known), between(points)
    predicted = model(references).reshape(len(references), -1)
    expected = rms_of_columns(bars.std(references) * scaler.slope(predicted))
    rounding = ROUNDING * np.finfo(float).eps * rms_of_columns(predicted)
    other = fitted.disagreement if best is posterior else 0.0
    wider = np.sqrt(1 + (other + rounding**2) / np.maximum(expected, 1e-150) ** 2)
    error = np.maximum(np.minimum(measured, wider * expected), rounding)
    return replace(bars, deviation=wider * deviation, error=error)


def rms_of_columns(values: np.ndarray) -> np.ndarray:
    """The root mean square of each column."""
    return np.sqrt(np.mean(values**2, axis=0))
