"""The page of `fit_surface`: the tutorial's descent and a Gauss-Newton run of a small network, side by side."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxbp
from chinese import say
from data import Task
from jaxbp import viz
from jaxbp.viz import Grid
from surface_fits import fit
from surface_flags import PRESETS, Config
from surface_pictures import Fitted

HIDDEN = (16, 16)  # few enough units for a page to show every number
RUNS = {
    "the tutorial's descent": PRESETS["tutorial"],
    "Gauss-Newton": replace(PRESETS["surface"], activation="tanh", scheme="glorot", steps=300),
}
RECORDS = 33  # steps to replay of each run, about even on a logarithmic scale
SIDE = 15  # samples along each side of the plane of the page


def draw_page(config: Config, task: Task) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fits two small networks to a task; returns the last losses, and the page that replays both
    runs, by its name.

    The samples of the page lie on a grid, in standard units, and take no part in the training. Its
    network is the one that Gauss-Newton ends with.
    """
    flags: dict[str, Any] = {
        "hidden": HIDDEN,
        "record_every": 1,
        "quiet": True,
        "seed": config.seed,
    }
    runs = {name: fit(replace(preset, **flags), task) for name, preset in RUNS.items()}
    samples = runs["Gauss-Newton"].start.standardize(*page_samples(task))
    recording = {name: recorded(run, *samples) for name, run in runs.items()}
    mlp, steps, _ = recording["Gauss-Newton"]
    formula = re.sub(r"[$\\]", "", re.sub(r"\{(.*?)\}", r"(\1)", task.title))
    title = f"{formula}: two ways to train {'-'.join(map(str, mlp.sizes))}"

    shown = {say(name, config.lang): run for name, run in recording.items()}

    def save(path: Path) -> Path:
        return viz.save_page(
            (mlp, steps[-1][1]),
            *samples,
            path,
            recording=shown,
            lang=config.lang,
            title=say(title, config.lang),
        )

    numbers = {
        name: {"steps": records[-1][0], "loss": losses[-1]}
        for name, (_, records, losses) in recording.items()
    }
    return numbers, {f"{config.stem}surface_page.html": save}


def page_samples(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, d) over the plane, or the first of those to draw where there is no plane; and their values (n,)."""
    if task.test.points.shape[1] != 2:
        return task.test.points[: SIDE**2], task.test.values[: SIDE**2]
    points = Grid.around(task.test.points, SIDE).points
    return points, task.values_at(points)


def recorded(
    run: Fitted, inputs: np.ndarray, targets: np.ndarray
) -> tuple[jaxbp.Mlp, list[Any], list[float]]:
    """A run as a page replays it: its network, (step, params) of some records, and the loss of the page's samples."""
    mlp, steps = run.start.mlp, sorted(run.snapshots)
    loss = jax.jit(lambda params: jaxbp.loss_and_gradient(mlp, params, inputs, targets)[0])
    chosen = sorted({0, *np.geomspace(1, len(steps) - 1, RECORDS).round().astype(int).tolist()})
    records = [
        (steps[place], run.snapshots[steps[place]]) for place in chosen if place < len(steps)
    ]
    return mlp, records, [float(loss(params)) for _, params in records]
