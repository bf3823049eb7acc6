"""Problems for solvers: samples of a function in standard units, and other points to test on."""

from typing import NamedTuple

import numpy as np

from data import FUNCTIONS, SURFACES, Samples, sample_surface
from jaxbp.fitting import standardizer

NUM_TEST = 10_000  # points that the error is measured on
VALIDATION_SHARE = 0.2  # of the samples, for choosing settings


class Problem(NamedTuple):
    """A function to fit, inputs and outputs standardized by its training samples.

    Attributes:
        train: points (n, d) and values (n,) to train on.
        test: points for the error; none was trained on.
        seed: for a solver's random numbers.
    """

    train: Samples
    test: Samples
    seed: int

    @property
    def num_inputs(self) -> int:
        """d."""
        return self.train.points.shape[1]

    def error(self, predicted: np.ndarray) -> float:
        """Return the RMSE of predictions (m,) or (m, 1) at the test points over their deviation."""
        error = np.asarray(predicted, np.float64).reshape(-1) - self.test.values
        return float(np.sqrt(np.mean(error**2)) / self.test.values.std())

    def split(self) -> "Problem":
        """Return the problem with a fifth of its own samples to test on, to choose settings by."""
        order = np.random.RandomState(self.seed).permutation(len(self.train.values))
        test, train = (
            Samples(self.train.points[rows], self.train.values[rows])
            for rows in np.split(order, [round(VALIDATION_SHARE * len(order))])
        )
        return Problem(train, test, self.seed)


def standardized(train: Samples, test: Samples, seed: int) -> Problem:
    """Return a problem from samples in their own units."""
    inner, outer = standardizer(train.points), standardizer(train.values[:, np.newaxis])
    train, test = (
        Samples(inner.standardize(x), outer.standardize(y[:, np.newaxis])[:, 0])
        for x, y in (train, test)
    )
    return Problem(train, test, seed)


def surface_problem(name: str, num_samples: int, seed: int) -> Problem:
    """Sample a surface; `NUM_TEST` points of a grid that are not trained on are the test."""
    generator = np.random.RandomState(seed)
    task = sample_surface(SURFACES[name], num_samples, generator)
    chosen = generator.permutation(np.flatnonzero(task.scored))[:NUM_TEST]
    return standardized(task.train, Samples(*(some[chosen] for some in task.test)), seed)


def function_problem(name: str, num_samples: int, seed: int) -> Problem:
    """Sample a function at uniform points; `NUM_TEST` others are the test."""
    row, generator = FUNCTIONS[name], np.random.RandomState(seed)
    drawn = (row.sample(generator, count) for count in (num_samples, NUM_TEST))
    train, test = (Samples(points, row.function(points)) for points in drawn)
    return standardized(train, test, seed)
