"""Surfaces as maps: true beside predicted on one scale, the signed error, the samples."""

from collections.abc import Mapping, Sequence
from textwrap import fill as wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxbp._checks import check_finite
from jaxbp.viz.curves import plot
from jaxbp.viz.maps import (
    Where,
    check_values,
    colour,
    draw_error,
    fill,
    map_height,
    mark_gaps,
    scatter,
)
from jaxbp.viz.scales import TINY, add_bar, contour_levels, error_scale, log_ticks
from jaxbp.viz.style import SEQUENTIAL, WIDTH, Drawing, new_figure, number, panel, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_surface_comparison(
    where: Where,
    true: np.ndarray,
    predicted: np.ndarray | Mapping[str, np.ndarray],
    *,
    labels: tuple[str, ...] = ("x", "y", "z"),
    title: str = "",
    footer: str = "",
) -> Drawing:
    """Draw the true and the predicted surface on one scale, and the signed error.

    Several predictions stand beside the true surface in the first row; the second row has the sizes
    of all errors as curves, and as maps on one logarithmic scale.

    Args:
        where: a grid, or scattered points (n, 2).
        true: (n,); what is not finite leaves a gap, hatched and counted.
        predicted: (n,), or several of them by name.
        labels: the names of x, y and z, with units if they have any.
        title: what surface it is.
        footer: one line under the panels, such as the error and how it was reached.

    Returns:
        The drawing; artists `true`, `predicted` and `error`, the last two by name (a single
        prediction's name is "predicted"), numbers `levels` and `errors` (an `ErrorScale` by name).
        An error scale ends at the largest error, or at the 99th percentile where the largest is
        more than twice that.

    Raises:
        ValueError: the shapes do not fit together, or there is no prediction.

    Examples:
        >>> from jaxbp import viz
        >>> grid = viz.Grid.over(((0, 1), (0, 2)), 11)
        >>> x, y = grid.points.T
        >>> drawing = viz.draw_surface_comparison(grid, x * y, x * y + 0.01 * x)
        >>> round(drawing.numbers["errors"]["predicted"].largest, 6)
        0.01
    """
    several = isinstance(predicted, Mapping)
    true = check_values("true", where, true)
    given = dict(predicted) if isinstance(predicted, Mapping) else {"predicted": predicted}
    if not given:
        raise ValueError("predicted must hold at least one prediction, got none")
    surfaces = {
        name: check_values(f"predicted[{name!r}]" if several else name, where, some)
        for name, some in given.items()
    }
    with np.errstate(over="ignore", invalid="ignore"):
        errors = {name: values - true for name, values in surfaces.items()}
    levels = contour_levels(true)
    num_columns, num_rows = (1 + len(surfaces), 2) if several else (3, 1)
    height = num_rows * (map_height(where, WIDTH / num_columns - 0.7) + 1.1)
    with style():
        extra = 0.3 * bool(title) + 0.3 * bool(footer)
        figure = new_figure(WIDTH, min(9.0, height + extra), title)
        grid = figure.subplots(num_rows, num_columns, squeeze=False)
        below = grid[1, 1:] if several else grid[0, 2:]
        drawn = {"true": fill(grid[0, 0], where, true, levels)}
        for ax, (name, values) in zip(grid[0, 1:], surfaces.items(), strict=False):
            drawn[name] = fill(ax, where, values, levels)
        add_bar(grid[0, len(surfaces)], drawn["true"], labels[2])
        for ax, name in zip(grid[0], drawn, strict=False):
            ax.set_title(wrap(name, 66 // num_columns))
        maps, scales = {}, {name: error_scale(error) for name, error in errors.items()}
        if several:
            maps = _draw_size_maps(list(below), where, errors, labels[2])
        else:
            for name, error in errors.items():
                maps[name], _ = draw_error(below[0], where, error, "error: predicted − true")
        for ax in (*grid[0], *below):
            first = ax is grid[0, 0] or (several and ax is below[0])
            ax.set(xlabel=wrap(labels[0], 78 // num_columns), ylabel=labels[1] if first else "")
            ax.locator_params(nbins=5 if num_columns < 4 else 3)
            ax.tick_params(labelleft=first)
        artists: dict[str, Any] = {"true": drawn.pop("true"), "predicted": drawn, "error": maps}
        if several:
            artists["sizes"] = _draw_sizes(grid[1, 0], errors, labels[2])
        if footer:
            figure.supxlabel(wrap(footer, 120), fontsize=9)
    axes = dict(zip(("true", *surfaces), grid[0], strict=False))
    return Drawing(figure, axes, artists, {"levels": levels, "errors": scales})


def _draw_size_maps(
    axes: Sequence["Axes"], where: Where, errors: Mapping[str, np.ndarray], unit: str
) -> dict[str, Any]:
    """Colour the size of each error on one logarithmic scale, with one bar for all of them."""
    from matplotlib.colors import LogNorm

    sizes = {name: np.abs(error) for name, error in errors.items()}
    positive = {name: size[np.isfinite(size) & (size > 0)] for name, size in sizes.items()}
    medians = [float(np.median(some)) for some in positive.values() if some.size] or [TINY]
    largest = max((float(some.max()) for some in positive.values() if some.size), default=1.0)
    least = min(min(medians) / 10, largest / 10)
    norm, maps = LogNorm(least, largest), {}
    for ax, (name, size) in zip(axes, sizes.items(), strict=True):
        mark_gaps(ax, where, size)
        maps[name] = colour(ax, where, np.maximum(size, least), cmap=SEQUENTIAL, norm=norm)
        verdict = f"largest {number(positive[name].max())}" if positive[name].size else "exact: 0"
        ax.set_title(f"| predicted − true |\n{verdict}")
    bar = axes[-1].figure.colorbar(
        maps[name], cax=axes[-1].inset_axes((1.04, 0.0, 0.05, 1.0)), extend="min"
    )
    bar.ax.minorticks_off()
    axes[-1].text(1.08, -0.055, unit, transform=axes[-1].transAxes, va="top")
    return maps


def _draw_sizes(ax: "Axes", errors: Mapping[str, np.ndarray], unit: str) -> list[Any]:
    """Draw the share of points whose error is at most so large, a curve for each error."""
    ax.set(xscale="log", xlabel=f"| error | ({unit})", ylim=(0, 1))
    ax.set_ylabel("share of points")
    ax.grid(alpha=0.25, linewidth=0.6)
    least = np.inf  # where true values are nearly 0 a few errors are many powers smaller
    for i, (name, error) in enumerate(errors.items()):
        sizes = np.sort(np.abs(error[np.isfinite(error) & (error != 0)]))
        least = min([least, *sizes[len(sizes) // 100 :][:1]])
        zeros = int((error == 0).sum())
        line = plot(ax, sizes, (zeros + np.arange(1, len(sizes) + 1)) / len(error), i)
        line.set_label(wrap(name, 22))
    if np.isfinite(least):
        ax.set_xlim(left=least / 2)
    log_ticks(ax.xaxis)
    place: Any = {"loc": "lower left", "bbox_to_anchor": (-0.1, 1.0), "borderaxespad": 0.2}
    ax.legend(fontsize=8, frameon=False, **place)
    return list(ax.get_lines())


def draw_samples(
    points: np.ndarray,
    *,
    labels: tuple[str, ...] = ("x", "y", "z"),
    title: str = "",
    ax: "Axes | None" = None,
) -> Drawing:
    """Draw sample points in the plane, coloured by their value.

    Args:
        points: (n, 3) rows x, y, z; where z is not finite the point is a cross, and they are
            counted.
        labels: the names of x, y and z.
        title: above the panel.
        ax: where to draw; a new figure unless given.

    Returns:
        The drawing; artist `points`.

    Raises:
        ValueError: points is of another shape, or the place of one is not finite.

    Examples:
        >>> import numpy as np
        >>> from jaxbp import viz
        >>> x, y = np.random.default_rng(0).uniform(size=(2, 50))
        >>> drawing = viz.draw_samples(np.column_stack([x, y, x * y]))
    """
    points = np.asarray(points, float)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
        raise ValueError(f"points must have shape (n, 3), at least one row, got {points.shape}")
    check_finite("points", points[:, :2])
    plane, z = points[:, :2], points[:, 2]
    with style():
        figure, ax = panel(ax, 6.4, map_height(plane, 5.0) + 0.8)
        finite = mark_gaps(ax, plane, z)
        # About a third of the panel's area in ink, whatever the number of points; without smoothed
        # edges, which would double the size of the file.
        look: Any = {"s": min(30.0, 3.0e4 / len(points)), "linewidths": 0, "antialiased": False}
        look |= {"cmap": SEQUENTIAL, "clip_on": False, "rasterized": True}
        drawn = scatter(ax, plane[finite], c=z[finite], **look)
        ax.set(xlabel=labels[0], ylabel=labels[1], title=title)
        ax.autoscale_view()
        ax.locator_params(nbins=5)
        add_bar(ax, drawn, labels[2])
    return Drawing(figure, {"samples": ax}, {"points": drawn})
