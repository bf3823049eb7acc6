"""Where experiments put what they make: a folder, figures, a JSON file beside them; and how they begin."""

import dataclasses
import json
import math
import platform
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import matplotlib
import numpy as np
from jaxbp.files import whole_file

from jaxbp import viz
from jaxbp.training import use_platform
from support.command_line import Common


def begin(config: Common) -> Path:
    """Checks the numbers, finds the folder of the pictures, turns float64 on, chooses the platform; returns the folder.

    Raises:
        ValueError: a number is negative or not finite, or the folder cannot be written to.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, (int, float)) and not (math.isfinite(number) and number >= 0):
                raise ValueError(f"{field.name} must be a finite number of at least 0, got {number}")
    folder = output_folder(config.out)
    jax.config.update("jax_enable_x64", True)
    use_platform(config.platform)
    return folder


def finish(config: Common, stem: str, figures: Mapping[str, Any], numbers: dict[str, Any], folder: Path) -> None:
    """Writes figures by file name, and a JSON file with the flags and every number; shows the figures if asked to."""
    paths = [viz.save_figure(figure, folder / name) for name, figure in figures.items()]
    paths.append(folder / f"{stem}.json")
    write_json(paths[-1], {"config": dataclasses.asdict(config), "result": numbers, "versions": versions()})
    print(f"\nwrote {', '.join(map(str, paths))}")
    if config.show:
        import matplotlib.pyplot as plt

        plt.show()


def versions() -> dict[str, str]:
    """What the numbers were computed with."""
    return {"python": platform.python_version(), "jax": jax.__version__, "matplotlib": matplotlib.__version__}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON file whole or not at all."""
    write_text(path, json.dumps(_without_gaps(content), indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> Path:
    """Writes a text file whole or not at all, and returns its path."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def _without_gaps(content: Any) -> Any:
    """Makes lists of arrays, and null of numbers that are not finite, for which JSON has no notation."""
    if isinstance(content, dict):
        return {name: _without_gaps(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_without_gaps(value) for value in content]
    if isinstance(content, (np.ndarray, np.generic, jax.Array)):
        return _without_gaps(np.asarray(content).tolist())
    return None if isinstance(content, float) and not math.isfinite(content) else content


def output_folder(name: str) -> Path:
    """Finds or makes the folder of the pictures, before any work is done for them.

    Raises:
        ValueError: it cannot be made or written to.
    """
    try:
        folder = Path(name).expanduser()
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError) as error:
        raise ValueError(f"out must be a folder that can be written to, got {name}: {error}") from None
    for path in missing:  # whatever fails before the pictures are drawn leaves no empty folder behind
        path.rmdir()
    return folder
