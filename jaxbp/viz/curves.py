"""Curves over steps, seconds or layers: in one panel or in a grid of panels."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxbp.viz.scales import log_ticks
from jaxbp.viz.style import CYCLE, DASHES, GREY, WIDTH, Drawing, new_figure, panel, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

MARKED = 8  # points of a curve that are marked
Panels = Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]]


def draw_curves(
    x: np.ndarray,
    curves: Mapping[str, np.ndarray],
    *,
    xlabel: str = "step",
    ylabel: str = "loss",
    title: str = "",
    references: Mapping[str, float] | None = None,
    ax: "Axes | None" = None,
) -> Drawing:
    """Draw positive curves over a common abscissa, on a logarithmic axis, labelled at their ends.

    Args:
        x: (n,).
        curves: by label, (n,) each; NaN, infinite and non-positive values leave gaps.
        xlabel: the abscissa, with its unit.
        ylabel: the ordinate, with its unit.
        title: above the panel.
        references: levels to compare with, by label, as dotted lines.
        ax: where to draw; a new figure unless given.

    Returns:
        The drawing; artists `lines` and `references` by label.

    Raises:
        ValueError: a curve has another length than x.

    Examples:
        >>> import numpy as np
        >>> from jaxbp import viz
        >>> steps = np.arange(5)
        >>> drawing = viz.draw_curves(steps, {"training": 0.5**steps, "held out": 0.7**steps})
        >>> sorted(drawing.artists["lines"])
        ['held out', 'training']
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
        lines = {label: plot(ax, x, values, i) for i, (label, values) in enumerate(curves.items())}
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
    highlight: str = "",
) -> Drawing:
    """Draw curves in a grid of panels, labelled at their ends or, in three columns, in a legend.

    A label has the same colour and dashes in each panel. The points of short curves are marked.

    Args:
        panels: by title, then by label, x and y (n,) each. Values that the scale cannot show leave
            gaps.
        xlabel: every abscissa, with its unit.
        ylabel: every ordinate, with its unit.
        title: above the figure.
        xscale: "linear" or "log".
        yscale: "linear" or "log".
        share_y: whether all panels have the same ordinate.
        highlight: the label of the curves to draw thick and solid.

    Returns:
        The drawing; `axes` by title, artists `lines` by title and label, `legend` or None.

    Raises:
        ValueError: there is no panel, or a curve's x and y differ in length.

    Examples:
        >>> import numpy as np
        >>> from jaxbp import viz
        >>> x = np.arange(1.0, 5.0)
        >>> panels = {"one": {"a": (x, x)}, "two": {"a": (x, x**2)}}
        >>> list(viz.draw_panels(panels, xlabel="x", ylabel="y").axes)
        ['one', 'two']
    """
    if not panels:
        raise ValueError("panels must hold at least one panel, got none")
    labels = list(dict.fromkeys(label for curves in panels.values() for label in curves))
    num_columns = next(n for n in (3, 2, 1) if n <= len(panels) and (len(panels) != 4 or n < 3))
    num_rows = -(-len(panels) // num_columns)
    with style():
        figure = new_figure(WIDTH, (3.6 if num_columns == 1 else 2.7) * num_rows + 0.7, title)
        axes = panel_grid(figure, panels, num_columns, xlabel, ylabel, share_y=share_y)
        lines: dict[str, dict[str, Any]] = {}
        for name, curves in panels.items():
            ax, lines[name] = axes[name], {}
            ax.set(xscale=xscale, yscale=yscale, title=name, xmargin=0.02)
            ax.grid(alpha=0.25, linewidth=0.6)
            for label, (x, y) in curves.items():
                if np.shape(x) != np.shape(y):
                    raise ValueError(
                        f"curve {label!r} must have as many x as y, "
                        f"got {np.shape(x)} and {np.shape(y)}"
                    )
                lines[name][label] = plot(ax, x, y, labels.index(label), label == highlight)
        for name, ax in axes.items():
            log_ticks(ax.yaxis)
            log_ticks(ax.xaxis)
            if num_columns < 3:
                label_ends(ax, lines[name])
        known = {label: line for found in reversed(lines.values()) for label, line in found.items()}
        handles = [known[label] for label in labels]
        legend = legend_below(figure, handles, labels) if num_columns == 3 else None
    return Drawing(figure, axes, {"lines": lines, "legend": legend})


def panel_grid(
    figure: "Figure | SubFigure",
    names: Collection[str],
    num_columns: int,
    xlabel: str,
    ylabel: str,
    share_x: bool = True,
    share_y: bool = True,
) -> "dict[str, Axes]":
    """Make a panel for each name, in rows; labels stand at the outer panels only."""
    num_rows = -(-len(names) // num_columns)
    grid = figure.subplots(num_rows, num_columns, sharex=share_x, sharey=share_y, squeeze=False)
    axes = dict(zip(names, grid.ravel(), strict=False))
    for unused in grid.ravel()[len(names) :]:
        unused.remove()
    for i, ax in enumerate(axes.values()):
        if i + num_columns >= len(names):  # nothing below
            ax.set_xlabel(xlabel)
            ax.tick_params(labelbottom=True)
        if i % num_columns == 0:
            ax.set_ylabel(ylabel)
    return axes


def plot(ax: "Axes", x: Any, y: Any, position: int, highlighted: bool = False) -> Any:
    """Plot a curve in the look of its position; numbers beyond the scale leave gaps."""
    values = np.asarray(y, float)
    low, high = (1e-280, 1e280) if ax.get_yscale() == "log" else (-np.inf, np.inf)
    shown = np.where((low <= values) & (values <= high) & np.isfinite(values), values, np.nan)
    return ax.plot(
        x,
        shown,
        color=CYCLE[position % len(CYCLE)],
        linestyle="-" if highlighted else DASHES[position % len(DASHES)],
        linewidth=2.8 if highlighted else 1.4,
        zorder=3 if highlighted else 2,
        marker="o" if np.isfinite(shown).sum() <= MARKED else None,
        markersize=4,
    )[0]


def label_ends(ax: "Axes", lines: Mapping[str, Any]) -> None:
    """Write each label to the right of its line's last value, moved where labels would overlap.

    In a figure without a layout engine, which leaves no room there, the axes get a legend instead.
    """
    if ax.get_figure(root=True).get_layout_engine() is None:  # type: ignore[union-attr]
        ax.legend(lines.values(), lines.keys(), fontsize=8, frameon=False)
        return
    from scipy.optimize import isotonic_regression

    ends = []
    ax.get_ylim()  # lets the scale settle, on which the places depend
    to_axes = ax.transData + ax.transAxes.inverted()
    for label, line in lines.items():
        values = np.asarray(line.get_ydata(), float)
        finite = values[np.isfinite(values)]
        place = float(to_axes.transform((1.0, finite[-1]))[1]) if finite.size else 0.0
        ends.append(
            (place, label if finite.size else f"{label}: nothing to show", line.get_color())
        )
    if not ends:
        return
    ends.sort()
    # The nearest places that are a line of text apart and not above 1.
    height = ax.get_position().height * ax.figure.bbox.height / ax.figure.dpi  # inches
    steps = np.arange(len(ends)) * 9 * 1.2 / (72 * height)
    lowest = isotonic_regression(np.array([end[0] for end in ends]) - steps).x
    places = np.clip(lowest, 0.0, max(0.0, 1.0 - steps[-1])) + steps
    look: Any = {"xycoords": "axes fraction", "fontsize": 9, "va": "center"}
    for place, (_, label, colour) in zip(places, ends, strict=True):
        ax.annotate(label, (1.01, place), color=colour, annotation_clip=False, **look)


def legend_below(figure: "Figure", handles: Sequence[Any], labels: Sequence[str]) -> Any:
    """Make a legend under the panels, in as few rows as its columns have room in."""
    for num_rows in range(1, len(labels) + 1):
        per_row = -(-len(labels) // num_rows)
        columns = np.array_split(np.array(labels, object), per_row)
        inches = sum(0.08 * max(map(len, column)) + 0.65 for column in columns)
        if inches < figure.get_figwidth():
            break
    return figure.legend(
        handles, labels, loc="outside lower center", ncols=per_row, frameon=False, handlelength=3
    )
