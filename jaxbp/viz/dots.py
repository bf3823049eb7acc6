"""Numbers as dots, a row for each thing that they are of."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxbp.viz.curves import legend_below
from jaxbp.viz.style import CYCLE, GREY, WIDTH, Drawing, new_figure, style
from jaxbp.viz.ticks import log_ticks

MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # one more than colours, so that 42 series differ
Rows = Mapping[str, Mapping[str, float]]


def draw_dots(
    rows: Rows,
    *,
    xlabel: str | Mapping[str, str],
    title: str = "",
    references: Mapping[str, float] | None = None,
) -> Drawing:
    """Draws a row of dots for each label, a colour and a shape for each series.

    Args:
        rows: by row, then by series, a number of at least 0; zeros are open dots at the left edge,
            what is not finite is left out.
        xlabel: the abscissa, with its unit; or that of each row: the rows of one quantity then
            share a panel and an axis of their own, logarithmic where they differ by more than a
            factor of 100. A label that ends with its quantity in brackets, which tells it from the
            same row of another one, is shown without.
        title: above the figure.
        references: levels to compare with, by label, as dotted lines.

    Returns:
        The drawing; panels by quantity; artists `dots` by series, a list with one for each panel
        that has them, and `references` by label.

    Raises:
        ValueError: a number is negative, none is above 0, or a row has no quantity.
    """
    for label, row in rows.items():
        for name, value in row.items():
            if value < 0:
                raise ValueError(
                    f"rows must hold numbers of at least 0, got {value!r} for {name!r} of {label!r}"
                )
    if not any(0 < value < np.inf for row in rows.values() for value in row.values()):
        raise ValueError("rows must hold at least one positive number, got none")
    quantities = {label: xlabel if isinstance(xlabel, str) else xlabel.get(label) for label in rows}
    for label, quantity in quantities.items():
        if quantity is None:
            raise ValueError(f"xlabel must name the quantity of every row, got none for {label!r}")
    panels: dict[str, dict[str, Mapping[str, float]]] = {}
    for label, row in rows.items():
        panels.setdefault(str(quantities[label]), {})[label] = row
    series = list(dict.fromkeys(name for row in rows.values() for name in row))
    with style():
        heights = [0.4 * len(some) + 0.15 for some in panels.values()]
        figure = new_figure(WIDTH, sum(heights) + 0.62 * len(panels) + 0.7, title)
        grid = figure.subplots(len(panels), squeeze=False, gridspec_kw={"height_ratios": heights})[
            :, 0
        ]
        axes = dict(zip(panels, grid, strict=True))
        dots: dict[str, list[Any]] = {name: [] for name in series}
        lines: dict[str, Any] = {}
        for quantity, some in panels.items():
            ax = axes[quantity]
            left = _scale(ax, some, references or {})
            ax.set(xlabel=quantity, ylim=(len(some) - 0.5, -0.5))
            ax.set_yticks(
                range(len(some)), [label.removesuffix(f" ({quantity})") for label in some]
            )
            ax.grid(axis="x", alpha=0.25, linewidth=0.6)
            ax.tick_params(axis="y", length=0, pad=9)  # a dot at the left edge is as wide
            for i, name in enumerate(series):
                places = [
                    (row[name], y)
                    for y, row in enumerate(some.values())
                    if np.isfinite(row.get(name, np.nan))
                ]
                if places:
                    dots[name].append(
                        _draw_series(ax, np.array(places, float), i, len(series), left)
                    )
            above, end = 0, 0.0
            for label, level in sorted((references or {}).items(), key=lambda pair: pair[1]):
                lines[label] = ax.axvline(level, color=GREY, linestyle=":", linewidth=1.4)
                place = float(
                    ax.transAxes.inverted().transform(ax.transData.transform((level, 0.0)))[0]
                )
                above = (
                    above + 1 if place < end else 0
                )  # above the label before, which it would cover
                end = place + 0.013 * (len(label) + 2)
                options: Any = {
                    "xytext": (0, 11 * above),
                    "textcoords": "offset points",
                    "fontsize": 9,
                    "color": GREY,
                }
                ax.annotate(
                    f" {label}", (level, 1.0), xycoords=("data", "axes fraction"), **options
                )
        if len(series) > 1:
            from matplotlib.lines import Line2D

            looks = [(CYCLE[i % len(CYCLE)], MARKERS[i % len(MARKERS)]) for i in range(len(series))]
            handles = [
                Line2D([], [], linestyle="", color=colour, marker=marker)
                for colour, marker in looks
            ]
            legend_below(figure, handles, series)
    found = {name: some for name, some in dots.items() if some}
    return Drawing(figure, axes, {"dots": found, "references": lines})


def _scale(ax: Any, rows: Rows, references: Mapping[str, float]) -> float:
    """Scales an axis to all positive numbers: from 0 where they are near each other, else
    logarithmically.

    Returns:
        Where on it zeros stand.
    """
    values = [value for row in rows.values() for value in row.values() if 0 < value < np.inf]
    logs = np.log10([*values, *references.values()] or [1.0])
    low, high = float(logs.min()), float(logs.max())
    if high - low < 2 and not references:
        ax.set_xlim(0, 1.08 * 10**high)
        return 0.0
    ends = low - max(0.5, 0.04 * (high - low)), high + max(0.3, 0.02 * (high - low))
    left, right = 10.0 ** max(ends[0], -306.0), 10.0 ** min(ends[1], 308.0)
    ax.set(xscale="log", xlim=(left / 1.3, right))
    log_ticks(ax.xaxis)
    return float(left)


def _draw_series(ax: Any, places: np.ndarray, position: int, num_series: int, left: float) -> Any:
    """The dots of one series at places (n, 2) of value and row, zeros open at the left edge."""
    values, y = places.T
    y = y + (position - (num_series - 1) / 2) * min(0.16, 0.6 / num_series)
    colour = CYCLE[position % len(CYCLE)]
    options: Any = {"marker": MARKERS[position % len(MARKERS)], "edgecolors": colour, "zorder": 3}
    faces = [colour if value > 0 else "white" for value in values]
    for row in y[values == 0]:
        ax.annotate(
            "0",
            (left, row),
            (8, 0),
            textcoords="offset points",
            fontsize=8,
            va="center",
            color=colour,
        )
    return ax.scatter(
        np.where(values > 0, values, left), y, s=42, c=faces, clip_on=False, **options
    )
