"""Draw what is in figures/ again; with --check, compare instead of writing.

Drawing takes 6 to 8 minutes on two cores, checking twice as long. Left out are the comparison of
solvers and the benchmark, which measure times, so that no two runs of them agree, and the law of
errors, which takes ten minutes.
"""

import base64
import json
import math
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from browser import BROWSER
from common import choice, run

FLOATS = {
    "params",
    "inputs",
    "targets",
    "traces",
    "batch",
}  # what pages hold as the bytes of numbers
DATA = re.compile(r'(?<=<script type="application/json" id="data">).*?(?=</script>)', re.DOTALL)
FRAMES = re.compile(r"data:image/\w+;base64,[\w+/=]*")  # of films

# Script, flags, and how far, relatively, the numbers of two versions of JAX may lie apart: a fit to
# five digits ends elsewhere with every rounding, its error may be ten times another's.
JOBS = (
    ("fit_surface", "--details --contrast --page", 10.0),
    ("fit_surface", "--preset tutorial --details --film", 1e-2),
    ("one_layer", "", 1e-6),
    ("node_errors", "", 1e-9),
    ("walk", "", 1e-9),
    ("play_page", "", 1e-9),
    ("xor", "", 0.2),
    ("mean_of_two", "", 1e-6),
    ("fruit_graph", "", 1e-12),
    ("digits", "", 0.05),
    ("check_gradients", "", 10.0),
    ("judges", "", 10.0),
    ("errata", "", 10.0),
    ("diagnose", "", 10.0),
)
SCRIPTS = tuple(dict.fromkeys(script for script, _, _ in JOBS))
ROUNDING = 1e-12
LONGEST_LIST = 32
LEFT_OUT = {
    "max_error_at",
    "share",
    "ok",
    "worst",
}  # places and rounding jump from one machine to another


@dataclass(frozen=True)
class Config:
    """Flags of make_figures."""

    only: tuple[Annotated[str, choice(SCRIPTS)], ...] = ()
    """Scripts to run; all of them unless given."""
    check: bool = False
    """Draw twice elsewhere: both must give the same bytes, and the numbers of the JSON files and pages in --out."""
    out: str = "figures"
    """Folder of the pictures."""


def main(config: Config) -> None:
    """Runs the jobs, or runs them twice elsewhere and compares."""
    faults = []
    for script, flags, tolerance in JOBS:
        if config.only and script not in config.only:
            continue
        if script == "play_page" and BROWSER is None:
            print("play_page: LEFT OUT, for no Chromium is installed")
            continue
        if not config.check:
            draw(script, flags, Path(config.out))
            continue
        with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
            for folder in (first, second):
                draw(script, flags, Path(folder))
            found = compare_bytes(Path(first), Path(second))
            found += compare_numbers(Path(first), Path(config.out), tolerance)
            found += compare_pages(Path(first), Path(config.out), tolerance)
            print("\n".join(found) if found else "  the same")
            faults += found
    if faults:
        raise ValueError(f"{len(faults)} figures or numbers differ")


def draw(script: str, flags: str, folder: Path) -> None:
    """Runs a script; its errors end this one too."""
    start, path = time.perf_counter(), Path(__file__).parent / f"{script}.py"
    command = [sys.executable, str(path), *flags.split(), "--out", str(folder), "--quiet"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"])[-1]
        raise ValueError(f"{script} failed: {last}")
    print(f"{script} {flags}: {time.perf_counter() - start:.1f} s")


def compare_bytes(one: Path, other: Path) -> list[str]:
    """Compares all files of two folders; returns what differs."""
    first, second = (
        {path.name: path.read_bytes() for path in folder.iterdir()} for folder in (one, other)
    )
    names = sorted(first.keys() | second.keys())
    return [
        f"  {name} is not the same each time"
        for name in names
        if first.get(name) != second.get(name)
    ]


def compare_numbers(new: Path, old: Path, tolerance: float) -> list[str]:
    """Compares the numbers of each JSON file's result in `new` with those of the file in `old`;
    says what differs.

    Long lists, such as the records of a training run, are left out. A number may be up to 1 +
    tolerance times the other; where both are below 1e-12, which is rounding, they may be anything.
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
        found += [
            f"  {path.name}: {name} is in one only" for name in sorted(ours.keys() ^ theirs.keys())
        ]
        for name in sorted(ours.keys() & theirs.keys()):
            a, b = ours[name], theirs[name]
            small, large = sorted((abs(a), abs(b)))
            same_side = math.copysign(1, a) == math.copysign(1, b)
            if large > ROUNDING and not (same_side and large <= (1 + tolerance) * small + ROUNDING):
                found.append(f"  {path.name}: {name} is {a:.9g}, was {b:.9g}")
    return found


def compare_pages(new: Path, old: Path, tolerance: float) -> list[str]:
    """Compares each page in `new` with that in `old`; says what differs.

    Markup, style and scripts must be the same. An array may differ by the tolerance times its
    largest number. Of films only the number of frames counts.
    """
    found = []
    for path in sorted(new.glob("*.html")):
        if not (old / path.name).exists():
            found.append(f"  {path.name} is missing in {old}")
            continue
        texts = [file.read_text(encoding="utf-8") for file in (path, old / path.name)]
        plain = [FRAMES.sub("", DATA.sub("", text)) for text in texts]
        if plain[0] != plain[1]:
            found.append(f"  {path.name}: markup, style or scripts are others")
        ours, theirs = (
            dict(arrays_in(json.loads(data.group()))) if (data := DATA.search(text)) else {}
            for text in texts
        )
        for name in sorted(ours.keys() | theirs.keys()):
            a, b = ours.get(name), theirs.get(name)
            if a is None or b is None or a.shape != b.shape:
                found.append(f"  {path.name}: {name} is of another size")
            elif (
                (a != b).any()
                if a.dtype.kind == "U"
                else np.abs(a - b).max() > tolerance * np.abs(b).max()
            ):
                found.append(f"  {path.name}: {name} differs")
    return found


def arrays_in(content: Any, path: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """The numbers and texts of a page's data, with their paths; packed numbers are unpacked."""
    if isinstance(content, dict):
        for name, value in content.items():
            if name in FLOATS and content.get("bits") == 32:
                yield f"{path}{name}", np.frombuffer(base64.b64decode(value), "<f4")
            else:
                yield from arrays_in(value, f"{path}{name}.")
    elif isinstance(content, list) and all(isinstance(value, (int, float)) for value in content):
        yield path, np.array(content, float)
    elif isinstance(content, list):
        for position, value in enumerate(content):
            yield from arrays_in(value, f"{path}{position}.")
    elif isinstance(content, str) and set(path.split(".")) & FLOATS:
        yield path, np.frombuffer(base64.b64decode(content))
    elif content is not None:
        yield path, np.array([content] if isinstance(content, str) else [float(content)])


def numbers_in(content: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of nested objects and short lists, with their paths."""
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
