"""Curves over steps, seconds or layers: in one panel, labelled where they end, or in a grid of panels."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxbp.viz.style import CYCLE, DASHES, GREY, WIDTH, Drawing, new_figure, panel, style
from jaxbp.viz.ticks import log_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Panels = Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]]


def draw_curves(
    x: np.ndarray,
    curves: Mapping[str, np.ndarray],
    *,
    xlabel: str = "step",
    ylabel: str = "loss",
    title: str = "",
    references: Mapping[str, float] | None = None,
    highlight: str = "",
    ax: "Axes | None" = None,
) -> Drawing:
    """Draws positive curves over a common abscissa, on a logarithmic axis, each labelled at its
    end.

    Args:
        x: (n,).
        curves: by label, (n,) each; NaN, infinite and non-positive values leave gaps.
        xlabel: the abscissa, with its unit.
        ylabel: the ordinate, with its unit.
        title: above the panel.
        references: levels to compare with, by label, as dotted lines.
        highlight: the label of the curve to draw thick and solid.
        ax: where to draw; a new figure unless given.

    Returns:
        The drawing; artists `lines` and `references` by label.

    Raises:
        ValueError: a curve has another length than x.
    """
    for label, values in curves.items():
        if np.shape(values) != np.shape(x):
            raise ValueError(
                f"curve {label!r} must have shape {np.shape(x)} like x, got {np.shape(values)}"
            )
    with style():
        figure, ax = panel(ax, WIDTH, max(4.4, 0.2 * len(curves) + 0.8))
        ax.set(yscale="log", xlabel=xlabel, ylabel=ylabel, title=title, xmargin=0.01)
        ax.grid(alpha=0.25, linewidth=0.6)
        levels = {
            label: ax.axhline(level, color=GREY, linestyle=":", linewidth=1.2)
            for label, level in (references or {}).items()
        }
        lines = {
            label: plot(ax, x, values, i, highlighted=label == highlight)
            for i, (label, values) in enumerate(curves.items())
        }
        log_ticks(ax.yaxis)
        log_ticks(ax.xaxis)
        label_ends(ax, lines | levels)
    return Drawing(figure, {"curves": ax}, {"lines": lines, "references": levels})


def draw_panels(
    panels: Panels,
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
    xscale: str = "linear",
    yscale: str = "log",
    share_y: bool = True,
    markers: bool = False,
    highlight: str = "",
) -> Drawing:
    """Draws curves in a grid of panels, labelled where they end or, in three columns, in a legend.

    A label has the same colour and dashes in each panel.

    Args:
        panels: by title, then by label, x and y (n,) each. Values that the scale cannot show leave
            gaps.
        xlabel: every abscissa, with its unit.
        ylabel: every ordinate, with its unit.
        title: above the figure.
        xscale: "linear" or "log".
        yscale: "linear" or "log".
        share_y: whether all panels have the same ordinate.
        markers: whether to mark the points.
        highlight: the label of the curves to draw thick and solid.

    Returns:
        The drawing; `axes` by title, artists `lines` by title and label, `legend` or None.

    Raises:
        ValueError: there is no panel, or a curve's x and y differ in length.
    """
    if not panels:
        raise ValueError("panels must hold at least one panel, got none")
    labels = list(dict.fromkeys(label for curves in panels.values() for label in curves))
    num_columns = next(n for n in (3, 2, 1) if n <= len(panels) and (len(panels) != 4 or n < 3))
    num_rows = -(-len(panels) // num_columns)
    with style():
        figure = new_figure(WIDTH, (3.6 if num_columns == 1 else 2.7) * num_rows + 0.7, title)
        grid = figure.subplots(
            num_rows, num_columns, sharex=True, sharey=share_y, squeeze=False
        ).ravel()
        axes = dict(zip(panels, grid, strict=False))
        lines: dict[str, dict[str, Any]] = {name: {} for name in panels}
        for name, curves in panels.items():
            axes[name].set(xscale=xscale, yscale=yscale, title=name, xmargin=0.02)
            axes[name].grid(alpha=0.25, linewidth=0.6)
            for label, (x, y) in curves.items():
                if np.shape(x) != np.shape(y):
                    raise ValueError(
                        f"curve {label!r} must have as many x as y, got {np.shape(x)} and {np.shape(y)}"
                    )
                look: Any = {"highlighted": label == highlight, "markers": markers}
                lines[name][label] = plot(axes[name], x, y, labels.index(label), **look)
        for unused in grid[len(panels) :]:
            unused.remove()
        for i, ax in enumerate(axes.values()):
            if i + num_columns >= len(panels):  # nothing below
                ax.set_xlabel(xlabel)
                ax.tick_params(labelbottom=True)
            if i % num_columns == 0:
                ax.set_ylabel(ylabel)
            log_ticks(ax.yaxis)
            log_ticks(ax.xaxis)
            if num_columns < 3:
                label_ends(ax, lines[ax.get_title()])
        handles = [
            next(found[label] for found in lines.values() if label in found) for label in labels
        ]
        legend = legend_below(figure, handles, labels) if num_columns == 3 else None
    return Drawing(figure, axes, {"lines": lines, "legend": legend})


def plot(
    ax: "Axes",
    x: np.ndarray,
    y: np.ndarray,
    position: int,
    *,
    highlighted: bool = False,
    markers: bool = False,
) -> Any:
    """Plots the curve of that position in a cycle of colours and dashes; what the scale cannot show is a gap."""
    values = np.asarray(y, float)
    low, high = (1e-280, 1e280) if ax.get_yscale() == "log" else (-np.inf, np.inf)
    shown = np.where(np.isfinite(values) & (low <= values) & (values <= high), values, np.nan)
    colour, dashes = CYCLE[position % len(CYCLE)], DASHES[position % len(DASHES)]
    look: Any = {"linestyle": dashes, "linewidth": 1.4}
    if highlighted:
        look = {"linestyle": "-", "linewidth": 2.8, "zorder": 3}
    marker = "o" if markers or np.isfinite(shown).sum() == 1 else None
    return ax.plot(x, shown, color=colour, marker=marker, markersize=4, **look)[0]


def label_ends(ax: "Axes", lines: Mapping[str, Any]) -> None:
    """Writes each label to the right of the axes at its line's last value, moved apart where they
    would overlap.

    In a figure without a layout engine, which leaves no room there, the axes get a legend instead.
    """
    if ax.get_figure(root=True).get_layout_engine() is None:  # type: ignore[union-attr]
        ax.legend(lines.values(), lines.keys(), fontsize=8, frameon=False)
        return
    ends = []
    ax.get_ylim()  # lets the scale settle, on which the places depend
    for label, line in lines.items():
        values = np.asarray(line.get_ydata(), float)
        finite = values[np.isfinite(values)]
        if finite.size:
            place = ax.transAxes.inverted().transform(ax.transData.transform((1.0, finite[-1])))[1]
            ends.append((float(place), label, line.get_color()))
        else:
            ends.append((0.0, f"{label}: nothing to show", line.get_color()))
    gap = (
        9 * 1.2 / (72 * ax.get_position().height * ax.figure.bbox.height / ax.figure.dpi)
    )  # a line of text
    if not ends:
        return
    ends.sort()
    places = _apart([place for place, _, _ in ends], gap)
    for place, (_, label, colour) in zip(places, ends, strict=True):
        ax.annotate(
            label,
            (1.01, place),
            xycoords="axes fraction",
            color=colour,
            fontsize=9,
            va="center",
            annotation_clip=False,
        )


def _apart(places: Sequence[float], gap: float) -> np.ndarray:
    """Moves sorted places as little as it takes until neighbours are `gap` apart and none is above 1."""
    from scipy.optimize import isotonic_regression

    steps = gap * np.arange(len(places))
    lowest = isotonic_regression(np.array(places) - steps).x
    return np.clip(lowest, 0.0, max(0.0, 1.0 - max(steps, default=0.0))) + steps


def legend_below(figure: Any, handles: Sequence[Any], labels: Sequence[str]) -> Any:
    """A legend under the panels, in as few rows as its columns have room in."""
    for num_rows in range(1, len(labels) + 1):
        per_row = math.ceil(len(labels) / num_rows)
        longest = [
            max(map(len, column)) for column in np.array_split(np.array(labels, object), per_row)
        ]
        if (
            sum(0.08 * length + 0.65 for length in longest) < figure.get_figwidth()
        ):  # inches of text and a line sample
            break
    return figure.legend(
        handles, labels, loc="outside lower center", ncols=per_row, frameon=False, handlelength=3
    )
