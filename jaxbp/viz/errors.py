"""The error of a fit: a map under kink lines, its distribution, cuts through its largest place."""

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxbp.viz.grid import Grid
from jaxbp.viz.maps import check_values, draw_error, map_height
from jaxbp.viz.scales import ErrorScale, log_ticks, power_of_ten
from jaxbp.viz.style import BLUE, GREEN, PURPLE, WIDTH, Drawing, new_figure, number, panel, style

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
    """Draw the lines where units have their kink, at preactivation 0, over the map of an error.

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

    Examples:
        >>> from jaxbp import viz
        >>> grid = viz.Grid.over(((0, 1), (0, 2)), 11)
        >>> x, y = grid.points.T
        >>> drawing = viz.draw_kink_lines(grid, 0.01 * x, {1: (x - 0.5)[:, None]})
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
        below = [labels[0]]
        for (ink, dashes, name), (layer, values) in zip(cycle(LOOKS), layers.items(), strict=False):
            wide = min(grid.shape) > 1
            crossing = [z for z in values.T if z.min() < 0 < z.max() and wide]
            look: Any = {"levels": [0.0], "colors": [ink], "linestyles": [dashes]}
            lines[layer] = [
                ax.contour(grid.x, grid.y, z.reshape(grid.shape), linewidths=0.8, **look)
                for z in crossing
            ]
            count = f"{len(crossing)} of {values.shape[1]} units"
            below.append(f"kink lines of layer {layer}: {count}, {name}")
        ax.set(xlabel="\n".join(below), ylabel=labels[1])
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
    """Draw the error of a fit as a map under its kink lines, as a histogram, and along two cuts.

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

    Examples:
        >>> from jaxbp import viz
        >>> grid = viz.Grid.over(((0, 1), (0, 2)), 11)
        >>> x, y = grid.points.T
        >>> drawing = viz.draw_error_detail(grid, x * y, x * y + 0.01 * x)
    """
    with np.errstate(over="ignore", invalid="ignore"):
        error = check_values("predicted", grid, predicted) - check_values("true", grid, true)
    with style():
        figure = new_figure(WIDTH, max(4.6, min(7.0, map_height(grid, 4.2) + 1.3)), title)
        columns = figure.add_gridspec(1, 2, width_ratios=(1.3, 1.0))
        rows = columns[0, 1].subgridspec(3, 1)
        plane = figure.add_subplot(columns[0, 0])
        drawn = draw_kink_lines(grid, error, kink_values or {}, labels=labels[:2], ax=plane)
        names = ("histogram", "along x", "along y")
        axes = {name: figure.add_subplot(rows[i]) for i, name in enumerate(names)}
        scale: ErrorScale = drawn.numbers["error"]
        row, column = (int(i) for i in np.unravel_index(scale.place, grid.shape))
        for line in (plane.axhline(grid.y[row]), plane.axvline(grid.x[column])):
            line.set(color="black", linewidth=0.9, linestyle=":")
        finite = error[np.isfinite(error)]
        bars = axes["histogram"].hist(finite, bins=60, color=BLUE)[2] if finite.size else None
        title = f"distribution over {len(error)} points"
        axes["histogram"].set(yscale="log", ylabel="points", title=title)
        log_ticks(axes["histogram"].yaxis)
        power_of_ten(axes["histogram"].xaxis, scale.largest, f"error in {labels[2]}")
        table = np.ma.masked_invalid(error).reshape(grid.shape)
        (x, y), cuts = labels[:2], {}
        for name, places, values, along, fixed in (
            ("along x", grid.x, table[row], x, f"{y} = {number(grid.y[row])}"),
            ("along y", grid.y, table[:, column], y, f"{x} = {number(grid.x[column])}"),
        ):
            ax, look = axes[name], "-" if len(places) > 1 else "o"
            (cuts[name],) = ax.plot(places, values, look, color=BLUE, linewidth=1.4)
            ax.set(xlabel=along, title=f"error along {fixed}")
            ax.axhline(0, color="black", linewidth=0.6)
            power_of_ten(ax.yaxis, scale.largest, labels[2])
            ax.grid(alpha=0.25, linewidth=0.6)
    artists = drawn.artists | {"histogram": bars, "cuts": cuts}
    return Drawing(figure, {"error": plane, **axes}, artists, drawn.numbers)
