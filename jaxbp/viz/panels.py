"""Curves in panels with common scales and one legend."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxbp.viz.style import CYCLE, DASHES, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Panels = Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]]


@dataclass(frozen=True)
class CurvePanels:
    """What `draw_panels` drew: the figure, the axes and the lines by panel and label, the legend."""

    figure: "Figure"
    axes: dict[str, "Axes"]
    lines: dict[str, dict[str, Any]]
    legend: Any


def draw_panels(
    panels: Panels,
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
    xscale: str = "linear",
    yscale: str = "log",
    num_columns: int = 3,
    share_y: bool = True,
    markers: bool = False,
    figure: "Figure | None" = None,
) -> CurvePanels:
    """Draws curves in a grid of panels; a label has the same colour and dashes in each of them.

    Args:
        panels: by title, then by label, x and y (n,) each. Values that the scale cannot show leave gaps.
        xlabel: of every abscissa, with its unit.
        ylabel: of every ordinate, with its unit.
        title: above the figure.
        xscale: "linear" or "log".
        yscale: "linear" or "log".
        num_columns: panels in a row, at most.
        share_y: whether all panels have the same ordinate.
        markers: whether to mark the points.
        figure: where to draw; a new one unless given.

    Returns:
        The artists.

    Raises:
        ValueError: there is no panel, or a curve's x and y differ in length.
    """
    if not panels:
        raise ValueError("panels must hold at least one panel, got none")
    labels = list(dict.fromkeys(label for curves in panels.values() for label in curves))
    num_columns = min(num_columns, len(panels))
    num_rows = -(-len(panels) // num_columns)
    with style():
        if figure is None:
            import matplotlib.pyplot as plt

            size = (max(6.4, 3.2 * num_columns), 2.7 * num_rows + 0.9)
            figure = plt.figure(figsize=size, layout="constrained")
        grid = figure.subplots(num_rows, num_columns, sharex=True, sharey=share_y, squeeze=False).ravel()
        axes: dict[str, Axes] = {}
        lines: dict[str, dict[str, Any]] = {}
        for ax, (name, curves) in zip(grid, panels.items(), strict=False):
            ax.set(xscale=xscale, yscale=yscale, title=name)
            ax.grid(alpha=0.25, linewidth=0.6)
            axes[name], lines[name] = ax, {}
            for label, (x, y) in curves.items():
                if np.shape(x) != np.shape(y):
                    raise ValueError(f"curve {label!r} must have as many x as y, got {np.shape(x)} and {np.shape(y)}")
                shown = np.where(np.isfinite(y) & ((np.asarray(y) > 0) | (yscale != "log")), y, np.nan)
                i = labels.index(label)
                (lines[name][label],) = ax.plot(
                    x,
                    shown,
                    color=CYCLE[i % len(CYCLE)] if i < len(CYCLE) else "0.35",
                    linestyle=DASHES[i % len(DASHES)],
                    linewidth=1.6,
                    marker="o" if markers else None,
                    markersize=3.5,
                )
        for unused in grid[len(panels) :]:
            unused.remove()
        for i, ax in enumerate(axes.values()):
            below = i + num_columns
            if below >= len(panels):
                ax.set_xlabel(xlabel)
                ax.tick_params(labelbottom=True)
            if i % num_columns == 0:
                ax.set_ylabel(ylabel)
        handles = [next(curves[label] for curves in lines.values() if label in curves) for label in labels]
        # A line sample and 9-point text take about so many inches; as many rows as that needs, evenly filled.
        wanted = sum(0.085 * len(label) + 0.65 for label in labels)
        per_row = math.ceil(len(labels) / math.ceil(wanted / figure.get_figwidth()))
        legend = figure.legend(handles, labels, loc="outside lower center", ncols=per_row, frameon=False, fontsize=9)
        if title:
            figure.suptitle(title)
    return CurvePanels(figure, axes, lines, legend)
