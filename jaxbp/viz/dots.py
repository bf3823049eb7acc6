"""Numbers as dots, a row for each thing that they belong to."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxbp.viz.curves import legend_below
from jaxbp.viz.scales import log_ticks
from jaxbp.viz.style import CYCLE, WIDTH, Drawing, new_figure, style

MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # one more than colours, so that 42 series differ
Rows = Mapping[str, Mapping[str, float]]


def draw_dots(rows: Rows, *, xlabel: str | Mapping[str, str], title: str = "") -> Drawing:
    """Draw a row of dots for each label, a colour and a shape for each series.

    Args:
        rows: by row, then by series, a number of at least 0; zeros are open dots at the left edge,
            numbers that are not finite are left out.
        xlabel: the abscissa, with its unit; or that of each row: the rows of one quantity then
            share a panel and an axis of their own, logarithmic where they differ by more than a
            factor of 100. A label that ends with its quantity in brackets is shown without.
        title: above the figure.

    Returns:
        The drawing; panels by quantity; artists `dots` by series, a list with one for each panel
        that has them.

    Raises:
        ValueError: a number is negative, none is above 0, or a row has no quantity.

    Examples:
        >>> from jaxbp import viz
        >>> rows = {"by hand": {"seconds": 1.0}, "autodiff": {"seconds": 1.2}}
        >>> drawing = viz.draw_dots(rows, xlabel="seconds")
    """
    for label, row in rows.items():
        for name, value in row.items():
            if value < 0:
                raise ValueError(
                    f"rows must hold numbers of at least 0, got {value!r} for {name!r} of {label!r}"
                )
    if not any(0 < value < np.inf for row in rows.values() for value in row.values()):
        raise ValueError("rows must hold at least one positive number, got none")
    panels: dict[str, Rows] = {}
    for label, row in rows.items():
        quantity = xlabel if isinstance(xlabel, str) else xlabel.get(label)
        if quantity is None:
            raise ValueError(f"xlabel must name the quantity of every row, got none for {label!r}")
        panels[quantity] = {**panels.get(quantity, {}), label: row}
    series = list(dict.fromkeys(name for row in rows.values() for name in row))
    with style():
        heights = [0.4 * len(some) + 0.15 for some in panels.values()]
        figure = new_figure(WIDTH, sum(heights) + 0.62 * len(panels) + 0.7, title)
        grid = figure.subplots(len(panels), squeeze=False, height_ratios=heights)[:, 0]
        axes = dict(zip(panels, grid, strict=True))
        dots: dict[str, list[Any]] = {}
        for quantity, some in panels.items():
            ax = axes[quantity]
            left = _scale(ax, some)
            ax.set(xlabel=quantity, ylim=(len(some) - 0.5, -0.5))
            shown = [label.removesuffix(f" ({quantity})") for label in some]
            ax.set_yticks(range(len(some)), shown)
            ax.grid(axis="x", alpha=0.25, linewidth=0.6)
            ax.tick_params(axis="y", length=0, pad=9)  # a dot at the left edge is as wide
            for i, name in enumerate(series):
                values = np.array([row.get(name, np.nan) for row in some.values()], float)
                if np.isfinite(values).any():
                    drawn = _draw_series(ax, values, i, len(series), left)
                    dots.setdefault(name, []).append(drawn)
        if len(series) > 1:
            looks = [_look(position) for position in range(len(series))]
            handles = [ax.scatter([], [], c=look["edgecolors"], **look) for look in looks]
            legend_below(figure, handles, series)
    return Drawing(figure, axes, {"dots": dots})


def _look(position: int) -> dict[str, Any]:
    colour = CYCLE[position % len(CYCLE)]
    return {"marker": MARKERS[position % len(MARKERS)], "edgecolors": colour, "s": 42}


def _scale(ax: Any, rows: Rows) -> float:
    """Scale an axis: from 0 where the positive numbers are near each other, else logarithmically.

    Returns:
        The place of zeros.
    """
    values = [value for row in rows.values() for value in row.values() if 0 < value < np.inf]
    logs = np.log10(values or [1.0])
    low, high = float(logs.min()), float(logs.max())
    if high - low < 2:
        ax.set_xlim(0, 1.08 * 10**high)
        return 0.0
    left = 10.0 ** max(low - max(0.5, 0.04 * (high - low)), -306.0)
    right = 10.0 ** min(high + max(0.3, 0.02 * (high - low)), 308.0)
    ax.set(xscale="log", xlim=(left / 1.3, right))
    log_ticks(ax.xaxis)
    return float(left)


def _draw_series(ax: Any, values: np.ndarray, position: int, count: int, left: float) -> Any:
    """Draw the dots of one series, a number for each row; zeros are open, at the left edge."""
    look = _look(position)
    rows = np.flatnonzero(np.isfinite(values))
    values = values[rows]
    y = rows + (position - (count - 1) / 2) * min(0.16, 0.6 / count)
    text: Any = {"textcoords": "offset points", "fontsize": 8, "va": "center"}
    for row in y[values == 0]:
        ax.annotate("0", (left, row), (8, 0), color=look["edgecolors"], **text)
    faces = [look["edgecolors"] if value > 0 else "white" for value in values]
    places = np.where(values > 0, values, left)
    return ax.scatter(places, y, c=faces, clip_on=False, zorder=3, **look)
