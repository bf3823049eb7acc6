"""Compare solvers, jaxbp's and others', by the error that they reach in the same time.

On surfaces: error against seconds, each solver started anew for each number of --seconds. On
functions of 5 to 10
inputs: error against the number of samples, each solver choosing its settings on held-out samples
within the longest of
--seconds. All get the same samples and are judged at the same other points; compile time is shown
apart, but for fit_model, whose time is all that passes. scikit-learn, PyTorch and nlls-gram join
where they are installed (the extra `peers`). All of it takes about an hour. --surfaces or
--functions without a name leaves that part out; what does not run is kept from the JSON in --out,
if that was written with the same times, samples and seeds.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from common import begin, choice, finish, run
from contest import report
from contest.entrants import function_entrants, surface_entrants
from contest.parts import Column, Part, compete
from contest.problems import function_problem, surface_problem
from contest.rivals import function_rivals, surface_rivals
from data import FUNCTIONS, SURFACES
from jaxbp._checks import check_name
from jaxbp.training import PLATFORMS

PICTURES = {"surfaces": "solver_comparison.svg", "functions": "surrogate_comparison.svg"}


@dataclass(frozen=True)
class Config:
    """Flags of compare_solvers."""

    surfaces: tuple[Annotated[str, choice(SURFACES)], ...] = tuple(SURFACES)
    """Surfaces to fit."""
    functions: tuple[Annotated[str, choice(FUNCTIONS)], ...] = tuple(FUNCTIONS)
    """Functions of several inputs to fit."""
    seconds: tuple[float, ...] = (2.0, 5.0, 10.0)
    """Training times; the functions get the longest."""
    samples: int = 10_000
    """Samples of each surface."""
    function_samples: tuple[int, ...] = (200, 500, 1000, 2000)
    """Numbers of samples of each function."""
    seeds: tuple[int, ...] = (0,)
    """Random seeds of samples, weights and batches; medians over them are shown."""
    solvers: tuple[str, ...] = ()
    """Solvers to run, such as Gauss-Newton; all of them unless given."""
    peers: bool = True
    """Let solvers from elsewhere join."""
    out: str = "pictures"
    """Folder of the figures and the JSON."""
    platform: Annotated[str, choice(PLATFORMS)] = "auto"
    """Device to run on."""
    show: bool = False
    """Open the figures afterwards."""
    quiet: bool = False
    """Print the tables only."""


def main(config: Config) -> None:
    """Lets every solver fit every surface and function, prints and draws what they reach."""
    folder = begin(config, seconds=1e-3, samples=100, function_samples=100)
    parts = parts_of(config)
    for name in config.solvers:
        check_name(
            "solvers",
            name,
            dict.fromkeys(entrant.name for part in parts.values() for entrant in part.entrants),
        )
    partly = {name: part.problems if config.solvers else () for name, part in parts.items()}
    results = report.earlier_results(
        folder / "solver_comparison.json", dataclasses.asdict(config), partly
    )
    for name, part in parts.items():
        compete(
            part, results[name], config.solvers, config.seeds, print if not config.quiet else str
        )
    files = {
        PICTURES[name]: report.show(part, results[name])
        for name, part in parts.items()
        if results[name]
    }
    finish(config, folder, "solver_comparison", results, files)


def parts_of(config: Config) -> dict[str, Part]:
    """Error against seconds on surfaces, error against samples on functions."""
    for name in ("seconds", "seeds", "function_samples"):
        if not getattr(config, name):
            raise ValueError(f"{name} must name at least one, got none")
    budgets, other = sorted(config.seconds), "error at other points"
    surface = partial(surface_problem, num_samples=config.samples)
    surface_columns = [Column(f"{seconds:g} s", None, surface, seconds) for seconds in budgets]
    function_columns = [
        Column(f"{count} samples", count, partial(function_problem, num_samples=count), budgets[-1])
        for count in config.function_samples
    ]
    surface_words = {
        "xlabel": "seconds, without compiling",
        "title": f"{config.samples} samples, {other}",
        "share_y": False,
    }
    function_words = {
        "xlabel": "samples",
        "xscale": "log",
        "title": f"{budgets[-1]:g} s for each fit, {other}",
    }
    surface_solvers = surface_entrants() + (surface_rivals() if config.peers else [])
    function_solvers = function_entrants() + (function_rivals() if config.peers else [])
    return {
        "surfaces": Part(config.surfaces, surface_solvers, surface_columns, surface_words),
        "functions": Part(config.functions, function_solvers, function_columns, function_words),
    }


if __name__ == "__main__":
    run(main, Config)
