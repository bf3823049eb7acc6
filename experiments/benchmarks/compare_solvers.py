"""Compare the errors that solvers reach, jaxbp's and others', in the same time.

On surfaces: error against seconds, each solver started anew for each number of --seconds. On
functions of 5 to 10 inputs: error against the number of samples, within the longest of --seconds,
settings chosen by validation error. All get the same samples and the same test points. Compilation
is excluded, except for fit_model. scikit-learn, PyTorch and nlls-gram join where they are installed
(the extra `peers`). An hour in all; problems that do not run are kept from the JSON in --out.
"""

import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from solvers.baselines import function_baselines, surface_baselines
from solvers.own import function_solvers, surface_solvers
from solvers.problems import Problem, function_problem, surface_problem
from solvers.rules import Result, Solver, nan_last

from data import FUNCTIONS, SURFACES
from jaxbp import viz
from shared.experiment import Common, begin, finish, print_table, run

PICTURES = {"surfaces": "solver_comparison.svg", "functions": "surrogate_comparison.svg"}
Results = dict[str, dict[str, list[Result]]]  # by problem and solver, one for each column


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
    seeds: tuple[int, ...] = (0,)
    """Random seeds of samples, weights and batches; medians over them are shown."""


class Column(NamedTuple):
    """A column of a table: heading, abscissa (None: seconds taken), maker of a problem, budget."""

    heading: str
    abscissa: float | None
    make: Callable[..., Problem]  # (name, seed=)
    seconds: float


class Part(NamedTuple):
    """A part of the benchmark: names of problems, solvers, columns, options of its picture."""

    problems: tuple[str, ...]
    solvers: Mapping[str, Solver]
    columns: list[Column]
    options: dict[str, Any]


def main(config: Config) -> None:
    """Run every solver on every problem, print and draw the errors."""
    folder = begin(config)
    for name in ("seconds", "seeds", "function_samples"):
        if not getattr(config, name):
            raise ValueError(f"{name} must hold at least one number, got none")
    results = earlier_results(folder / "solver_comparison.json")
    files = {}
    for name, part in parts_of(config).items():
        for problem in part.problems:
            results[name][problem] = solve(part, problem, config)
        if results[name]:
            print_results(part, results[name])
            files[PICTURES[name]] = draw(part, results[name]).figure
    finish(config, folder, "solver_comparison", results, files)


def parts_of(config: Config) -> dict[str, Part]:
    """Return the two parts: error against seconds, error against samples."""
    budgets = sorted(config.seconds)
    surface = partial(surface_problem, num_samples=config.samples)
    surface_columns = [Column(f"{seconds:g} s", None, surface, seconds) for seconds in budgets]
    function_columns = [
        Column(f"{count} samples", count, partial(function_problem, num_samples=count), budgets[-1])
        for count in config.function_samples
    ]
    surface_options = {
        "xlabel": "seconds, compilation excluded",
        "title": f"{config.samples} samples, error at test points",
        "share_y": False,
        "xscale": "log",
    }
    function_options = {
        "xlabel": "samples",
        "xscale": "log",
        "title": f"{budgets[-1]:g} s for each fit, error at test points",
    }
    surfaces = surface_solvers() | surface_baselines()
    functions = function_solvers() | function_baselines()
    return {
        "surfaces": Part(config.surfaces, surfaces, surface_columns, surface_options),
        "functions": Part(config.functions, functions, function_columns, function_options),
    }


def solve(part: Part, problem: str, config: Config) -> dict[str, list[Result]]:
    """Run every solver on a problem."""
    found: dict[str, list[Result]] = {}
    for name, solver in part.solvers.items():
        found[name] = []
        for column in part.columns:
            runs = [solver(column.make(problem, seed=s), column.seconds) for s in config.seeds]
            result = median_of(runs)
            found[name].append(result)
            if not config.quiet:
                took = f"{result.nrmse:.1e} in {result.seconds:.1f} s"
                print(f"{problem}, {column.heading}, {name}: {took}", flush=True)
    return found


def median_of(runs: list[Result]) -> Result:
    """Return the medians, NaN where most are, and the settings of all."""
    error = float(np.median([nan_last(one.nrmse) for one in runs]))
    steps, seconds, compiling = np.median([one[:3] for one in runs], axis=0).tolist()
    settings = ", ".join(dict.fromkeys(one.settings for one in runs))
    nrmse = error if math.isfinite(error) else math.nan
    return Result(round(steps), seconds, compiling, nrmse, settings)


def print_results(part: Part, results: Results) -> None:
    """Print a table for each problem."""
    header = ("", *(column.heading for column in part.columns), "compile", "settings of the last")
    for problem, solvers in results.items():
        rows = []
        for name, found in solvers.items():
            cells = [f"{one.nrmse:.1e} ({one.seconds:.1f})" for one in found]
            compiling = max(one.compile_seconds for one in found)
            rows.append([name, *cells, f"{compiling:.1f} s", found[-1].settings])
        title = f"{problem}: error at test points / standard deviation (seconds taken)"
        print_table(title, header, rows)


def draw(part: Part, results: Results) -> viz.Drawing:
    """Draw the errors, a panel for each problem."""
    panels: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for problem, solvers in results.items():
        panels[problem] = {}
        for name, found in solvers.items():
            pairs = list(zip(part.columns, found, strict=True))
            x = [
                one.seconds if column.abscissa is None else column.abscissa for column, one in pairs
            ]
            panels[problem][name] = np.array(x), np.array([one.nrmse for one in found])
    return viz.draw_panels(
        panels,
        ylabel="error / standard deviation",
        highlight="jaxbp",
        **part.options,
    )


def earlier_results(path: Path) -> dict[str, Results]:
    """Read the results of an earlier run, by part; null stands for a failure."""
    content = json.loads(path.read_text(encoding="utf-8"))["result"] if path.exists() else {}
    return {
        part: {
            problem: {
                name: [
                    Result(**one | {"nrmse": math.nan if one["nrmse"] is None else one["nrmse"]})
                    for one in found
                ]
                for name, found in solvers.items()
            }
            for problem, solvers in content.get(part, {}).items()
        }
        for part in PICTURES
    }


if __name__ == "__main__":
    run(main, Config)
