"""Draw the files of figures/ again; with --check, compare instead of writing.

Left out are the benchmarks, which measure times, and error_law, which computes for eight minutes.
"""

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.experiment import run

# Script, flags, and the relative tolerance between versions of JAX: a fit to five digits ends
# elsewhere with every rounding.
JOBS = (
    ("fit_surface", "--contrast", 10.0),
    ("fit_surface", "--preset tutorial", 1e-2),
    ("look_inside", "", 10.0),
    ("one_layer", "", 1e-6),
    ("node_errors", "", 1e-9),
    ("walk", "", 1e-9),
    ("play_page", "", 1e-9),
    ("xor", "", 0.2),
    ("mean_of_two", "", 1e-6),
    ("fruit_graph", "", 1e-12),
    ("digits", "", 0.05),
    ("check_gradients", "", 10.0),
    ("compare_checkers", "", 10.0),
    ("errata", "", 10.0),
    ("diagnose", "", 10.0),
)
ROUNDING = 1e-12
LONGEST_LIST = 32  # records of training runs are not compared
LEFT_OUT = ("max_error_at", "share", "ok", "worst")  # places and rounding differ between machines


@dataclass(frozen=True)
class Config:
    """Flags of make_figures."""

    only: tuple[str, ...] = ()
    """Scripts to run; all of them unless given."""
    check: bool = False
    """Draw twice elsewhere: compare the bytes, and the numbers with the JSON files in --out."""
    out: str = "figures"
    """Folder of the pictures."""


def main(config: Config) -> None:
    """Run the scripts, or run them twice elsewhere and compare."""
    known, faults = {script for script, _, _ in JOBS}, []
    if not set(config.only) <= known:
        raise ValueError(f"only must name scripts of {', '.join(sorted(known))}")
    for script, flags, tolerance in JOBS:
        if config.only and script not in config.only:
            continue
        if not config.check:
            draw(script, flags, Path(config.out))
            continue
        with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
            for folder in (first, second):
                draw(script, flags, Path(folder))
            found = compare_bytes(Path(first), Path(second))
            found += compare_numbers(Path(first), Path(config.out), tolerance)
        print("\n".join(found) if found else "  the same")
        faults += found
    if faults:
        raise ValueError(f"{len(faults)} figures or numbers differ")


def draw(script: str, flags: str, folder: Path) -> None:
    """Run a script; its error is an error here."""
    start, path = time.perf_counter(), Path(__file__).parent / f"{script}.py"
    command = [sys.executable, str(path), *flags.split(), "--out", str(folder), "--quiet"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"])[-1]
        raise ValueError(f"{script} failed: {last}")
    print(f"{script} {flags}: {time.perf_counter() - start:.1f} s", flush=True)


def compare_bytes(one: Path, other: Path) -> list[str]:
    """Return the names of the files that differ between two folders."""
    first, second = ({path.name: path.read_bytes() for path in f.iterdir()} for f in (one, other))
    return [
        f"  {name} is not the same each time"
        for name in sorted(first.keys() | second.keys())
        if first.get(name) != second.get(name)
    ]


def compare_numbers(new: Path, old: Path, tolerance: float) -> list[str]:
    """Compare the numbers of the JSON files in `new` with those of the same files in `old`.

    A number may be up to 1 + tolerance times the other; below 1e-12 it is rounding.
    """
    found = []
    for path in sorted(new.glob("*.json")):
        if not (old / path.name).exists():
            found.append(f"  {path.name} is missing in {old}")
            continue
        ours, theirs = (
            dict(numbers_in(json.loads(file.read_text())["result"]))
            for file in (path, old / path.name)
        )
        for name in sorted(ours.keys() | theirs.keys()):
            a, b = ours.get(name, math.nan), theirs.get(name, math.nan)
            small, large = sorted((abs(a), abs(b)))
            close = large <= ROUNDING or (a * b > 0 and large <= (1 + tolerance) * small)
            if not close:
                found.append(f"  {path.name}: {name} is {a:.9g}, was {b:.9g}")
    return found


def numbers_in(content: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers of nested objects and short lists, with their paths."""
    if isinstance(content, dict):
        for name, value in content.items():
            if name not in LEFT_OUT:
                yield from numbers_in(value, f"{path}.{name}" if path else name)
    elif isinstance(content, list) and len(content) <= LONGEST_LIST:
        for position, value in enumerate(content):
            yield from numbers_in(value, f"{path}[{position}]")
    elif isinstance(content, (int, float)) and not isinstance(content, bool):
        yield path, float(content)


if __name__ == "__main__":
    run(main, Config)
