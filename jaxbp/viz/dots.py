"""Numbers of many sizes as dots on a logarithmic axis, a row for each thing that they are of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxbp.viz.style import CYCLE, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = ("o", "s", "^", "D", "v", "P")


@dataclass(frozen=True)
class Dots:
    """What `draw_dots` drew: the axes, the dots of each series, a line for each reference."""

    ax: "Axes"
    dots: dict[str, Any]
    references: dict[str, Any]


def draw_dots(
    rows: Mapping[str, Mapping[str, float]],
    *,
    xlabel: str,
    title: str = "",
    references: Mapping[str, float] | None = None,
    ax: "Axes | None" = None,
) -> Dots:
    """Draws a row of dots for each label, a colour and a shape for each series.

    Args:
        rows: by row, then by series, a number of at least 0; zeros stand at the left edge as open dots, what is not
            finite is left out.
        xlabel: of the abscissa, with its unit.
        title: above the panel.
        references: levels to compare with, by label, as dotted lines.
        ax: where to draw; a new figure unless given.

    Returns:
        The artists.

    Raises:
        ValueError: a number is negative, or none is above 0.
    """
    for label, row in rows.items():
        for name, value in row.items():
            if value < 0:
                raise ValueError(f"rows must hold numbers of at least 0, got {value!r} for {name!r} of {label!r}")
    values = [value for row in rows.values() for value in row.values() if 0 < value < np.inf]
    if not values:
        raise ValueError("rows must hold at least one positive number, got none")
    levels = [*values, *(references or {}).values()]
    left = 10 ** (np.floor(np.log10(min(levels))) - 0.5)
    series = list(dict.fromkeys(name for row in rows.values() for name in row))
    with style():
        if ax is None:
            import matplotlib.pyplot as plt

            ax = plt.figure(figsize=(8.4, 0.42 * len(rows) + 1.5), layout="constrained").subplots()
        ax.set(xscale="log", xlabel=xlabel, title=title, ylim=(len(rows) - 0.5, -0.5))
        ax.set_yticks(range(len(rows)), list(rows))
        ax.grid(axis="x", alpha=0.25, linewidth=0.6)
        ax.tick_params(axis="y", length=0)
        dots = {}
        for i, name in enumerate(series):
            places = [(row[name], y) for y, row in enumerate(rows.values()) if name in row and np.isfinite(row[name])]
            if not places:
                continue
            x, y = (np.array(column, float) for column in zip(*places, strict=True))
            y += (i - (len(series) - 1) / 2) * min(0.16, 0.6 / len(series))
            faces = [CYCLE[i % len(CYCLE)] if value > 0 else "white" for value in x]
            dots[name] = ax.scatter(
                np.where(x > 0, x, left), y, s=42, marker=MARKERS[i % len(MARKERS)], c=faces,
                edgecolors=CYCLE[i % len(CYCLE)], zorder=3, label=name,
            )  # fmt: skip
        lines = {}
        for label, level in (references or {}).items():
            lines[label] = ax.axvline(level, color="0.35", linestyle=":", linewidth=1.4)
            ax.annotate(
                f" {label}", (level, 1.0), xycoords=("data", "axes fraction"), fontsize=9, va="top", color="0.35"
            )
        ax.set_xlim(left / 1.5, 10 ** (np.ceil(np.log10(max(levels))) + 0.3))
        if len(series) > 1:
            from matplotlib.lines import Line2D

            looks = [(CYCLE[i % len(CYCLE)], MARKERS[i % len(MARKERS)]) for i in range(len(series))]
            handles = [Line2D([], [], linestyle="", color=colour, marker=marker) for colour, marker in looks]
            columns = min(3, len(series))
            ax.figure.legend(handles, series, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    return Dots(ax, dots, lines)
