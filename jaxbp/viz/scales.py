"""Scales: levels, norms, error scales, colour bars, and the numbers at an axis."""

from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxbp.viz.style import exponent_of, number, power

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUM_LEVELS = 18  # about so many filled bands over the range of a surface
LABEL_WIDTH = 0.55  # inches that a power of ten and the gap beside it take
TINY = 1e-300  # the scale of an error that is 0 everywhere, so that it has one


class ErrorScale(NamedTuple):
    """Scale of a signed error, from -limit to limit.

    Attributes:
        limit: the largest | error |, or the 99th percentile where the largest is more than twice
            that.
        largest: the signed error of the largest size, NaN without a finite one.
        place: the index of its point.
        clipped: whether the limit is the percentile.
    """

    limit: float
    largest: float
    place: int
    clipped: bool


def error_scale(error: np.ndarray) -> ErrorScale:
    """Return the scale of the finite numbers of a signed error (n,)."""
    sizes = np.where(np.isfinite(error), np.abs(error), -1.0)
    place = int(sizes.argmax())
    largest = float(sizes[place])
    if largest < 0:
        return ErrorScale(1.0, np.nan, place, False)
    percentile = float(np.percentile(sizes[sizes >= 0], 99))
    clipped = largest > 2 * percentile > 0
    limit = max(percentile if clipped else largest, TINY)
    return ErrorScale(limit, float(error[place]), place, clipped)


def contour_levels(values: np.ndarray) -> np.ndarray:
    """Return about 18 round levels over the range of the finite values."""
    from matplotlib.ticker import MaxNLocator

    norm = linear_norm(values)
    low, high = norm.vmin, norm.vmax
    constant = high - low <= 1e-12 * max(abs(low), abs(high))
    if constant:
        half = 0.5 * max(1.0, abs(low))
        low, high = low - half, high + half
    levels = np.asarray(MaxNLocator(NUM_LEVELS, steps=[1, 2, 2.5, 4, 5, 10]).tick_values(low, high))
    # A constant amid a band: on the border of two, rounding would choose its colour.
    return levels + 0.5 * (levels[1] - levels[0]) if constant else levels


def asinh_norm(values: np.ndarray, *, symmetric: bool) -> Any:
    """Return a scale of the finite values, linear up to their median size, then logarithmic.

    A symmetric one reaches as far below 0 as above.
    """
    from matplotlib.colors import AsinhNorm

    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    limit, median = (float(sizes.max()), float(np.median(sizes))) if sizes.size else (TINY, TINY)
    norm = linear_norm(values)
    low, high = (-limit, limit) if symmetric else (norm.vmin, norm.vmax)
    return AsinhNorm(linear_width=max(median, 1e-6 * limit), vmin=low, vmax=high)


def linear_norm(values: np.ndarray) -> Any:
    """Return a linear scale of the finite values."""
    from matplotlib.colors import Normalize

    finite = values[np.isfinite(values)]
    return Normalize(finite.min(), finite.max()) if finite.size else Normalize(0.0, 1.0)


def add_bar(ax: "Axes", drawn: Any, label: str = "", **options: Any) -> None:
    """Add a colour bar beside a map, as high as the map; label and power of ten stand below it."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

    bar = ax.figure.colorbar(drawn, cax=ax.inset_axes((1.04, 0.0, 0.05, 1.0)), **options)
    size, span = max(abs(drawn.norm.vmin), abs(drawn.norm.vmax)), drawn.norm.vmax - drawn.norm.vmin
    exponent = exponent_of(size)
    near = np.isfinite(span) and 0 < span < size
    digits = 3 + (int(np.log10(size / span)) if near else 0)  # enough to tell the ends apart
    levels: Any = getattr(drawn, "levels", ())
    every = max(1, len(levels) // 6)
    bar.locator = FixedLocator(levels[::every]) if len(levels) else MaxNLocator(5)
    bar.formatter = FuncFormatter(lambda value, _: number(value * 10.0**-exponent, digits))
    bar.update_ticks()
    text = fill(f"{label} {power(exponent)}".strip(), 16)
    ax.text(1.08, -0.055, text, transform=ax.transAxes, va="top")


def bar_below(figure: "Figure", drawn: Any, axes: "list[Axes]", label: str) -> Any:
    """Add one colour bar under several panels, with its ends and its middle numbered."""
    bar = figure.colorbar(drawn, ax=axes, location="bottom", pad=0.02, aspect=40, fraction=0.05)
    low, high = drawn.norm.vmin, drawn.norm.vmax
    ticks = [low, (low + high) / 2, high]
    shown = [tick if abs(tick) > 1e-3 * (high - low) else 0.0 for tick in ticks]
    bar.set_ticks(ticks, labels=[*map(number, shown)])
    bar.minorticks_off()
    bar.set_label(label)
    return bar


def log_ticks(axis: Any) -> None:
    """Number a logarithmic axis whose own ticks would overlap, or leave the floats.

    Over less than two decades they stand at 1, 2 and 5 times powers of ten, beside each other at 1
    and 3 times, or evenly where these are too far apart; over more than ten at every so many
    powers, counted from 1, as many as there is room for.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    low, high = sorted(axis.get_view_interval())
    if axis.get_scale() != "log" or not 0 < low < high:
        return
    first, last = np.log10((low, high))
    if last - first > 10:
        width = axis.axes.get_position().width * axis.get_figure().get_figwidth()
        room = 5 if axis.axis_name == "y" else np.clip(width // LABEL_WIDTH, 2, 5)
        wanted = np.ceil((last - first) / room)
        every = next((step for step in (10, 20, 25, 50, 100, 200) if step >= wanted > 6), wanted)
        if np.floor(last / every) == np.ceil(first / every):  # a single one tells no scale
            every = every // 2
        powers = every * np.arange(np.ceil(first / every), np.floor(last / every) + 1)
        axis.set_ticks(10.0**powers)
    elif last - first < 2:
        powers = 10.0 ** np.arange(np.floor(first), np.ceil(last) + 1)
        wide = axis.axis_name == "x" and last - first > 1
        ticks: Any = np.outer(powers, (1, 3) if wide else (1, 2, 5)).ravel()
        if ((low <= ticks) & (ticks <= high)).sum() < 2:
            ticks = np.asarray(MaxNLocator(3).tick_values(low, high))
        axis.set_ticks(ticks[(low <= ticks) & (ticks <= high)])
        digits = 4 + int(max(0.0, -np.log10(high / low - 1)))  # enough to tell the ends apart
        axis.set_major_formatter(FuncFormatter(lambda value, _: number(value, digits)))
    else:
        return
    axis.set_ticks([], minor=True)


def power_of_ten(axis: Any, size: float, label: str) -> None:
    """Number an axis in units of the power of ten of `size`, which its label names."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    exponent = exponent_of(size)
    axis.set_major_locator(MaxNLocator(4))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value * 10.0**-exponent)))
    axis.set_label_text(f"{label} {power(exponent)}".rstrip())
