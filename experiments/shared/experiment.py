"""Running an experiment: flags from a frozen dataclass, errors in one line, progress, files."""

import contextlib
import dataclasses
import io
import json
import math
import os
import platform
import signal
import sys
import time
import warnings
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import jax
import matplotlib
import numpy as np

from jaxbp import viz
from jaxbp.training import use_platform

try:
    import tyro
except ModuleNotFoundError:
    sys.exit("the experiments need tyro: pip install 'jaxbp[experiments]'")

Config = TypeVar("Config")
NOT_RECORDED = ("out", "lang", "show", "quiet")  # flags that change no number


@dataclass(frozen=True)
class Common:
    """Flags of every experiment."""

    out: str = "pictures"
    """Folder of the pictures and of the JSON file with all numbers."""
    lang: Literal["en", "zh"] = "en"
    """Language of pictures and pages; zh needs a Chinese font."""
    seed: int = 0
    """Random seed."""
    platform: Literal["auto", "cpu", "cuda", "rocm", "tpu"] = "auto"
    """Device to run on."""
    show: bool = False
    """Open the pictures afterwards."""
    quiet: bool = False
    """Print the final tables only."""


def run(main: Callable[[Any], None], config_type: type[Any]) -> None:
    """Run an experiment with the flags of the command line; an error is one line on stderr."""
    if sys.stdout is None:
        sys.exit("error: standard output must be open, it is closed")
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends the script without a word
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    warnings.formatwarning = lambda message, *_, **__: f"note: {message}\n"
    try:
        main(parse(config_type, sys.argv[1:], sys.modules[main.__module__].__doc__ or ""))
    except (ValueError, TypeError, OSError, OverflowError, MemoryError) as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a full disk would fail again at exit
        sys.exit(f"error: {' '.join(str(error).split()) or type(error).__name__}")
    except KeyboardInterrupt:
        sys.exit(130)


def parse(config_type: type[Config], arguments: Sequence[str], description: str = "") -> Config:
    """Read flags into a dataclass; a wrong flag ends the program with one line."""
    if {"-h", "--help"} & set(arguments):
        print(description)  # tyro would write each paragraph into one line
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(config_type, args=arguments, description="")
    except SystemExit as ended:
        if not ended.code:
            raise
    rows = (line.strip("│ ") for line in said.getvalue().splitlines() if line.startswith("│"))
    parts: list[list[str]] = [[]]
    for row in rows:
        if row.startswith("──"):
            parts.append([])
        else:
            parts[-1].append(row)
    text = " ".join(parts[0])
    if parts[1][:1] == ["Perhaps you meant:"]:
        text += f" (nearest: {parts[1][1].split()[0]})"
    sys.exit(f"error: {text}")


def begin(config: Common) -> Path:
    """Make and return the folder of the pictures; turn float64 on and choose the platform.

    A flag `x64` decides on float64.
    """
    folder = Path(config.out).expanduser()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise ValueError(f"out must be a folder that can be written to, got {config.out}")
    jax.config.update("jax_enable_x64", getattr(config, "x64", True))
    use_platform(config.platform)
    return folder


def finish(
    config: Common, folder: Path, stem: str, numbers: Mapping[str, Any], files: Mapping[str, Any]
) -> None:
    """Write the files by name, and flags, numbers and versions to `stem`.json.

    A file's content is a text, a film, a drawing, or a function that writes it to a path.
    """
    paths = [folder / name for name in files]
    for path, content in zip(paths, files.values(), strict=True):
        if isinstance(content, str):
            write_text(path, content)
        elif isinstance(content, viz.Film):
            viz.save_film(viz.translate(content, config.lang), path, dpi=64)
        elif isinstance(content, viz.Drawing):
            viz.save_figure(viz.translate(content, config.lang).figure, path)
        else:
            content(path)
        if config.show and path.suffix in (".png", ".svg", ".gif", ".html"):
            webbrowser.open(path.resolve().as_uri())
    flags = dataclasses.asdict(config)
    content = {
        "config": {name: flags[name] for name in flags if name not in NOT_RECORDED},
        "result": numbers,
        "versions": {
            "python": platform.python_version(),
            "jax": jax.__version__,
            "matplotlib": matplotlib.__version__,
        },
    }
    paths.append(folder / f"{stem}.json")
    write_text(paths[-1], json.dumps(_plain(content), indent=1, allow_nan=False) + "\n")
    print("\nwrote\n" + "\n".join(f"  {path}" for path in paths))


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _plain(content: Any) -> Any:
    """Make objects of named tuples, lists of arrays, and null of numbers that are not finite."""
    content = content._asdict() if hasattr(content, "_asdict") else content
    if isinstance(content, Mapping):
        return {str(name): _plain(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_plain(value) for value in content]
    if isinstance(content, (np.ndarray, np.generic, jax.Array)):
        return _plain(content.tolist())
    return None if isinstance(content, float) and not math.isfinite(content) else content


def print_table(title: str, rows: Mapping[str, Mapping[str, Any]], form: str = ".3g") -> None:
    """Print values by row and column, numbers that are not whole in the given format."""
    cells = [["", *next(iter(rows.values()), {})]]
    for name, row in rows.items():
        cells.append(
            [name, *(f"{x:{form}}" if isinstance(x, float) else f"{x}" for x in row.values())]
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print(f"\n{title}")
    for first, *others in cells:
        right = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print("  " + "  ".join([first.ljust(widths[0]), *right]).rstrip())


def print_values(title: str, values: Mapping[str, object]) -> None:
    """Print one quantity a line."""
    width = max(map(len, values))
    print(f"\n{title}")
    for name, value in values.items():
        print(f"  {name:<{width}}  {value}")


class Progress:
    """A line for each phase of a run, with the estimated time of the remaining phases.

    Attributes:
        phases: the seconds that each phase takes on two cores; what has passed corrects them.
    """

    def __init__(self, phases: Mapping[str, float], quiet: bool) -> None:
        """Take the seconds of each phase; with `quiet` nothing is printed."""
        self.phases, self._quiet = dict(phases), quiet
        self._start = time.perf_counter()

    def __call__(self, phase: str, done: float = 0.0, text: str = "") -> None:
        """Say that a share `done` of a phase is over, with what there is to say about it."""
        if self._quiet:
            return
        names = list(self.phases)
        place = names.index(phase)
        spent = time.perf_counter() - self._start
        planned = sum(self.phases[name] for name in names[:place]) + done * self.phases[phase]
        left = sum(self.phases.values()) - planned
        # The plan counts as ten seconds of experience about the speed of this machine.
        left *= (spent + 10.0) / (planned + 10.0)
        line = f"{spent:5.1f} s  {phase}{': ' if text else ''}{text}   (about {left:.0f} s left)"
        print(line, flush=True)
