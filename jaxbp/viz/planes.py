"""Numbers over a plane: paths on a surface's contours, a table of values as a map."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxbp.viz.style import SEQUENTIAL, VERMILLION, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Paths:
    """What `draw_paths` drew: the figure, the axes and the line by label."""

    figure: "Figure"
    axes: dict[str, "Axes"]
    lines: dict[str, Any]


@dataclass(frozen=True)
class Heatmap:
    """What `draw_heatmap` drew: the axes, the mesh, its colour bar."""

    ax: "Axes"
    mesh: Any
    bar: Any


def draw_paths(
    x: np.ndarray, y: np.ndarray, heights: np.ndarray, paths: Mapping[str, np.ndarray], *, title: str = ""
) -> Paths:
    """Draws each path in a panel of its own, over the same contours.

    Args:
        x: (num_columns,).
        y: (num_rows,) one apart from each other.
        heights: (num_rows, num_columns) of the surface.
        paths: by label, (n, 2) points in their order.
        title: above the figure.

    Returns:
        The artists.

    Raises:
        ValueError: the heights do not fit x and y, or there is no path.
    """
    if heights.shape != (len(y), len(x)):
        raise ValueError(f"heights must have shape {(len(y), len(x))} for x and y, got {heights.shape}")
    if not paths:
        raise ValueError("paths must hold at least one path, got none")
    num_columns = min(3, len(paths))
    num_rows = -(-len(paths) // num_columns)
    with style():
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(3.6 * num_columns, 2.0 * num_rows + 0.5), layout="constrained")
        grid = figure.subplots(num_rows, num_columns, sharex=True, sharey=True, squeeze=False)
        axes, lines = {}, {}
        for ax, (label, path) in zip(grid.ravel(), paths.items(), strict=False):
            ax.contour(x, y, heights, levels=8, cmap=SEQUENTIAL, linewidths=0.7)
            (lines[label],) = ax.plot(*path.T, color=VERMILLION, marker="o", markersize=3, linewidth=1.2)
            ax.set(title=label, aspect="equal", xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
            axes[label] = ax
        for ax in grid[-1]:
            ax.set_xlabel("x")
        for ax in grid[:, 0]:
            ax.set_ylabel("y")
        if title:
            figure.suptitle(title)
    return Paths(figure, axes, lines)


def draw_heatmap(
    values: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    *,
    labels: tuple[str, str, str],
    title: str = "",
    ax: "Axes | None" = None,
) -> Heatmap:
    """Draws a table of positive numbers as a map on logarithmic scales; what the scale cannot show is hatched.

    Args:
        values: (num_rows, num_columns).
        x: (num_columns,) positive and spaced evenly in their logarithms.
        y: (num_rows,) one apart from each other.
        labels: of x, y and the values.
        title: above the panel.
        ax: where to draw; a new figure unless given.

    Returns:
        The artists. The colour scale ends at the 95th percentile, and the bar shows that it goes on.

    Raises:
        ValueError: the values do not fit x and y.
    """
    if values.shape != (len(y), len(x)):
        raise ValueError(f"values must have shape {(len(y), len(x))} for x and y, got {values.shape}")
    with style():
        from matplotlib.colors import LogNorm

        if ax is None:
            import matplotlib.pyplot as plt

            ax = plt.figure(figsize=(7.2, 3.6), layout="constrained").subplots()
        finite = values[np.isfinite(values) & (values > 0)]
        low, high = (float(finite.min()), float(np.percentile(finite, 95))) if finite.size else (0.1, 1.0)
        shown = np.ma.masked_where(~(np.isfinite(values) & (values > 0)), values)
        ax.patch.set(hatch="////", facecolor="0.92", edgecolor="0.6")
        norm = LogNorm(low, max(high, low * 1.01))
        # Borders halfway on the scale that is shown; pcolormesh's own would be halfway in the numbers.
        logs = np.log(x)
        middles = (logs[1:] + logs[:-1]) / 2
        half = middles[0] - logs[0] if len(x) > 1 else 0.5
        edges = np.exp(np.concatenate([[logs[0] - half], middles, [logs[-1] + half]]))
        rows = np.concatenate([[y[0] - 0.5], (y[1:] + y[:-1]) / 2, [y[-1] + 0.5]])
        mesh = ax.pcolormesh(edges, rows, shown, norm=norm, cmap=SEQUENTIAL, rasterized=True)
        ax.set(xscale="log", xlabel=labels[0], ylabel=labels[1], title=title, yticks=y)
        bar = ax.figure.colorbar(mesh, ax=ax, label=labels[2], extend="max", pad=0.02)
    return Heatmap(ax, mesh, bar)
