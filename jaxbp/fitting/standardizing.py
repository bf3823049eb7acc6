"""Standardizing: each column shifted to mean 0 and scaled to standard deviation 1."""

from typing import NamedTuple

import numpy as np


class Standardizer(NamedTuple):
    """An affine map of columns.

    Attributes:
        mean: (num_columns,) in the units of the data.
        scale: (num_columns,) the standard deviations, in the units of the data.
    """

    mean: np.ndarray
    scale: np.ndarray

    def standardize(self, values: np.ndarray) -> np.ndarray:
        """Maps (n, num_columns) from the units of the data to standard units."""
        return (values - self.mean) / self.scale

    def restore(self, values: np.ndarray) -> np.ndarray:
        """Maps (n, num_columns) from standard units back to the units of the data."""
        return values * self.scale + self.mean


def standardizer(values: np.ndarray, names: tuple[str, ...] | None = None) -> Standardizer:
    """Measures mean and standard deviation (of the population, divisor n) of each column.

    Args:
        values: (n, num_columns).
        names: the columns' names, for errors; without them a constant column is no error: its scale
            is 1.

    Raises:
        ValueError: a column is constant, and names are given.
    """
    mean, scale = values.mean(axis=0), values.std(axis=0)
    # The mean of n equal numbers is rounded, so their deviation is a few units of rounding and not
    # exactly 0.
    constant = scale <= 8 * np.finfo(np.float64).eps * np.abs(mean)
    if names is not None and constant.any():
        column = int(constant.argmax())
        raise ValueError(
            f"column {names[column]} must vary to be standardized, got {values[0, column]} in every row"
        )
    return Standardizer(np.where(constant, values[0], mean), np.where(constant, 1.0, scale))
