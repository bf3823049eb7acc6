"""Where a fit is wrong: the error over the plane under the kink lines, its distribution, cuts through it."""

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxbp.viz.grid import Grid
from jaxbp.viz.maps import check_values, draw_error, map_height
from jaxbp.viz.scales import ErrorScale
from jaxbp.viz.style import BLUE, GREEN, PURPLE, WIDTH, Drawing, new_figure, number, panel, style
from jaxbp.viz.ticks import log_ticks, power_of_ten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOOKS: Any = (
    ("black", "-", "solid"),
    (GREEN, "--", "dashed"),
    (PURPLE, ":", "dotted"),
)  # of the layers' lines


def draw_kink_lines(
    grid: Grid,
    error: np.ndarray,
    kink_values: Mapping[int, np.ndarray],
    *,
    labels: tuple[str, ...] = ("x", "y"),
    title: str = "error: predicted − true",
    ax: "Axes | None" = None,
) -> Drawing:
    """Draws the lines on which units have their kink, where their preactivation is 0, over the map
    of an error.

    The first layer's lines are straight; those of a ReLU network's later layers bend where they
    cross earlier ones.

    Args:
        grid: where.
        error: (n,), signed.
        kink_values: by the number of the layer, from 1, its preactivations (n, units).
        labels: the names of x and y.
        title: above the panel.
        ax: where to draw; a new figure unless given.

    Returns:
        The drawing; artists `error` and `lines`, by layer one contour for each unit whose kink
        crosses the grid; number `error`, an `ErrorScale`.

    Raises:
        ValueError: the shapes do not fit together.
    """
    error = check_values("error", grid, error)
    layers = {
        k: check_values(f"kink_values[{k}]", grid, z, units=True)
        for k, z in sorted(kink_values.items())
    }
    with style():
        figure, ax = panel(ax, 6.4, map_height(grid, 5.0) + 1.2)
        drawn, scale = draw_error(ax, grid, error, title)
        lines: dict[int, list[Any]] = {}
        counts = []
        for (colour, dashes, name), (layer, values) in zip(
            cycle(LOOKS), layers.items(), strict=False
        ):
            crossing = [
                z.reshape(grid.shape)
                for z in values.T
                if z.min() < 0 < z.max() and min(grid.shape) > 1
            ]
            look: Any = {"colors": [colour], "linestyles": [dashes], "linewidths": 0.8}
            lines[layer] = [ax.contour(grid.x, grid.y, z, levels=[0.0], **look) for z in crossing]
            drawn_units = f"{len(crossing)} of {values.shape[1]} units"
            counts.append(f"kink lines of layer {layer}: {drawn_units}, {name}")
        ax.set(xlabel="\n".join([labels[0], *counts]), ylabel=labels[1])
        ax.locator_params(nbins=6)
    return Drawing(figure, {"error": ax}, {"error": drawn, "lines": lines}, {"error": scale})


def draw_error_detail(
    grid: Grid,
    true: np.ndarray,
    predicted: np.ndarray,
    kink_values: Mapping[int, np.ndarray] | None = None,
    *,
    labels: tuple[str, ...] = ("x", "y", "z"),
    title: str = "",
) -> Drawing:
    """Draws the error of a fit as a map under its kink lines, as a histogram, and along two cuts.

    The cuts, dotted in the map, go through the place of the largest error.

    Args:
        grid: where.
        true: (n,).
        predicted: (n,).
        kink_values: by the number of the layer, from 1, the preactivations (n, units) of the layers
            whose activation has a kink.
        labels: the names of x, y and z, with units if they have any.
        title: above the figure.

    Returns:
        The drawing; panels `error`, `histogram`, `along x`, `along y`; artists as in
        `draw_kink_lines`, `histogram` and `cuts`, the lines by panel; number `error`, an
        `ErrorScale`.

    Raises:
        ValueError: the shapes do not fit together.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        error = check_values("predicted", grid, predicted) - check_values("true", grid, true)
    with style():
        figure = new_figure(WIDTH, max(4.6, min(7.0, map_height(grid, 4.2) + 1.3)), title)
        columns = figure.add_gridspec(1, 2, width_ratios=(1.3, 1.0))
        rows = columns[0, 1].subgridspec(3, 1)
        drawn = draw_kink_lines(
            grid, error, kink_values or {}, labels=labels[:2], ax=figure.add_subplot(columns[0, 0])
        )
        axes = {"error": drawn.axes["error"]}
        axes |= {
            name: figure.add_subplot(rows[i])
            for i, name in enumerate(("histogram", "along x", "along y"))
        }
        scale: ErrorScale = drawn.numbers["error"]
        finite = error[np.isfinite(error)]
        bars = axes["histogram"].hist(finite, bins=60, color=BLUE)[2] if finite.size else None
        axes["histogram"].set(
            yscale="log", ylabel="points", title=f"distribution over {len(error)} points"
        )
        log_ticks(axes["histogram"].yaxis)
        row, column = (int(i) for i in np.unravel_index(scale.place, grid.shape))
        table = np.ma.masked_invalid(error).reshape(grid.shape)
        cuts = {
            "along x": axes["along x"].plot(
                grid.x, table[row], _look(grid.x), color=BLUE, linewidth=1.4
            )[0],
            "along y": axes["along y"].plot(
                grid.y, table[:, column], _look(grid.y), color=BLUE, linewidth=1.4
            )[0],
        }
        for name, along, fixed, value in (
            ("along x", *labels[:2], grid.y[row]),
            ("along y", *labels[1::-1], grid.x[column]),
        ):
            axes[name].set(xlabel=along, title=f"error along {fixed} = {number(value)}")
            axes[name].axhline(0, color="black", linewidth=0.6)
            power_of_ten(axes[name].yaxis, scale.largest, labels[2])
            axes[name].grid(alpha=0.25, linewidth=0.6)
        power_of_ten(axes["histogram"].xaxis, scale.largest, f"error in {labels[2]}")
        for line in (axes["error"].axhline(grid.y[row]), axes["error"].axvline(grid.x[column])):
            line.set(color="black", linewidth=0.9, linestyle=":")
    return Drawing(figure, axes, drawn.artists | {"histogram": bars, "cuts": cuts}, drawn.numbers)


def _look(places: np.ndarray) -> str:
    """A line, or a dot where there is but one place."""
    return "-" if len(places) > 1 else "o"
