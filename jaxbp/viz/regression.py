"""A fit of any number of inputs: predicted against true values, errors, cuts through a point."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxbp.viz.curves import panel_grid
from jaxbp.viz.scales import power_of_ten
from jaxbp.viz.style import BLUE, GREY, RED, WIDTH, Drawing, new_figure, number, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BINS = 60
MOST_POINTS = 20_000  # that are drawn
COLUMNS = 4  # cuts beside each other
BAND = 0.18  # opacity of a band of intervals


def draw_regression(
    true: np.ndarray,
    predicted: np.ndarray,
    *,
    cuts: Mapping[str, tuple[np.ndarray, ...]] | None = None,
    point: tuple[np.ndarray, float] | None = None,
    label: str = "z",
    title: str = "",
) -> Drawing:
    """Draw predicted against true values, the histogram of the error, and cuts through a point.

    Args:
        true: (n,) in the units of the data.
        predicted: (n,).
        cuts: by the name of an input, its values (m,) and what is predicted there while the other
            inputs stay; then the bounds of a band, lower and upper, if there is one.
        point: the inputs (d,) of the point that the cuts go through, in their order, and the true
            value there.
        label: the name of the values, with their unit.
        title: above the figure.

    Returns:
        The drawing; artists `points`, `bars` and `cuts` by name; number `gaps`, how many rows are
        left out because a number is not finite.

    Raises:
        ValueError: true and predicted are not of one length, or none of their rows is finite.

    Examples:
        >>> import numpy as np
        >>> from jaxbp import viz
        >>> true = np.linspace(0, 1, 20)
        >>> drawing = viz.draw_regression(true, true + 0.01)
        >>> list(drawing.axes)
        ['points', 'errors']
    """
    true, predicted = np.asarray(true, float), np.asarray(predicted, float)
    if true.ndim != 1 or true.shape != predicted.shape:
        raise ValueError(
            f"true and predicted must have one shape (n,), got {true.shape} and {predicted.shape}"
        )
    finite = np.isfinite(true) & np.isfinite(predicted)
    if not finite.any():
        raise ValueError(
            f"true and predicted must hold a row of finite numbers, got none in {len(true)}"
        )
    curves = dict(cuts or {})
    num_columns = min(COLUMNS, max(1, len(curves)))
    below = 2.0 * -(-len(curves) // num_columns)
    with style():
        figure = new_figure(WIDTH, 3.7 + below, title)
        ratios = [3.7, below] if curves else [1.0]
        top, *rest = figure.subfigures(len(ratios), 1, height_ratios=ratios, squeeze=False)[:, 0]
        left, right = top.subplots(1, 2)
        axes = {"points": left, "errors": right}
        artists: dict[str, Any] = {
            "points": _draw_points(left, true[finite], predicted[finite], label),
            "bars": _draw_errors(right, predicted[finite] - true[finite], label),
            "cuts": {},
        }
        if gaps := int((~finite).sum()):
            left.set_title(f"{gaps} of {len(true)} rows are not finite", fontsize=9)
        for part in rest:
            panels = panel_grid(part, curves, num_columns, "", label, share_x=False)
            axes |= panels
            for i, (name, (x, values, *bounds)) in enumerate(curves.items()):
                ax = panels[name]
                if bounds:
                    ax.fill_between(x, bounds[0], bounds[1], color=BLUE, alpha=BAND, linewidth=0)
                (artists["cuts"][name],) = ax.plot(x, values, color=BLUE, linewidth=1.6)
                if point is not None:
                    ax.plot(point[0][i], point[1], "o", color=RED, markersize=5, zorder=3)
                ax.set_xlabel(name)
                ax.locator_params(nbins=4)
                ax.grid(alpha=0.25, linewidth=0.6)
            if point is not None:
                part.suptitle("cuts through the marked row", fontsize=9)
    return Drawing(figure, axes, artists, {"gaps": gaps})


def _draw_points(ax: "Axes", true: np.ndarray, predicted: np.ndarray, label: str) -> Any:
    """Draw a dot for each row over the diagonal on which a perfect fit lies."""
    low, high = min(true.min(), predicted.min()), max(true.max(), predicted.max())
    margin = 0.04 * (high - low) or 1.0
    ends = (low - margin, high + margin)
    ax.plot(ends, ends, color=GREY, linewidth=1.0)
    every = slice(None, None, 1 + (len(true) - 1) // MOST_POINTS)
    look: Any = {"s": min(20.0, max(2.0, 6e3 / len(true))), "linewidths": 0, "rasterized": True}
    drawn = ax.scatter(true[every], predicted[every], color=BLUE, alpha=0.6, **look)
    ax.set(xlim=ends, ylim=ends, aspect="equal")
    ax.set(xlabel=f"true {label}", ylabel=f"predicted {label}")
    ax.locator_params(nbins=5)
    ax.grid(alpha=0.25, linewidth=0.6)
    return drawn


def _draw_errors(ax: "Axes", error: np.ndarray, label: str) -> Any:
    """Draw a histogram on a scale for all but the rarest errors; the largest is named."""
    largest = float(np.abs(error).max())
    usual = float(np.quantile(np.abs(error), 0.995)) or largest or 1.0
    bins = int(min(MOST_BINS, max(8, 2 * len(error) ** (1 / 3))))
    bars = ax.hist(np.clip(error, -usual, usual), bins=bins, range=(-usual, usual), color=BLUE)[2]
    ax.set(xlim=(-1.02 * usual, 1.02 * usual), ylabel="rows")
    power_of_ten(ax.xaxis, usual, f"error: predicted − true, {label}")
    ax.set_title(f"largest {number(largest)}", fontsize=9)
    return bars
