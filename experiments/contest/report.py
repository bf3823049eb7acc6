"""What the contest shows: tables, defeats, figures; and what it keeps of an earlier run."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common import print_columns
from contest.entrants import OWN
from contest.parts import Part, Results
from contest.rules import Entry
from jaxbp import viz


def show(part: Part, results: Results) -> Any:
    """Prints the tables of a part, and returns its picture."""
    headings = [column.heading for column in part.columns]
    for problem, solvers in results.items():
        rows = []
        for name, entries in solvers.items():
            cells = [f"{entry.nrmse:.1e} ({entry.seconds:.1f})" for entry in entries]
            rows.append(
                [
                    name,
                    *cells,
                    f"{max(entry.compile_seconds for entry in entries):.1f} s",
                    entries[-1].settings,
                ]
            )
        title = f"{problem}: error on other points / standard deviation (seconds taken)"
        print_columns(("", *headings, "compile", "settings of the last"), rows, title)
    print_defeats(results, headings)
    return draw(part, results)


def print_defeats(results: Results, headings: Sequence[str]) -> None:
    """Prints the geometric mean of jaxbp's error over the best rival's, and where a rival is better."""
    ratios: dict[str, list[float]] = {heading: [] for heading in headings}
    defeats = []
    for problem, solvers in results.items():
        for i, heading in enumerate(headings):
            errors = {
                name: entries[i].nrmse for name, entries in solvers.items() if entries[i].nrmse >= 0
            }
            ours, theirs = (
                sorted((errors[name], name) for name in errors if (name in OWN) is own)
                for own in (True, False)
            )
            if ours and theirs:
                ratios[heading].append(ours[0][0] / theirs[0][0])
                if theirs[0] < ours[0]:
                    defeats.append(
                        (
                            problem,
                            heading,
                            *(f"{name} {error:.1e}" for error, name in (theirs[0], ours[0])),
                        )
                    )
    means = [f"{np.exp(np.mean(np.log(some))):.2g}" if some else "-" for some in ratios.values()]
    print_columns(
        ("", *headings),
        [["geometric mean", *means]],
        "jaxbp's smallest error over the best rival's",
    )
    if defeats:
        print_columns(
            ("problem", "column", "best rival", "best of jaxbp"), defeats, "where a rival is better"
        )


def draw(part: Part, results: Results) -> Any:
    """Draws the errors, a panel for each problem."""
    panels: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for problem, solvers in results.items():
        panels[problem] = {}
        for name, entries in solvers.items():
            pairs = zip(part.columns, entries, strict=True)
            x = [
                entry.seconds if column.abscissa is None else column.abscissa
                for column, entry in pairs
            ]
            panels[problem][name] = np.array(x), np.array([entry.nrmse for entry in entries])
    names = {name for curves in panels.values() for name in curves}
    words = {"highlight": next((name for name in reversed(OWN) if name in names), ""), **part.words}
    return viz.draw_panels(panels, ylabel="error / standard deviation", **words).figure


def earlier_results(
    path: Path, flags: Mapping[str, Any], running: Mapping[str, Sequence[str]]
) -> dict[str, Results]:
    """Reads what an earlier run with the same times, samples and seeds found, by part.

    Args:
        path: the file that it wrote.
        flags: those of this run.
        running: by part, the problems of which only some solvers run now: an earlier run must
            supply the others.

    Raises:
        ValueError: it does not.
    """
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    kept: dict[str, Results] = {}
    for part, samples in (("surfaces", "samples"), ("functions", "function_samples")):
        found = content.get("result", {}).get(part, {})
        same = [
            content.get("config", {}).get(flag) == json.loads(json.dumps(flags[flag]))
            for flag in (samples, "seconds", "seeds")
        ]
        if not all(same):
            found = {}
        if not set(running[part]) <= set(found):
            raise ValueError(
                f"solvers must be left out where no earlier run's {path} can supply the others"
            )
        kept[part] = {
            problem: {
                name: [_entry(fields) for fields in entries] for name, entries in solvers.items()
            }
            for problem, solvers in found.items()
        }
    return kept


def _entry(fields: dict[str, Any]) -> Entry:
    """An entry of a JSON file, where null stands for the error of a run that diverged."""
    return Entry(**fields | {"nrmse": math.nan if fields["nrmse"] is None else fields["nrmse"]})
