"""The parts of the contest: problems, who competes in them, the columns of their tables."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from contest.problems import Problem
from contest.rules import Entrant, Entry, nan_last

Results = dict[str, dict[str, list[Entry]]]  # by problem and solver, an entry for each column


class Column(NamedTuple):
    """A column of a table: heading, abscissa (None: the seconds taken), (name, seed=) -> problem, budget in seconds."""

    heading: str
    abscissa: float | None
    make: Callable[..., Problem]
    seconds: float


class Part(NamedTuple):
    """A part of the contest: the names of its problems, who competes, the columns, the words of its picture."""

    problems: tuple[str, ...]
    entrants: list[Entrant]
    columns: list[Column]
    words: dict[str, Any]


def compete(
    part: Part,
    kept: Results,
    solvers: Sequence[str],
    seeds: Sequence[int],
    say: Callable[[str], object],
) -> None:
    """Lets the named solvers, all unless any is, compete in a part, and replaces their entries in `kept`."""
    for problem in part.problems:
        entries = kept.setdefault(problem, {})
        if not solvers:
            entries.clear()
        for name, run in part.entrants:
            if name in (solvers or [name]):
                entries[name] = []
                for column in part.columns:
                    entry = median_of(
                        [run(column.make(problem, seed=seed), column.seconds) for seed in seeds]
                    )
                    entries[name].append(entry)
                    say(
                        f"{problem}, {column.heading}, {name}: {entry.nrmse:.1e} in {entry.seconds:.1f} s"
                    )


def median_of(runs: Sequence[Entry]) -> Entry:
    """The medians, NaN where most are, and the settings of all."""
    error = float(np.median([nan_last(one.nrmse) for one in runs]))
    steps, seconds, compiling = (
        float(np.median([one[field] for one in runs])) for field in range(3)
    )
    settings = ", ".join(dict.fromkeys(one.settings for one in runs))
    return Entry(
        round(steps), seconds, compiling, error if math.isfinite(error) else math.nan, settings
    )
