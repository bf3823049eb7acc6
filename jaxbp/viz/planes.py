"""A plane of two parameters or inputs: paths on contours, a table as a map, a decision."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxbp.viz.curves import legend_below, panel_grid
from jaxbp.viz.grid import Grid
from jaxbp.viz.maps import check_values, map_height, mark_gaps
from jaxbp.viz.scales import add_bar
from jaxbp.viz.style import GAP, SEQUENTIAL, VERMILLION, WIDTH, Drawing, new_figure, number, style


def draw_paths(
    grid: Grid, heights: np.ndarray, paths: Mapping[str, np.ndarray], *, title: str = ""
) -> Drawing:
    """Draw each path in a panel of its own, over the same contours.

    Args:
        grid: where.
        heights: (n,) the surface.
        paths: by label, (m, 2) points in their order.
        title: above the figure.

    Returns:
        The drawing; `axes` and artists `paths` by label.

    Raises:
        ValueError: the heights do not fit the grid, or there is no path.

    Examples:
        >>> import numpy as np
        >>> from jaxbp import viz
        >>> grid = viz.Grid.over(((0, 1), (0, 2)), 11)
        >>> x, y = grid.points.T
        >>> path = np.array([[0.9, 1.8], [0.5, 1.0], [0.3, 0.6]])
        >>> drawing = viz.draw_paths(grid, x**2 + y**2, {"descent": path})
    """
    table = np.ma.masked_invalid(check_values("heights", grid, heights)).reshape(grid.shape)
    if not paths:
        raise ValueError("paths must hold at least one path, got none")
    num_columns = min(3, len(paths))
    num_rows = -(-len(paths) // num_columns)
    with style():
        height = map_height(grid, WIDTH / num_columns - 0.4) + 0.4
        figure = new_figure(WIDTH, num_rows * height + 0.7, title)
        axes = panel_grid(figure, paths, num_columns, "x", "y")
        lines = {}
        for label, path in paths.items():
            ax, path = axes[label], np.asarray(path, float)
            if not mark_gaps(ax, grid, heights).all():  # its hatches stay where nothing is
                ax.pcolormesh(
                    grid.x, grid.y, 0 * table, cmap="Greys", vmin=0, vmax=1, shading="nearest"
                )
            ax.contour(grid.x, grid.y, table, levels=8, cmap=SEQUENTIAL, linewidths=0.7)
            (lines[label],) = ax.plot(
                *path.T, color=VERMILLION, marker="o", markersize=3, linewidth=1.2
            )
            ax.plot(*path[:1].T, color="black", marker="s", markersize=5)
            inside = (path >= [grid.x[0], grid.y[0]]) & (path <= [grid.x[-1], grid.y[-1]])
            left = int((~inside.all(axis=1)).sum())
            ax.set(title=label + (f" ({left} outside)" if left else ""))
    return Drawing(figure, axes, {"paths": lines})


def draw_heatmap(
    grid: Grid, values: np.ndarray, *, labels: tuple[str, str, str], title: str = ""
) -> Drawing:
    """Draw positive numbers as a map on logarithmic scales; other numbers are hatched and counted.

    Args:
        grid: x positive and spaced evenly in their logarithms, y one apart from each other.
        values: (n,).
        labels: of x, y and the values.
        title: above the panel.

    Returns:
        The drawing; artists `mesh` and `bar`. The colour scale ends at the 95th percentile, with an
        arrow at the end of the bar.

    Raises:
        ValueError: the values do not fit the grid, or a number of its x is not positive.

    Examples:
        >>> import numpy as np
        >>> from jaxbp import viz
        >>> grid = viz.Grid(np.geomspace(1e-3, 1, 7), np.arange(1.0, 5.0))
        >>> rates, layers = grid.points.T
        >>> drawing = viz.draw_heatmap(grid, layers / rates, labels=("rate", "layers", "loss"))
    """
    table = check_values("values", grid, values).reshape(grid.shape)
    if not (np.asarray(grid.x) > 0).all():
        raise ValueError(f"grid.x must be positive, on its logarithmic axis, got {min(grid.x)}")
    with style():
        from matplotlib.colors import LogNorm

        figure = new_figure(WIDTH, 3.8)
        ax = figure.subplots()
        good = np.isfinite(table) & (table > 0)
        numbers = table[good] if good.any() else np.array([0.1, 1.0])
        low, high = float(numbers.min()), float(np.percentile(numbers, 95))
        ax.patch.set(hatch=GAP["hatch"], facecolor=GAP["facecolor"])
        # Borders halfway on the scale that is shown; pcolormesh has them halfway in the numbers.
        columns = np.exp(_borders(np.log(np.asarray(grid.x, float))))
        rows = _borders(np.asarray(grid.y, float))
        look: Any = {"norm": LogNorm(low, max(high, low * 1.01)), "cmap": SEQUENTIAL}
        shown = np.ma.masked_where(~good, table)
        mesh = ax.pcolormesh(columns, rows, shown, rasterized=True, **look)
        gaps = f"{(~good).sum()} of {good.size} hatched: not finite or not positive"
        lines = [line for line in (title, "" if good.all() else gaps) if line]
        ax.set(xscale="log", xlabel=labels[0], ylabel=labels[1], title="\n".join(lines))
        ax.locator_params(axis="y", integer=True, min_n_ticks=1)
        bar = figure.colorbar(mesh, ax=ax, label=labels[2], extend="max", pad=0.02)
        ticks = np.geomspace(low, high, 4 if high > 1.01 * low else 1).tolist()
        bar.set_ticks(ticks, labels=[number(tick, 2) for tick in ticks], minor=False)
        bar.minorticks_off()
    return Drawing(figure, {"map": ax}, {"mesh": mesh, "bar": bar})


def draw_decision_map(
    grid: Grid,
    outputs: np.ndarray,
    *,
    points: np.ndarray | None = None,
    targets: np.ndarray | None = None,
    lines: np.ndarray | Sequence[Sequence[float]] = (),
    hidden: tuple[Grid, np.ndarray, np.ndarray] | None = None,
    title: str = "",
) -> Drawing:
    """Draw an output in [0, 1] over the plane, the line on which it is 1/2, and the samples.

    Args:
        grid: where.
        outputs: (n,), probabilities.
        points: (m, 2) samples to mark.
        targets: (m,) their classes, 0 or 1; required with points.
        lines: (units, 3) rows w_x, w_y, b of units to show by their lines w_x x + w_y y + b = 0.
        hidden: the same in the plane of two hidden activations, as a panel at the right: its grid,
            the outputs over it, and where the samples are in it (m, 2).
        title: above the figure.

    Returns:
        The drawing; panels `inputs` and `hidden`; artists `filled`, `boundaries` (None where the
        output does not reach 1/2) and `points`, each by panel, and `lines`.

    Raises:
        ValueError: the shapes do not fit together.

    Examples:
        >>> from jaxbp import viz
        >>> grid = viz.Grid.over(((0, 1), (0, 2)), 11)
        >>> x, y = grid.points.T
        >>> drawing = viz.draw_decision_map(grid, (x > 0.5).astype(float))
    """
    if points is not None and (targets is None or len(targets) != len(points)):
        got = None if targets is None else len(targets)
        raise ValueError(f"targets must be {len(points)} like the points, got {got}")
    if targets is not None and not np.isin(targets, (0, 1)).all():
        raise ValueError(f"targets must be 0 or 1, got {np.setdiff1d(targets, (0, 1))[0]}")
    planes = {"inputs": (grid, check_values("outputs", grid, outputs), points)}
    if hidden is not None:
        planes["hidden"] = (hidden[0], check_values("hidden[1]", *hidden[:2]), hidden[2])
    titles = {"inputs": "plane of the inputs", "hidden": "plane of the hidden activations"}
    names = {"inputs": ("x", "y"), "hidden": ("hidden 1", "hidden 2")}
    artists: dict[str, Any] = {"filled": {}, "boundaries": {}, "points": {}, "lines": []}
    with style():
        width = WIDTH if hidden else 6.0
        figure = new_figure(width, map_height(grid, width / len(planes) - 0.9) + 1.2, title)
        axes = dict(zip(planes, figure.subplots(1, len(planes), squeeze=False)[0], strict=True))
        for name, (plane, values, some) in planes.items():
            ax, table = axes[name], np.ma.masked_invalid(values).reshape(plane.shape)
            mark_gaps(ax, plane, values)
            bands: Any = {"levels": np.linspace(0, 1, 21), "cmap": "cividis", "extend": "both"}
            artists["filled"][name] = ax.contourf(plane.x, plane.y, table, **bands)
            artists["boundaries"][name] = None
            if table.min() < 0.5 < table.max():
                look: Any = {"levels": [0.5], "colors": "white", "linewidths": 2.4}
                artists["boundaries"][name] = ax.contour(plane.x, plane.y, table, **look)
            if some is not None and targets is not None:
                artists["points"][name] = _mark_classes(ax, some, targets)
            ax.set(xlabel=names[name][0], ylabel=names[name][1], title=titles[name] * bool(hidden))
            ax.locator_params(nbins=5)
        add_bar(ax, artists["filled"][name], "output")
        for i, (w_x, w_y, b) in enumerate(lines):
            norm = w_x * w_x + w_y * w_y
            if norm > 0:  # the point nearest to the origin, and another one
                foot = (-b * w_x / norm, -b * w_y / norm)
                look = {"linestyle": ("--", ":")[i % 2], "linewidth": 1.6, "color": "black"}
                line = axes["inputs"].axline(foot, (foot[0] - w_y, foot[1] + w_x), **look)
                artists["lines"].append(line)
        marked = artists["points"].get("inputs", {})
        handles = {f"target {key:g}": found for key, found in marked.items()}
        if artists["lines"]:
            handles["hidden unit: z = 0"] = artists["lines"][0]
        if handles:
            legend_below(figure, list(handles.values()), list(handles))
    return Drawing(figure, axes, artists)


def _mark_classes(ax: Any, points: Any, targets: Any) -> dict[float, Any]:
    """Draw the samples of class 0 as dark circles and of class 1 as white squares."""
    points, targets = np.asarray(points, float), np.asarray(targets)
    look: Any = {"s": 80, "edgecolors": "black", "linewidths": 1.4, "zorder": 3, "clip_on": False}
    return {
        target: ax.scatter(*points[targets == target].T, marker=marker, c=colour, **look)
        for target, marker, colour in ((0.0, "o", "0.25"), (1.0, "s", "white"))
    }


def _borders(centres: np.ndarray) -> np.ndarray:
    """Return the borders of cells around centres: halfway, and as far beyond the outer ones."""
    middles = (centres[1:] + centres[:-1]) / 2
    half = middles[0] - centres[0] if len(centres) > 1 else 0.5
    return np.concatenate([[centres[0] - half], middles, [centres[-1] + half]])
