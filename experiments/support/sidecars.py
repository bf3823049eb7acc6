"""Comparing what two runs of an experiment wrote: pictures byte by byte, the numbers beside them with a tolerance."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROUNDING = 1e-12
LONGEST_LIST = 32
# Times; and the place of the largest error, which jumps from one corner to another.
LEFT_OUT = {"seconds", "compile_seconds", "run_seconds", "max_error_at"}


def compare_bytes(one: Path, other: Path) -> list[str]:
    """Compares two folders; JSON files, which hold times, are left out. Returns what differs."""
    names = {path.name for folder in (one, other) for path in folder.iterdir() if path.suffix != ".json"}
    missing = [name for name in sorted(names) if not ((one / name).exists() and (other / name).exists())]
    differing = [
        name for name in sorted(names - set(missing)) if (one / name).read_bytes() != (other / name).read_bytes()
    ]
    return [f"  {name} is not drawn each time" for name in missing] + [
        f"  {name} has other bytes each time" for name in differing
    ]


def compare_numbers(new: Path, old: Path, tolerance: float) -> list[str]:
    """Compares the numbers of each JSON file's result in `new` with those of the file in `old`; says what differs.

    Times and long lists, such as the records of a training run, are left out. A number may be up to 1 + tolerance times
    the other; where both are below 1e-12, which is rounding, they may be anything.
    """
    found = []
    for path in sorted(new.glob("*.json")):
        if not (old / path.name).exists():
            found.append(f"  {path.name} is missing in {old}")
            continue
        ours, theirs = (dict(_numbers(json.loads(file.read_text())["result"])) for file in (path, old / path.name))
        if not ours:
            found.append(f"  {path.name} holds no number to compare")
        found += [f"  {path.name}: {name} is in one only" for name in sorted(ours.keys() ^ theirs.keys())]
        for name in sorted(ours.keys() & theirs.keys()):
            a, b = ours[name], theirs[name]
            small, large = sorted((abs(a), abs(b)))
            same_side = math.copysign(1, a) == math.copysign(1, b)
            if large > ROUNDING and not (same_side and large <= (1 + tolerance) * small + ROUNDING):
                found.append(f"  {path.name}: {name} is {a:.9g}, was {b:.9g}")
    return found


def _numbers(content: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of nested objects and short lists, with their paths."""
    if isinstance(content, dict):
        for name, value in content.items():
            if name not in LEFT_OUT:
                yield from _numbers(value, f"{path}.{name}" if path else name)
    elif isinstance(content, list) and len(content) <= LONGEST_LIST:
        for position, value in enumerate(content):
            yield from _numbers(value, f"{path}[{position}]")
    elif isinstance(content, (int, float)) and not isinstance(content, bool):
        yield path, float(content)
