"""What single units do over the input plane: their answers, their node errors, the lines where they fold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxbp.viz.style import BLACK, DIVERGING, GREEN, SEQUENTIAL, style
from jaxbp.viz.surfaces import MIN_ERROR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE = 4  # maps in a row and rows of maps


@dataclass(frozen=True)
class UnitMaps:
    """What `draw_unit_maps` drew.

    Attributes:
        figure: the figure.
        units: the indices of the units shown.
        answers: the map of each one's activation.
        errors: the map of each one's node error.
        limit: the common scale of the node errors runs from minus to plus this.
        left_out: how many units are not shown.
    """

    figure: "Figure"
    units: tuple[int, ...]
    answers: dict[int, Any]
    errors: dict[int, Any]
    limit: float
    left_out: int


@dataclass(frozen=True)
class Folds:
    """What `draw_folds` drew: axes, error map, the contours of each layer's units, the error scale, the colour bar."""

    ax: "Axes"
    error: Any
    lines: dict[int, list[Any]]
    error_limit: float
    bar: Any


def draw_unit_maps(
    x: np.ndarray,
    y: np.ndarray,
    activations: np.ndarray,
    node_errors: np.ndarray,
    *,
    importance: np.ndarray | None = None,
    labels: tuple[str, str] = ("x", "y"),
    title: str = "",
    figure: "Figure | None" = None,
) -> UnitMaps:
    """Draws up to 16 units of a layer: at the left what each answers over the plane, at the right its node error.

    Args:
        x: (num_columns,) the grid's columns.
        y: (num_rows,) the grid's rows.
        activations: (num_rows, num_columns, units).
        node_errors: of the same shape; dL/dz of the sample at each point.
        importance: (units,) the most important ones are shown; the first ones unless given.
        labels: the names of x and y.
        title: above the figure.
        figure: where to draw; a new one unless given.

    Returns:
        The artists. All node errors have one scale, which ends at the 99th percentile of their size.

    Raises:
        ValueError: the shapes do not fit together.
    """
    if activations.ndim != 3 or activations.shape[:2] != (len(y), len(x)):
        raise ValueError(f"activations must have shape ({len(y)}, {len(x)}, units), got {activations.shape}")
    if node_errors.shape != activations.shape:
        raise ValueError(f"node_errors must have shape {activations.shape} like activations, got {node_errors.shape}")
    num_units = activations.shape[2]
    given = (num_units,) if importance is None else np.shape(importance)
    if num_units == 0 or given != (num_units,):
        raise ValueError(f"importance must have shape ({num_units},) for at least one unit, got {given}")
    order = np.arange(num_units) if importance is None else np.argsort(-np.asarray(importance), kind="stable")
    units = tuple(int(unit) for unit in order[: SIDE * SIDE])
    limit = max(float(np.percentile(np.abs(node_errors[..., list(units)]), 99)), MIN_ERROR)
    with style():
        if figure is None:
            import matplotlib.pyplot as plt

            figure = plt.figure(figsize=(8.4, 4.5), layout="constrained")
        halves: Any = figure.subfigures(1, 2, wspace=0.03)
        answers: dict[int, Any] = {}
        errors: dict[int, Any] = {}
        looks: Any = (
            ("activation a", answers, activations, {"cmap": SEQUENTIAL}),
            ("node error δ = ∂L/∂z", errors, node_errors, {"cmap": DIVERGING, "vmin": -limit, "vmax": limit}),
        )
        for half, (name, found, values, options) in zip(halves, looks, strict=True):
            shown = values[..., list(units)]
            scale = {"vmin": float(shown.min()), "vmax": float(shown.max())} | options
            grid = half.subplots(SIDE, SIDE, sharex=True, sharey=True).ravel()
            for ax, unit in zip(grid, units, strict=False):
                found[unit] = ax.pcolormesh(x, y, values[..., unit], shading="nearest", rasterized=True, **scale)
                ax.text(
                    0.06, 0.92, str(unit), transform=ax.transAxes, fontsize=8, va="top",
                    bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
                )  # fmt: skip
            for ax in grid:
                ax.set(xticks=[], yticks=[], aspect="equal")
            for ax in grid[len(units) :]:
                ax.axis("off")
            half.colorbar(found[units[0]], ax=list(grid), extend="both" if found is errors else "neither", pad=0.02)
            half.suptitle(name, fontsize=11)
            half.supxlabel(labels[0], fontsize=9)
            half.supylabel(labels[1], fontsize=9)
        left_out = num_units - len(units)
        if title or left_out:
            rest = f" ({left_out} more units not shown)" if left_out else ""
            figure.suptitle(title + rest)
    return UnitMaps(figure, units, answers, errors, limit, left_out)


def draw_folds(
    x: np.ndarray,
    y: np.ndarray,
    error: np.ndarray,
    preactivations: Sequence[np.ndarray],
    *,
    labels: tuple[str, str] = ("x", "y"),
    title: str = "",
    ax: "Axes | None" = None,
) -> Folds:
    """Draws the lines on which units switch, where their preactivation is 0, over the map of an error.

    The first layer's lines are straight; those of a ReLU network's later layers bend where they cross earlier ones.

    Args:
        x: (num_columns,) the grid's columns.
        y: (num_rows,) the grid's rows.
        error: (num_rows, num_columns), signed.
        preactivations: for each layer whose units are to be shown, (num_rows, num_columns, units).
        labels: the names of x and y.
        title: above the panel.
        ax: where to draw; a new figure unless given.

    Returns:
        The artists; `lines` has for each layer, counted from 1, one contour for each unit that switches on the grid.

    Raises:
        ValueError: the shapes do not fit together.
    """
    wanted = (len(y), len(x))
    if error.shape != wanted:
        raise ValueError(f"error must have shape {wanted} for x and y, got {error.shape}")
    for position, some in enumerate(preactivations):
        if some.ndim != 3 or some.shape[:2] != wanted:
            raise ValueError(f"preactivations[{position}] must have shape {wanted} and units, got {some.shape}")
    limit = max(float(np.percentile(np.abs(error), 99)), MIN_ERROR)
    looks: Any = ({"colors": BLACK, "linewidths": 0.7, "linestyles": "-"}, {"colors": GREEN, "linewidths": 0.6})
    with style():
        if ax is None:
            import matplotlib.pyplot as plt

            ax = plt.figure(figsize=(6.4, 5.4), layout="constrained").subplots()
        options: dict[str, Any] = {"cmap": DIVERGING, "vmin": -limit, "vmax": limit, "shading": "nearest"}
        mesh = ax.pcolormesh(x, y, error, rasterized=True, **options)
        lines: dict[int, list[Any]] = {}
        for layer, some in enumerate(preactivations, start=1):
            switching = [z for z in np.moveaxis(some, 2, 0) if z.min() < 0 < z.max()]
            look = looks[0] if layer == 1 else looks[1] | {"linestyles": "--" if layer == 2 else ":"}
            lines[layer] = [ax.contour(x, y, z, levels=[0.0], alpha=0.7, **look) for z in switching]
        counts = ", ".join(f"layer {layer}: {len(found)} units" for layer, found in lines.items())
        ax.set(xlabel=labels[0], ylabel=labels[1], title=f"{title}\n{counts}" if title else counts, aspect="equal")
        bar = ax.figure.colorbar(mesh, ax=ax, extend="both", pad=0.02, label="error: predicted − true")
    return Folds(ax, mesh, lines, limit, bar)
