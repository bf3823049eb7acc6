"""Maps over the plane: what surfaces, errors and units are drawn with. Values (n,) belong to the points of `where`."""

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from jaxbp.viz.grid import Grid
from jaxbp.viz.scales import ErrorScale, add_bar, error_scale
from jaxbp.viz.style import DIVERGING, SEQUENTIAL, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.tri import Triangulation

Where: TypeAlias = Grid | np.ndarray
HIGHEST = 7.5  # inches of a map
HUGE = 1e200  # beyond this matplotlib draws no contours


def points_of(where: Where) -> np.ndarray:
    """The points (n, 2) of a grid, or scattered ones."""
    points = where.points if isinstance(where, Grid) else np.asarray(where, float)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise ValueError(
            f"where must be a Grid or points (n, 2), at least one, got shape {points.shape}"
        )
    return points


def check_values(name: str, where: Where, values: Any, *, units: bool = False) -> np.ndarray:
    """Returns values (n,), or (n, units) with `units`, in float64, or raises a ValueError if they do not fit."""
    array, num_points = np.asarray(values, float), len(points_of(where))
    if array.ndim != 1 + units or len(array) != num_points or array.size == 0:
        wanted = f"({num_points}, units)" if units else f"({num_points},)"
        raise ValueError(
            f"{name} must have shape {wanted}, one row for each point, got {array.shape}"
        )
    return array


def fill(ax: "Axes", where: Where, values: np.ndarray, levels: np.ndarray) -> Any:
    """Fills the bands between levels (n,), draws every second one as a line, numbers some of them, marks gaps."""
    finite = mark_gaps(ax, where, values)
    low, high = levels[0], levels[-1]
    lines: dict[str, Any] = {
        "levels": levels[::2],
        "colors": [
            "white" if level < low + 0.4 * (high - low) else "black" for level in levels[::2]
        ],
        "linewidths": 0.5,
    }
    bands: dict[str, Any] = {"levels": levels, "cmap": SEQUENTIAL, "extend": "both"}
    mesh = None if isinstance(where, Grid) else _triangles(where, values)
    shown = np.clip(np.where(finite, values, low), -HUGE, HUGE)
    filled: Any
    drawn: Any
    if np.abs(levels).max() < HUGE and mesh is not None:
        filled, drawn = ax.tricontourf(mesh, shown, **bands), ax.tricontour(mesh, shown, **lines)
        scatter(ax, points_of(where)[finite], s=3, color="black", linewidths=0)
    elif (
        np.abs(levels).max() < HUGE
        and isinstance(where, Grid)
        and finite.any()
        and min(where.shape) > 1
    ):
        table = np.ma.masked_array(shown, ~finite).reshape(where.shape)
        filled, drawn = (
            ax.contourf(where.x, where.y, table, **bands),
            ax.contour(where.x, where.y, table, **lines),
        )
    else:
        return colour(ax, where, values, cmap=SEQUENTIAL, vmin=low, vmax=high)
    _number_lines(ax, drawn, drawn.levels[:: max(1, len(drawn.levels) // 4)])
    return filled


def _number_lines(ax: "Axes", drawn: Any, levels: np.ndarray) -> None:
    """Numbers the contour lines of these levels where the number lies inside the panel and not upon another."""
    low, high = np.transpose([ax.get_xlim(), ax.get_ylim()])
    places: list[np.ndarray] = []
    for level, path in zip(drawn.levels, drawn.get_paths(), strict=True):
        for line in path.to_polygons(closed_only=False) if level in levels else ():
            share = (line - low) / (high - low)
            inner = share[((share > 0.1) & (share < 0.9)).all(axis=1)]
            if len(inner) < 2 or np.abs(np.diff(share, axis=0)).sum() < 0.4:
                continue
            place = inner[len(inner) // 2]
            if all(np.abs(place - other).max() > 0.12 for other in places):
                places.append(place)
    if places:
        manual = [tuple(low + place * (high - low)) for place in places]
        ax.clabel(drawn, levels, fontsize=8, fmt=number, inline_spacing=2, manual=manual)


def colour(ax: "Axes", where: Where, values: np.ndarray, **options: Any) -> Any:
    """Colours the plane by values (n,), smoothly between points that are all finite; leaves gaps free."""
    finite = np.isfinite(values)
    if isinstance(where, Grid) and min(where.shape) > 1:
        shown = np.ma.masked_invalid(values).reshape(where.shape)
        shading: Any = "gouraud" if finite.all() else "nearest"
        return ax.pcolormesh(where.x, where.y, shown, shading=shading, rasterized=True, **options)
    mesh = None if isinstance(where, Grid) else _triangles(where, values)
    if mesh is not None:
        return ax.tripcolor(
            mesh, np.where(finite, values, 0.0), shading="gouraud", rasterized=True, **options
        )
    edge = (
        0.4 if finite.sum() < 200 else 0.0
    )  # which few dots need where their colour is that of the paper
    look: dict[str, Any] = {"s": 16, "edgecolors": "0.5", "linewidths": edge, "clip_on": False}
    return scatter(ax, points_of(where)[finite], c=values[finite], **look, **options)


def draw_error(ax: "Axes", where: Where, error: np.ndarray, title: str) -> tuple[Any, ErrorScale]:
    """Colours a signed error (n,) symmetrically, with its bar; the title says the largest one, a circle where it is."""
    mark_gaps(ax, where, error)
    scale = error_scale(error)
    drawn = colour(ax, where, error, cmap=DIVERGING, vmin=-scale.limit, vmax=scale.limit)
    if scale.largest == 0:
        verdict = f"exact: 0 at all {np.isfinite(error).sum()} points"
    elif np.isnan(scale.largest):
        verdict = "finite nowhere"
    else:
        place = points_of(where)[scale.place]
        verdict = f"largest {number(scale.largest)} at ({', '.join(map(number, place))})"
        verdict += "\n(colours: 99 % of the points)" if scale.clipped else ""
        ax.plot(
            *place,
            "o",
            markersize=8,
            markerfacecolor="none",
            markeredgecolor="black",
            clip_on=False,
        )
        add_bar(ax, drawn, extend="both" if scale.clipped else "neither")
    if 0.085 * max(map(len, verdict.split("\n"))) > 1.5 * width_of(
        ax
    ):  # it would run into its neighbours' titles
        verdict = verdict.replace(" at ", "\nat ")
    ax.set_title(f"{title}\n{verdict}" if title else verdict)
    return drawn, scale


def mark_gaps(ax: "Axes", where: Where, values: np.ndarray) -> np.ndarray:
    """Frames a panel around the points; hatches what is not finite and counts it. Returns what is finite (n,)."""
    points, finite = points_of(where), np.isfinite(values)
    low, high = points.min(axis=0), points.max(axis=0)
    ax.set_aspect(aspect(where))
    if (low < high).all():
        ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    for axis, first, last in zip((ax.xaxis, ax.yaxis), low, high, strict=True):
        if first == last:
            axis.set_ticks([first])
    if not finite.all():
        if isinstance(where, Grid):
            ax.patch.set(hatch="////", facecolor="0.93")
        else:
            scatter(ax, points[~finite], marker="x", s=16, color="black", linewidths=0.8)
        counted = f"{(~finite).sum()} of {len(finite)} not finite"
        if width_of(ax) < 0.075 * len(counted):
            counted = counted.replace(" not", "\nnot")
        ax.text(
            0.03, 0.03, counted, transform=ax.transAxes, fontsize=8, zorder=4,
            bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "0.4"},
        )  # fmt: skip
    return finite


def width_of(ax: "Axes") -> float:
    """The width of a panel before its figure is laid out, in inches."""
    return float(ax.get_position().width * ax.figure.bbox.width / ax.figure.dpi)


def aspect(where: Where) -> Any:
    """Equal scales, unless the two extents differ so much that one would be a thin strip."""
    width, height = np.ptp(points_of(where), axis=0)
    return "equal" if 0 < width < 3 * height < 9 * width else "auto"


def map_height(where: Where, width: float) -> float:
    """How high a map of that width is, in inches."""
    extents = np.ptp(points_of(where), axis=0)
    return (
        min(HIGHEST, width * float(extents[1] / extents[0]))
        if aspect(where) == "equal"
        else 0.8 * width
    )


def scatter(ax: "Axes", points: np.ndarray, **options: Any) -> Any:
    """Draws points (n, 2)."""
    return ax.scatter(points[:, 0], points[:, 1], **options)


def _triangles(points: np.ndarray, values: np.ndarray) -> "Triangulation | None":
    """The Delaunay triangles of scattered points, gaps masked; None where no finite points span an area."""
    from matplotlib.tri import Triangulation

    if len(np.unique(points, axis=0)) < 3:
        return None
    try:
        mesh = Triangulation(*np.asarray(points, float).T)
    except (RuntimeError, ValueError):  # the points lie on one line
        return None
    hidden = ~np.isfinite(values)[mesh.triangles].all(axis=1)
    mesh.set_mask(hidden)
    return None if hidden.all() else mesh
