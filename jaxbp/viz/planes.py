"""Numbers over a plane of two parameters or two inputs: paths on contours, a table as a map, a decision."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxbp.viz.curves import legend_below, panel_grid
from jaxbp.viz.grid import Grid
from jaxbp.viz.maps import check_values, map_height, mark_gaps
from jaxbp.viz.scales import add_bar
from jaxbp.viz.style import SEQUENTIAL, VERMILLION, WIDTH, Drawing, new_figure, number, style


def draw_paths(
    grid: Grid, heights: np.ndarray, paths: Mapping[str, np.ndarray], *, title: str = ""
) -> Drawing:
    """Draws each path in a panel of its own, over the same contours.

    Args:
        grid: where.
        heights: (n,) the surface.
        paths: by label, (m, 2) points in their order.
        title: above the figure.

    Returns:
        The drawing; `axes` and artists `paths` by label.

    Raises:
        ValueError: the heights do not fit the grid, or there is no path.
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
    """Draws positive numbers as a map on logarithmic scales; what the scale cannot show is hatched
    and counted.

    Args:
        grid: x positive and spaced evenly in their logarithms, y one apart from each other.
        values: (n,).
        labels: of x, y and the values.
        title: above the panel.

    Returns:
        The drawing; artists `mesh` and `bar`. The colour scale ends at the 95th percentile, and the
        bar shows that it goes on.

    Raises:
        ValueError: the values do not fit the grid.
    """
    table = check_values("values", grid, values).reshape(grid.shape)
    with style():
        from matplotlib.colors import LogNorm

        figure = new_figure(WIDTH, 3.8)
        ax = figure.subplots()
        good = np.isfinite(table) & (table > 0)
        low, high = (
            (float(table[good].min()), float(np.percentile(table[good], 95)))
            if good.any()
            else (0.1, 1.0)
        )
        ax.patch.set(hatch="////", facecolor="0.93")
        # Borders halfway on the scale that is shown; pcolormesh's own would be halfway in the
        # numbers.
        columns, rows = (
            np.exp(_borders(np.log(np.asarray(grid.x, float)))),
            _borders(np.asarray(grid.y, float)),
        )
        options: dict[str, Any] = {
            "norm": LogNorm(low, max(high, low * 1.01)),
            "cmap": SEQUENTIAL,
            "rasterized": True,
        }
        mesh = ax.pcolormesh(columns, rows, np.ma.masked_where(~good, table), **options)
        gaps = (
            f"{(~good).sum()} of {good.size} hatched: not finite or not positive"
            if not good.all()
            else ""
        )
        ax.set(
            xscale="log",
            xlabel=labels[0],
            ylabel=labels[1],
            title="\n".join(filter(None, [title, gaps])),
        )
        ax.locator_params(axis="y", integer=True, min_n_ticks=1)
        bar = figure.colorbar(mesh, ax=ax, label=labels[2], extend="max", pad=0.02)
        ticks = [float(tick) for tick in np.geomspace(low, high, 4 if high > 1.01 * low else 1)]
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
    """Draws an output in [0, 1] over the plane, the line on which it is 1/2, and the samples.

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
    """
    if points is not None and (targets is None or len(targets) != len(points)):
        got = None if targets is None else len(targets)
        raise ValueError(f"targets must be {len(points)} like the points, got {got}")
    if targets is not None and not np.isin(targets, (0, 1)).all():
        raise ValueError(f"targets must be 0 or 1, got {np.setdiff1d(targets, (0, 1))[0]}")
    panels = {"inputs": (grid, check_values("outputs", grid, outputs), points, ("x", "y"))}
    if hidden is not None:
        plane, values, places = hidden
        panels["hidden"] = (
            plane,
            check_values("hidden[1]", plane, values),
            places,
            ("hidden 1", "hidden 2"),
        )
    with style():
        width = WIDTH if hidden else 6.0
        figure = new_figure(width, map_height(grid, width / len(panels) - 0.9) + 1.2, title)
        axes = dict(zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True))
        filled: dict[str, Any] = {}
        boundaries: dict[str, Any] = {}
        marked: dict[str, Any] = {}
        drawn = []
        headings = ("plane of the inputs", "plane of the hidden activations")
        for (name, (plane, values, some, labels)), heading in zip(
            panels.items(), headings, strict=False
        ):
            ax, table = axes[name], np.ma.masked_invalid(values).reshape(plane.shape)
            mark_gaps(ax, plane, values)
            bands: dict[str, Any] = {
                "levels": np.linspace(0, 1, 21),
                "cmap": "cividis",
                "extend": "both",
            }
            filled[name] = ax.contourf(plane.x, plane.y, table, **bands)
            boundaries[name] = None
            if table.min() < 0.5 < table.max():
                boundaries[name] = ax.contour(
                    plane.x, plane.y, table, levels=[0.5], colors="white", linewidths=2.4
                )
            if some is not None and targets is not None:
                marked[name] = _mark_classes(ax, np.asarray(some, float), np.asarray(targets))
            ax.set(xlabel=labels[0], ylabel=labels[1], title=heading if hidden else "")
            ax.locator_params(nbins=5)
        for i, (w_x, w_y, b) in enumerate(lines):
            # The point of the line that is nearest to the origin, and the direction along it.
            norm = w_x * w_x + w_y * w_y
            if norm > 0:
                foot = (-b * w_x / norm, -b * w_y / norm)
                look: dict[str, Any] = {
                    "linestyle": ("--", ":")[i % 2],
                    "linewidth": 1.6,
                    "color": "black",
                }
                drawn.append(axes["inputs"].axline(foot, (foot[0] - w_y, foot[1] + w_x), **look))
        add_bar(axes[name], filled[name], "output")
        handles: dict[str, Any] = {
            f"target {key:g}": found for key, found in marked.get("inputs", {}).items()
        }
        if drawn:
            handles["hidden unit: z = 0"] = drawn[0]
        if handles:
            legend_below(figure, list(handles.values()), list(handles))
    artists = {"filled": filled, "boundaries": boundaries, "points": marked, "lines": drawn}
    return Drawing(figure, axes, artists)


def _mark_classes(ax: Any, points: np.ndarray, targets: np.ndarray) -> dict[float, Any]:
    """The samples of class 0 as dark circles and of class 1 as white squares."""
    looks: Any = ((0.0, "o", "0.25"), (1.0, "s", "white"))
    return {
        target: ax.scatter(
            *points[targets == target].T,
            marker=marker,
            c=colour,
            s=80,
            edgecolors="black",
            linewidths=1.4,
            zorder=3,
            clip_on=False,
        )
        for target, marker, colour in looks
    }


def _borders(centres: np.ndarray) -> np.ndarray:
    """The borders of cells around those centres: halfway, and as far beyond the first and the last."""
    middles = (centres[1:] + centres[:-1]) / 2
    half = middles[0] - centres[0] if len(centres) > 1 else 0.5
    return np.concatenate([[centres[0] - half], middles, [centres[-1] + half]])
