"""What the solvers are given: samples of a function in standard units, and other points to judge by."""

from typing import NamedTuple

import numpy as np

from data import FUNCTIONS, SURFACES, Samples, sample_surface
from jaxbp.fitting import standardizer

NUM_TEST = 10_000  # points that the error is measured on
HELD_OUT_SHARE = 0.2  # of the samples, for choosing settings


class Problem(NamedTuple):
    """A function to fit, inputs and outputs standardized by its training samples.

    Attributes:
        train: points (n, d) and values (n,) to train on.
        test: to judge by; none was trained on.
        seed: for whatever a solver draws.
    """

    train: Samples
    test: Samples
    seed: int

    @classmethod
    def standardized(
        cls, train: Samples, test: Samples, seed: int, names: tuple[str, ...]
    ) -> "Problem":
        """Standardizes samples that are in their own units."""
        inner, outer = (
            standardizer(train.points, names[:-1]),
            standardizer(train.values[:, None], names[-1:]),
        )
        train, test = (
            Samples(inner.standardize(some.points), outer.standardize(some.values[:, None])[:, 0])
            for some in (train, test)
        )
        return cls(train, test, seed)

    @property
    def num_inputs(self) -> int:
        """d."""
        return self.train.points.shape[1]

    def error(self, predicted: np.ndarray) -> float:
        """The root mean square error of predictions (m,) or (m, 1) at the test points, over the standard deviation."""
        error = np.asarray(predicted, np.float64).reshape(-1) - self.test.values
        return float(np.sqrt(np.mean(error**2)) / self.test.values.std())

    def hold_out(self) -> "Problem":
        """The problem with a fifth of its own samples to judge by: what a solver may choose its settings with."""
        order = np.random.RandomState(self.seed).permutation(len(self.train.values))
        held_out, kept = np.split(order, [round(HELD_OUT_SHARE * len(order))])
        train, test = (
            Samples(self.train.points[rows], self.train.values[rows]) for rows in (kept, held_out)
        )
        return Problem(train, test, self.seed)


def surface_problem(name: str, num_samples: int, seed: int) -> Problem:
    """Samples a surface of `SURFACES`; `NUM_TEST` points of a dense grid are to judge by, none of them trained on."""
    generator = np.random.RandomState(seed)
    task = sample_surface(SURFACES[name], num_samples, generator)
    judged = generator.permutation(np.flatnonzero(task.scored))[:NUM_TEST]
    return Problem.standardized(
        task.train, Samples(*(some[judged] for some in task.test)), seed, task.surface.labels
    )


def function_problem(name: str, num_samples: int, seed: int) -> Problem:
    """Samples a function of `FUNCTIONS` at uniform points; `NUM_TEST` others are to judge by."""
    row, generator = FUNCTIONS[name], np.random.RandomState(seed)
    drawn = (row.sample(generator, count) for count in (num_samples, NUM_TEST))
    train, test = (Samples(points, row.function(points)) for points in drawn)
    return Problem.standardized(train, test, seed, (*row.names, name))
