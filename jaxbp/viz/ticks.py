"""The numbers at an axis where matplotlib's own would overlap, leave the floats or hide their power of ten."""

from typing import Any

import numpy as np

from jaxbp.viz.style import exponent_of, number, power


def log_ticks(axis: Any) -> None:
    """Numbers a logarithmic axis whose own ticks would overlap, or leave the floats.

    Over less than two decades they stand at 1, 2 and 5 times powers of ten, beside each other at 1
    and 3 times, or evenly where these are too far apart; over more than ten at every so many
    powers, counted from 1.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    low, high = sorted(axis.get_view_interval())
    if axis.get_scale() != "log" or not 0 < low < high:
        return
    first, last = np.log10((low, high))
    if last - first > 10:
        wanted = np.ceil((last - first) / 5)
        every = next((step for step in (10, 20, 25, 50, 100, 200) if step >= wanted > 5), wanted)
        axis.set_ticks(
            10.0 ** (every * np.arange(np.ceil(first / every), np.floor(last / every) + 1))
        )
    elif last - first < 2:
        powers = 10.0 ** np.arange(np.floor(first), np.ceil(last) + 1)
        wide = axis.axis_name == "x" and last - first > 1
        ticks: Any = np.outer(powers, (1, 3) if wide else (1, 2, 5)).ravel()
        if ((low <= ticks) & (ticks <= high)).sum() < 2:
            ticks = np.asarray(MaxNLocator(3).tick_values(low, high))
        axis.set_ticks(ticks[(low <= ticks) & (ticks <= high)])
        digits = 4 + int(max(0.0, -np.log10(high / low - 1)))  # that tell the ends apart
        axis.set_major_formatter(FuncFormatter(lambda value, _: number(value, digits)))
    else:
        return
    axis.set_ticks([], minor=True)


def power_of_ten(axis: Any, size: float, label: str) -> None:
    """Numbers an axis in units of the power of ten of `size`, and says so in its label."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    exponent = exponent_of(size)
    axis.set_major_locator(MaxNLocator(4))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value * 10.0**-exponent)))
    axis.set_label_text(f"{label} {power(exponent)}".rstrip())
