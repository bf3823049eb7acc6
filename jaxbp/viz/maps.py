"""Maps over the plane, for surfaces, errors and units: values (n,) at the points of `where`."""

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from jaxbp.viz.grid import Grid
from jaxbp.viz.scales import ErrorScale, add_bar, error_scale
from jaxbp.viz.style import DIVERGING, GAP, SEQUENTIAL, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.tri import Triangulation

Where: TypeAlias = Grid | np.ndarray
HIGHEST = 7.5  # inches of a map
HUGE = 1e200  # beyond this matplotlib draws no contours


def points_of(where: Where) -> np.ndarray:
    """Return the points (n, 2) of a grid, or scattered ones."""
    points = where.points if isinstance(where, Grid) else np.asarray(where, float)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise ValueError(
            f"where must be a Grid or points (n, 2), at least one, got shape {points.shape}"
        )
    return points


def check_values(name: str, where: Where, values: Any, *, units: bool = False) -> np.ndarray:
    """Return values (n,), or (n, units) with `units`, in float64; raise a ValueError otherwise."""
    array, num_points = np.asarray(values, float), len(points_of(where))
    if array.ndim != 1 + units or len(array) != num_points or array.size == 0:
        wanted = f"({num_points}, units)" if units else f"({num_points},)"
        raise ValueError(
            f"{name} must have shape {wanted}, one row for each point, got {array.shape}"
        )
    return array


def fill(ax: "Axes", where: Where, values: np.ndarray, levels: np.ndarray) -> Any:
    """Fill the bands between levels, draw every second one as a line with numbers, mark gaps."""
    finite = mark_gaps(ax, where, values)
    low, high = levels[0], levels[-1]
    mesh: Any = None if isinstance(where, Grid) else _triangles(where, values)
    flat = mesh is None and not (isinstance(where, Grid) and min(where.shape) > 1)
    if np.abs(levels).max() >= HUGE or flat or not finite.any():
        return colour(ax, where, values, cmap=SEQUENTIAL, vmin=low, vmax=high)
    middle = low + 0.4 * (high - low)
    bands: Any = {"levels": levels, "cmap": SEQUENTIAL, "extend": "both"}
    lines: Any = {"levels": levels[::2], "linewidths": 0.5}
    lines["colors"] = ["white" if level < middle else "black" for level in levels[::2]]
    shown = np.clip(np.where(finite, values, low), -HUGE, HUGE)
    filled: Any
    drawn: Any
    if isinstance(where, Grid):
        table = np.ma.masked_array(shown, ~finite).reshape(where.shape)
        filled = ax.contourf(where.x, where.y, table, **bands)
        drawn = ax.contour(where.x, where.y, table, **lines)
    else:
        filled, drawn = ax.tricontourf(mesh, shown, **bands), ax.tricontour(mesh, shown, **lines)
        scatter(ax, where[finite], s=3, color="black", linewidths=0)
    _number_lines(ax, drawn, drawn.levels[:: max(1, len(drawn.levels) // 4)])
    return filled


def _number_lines(ax: "Axes", drawn: Any, levels: np.ndarray) -> None:
    """Number contour lines of these levels inside the panel, none upon another."""
    low, high = np.transpose([ax.get_xlim(), ax.get_ylim()])
    places: list[np.ndarray] = []
    for level, path in zip(drawn.levels, drawn.get_paths(), strict=True):
        for line in path.to_polygons(closed_only=False) if level in levels else ():
            share = (line - low) / (high - low)
            inner = share[((share > 0.1) & (share < 0.9)).all(axis=1)]
            long = np.abs(np.diff(share, axis=0)).sum() >= 0.4
            if long and len(inner) > 1:
                place = inner[len(inner) // 2]
                if all(np.abs(place - other).max() > 0.12 for other in places):
                    places.append(place)
    if places:
        manual = [tuple(low + place * (high - low)) for place in places]
        ax.clabel(drawn, levels, fontsize=8, fmt=number, inline_spacing=2, manual=manual)


def colour(ax: "Axes", where: Where, values: np.ndarray, **options: Any) -> Any:
    """Colour the plane by values (n,), smoothly between points that are all finite."""
    finite = np.isfinite(values)
    options["rasterized"] = True
    if isinstance(where, Grid) and min(where.shape) > 1:
        shown = np.ma.masked_invalid(values).reshape(where.shape)
        shading: Any = "gouraud" if finite.all() else "nearest"
        return ax.pcolormesh(where.x, where.y, shown, shading=shading, **options)
    mesh = None if isinstance(where, Grid) else _triangles(where, values)
    if mesh is not None:
        return ax.tripcolor(mesh, np.where(finite, values, 0.0), shading="gouraud", **options)
    # Few dots need an edge where their colour is that of the paper.
    look: Any = {"s": 16, "edgecolors": "0.5", "linewidths": 0.4 if finite.sum() < 200 else 0.0}
    points = points_of(where)[finite]
    return scatter(ax, points, c=values[finite], clip_on=False, **look, **options)


def draw_error(ax: "Axes", where: Where, error: np.ndarray, title: str) -> tuple[Any, ErrorScale]:
    """Colour a signed error (n,) symmetrically, with its bar; title and circle say the largest."""
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
        circle: Any = {"markersize": 8, "markerfacecolor": "none", "markeredgecolor": "black"}
        ax.plot(*place, "o", clip_on=False, **circle)
        add_bar(ax, drawn, extend="both" if scale.clipped else "neither")
    if 0.085 * max(map(len, verdict.split("\n"))) > 1.5 * width_of(ax):  # as wide as its neighbours
        verdict = verdict.replace(" at ", "\nat ")
    ax.set_title(f"{title}\n{verdict}" if title else verdict)
    return drawn, scale


def mark_gaps(ax: "Axes", where: Where, values: np.ndarray) -> np.ndarray:
    """Frame a panel around the points; hatch and count what is not finite. Returns finite (n,)."""
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
            ax.patch.set(hatch=GAP["hatch"], facecolor=GAP["facecolor"])
        else:
            scatter(ax, points[~finite], marker="x", s=16, color="black", linewidths=0.8)
        counted = f"{(~finite).sum()} of {len(finite)} not finite"
        if width_of(ax) < 0.075 * len(counted):
            counted = counted.replace(" not", "\nnot")
        box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "0.4"}
        ax.text(0.03, 0.03, counted, transform=ax.transAxes, fontsize=8, zorder=4, bbox=box)
    return finite


def width_of(ax: "Axes") -> float:
    """Return the width of a panel before its figure is laid out, in inches."""
    return float(ax.get_position().width * ax.figure.bbox.width / ax.figure.dpi)


def aspect(where: Where) -> Any:
    """Return equal scales, unless the extents differ so much that one would be a thin strip."""
    width, height = np.ptp(points_of(where), axis=0)
    return "equal" if 0 < width < 3 * height < 9 * width else "auto"


def map_height(where: Where, width: float) -> float:
    """Return the height of a map of that width, in inches."""
    x, y = np.ptp(points_of(where), axis=0)
    return min(HIGHEST, width * float(y / x)) if aspect(where) == "equal" else 0.8 * width


def scatter(ax: "Axes", points: np.ndarray, **options: Any) -> Any:
    """Draw points (n, 2)."""
    return ax.scatter(points[:, 0], points[:, 1], **options)


def _triangles(points: np.ndarray, values: np.ndarray) -> "Triangulation | None":
    """Return the Delaunay triangles of scattered points; None where none has finite corners."""
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
