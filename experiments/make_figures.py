"""Draw the files of figures/ again; `git diff figures` then shows what has changed.

Left out are the benchmarks, which measure times, and error_law, which computes for eight minutes.
On one machine the same versions give the same bytes.
"""

from shared.experiment import run

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

JOBS = (
    "fit_surface --contrast",
    "fit_surface --preset tutorial",
    "look_inside",
    "one_layer",
    "node_errors",
    "play_page",
    "xor",
    "mean_of_two",
    "fruit_graph",
    "digits",
    "check_gradients",
    "compare_checkers",
    "errata",
    "diagnose",
)


@dataclass(frozen=True)
class Config:
    """Flags of make_figures."""

    only: tuple[str, ...] = ()
    """Scripts to run; all of them unless given."""
    out: str = "figures"
    """Folder of the pictures."""


def main(config: Config) -> None:
    """Run the scripts; the error of one is an error here."""
    known = list(dict.fromkeys(job.split()[0] for job in JOBS))
    if not set(config.only) <= set(known):
        raise ValueError(f"only must name scripts of {', '.join(known)}")
    for job in JOBS:
        script, *flags = job.split()
        if config.only and script not in config.only:
            continue
        start, path = time.perf_counter(), Path(__file__).parent / f"{script}.py"
        command = [sys.executable, str(path), *flags, "--out", config.out, "--quiet"]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            last = (ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"])[-1]
            raise ValueError(f"{script} failed: {last}")
        print(f"{job}: {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    run(main, Config)
