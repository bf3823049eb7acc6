"""How a fit does: the score of a model, and what was tried on the way to it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxbp._html import number, table


class Score(float):
    """R2, the share of the variance that predictions explain, as in scikit-learn.

    Attributes:
        rmse: root mean square error, in the units of the outputs.
        nrmse: the same with each output over its standard deviation; R2 = 1 - nrmse^2.
        max_error: the largest | predicted - true |.
        max_error_row: its row.
        each: of outputs (n, k) the scores of each in its own units, k of them; else empty.
    """

    rmse: float
    nrmse: float
    max_error: float
    max_error_row: int
    each: "tuple[Score, ...]"

    def __new__(cls, predicted: np.ndarray, outputs: np.ndarray) -> "Score":
        """Compare predictions (n,) or (n, k) with the true outputs, of the same shape.

        Raises:
            ValueError: the shapes differ.
        """
        if np.shape(predicted) != np.shape(outputs):
            raise ValueError(
                f"outputs must have shape {np.shape(predicted)} like the predictions, "
                f"got {np.shape(outputs)}"
            )
        error = np.asarray(predicted, np.float64) - np.asarray(outputs, np.float64)
        deviation = np.std(outputs, axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            nrmse = float(np.sqrt(np.mean((error / deviation) ** 2)))
        score = super().__new__(cls, 1 - nrmse**2)
        score.rmse, score.nrmse = float(np.sqrt(np.mean(error**2))), nrmse
        largest = np.abs(error).reshape(len(error), -1).max(axis=1)
        score.max_error_row = int(np.argmax(largest))
        score.max_error = float(largest[score.max_error_row])
        pairs = zip(np.asarray(predicted).T, np.asarray(outputs).T, strict=True)
        score.each = tuple(cls(*pair) for pair in pairs) if np.ndim(outputs) == 2 else ()
        return score

    def __reduce__(self) -> tuple[Any, ...]:
        """What copy and pickle restore: the number, then the attributes."""
        return _restored, (float(self), self.__dict__)


def _restored(value: float, attributes: dict[str, Any]) -> Score:
    score = float.__new__(Score, value)
    score.__dict__.update(attributes)
    return score


class Candidate(NamedTuple):
    """What was tried in a fit.

    Attributes:
        name: network, solver and strength in a few words.
        held_out: its error on the held-out rows over their standard deviation.
        seconds: what it took.
        chosen: whether the model stands on it.
    """

    name: str
    held_out: float
    seconds: float
    chosen: bool = False


def tried_html(candidates: Sequence[Candidate]) -> str:
    """What was tried as a table for notebooks, empty where nothing was."""
    header = ("tried", "held-out error / deviation", "seconds", "")
    rows = [
        (one.name, number(one.held_out), f"{one.seconds:.1f}", "chosen" if one.chosen else "")
        for one in candidates
    ]
    return table(header, rows) if rows else ""
