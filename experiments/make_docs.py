"""Write numbers of figures/*.json into the marks of README.md and docs/; with --check, compare.

A mark names a file, a path in its result and a format, and encloses the number; of a dictionary or
a list it encloses all numbers, as cells of a table. A factor changes the unit:

    <!--fit_surface fit_model/nrmse .1e-->1.4e-12<!--/-->
    <!--speed 1000 * disk .2f-->1.09 | 0.75 | 0.70<!--/-->
"""

from shared.experiment import run

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MARK = re.compile(r"<!--(\w+) (?:(\d+) \* )?([^<>]+) ([^\s<>-]+)-->(.*?)<!--/-->")


@dataclass(frozen=True)
class Config:
    """Flags of make_docs."""

    check: bool = False
    """Write nothing; fail where a document is not up to date."""


def main(config: Config) -> None:
    """Rewrite the documents whose numbers changed."""
    stale = []
    for path in [*ROOT.glob("README*.md"), *sorted((ROOT / "docs").rglob("*.md"))]:
        old = path.read_text(encoding="utf-8")
        new = MARK.sub(filled, old)
        if new != old:
            stale.append(str(path.relative_to(ROOT)))
            if not config.check:
                path.write_text(new, encoding="utf-8")
    if stale and config.check:
        raise ValueError(f"run `python experiments/make_docs.py`: {', '.join(stale)}")
    print("\n".join(stale) or "up to date")


def filled(mark: re.Match[str]) -> str:
    """Return a mark with its present numbers."""
    file, factor, path, form, _ = mark.groups()
    content = json.loads((ROOT / "figures" / f"{file}.json").read_text(encoding="utf-8"))
    value: Any = content["result"]
    for name in path.split("/"):
        value = value[int(name)] if isinstance(value, list) else value[name]
    several = value.values() if isinstance(value, dict) else value
    values = several if isinstance(value, (dict, list)) else [value]
    cells = [f"{number * int(factor or 1):{form}}" for number in values]
    return mark[0].partition("-->")[0] + f"-->{' | '.join(cells)}<!--/-->"


if __name__ == "__main__":
    run(main, Config)
