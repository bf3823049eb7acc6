"""`compare_solvers` in parts: the contest, the tables, the figure, the JSON."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from jaxbp import viz
from jaxbp.names import check_name
from support.config import Config as SurfaceConfig
from support.contest import Run, best_of, compete, median_of, samples_of
from support.outputs import versions, write_json
from support.peers import peer_contestants
from support.solvers import own_contestants
from support.tasks import make_task

Results = dict[str, dict[str, list[Run]]]  # by surface and solver, a run for each budget


def check(config: Any) -> None:
    """Raises a ValueError for a flag that is out of range."""
    for name in ("surfaces", "seconds", "seeds"):
        if not getattr(config, name):
            raise ValueError(f"{name} must name at least one, got none")
    for seconds in config.seconds:
        if not (math.isfinite(seconds) and seconds > 0):
            raise ValueError(f"seconds must be positive numbers, got {seconds}")
    if config.samples < 2:
        raise ValueError(f"samples must be a whole number of at least 2, got {config.samples}")


def earlier_results(config: Any, folder: Path) -> Results:
    """What an earlier run with the same surfaces, seconds, samples and seeds wrote, where only some solvers are to run.

    Raises:
        ValueError: there is no such run.
    """
    if not config.solvers:
        return {}
    path = folder / "solver_comparison.json"
    if not path.exists():
        raise ValueError(f"solvers must be left out where no earlier run's {path} can supply the others")
    content = json.loads(path.read_text())
    for name in ("surfaces", "seconds", "samples", "seeds"):
        now = json.loads(json.dumps(getattr(config, name)))
        if content.get("config", {}).get(name) != now:
            raise ValueError(f"{name} must be as in {path} to keep its results, got {now}")
    return {
        surface: {name: [_run(fields) for fields in runs] for name, runs in solvers.items()}
        for surface, solvers in content["results"].items()
    }


def _run(fields: dict[str, Any]) -> Run:
    """A run of a JSON file, where null stands for the error of a run that diverged."""
    return Run(**fields | {"nrmse": math.nan if fields["nrmse"] is None else fields["nrmse"]})


def compare(config: Any, earlier: Results) -> Results:
    """Runs the contest; of a solver with several activations the best counts, of several seeds the median."""
    contestants = own_contestants() + (peer_contestants() if config.peers else [])
    names = list(dict.fromkeys(contestant.name for contestant in contestants))
    for name in config.solvers:
        check_name("solvers", name, names)
    if config.solvers:
        names = [name for name in names if name in config.solvers]
    results: Results = {}
    for surface in config.surfaces:
        by_seed: dict[str, list[list[Run]]] = {name: [] for name in names}
        for seed in config.seeds:
            task = make_task(SurfaceConfig(surface=surface, samples=config.samples, seed=seed))
            samples = samples_of(task)
            for name in names:
                candidates = [one for one in contestants if one.name == name]
                by_seed[name].append(best_of([compete(one, samples, seed, config.seconds) for one in candidates]))
                if not config.quiet:
                    last = by_seed[name][-1][-1]
                    print(f"{surface}, seed {seed}: {name} {last.nrmse:.1e} after {last.seconds:.1f} s", flush=True)
        results[surface] = earlier.get(surface, {}) | {name: median_of(runs) for name, runs in by_seed.items()}
    return results


def print_tables(config: Any, results: Results) -> None:
    """Prints error and seconds for each surface, solver and budget."""
    for surface, solvers in results.items():
        width = max(map(len, solvers))
        heads = "".join(f"{f'{seconds:g} s':>20}" for seconds in sorted(config.seconds))
        print(f"\n{surface}: error on other points / standard deviation (seconds taken)")
        print(f"  {'':<{width}}{heads}{'compile':>10}")
        for name, runs in solvers.items():
            cells = "".join(f"{f'{run.nrmse:.1e} ({run.seconds:.1f})':>20}" for run in runs)
            print(f"  {name:<{width}}{cells}{max(run.compile_seconds for run in runs):>8.1f} s")


def draw(config: Any, results: Results) -> Any:
    """Draws error against seconds, a panel for each surface."""
    panels = {
        surface: {
            name: (np.array([run.seconds for run in runs]), np.array([run.nrmse for run in runs]))
            for name, runs in solvers.items()
        }
        for surface, solvers in results.items()
    }
    return viz.draw_panels(
        panels,
        xlabel="training time (s), without compiling",
        ylabel="error / standard deviation",
        title=f"{config.samples} samples, error at other points",
        markers=True,
    ).figure


def write(config: Any, results: Results, figure: Any, folder: Path) -> None:
    """Writes the figure and every number of it."""
    picture = viz.save_figure(figure, folder / "solver_comparison.svg")
    sidecar = folder / "solver_comparison.json"
    runs = {
        surface: {name: [run._asdict() for run in runs] for name, runs in solvers.items()}
        for surface, solvers in results.items()
    }
    write_json(sidecar, {"config": dataclasses.asdict(config), "results": runs, "versions": versions()})
    print(f"\nwrote {picture}, {sidecar}")
