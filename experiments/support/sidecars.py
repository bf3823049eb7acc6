"""Comparing what two runs of an experiment wrote: pictures byte by byte, the numbers beside them with a tolerance."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any


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
    """Compares the single numbers of each JSON file's result in `new` with those of the file in `old`.

    Times are left out. A number may be up to 1 + tolerance times the other, or where both are below 1e-12 anything.
    """
    found = []
    for path in sorted(new.glob("*.json")):
        if not (old / path.name).exists():
            found.append(f"  {path.name} is missing in {old}")
            continue
        ours, theirs = (dict(_numbers(json.loads(file.read_text())["result"])) for file in (path, old / path.name))
        found += [f"  {path.name}: {name} is in one only" for name in sorted(ours.keys() ^ theirs.keys())]
        for name in sorted(ours.keys() & theirs.keys()):
            a, b = ours[name], theirs[name]
            small, large = sorted((abs(a), abs(b)))
            same_side = math.copysign(1, a) == math.copysign(1, b)
            if large > 1e-12 and not (same_side and large <= (1 + tolerance) * small + 1e-12):
                found.append(f"  {path.name}: {name} is {a:.9g}, was {b:.9g}")
    return found


def _numbers(content: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of nested objects with their paths; lists, which are long and follow from the rest, are left out."""
    if isinstance(content, dict):
        for name, value in content.items():
            if "seconds" not in name and "difference" not in name and not name.endswith("_at"):
                yield from _numbers(value, f"{path}.{name}" if path else name)
    elif isinstance(content, (int, float)) and not isinstance(content, bool):
        yield path, float(content)
