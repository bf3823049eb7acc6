"""A contest of solvers on one surface: the same samples, the same points to judge by, a time for each."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jaxbp.data import standardizer
from support.tasks import Task


class Samples(NamedTuple):
    """A task in standard units.

    Attributes:
        inputs: (n, 2) to train on.
        targets: (n, 1).
        test_inputs: (m, 2) to judge by; none was trained on.
        test_targets: (m,).
    """

    inputs: np.ndarray
    targets: np.ndarray
    test_inputs: np.ndarray
    test_targets: np.ndarray

    def nrmse(self, outputs: np.ndarray) -> float:
        """The error of outputs (m,) or (m, 1) at the points to judge by, over the standard deviation there."""
        error = np.asarray(outputs, np.float64).reshape(-1) - self.test_targets
        return float(np.sqrt(np.mean(error**2)) / self.test_targets.std())


class Run(NamedTuple):
    """A training run: its steps, the seconds that they took, those that compiling took, the error it ended with."""

    steps: int
    seconds: float
    compile_seconds: float
    nrmse: float


class Contestant(NamedTuple):
    """A solver with its settings.

    Attributes:
        name: the solver's.
        activation: of the network's hidden layers; of several contestants of one name the best one counts.
        trial_steps: so many steps tell how long one takes.
        train: (samples, seed, steps) -> the run, annealed so as to end after these steps.
    """

    name: str
    activation: str
    trial_steps: int
    train: Callable[[Samples, int, int], Run]


def samples_of(task: Task) -> Samples:
    """Standardizes a task by its training samples."""
    points, values = standardizer(task.train[:, :2], task.labels[:2]), standardizer(task.train[:, 2:], task.labels[2:])
    test = task.test[task.scored]
    return Samples(
        points.standardize(task.train[:, :2]),
        values.standardize(task.train[:, 2:]),
        points.standardize(test[:, :2]),
        values.standardize(test[:, 2:])[:, 0],
    )


def compete(contestant: Contestant, samples: Samples, seed: int, budgets: Sequence[float]) -> list[Run]:
    """Trains once for each budget in seconds, from the start each time, with as many steps as fit into it."""
    trial = contestant.train(samples, seed, contestant.trial_steps)
    runs, pace = [], trial.seconds / trial.steps
    for budget in sorted(budgets):
        run = contestant.train(samples, seed, max(1, int(budget / pace)))
        pace = run.seconds / run.steps  # a longer run knows it better
        runs.append(run)
    return runs


def best_of(runs: Sequence[list[Run]]) -> list[Run]:
    """For each budget the run with the smallest error, one that diverged only where all did."""
    return [min(column, key=lambda run: (math.isnan(run.nrmse), run.nrmse)) for column in zip(*runs, strict=True)]


def median_of(runs: Sequence[list[Run]]) -> list[Run]:
    """For each budget the medians over seeds."""
    medians = [[float(np.median(field)) for field in zip(*column, strict=True)] for column in zip(*runs, strict=True)]
    return [Run(round(steps), *others) for steps, *others in medians]
