"""Scales of values: levels, norms, how an error is shown, and the colour bars that say so."""

from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxbp.viz.style import exponent_of, number, power

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUM_LEVELS = 18  # about so many filled bands over the range of a surface
TINY = 1e-300  # the scale of an error that is 0 everywhere, so that it has one


class ErrorScale(NamedTuple):
    """How an error is shown: the scale runs from -limit to limit.

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
    """Measures a signed error (n,); what is not finite is left out."""
    sizes = np.where(np.isfinite(error), np.abs(error), -1.0)
    place = int(sizes.argmax())
    largest = float(sizes[place])
    if largest < 0:
        return ErrorScale(1.0, np.nan, place, False)
    percentile = float(np.percentile(sizes[sizes >= 0], 99))
    clipped = largest > 2 * percentile > 0
    return ErrorScale(
        max(percentile if clipped else largest, TINY), float(error[place]), place, clipped
    )


def contour_levels(values: np.ndarray) -> np.ndarray:
    """About 18 round levels over the range of the finite values."""
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
    """A scale over the finite values, or as far below 0 as above, linear up to their median size, then logarithmic."""
    from matplotlib.colors import AsinhNorm

    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    limit, median = (float(sizes.max()), float(np.median(sizes))) if sizes.size else (TINY, TINY)
    low, high = (
        (-limit, limit) if symmetric else (linear_norm(values).vmin, linear_norm(values).vmax)
    )
    return AsinhNorm(linear_width=max(median, 1e-6 * limit), vmin=low, vmax=high)


def linear_norm(values: np.ndarray) -> Any:
    """A scale over the finite values."""
    from matplotlib.colors import Normalize

    finite = values[np.isfinite(values)]
    return Normalize(finite.min(), finite.max()) if finite.size else Normalize(0.0, 1.0)


def add_bar(ax: "Axes", drawn: Any, label: str = "", **options: Any) -> None:
    """Puts a colour bar at the right of a panel, exactly as high as its map; label and power of ten stand below it."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

    bar = ax.figure.colorbar(drawn, cax=ax.inset_axes((1.04, 0.0, 0.05, 1.0)), **options)
    size, span = max(abs(drawn.norm.vmin), abs(drawn.norm.vmax)), drawn.norm.vmax - drawn.norm.vmin
    exponent = exponent_of(size)
    digits = 3 + (
        int(np.log10(size / span)) if np.isfinite(span) and 0 < span < size else 0
    )  # that tell ends apart
    levels = getattr(drawn, "levels", None)
    bar.locator = (
        MaxNLocator(5) if levels is None else FixedLocator(levels[:: max(1, len(levels) // 6)])
    )
    bar.formatter = FuncFormatter(lambda value, _: number(value * 10.0**-exponent, digits))
    bar.update_ticks()
    text = fill(f"{label} {power(exponent)}".strip(), 16)
    ax.text(1.08, -0.055, text, transform=ax.transAxes, va="top")


def bar_below(figure: "Figure", drawn: Any, axes: "list[Axes]", label: str) -> Any:
    """Puts one colour bar under several panels, with its ends and its middle numbered."""
    bar = figure.colorbar(drawn, ax=axes, location="bottom", pad=0.02, aspect=40, fraction=0.05)
    low, high = drawn.norm.vmin, drawn.norm.vmax
    ticks = [low, (low + high) / 2, high]
    bar.set_ticks(
        ticks, labels=[number(tick if abs(tick) > 1e-3 * (high - low) else 0.0) for tick in ticks]
    )
    bar.minorticks_off()
    bar.set_label(label)
    return bar
