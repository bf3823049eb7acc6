"""Compare the errors that fit_model and other solvers reach in the same time.

On surfaces: error against seconds, each solver started anew for each number of --seconds. On
functions of 5 to 10 inputs: error against the number of samples, within the longest of --seconds.
All get the same samples and the same test points. Compilation is included. nlls-gram joins where it
is installed (the extra `peers`).
"""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from shared.experiment import Common, begin, finish, print_table, run

import numpy as np
from solvers import (
    Problem,
    Solver,
    function_problem,
    function_solvers,
    surface_problem,
    surface_solvers,
)

from data import FUNCTIONS, SURFACES
from jaxbp import viz


@dataclass(frozen=True)
class Config(Common):
    """Flags of compare_solvers."""

    surfaces: tuple[str, ...] = tuple(SURFACES)
    """Surfaces to fit; without a name, none."""
    functions: tuple[str, ...] = tuple(FUNCTIONS)
    """Functions of several inputs to fit; without a name, none."""
    seconds: tuple[float, ...] = (2.0, 5.0, 10.0)
    """Training times; the functions get the longest."""
    samples: int = 10_000
    """Samples of each surface."""
    function_samples: tuple[int, ...] = (200, 500, 1000, 2000)
    """Numbers of samples of each function."""


class Result(NamedTuple):
    """The test error of a solver over the standard deviation (NaN if it failed)."""

    nrmse: float
    seconds: float
    settings: str


Results = dict[str, dict[str, dict[str, Result]]]  # by problem, solver and column


def main(config: Config) -> None:
    """Run every solver on every problem, print and draw the errors."""
    folder = begin(config)
    for name in ("seconds", "function_samples"):
        if not getattr(config, name):
            raise ValueError(f"{name} must hold at least one number, got none")
    times = sorted(config.seconds)
    by_time = {f"{seconds:g} s": (config.samples, seconds) for seconds in times}
    by_samples = {f"{count} samples": (count, times[-1]) for count in config.function_samples}
    results, files = {}, {}
    if config.surfaces:
        found = compare(config, config.surfaces, surface_problem, surface_solvers(), by_time)
        results["surfaces"] = found
        title = f"{config.samples} samples, error at test points"
        words: dict[str, Any] = {"xlabel": "seconds", "title": title, "share_y": False}
        files["solver_comparison.svg"] = draw(found, lambda _, one: one.seconds, **words)
    if config.functions:
        found = compare(config, config.functions, function_problem, function_solvers(), by_samples)
        results["functions"] = found
        title = f"{times[-1]:g} s for each fit, error at test points"
        words = {"xlabel": "samples", "title": title}
        files["surrogate_comparison.svg"] = draw(found, lambda at, _: int(at.split()[0]), **words)
    finish(config, folder, "solver_comparison", results, files)


def compare(
    config: Config,
    problems: tuple[str, ...],
    make: Callable[[str, int, int], Problem],
    solvers: Mapping[str, Solver],
    columns: Mapping[str, tuple[int, float]],
) -> Results:
    """Run every solver with the samples and seconds of every column; print a table a problem."""
    found: Results = {}
    for name in problems:
        found[name] = {solver: {} for solver in solvers}
        for column, (num_samples, seconds) in columns.items():
            problem = make(name, num_samples, config.seed)
            for solver, solve in solvers.items():
                result = found[name][solver][column] = measured(solve, problem, seconds)
                if not config.quiet:
                    took = f"{result.nrmse:.1e} in {result.seconds:.1f} s ({result.settings})"
                    print(f"{name}, {column}, {solver}: {took}", flush=True)
        title = f"{name}: error at test points / standard deviation"
        cells = {
            solver: {column: one.nrmse for column, one in some.items()}
            for solver, some in found[name].items()
        }
        print_table(title, cells, ".1e")
    return found


def measured(solve: Solver, problem: Problem, seconds: float) -> Result:
    """Return the result of one solver on one problem."""
    try:
        predict, taken, settings = solve(problem, seconds)
    except np.linalg.LinAlgError as error:
        return Result(math.nan, seconds, str(error))
    return Result(problem.error(predict), taken, settings)


def draw(found: Results, abscissa: Callable[[str, Result], float], **words: Any) -> viz.Drawing:
    """Draw the errors, a panel for each problem."""
    panels = {
        problem: {
            solver: (
                np.array([abscissa(column, one) for column, one in some.items()]),
                np.array([one.nrmse for one in some.values()]),
            )
            for solver, some in solvers.items()
        }
        for problem, solvers in found.items()
    }
    return viz.draw_panels(
        panels, ylabel="error / standard deviation", xscale="log", highlight="jaxbp", **words
    )


if __name__ == "__main__":
    run(main, Config)
