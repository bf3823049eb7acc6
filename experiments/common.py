"""What all experiments share: flags from a dataclass, errors in one line, tables, files."""

import dataclasses
import io
import json
import math
import os
import platform
import shutil
import sys
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import jax
import matplotlib
import numpy as np

from flags import choice as choice
from flags import parse as parse
from jaxbp import viz
from jaxbp._checks import check_name, check_number
from jaxbp._files import atomic_write
from jaxbp.training import PLATFORMS, use_platform

Config = TypeVar("Config")
NOT_RECORDED = (
    "out",
    "lang",
    "show",
    "quiet",
    "checkpoint",
    "checkpoint_every",
    "resume",
    "devices",
    "coordinator",
    "num_processes",
    "process_id",
)  # flags that change no number by more than rounding


@dataclass(frozen=True)
class Common:
    """Flags of every experiment on a source document."""

    out: str = "pictures"
    """Folder of the pictures."""
    lang: str = "en"
    """Language of pictures and pages: en, or zh where a Chinese font is installed."""
    seed: int = 0
    """Random seed."""
    platform: Annotated[str, choice(PLATFORMS)] = "auto"
    """Device to run on."""
    show: bool = False
    """Open the pictures afterwards."""
    quiet: bool = False
    """Print the final table only."""


class _Unbroken(io.FileIO):
    """A file that goes on in silence when whoever read it has left."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return len(data)


def run(
    main: Callable[[Config], None],
    config_type: type[Config],
    presets: Mapping[str, Config] | None = None,
) -> None:
    """Runs an experiment with the flags of the command line.

    User errors exit with status 1 and one line on stderr. A closed pipe ends the printing, not the
    experiment.
    """
    if sys.stdout is None:
        sys.exit("error: standard output must be open, it is closed")
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Unbroken(1, "w", closefd=False)), "utf-8", line_buffering=True
    )
    try:
        main(parse(config_type, sys.argv[1:], presets, sys.modules[main.__module__].__doc__))
    except (ValueError, TypeError, OSError, OverflowError, MemoryError) as error:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), 1
        )  # text that a full disk did not take would fail at exit again
        sys.exit(f"error: {' '.join(str(error).split()) or type(error).__name__}")
    except KeyboardInterrupt:
        sys.exit(130)


def begin(config: Any, **minima: float) -> Path:
    """Checks the numbers and the folder of the pictures, turns float64 on, chooses the platform;
    returns the folder.

    `minima` are the smallest values that flags take, 0 unless given; a flag `x64` decides on
    float64.
    """
    check_name("lang", getattr(config, "lang", "en"), ("en", "zh"))
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, (int, float)):
                below = 2**32 if field.name == "seed" else math.inf  # NumPy's seeds
                check_number(field.name, number, minimum=minima.get(field.name, 0), below=below)
    folder = Path(os.path.expanduser(config.out))
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        raise ValueError(f"out must be a folder that can be written to, got {config.out}")
    jax.config.update("jax_enable_x64", getattr(config, "x64", True))
    use_platform(config.platform)
    return folder


def finish(
    config: Any, folder: Path, stem: str, numbers: Mapping[str, Any], files: Mapping[str, Any]
) -> None:
    """Writes the files by name and flags and numbers to `stem`.json; shows the pictures if asked
    to.

    A file's content is a text, a film, a figure, or a function that writes it to a path and returns
    that.
    """
    paths = []
    for path, content in ((folder / name, content) for name, content in files.items()):
        if isinstance(content, str):
            paths.append(write_text(path, content))
        elif isinstance(content, viz.Film):
            paths.append(viz.save_film(viz.translate(content, config.lang), path, dpi=64))
        elif callable(content):
            paths.append(content(path))
        else:
            content = viz.translate(content, getattr(config, "lang", "en"))
            paths.append(viz.save_figure(content, path))
        if config.show and path.suffix in (".png", ".svg", ".gif", ".html"):
            webbrowser.open(path.resolve().as_uri())
    flags = {
        name: value
        for name, value in dataclasses.asdict(config).items()
        if name not in NOT_RECORDED
    }
    versions = {
        "python": platform.python_version(),
        "jax": jax.__version__,
        "matplotlib": matplotlib.__version__,
    }
    content = _plain({"config": flags, "result": numbers, "versions": versions})
    paths.append(
        write_text(folder / f"{stem}.json", json.dumps(content, indent=1, allow_nan=False) + "\n")
    )
    print("\nwrote\n" + "\n".join(f"  {path}" for path in paths))


def write_text(path: Path, text: str) -> Path:
    """Writes a text file whole or not at all; returns its path."""
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def _plain(content: Any) -> Any:
    """Makes objects of named tuples, lists of arrays, and null of numbers that are not finite."""
    content = content._asdict() if hasattr(content, "_asdict") else content
    if isinstance(content, Mapping):
        return {str(name): _plain(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_plain(value) for value in content]
    if isinstance(content, (np.ndarray, np.generic, jax.Array)):
        return _plain(content.tolist())
    return None if isinstance(content, float) and not math.isfinite(content) else content


def print_table(rows: Mapping[str, str], title: str) -> None:
    """Prints one quantity a line; in a narrow window, a value that does not fit there stands below its name."""
    width, columns = max(map(len, rows)), shutil.get_terminal_size().columns
    print(f"\n{title}")
    for name, value in rows.items():
        line = f"  {name:<{width}}  {value}".rstrip()
        print(line if len(line) <= columns or columns >= 80 else f"  {name}\n      {value}")


def print_columns(header: Sequence[str], rows: Sequence[Sequence[object]], title: str) -> None:
    """Prints a table with a line for each row, the first column to the left and the others to the right."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print(f"\n{title}")
    for first, *others in cells:
        right = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print("  " + "  ".join([first.ljust(widths[0]), *right]).rstrip())
