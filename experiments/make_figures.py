"""Draw everything in figures/ again; with --check, compare instead of writing.

The comparison of solvers is left out: it measures times for twenty minutes, and no two runs of it are the same.
"""

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from jaxbp.names import check_name
from support.command_line import parse, run
from support.sidecars import compare_bytes, compare_numbers


@dataclass(frozen=True)
class Config:
    """Flags of make_figures."""

    only: tuple[str, ...] = ()
    """Names of scripts; all of them unless given."""
    check: bool = False
    """Draw twice elsewhere: both must give the same bytes, and the numbers of the JSON files in --out."""
    out: str = "figures"
    """Folder of the pictures."""


class Job(NamedTuple):
    """A script with its flags.

    Attributes:
        script: its name.
        flags: those that its figures are drawn with.
        tolerance: how far, relatively, the numbers of two versions of JAX may lie apart.
    """

    script: str
    flags: tuple[str, ...] = ()
    tolerance: float = 1e-6


# A fit to five digits ends elsewhere with every rounding: its error may be ten times another's.
JOBS = (
    Job("fit_surface", ("--details", "--film"), 10.0),
    Job("fit_surface", ("--preset", "tutorial", "--details"), 1e-2),
    Job("one_layer"),
    Job("node_errors", tolerance=1e-9),
    Job("walk", tolerance=1e-9),
    Job("xor", tolerance=0.2),
    Job("mean_of_two"),
    Job("fruit_graph", tolerance=1e-12),
    Job("digits", tolerance=0.05),
    Job("check_gradients", tolerance=10.0),
    Job("errata", tolerance=10.0),
    Job("diagnose", tolerance=10.0),
)


def main(config: Config) -> None:
    """Runs the jobs, or runs them twice elsewhere and compares."""
    known = sorted({job.script for job in JOBS})
    for name in config.only:
        check_name("only", name, known)
    jobs = [job for job in JOBS if not config.only or job.script in config.only]
    if not config.check:
        for job in jobs:
            draw(job, Path(config.out))
        return
    faults = []
    for job in jobs:
        with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
            for folder in (first, second):
                draw(job, Path(folder))
            found = compare_bytes(Path(first), Path(second))
            found += compare_numbers(Path(first), Path(config.out), job.tolerance)
            print("\n".join(found) if found else "  the same", flush=True)
            faults += found
    if faults:
        raise ValueError(f"{len(faults)} figures or numbers differ")


def draw(job: Job, folder: Path) -> None:
    """Runs a job; its errors end this script too."""
    start = time.perf_counter()
    script = Path(__file__).parent / f"{job.script}.py"
    command = [sys.executable, str(script), *job.flags, "--out", str(folder), "--quiet"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"])[-1]
        raise ValueError(f"{job.script} failed: {last}")
    print(f"{' '.join((job.script, *job.flags))}: {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    run(main, parse(Config, sys.argv[1:], default=Config()))
