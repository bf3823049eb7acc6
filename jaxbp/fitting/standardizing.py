"""Standardizing: each column, or its logarithm, shifted to mean 0 and scaled to deviation 1."""

from typing import Any, NamedTuple

import numpy as np


class Standardizer(NamedTuple):
    """A map of columns, affine or after the logarithm.

    Attributes:
        mean: (num_columns,) in the units of the data, or of their logarithm.
        scale: (num_columns,) the standard deviations, in the same units.
        floor: (num_columns,) positive where the logarithm is taken: the least value of the column,
            below which the logarithm continues as a straight line. Zero elsewhere.
    """

    mean: Any
    scale: Any
    floor: Any

    def standardize(self, values: Any, xp: Any = np) -> Any:
        """Map (n, num_columns) from the units of the data to standard units."""
        logs = self.floor > 0
        floor = xp.where(logs, self.floor, 1.0)[np.newaxis]
        above = xp.log(xp.maximum(values, floor)) + xp.minimum(values - floor, 0.0) / floor
        read = xp.where(logs[np.newaxis], above, values)
        return (read - self.mean[np.newaxis]) / self.scale[np.newaxis]

    def restore(self, values: Any, xp: Any = np) -> Any:
        """Map (n, num_columns) from standard units back to the units of the data."""
        read = values * self.scale[np.newaxis] + self.mean[np.newaxis]
        logs = (self.floor > 0)[np.newaxis]
        return xp.where(logs, xp.exp(xp.where(logs, read, 0.0)), read)

    def slope(self, restored: np.ndarray) -> np.ndarray:
        """The derivative of `restore` where it gives these values (n, num_columns)."""
        return np.where(self.floor > 0, restored, 1.0) * self.scale


def standardizer(
    values: np.ndarray,
    names: tuple[str, ...] | None = None,
    logs: Any = False,
    weights: np.ndarray | None = None,
) -> Standardizer:
    """Measure mean and standard deviation (of the population, divisor n) of each column.

    Args:
        values: (n, num_columns).
        names: the columns' names, for errors; without them a constant column gets the scale 1.
        logs: of which columns the logarithm is taken; those must be positive.
        weights: (n,) positive; None for equal ones.

    Raises:
        ValueError: a column is constant, and names are given.
    """
    logs = np.broadcast_to(logs, values.shape[1:])
    read = np.log(values, out=np.array(values, np.float64), where=logs[np.newaxis])
    mean = np.average(read, axis=0, weights=weights)
    scale = np.sqrt(np.average((read - mean) ** 2, axis=0, weights=weights))
    # The mean of n equal numbers is rounded, so their deviation is a few units of rounding and not
    # exactly 0.
    constant = scale <= 8 * np.finfo(np.float64).eps * np.abs(mean)
    if names is not None and constant.any():
        column = int(constant.argmax())
        came = f"got {values[0, column]} in every row"
        raise ValueError(f"column {names[column]} must vary to be standardized, {came}")
    floor = np.where(logs, values.min(axis=0), 0.0)
    return Standardizer(np.where(constant, read[0], mean), np.where(constant, 1.0, scale), floor)
