"""Surfaces as maps: true beside predicted on one scale, the signed error, the samples."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxbp.viz.language import language
from jaxbp.viz.style import DIVERGING, SEQUENTIAL, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUM_LEVELS = 18  # about so many filled bands over the range of the true surface
MIN_ERROR = 1e-300  # the error scale of a perfect prediction, so that it has one


@dataclass(frozen=True)
class SurfaceComparison:
    """What `draw_surface_comparison` drew.

    Attributes:
        figure: the figure.
        axes: true, predicted, error.
        true: the filled contours of the true surface.
        predicted: those of the predicted one.
        error: the map of predicted - true.
        levels: the levels that true and predicted share.
        error_limit: the error scale runs from minus to plus this.
        bars: the colour bar of both surfaces and that of the error.
    """

    figure: "Figure"
    axes: tuple["Axes", "Axes", "Axes"]
    true: Any
    predicted: Any
    error: Any
    levels: np.ndarray
    error_limit: float
    bars: tuple[Any, Any]


def draw_surface_comparison(
    x: np.ndarray,
    y: np.ndarray,
    true: np.ndarray,
    predicted: np.ndarray,
    *,
    labels: tuple[str, str, str] = ("x", "y", "z"),
    title: str = "",
    footer: str = "",
    levels: np.ndarray | None = None,
    figure: "Figure | None" = None,
    lang: str = "en",
) -> SurfaceComparison:
    """Draws the true and the predicted surface with the same levels and one colour bar, and the signed error.

    Args:
        x: (num_columns,) the grid's columns, or (n,) for scattered points.
        y: (num_rows,) the grid's rows, or (n,).
        true: (num_rows, num_columns), or (n,); NaN leaves a gap.
        predicted: of the shape of `true`.
        labels: the names of x, y and z, with units if they have any.
        title: what surface it is.
        footer: one line under the panels, such as the error and how it was reached.
        levels: the contour levels; about 18 round ones over the range of `true` unless given.
        figure: where to draw; a new one unless given.
        lang: "en", or "zh" for Chinese labels where a font for them is installed.

    Returns:
        The artists. The error scale is symmetric and ends at the 99th percentile of |error|; its largest value stands
        in the title of the panel.

    Raises:
        ValueError: the shapes do not fit together.
    """
    _check_shapes(x, y, true, predicted)
    error = predicted - true
    levels = contour_levels(true) if levels is None else levels
    finite = np.abs(error[np.isfinite(error)])
    limit = max(float(np.percentile(finite, 99)) if finite.size else 0.0, MIN_ERROR)
    word, look = language(lang)
    with look:
        if figure is None:
            import matplotlib.pyplot as plt
            from matplotlib.layout_engine import ConstrainedLayoutEngine

            figure = plt.figure(figsize=_figure_size(x, y), layout=ConstrainedLayoutEngine(wspace=0.06))
        axes = figure.subplots(1, 3, sharex=True, sharey=True)
        surfaces = [_fill(ax, x, y, values, levels) for ax, values in zip(axes, (true, predicted), strict=False)]
        error_map = _colour(axes[2], x, y, error, limit)
        for ax, name in zip(axes, ("true", "predicted", "error: predicted − true"), strict=True):
            ax.set(xlabel=labels[0], title=word(name), aspect=_aspect(x, y))
            ax.locator_params(nbins=5)
        axes[0].set_ylabel(labels[1])
        axes[2].set_ylabel(labels[1])
        axes[2].tick_params(labelleft=True)
        shared = figure.colorbar(surfaces[0], ax=list(axes[:2]), label=labels[2], pad=0.015, shrink=0.9)
        signed = figure.colorbar(error_map, ax=axes[2], extend="both", pad=0.03, shrink=0.9)
        signed.ax.ticklabel_format(axis="y", scilimits=(-2, 4), useMathText=True)
        signed.ax.yaxis.set_offset_position("left")
        if title:
            figure.suptitle(title)
        if footer:
            figure.supxlabel(footer, fontsize=10)
    true_map, predicted_map = surfaces
    bars = (shared, signed)
    return SurfaceComparison(figure, tuple(axes), true_map, predicted_map, error_map, levels, limit, bars)


@dataclass(frozen=True)
class SampleMap:
    """What `draw_samples` drew: the axes, the points and their colour bar."""

    ax: "Axes"
    points: Any
    bar: Any


def draw_samples(
    points: np.ndarray, *, labels: tuple[str, str, str] = ("x", "y", "z"), title: str = "", ax: "Axes | None" = None
) -> SampleMap:
    """Draws sample points in the plane, coloured by their value.

    Args:
        points: (n, 3) rows x, y, z.
        labels: the names of x, y and z.
        title: above the panel.
        ax: where to draw; a new figure unless given.

    Returns:
        The artists.
    """
    x, y, z = points.T
    with style():
        if ax is None:
            import matplotlib.pyplot as plt

            ax = plt.figure(figsize=(5.6, 4.6), layout="constrained").subplots()
        # About a third of the panel's area in ink, whatever the number of points; without smoothed edges, which would
        # double the size of the file.
        area = min(30.0, 3.0e4 / len(points))
        options: dict[str, Any] = {"s": area, "cmap": SEQUENTIAL, "linewidths": 0, "antialiased": False}
        drawn = ax.scatter(x, y, c=z, rasterized=True, **options)
        ax.set(xlabel=labels[0], ylabel=labels[1], title=title, aspect=_aspect(x, y))
        ax.locator_params(nbins=5)
        bar = ax.figure.colorbar(drawn, ax=ax, label=labels[2], pad=0.03)
    return SampleMap(ax, drawn, bar)


def _check_shapes(x: np.ndarray, y: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> None:
    wanted = (len(y), len(x)) if true.ndim == 2 else (len(x),)
    if true.shape != wanted or (true.ndim == 1 and len(y) != len(x)):
        raise ValueError(f"true must have shape {wanted} for x {x.shape} and y {y.shape}, got {true.shape}")
    if predicted.shape != true.shape:
        raise ValueError(f"predicted must have shape {true.shape} like true, got {predicted.shape}")


def contour_levels(values: np.ndarray) -> np.ndarray:
    """About 18 round levels over the range of the values."""
    from matplotlib.ticker import MaxNLocator

    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.asarray(MaxNLocator(NUM_LEVELS, steps=[1, 2, 2.5, 4, 5, 10]).tick_values(low, high))


def _fill(ax: "Axes", x: np.ndarray, y: np.ndarray, values: np.ndarray, levels: np.ndarray) -> Any:
    """Fills the bands between levels, with a thin line at every second one."""
    options: dict[str, Any] = {"levels": levels, "cmap": SEQUENTIAL, "extend": "both"}
    lines: dict[str, Any] = {"levels": levels[::2], "colors": "black", "linewidths": 0.4, "alpha": 0.6}
    if values.ndim == 2:
        shown = np.ma.masked_invalid(values)
        ax.contour(x, y, shown, **lines)
        return ax.contourf(x, y, shown, **options)
    mesh = _triangulation(x, y, values)
    if mesh is None:
        return _scatter(ax, x, y, values, cmap=SEQUENTIAL, vmin=levels[0], vmax=levels[-1])
    return ax.tricontourf(mesh, np.nan_to_num(values), **options)


def _colour(ax: "Axes", x: np.ndarray, y: np.ndarray, error: np.ndarray, limit: float) -> Any:
    options: dict[str, Any] = {"cmap": DIVERGING, "vmin": -limit, "vmax": limit}
    if error.ndim == 2:
        return ax.pcolormesh(x, y, np.ma.masked_invalid(error), shading="nearest", rasterized=True, **options)
    mesh = _triangulation(x, y, error)
    if mesh is None:
        return _scatter(ax, x, y, error, **options)
    return ax.tripcolor(mesh, np.nan_to_num(error), shading="gouraud", rasterized=True, **options)


def _scatter(ax: "Axes", x: np.ndarray, y: np.ndarray, values: np.ndarray, **options: Any) -> Any:
    return ax.scatter(x, y, c=values, s=12, **options)


def _triangulation(x: np.ndarray, y: np.ndarray, values: np.ndarray) -> Any:
    """The Delaunay triangles of scattered points, gaps masked; None where the points span no area."""
    from matplotlib.tri import Triangulation

    if len(np.unique(np.column_stack([x, y]), axis=0)) < 3:
        return None
    try:
        mesh = Triangulation(x, y)
    except (RuntimeError, ValueError):  # the points lie on one line
        return None
    mesh.set_mask(~np.isfinite(values)[mesh.triangles].all(axis=1))
    return mesh


def _aspect(x: np.ndarray, y: np.ndarray) -> Any:
    """Equal scales, unless the two extents differ so much that one would be a thin strip."""
    width, height = float(np.ptp(x)), float(np.ptp(y))
    return "equal" if 0 < width < 3 * height < 9 * width else "auto"


def _figure_size(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Three panels, 10.4 inches wide so that their text keeps 8 points on a page, as high as equal scales make them."""
    ratio = float(np.ptp(y)) / float(np.ptp(x)) if _aspect(x, y) == "equal" else 1.0
    return 10.4, min(8.0, max(3.0, 2.6 * ratio + 1.2))
