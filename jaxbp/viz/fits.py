"""A fitted model with its data and intervals: a curve, a surface, or cuts through a row."""

from typing import Any, NamedTuple

import numpy as np

from jaxbp._checks import check_count
from jaxbp.fitting import Model
from jaxbp.fitting.frames import frame_values
from jaxbp.viz.grid import Grid
from jaxbp.viz.maps import colour, fill, map_height, scatter
from jaxbp.viz.regression import BAND, draw_regression
from jaxbp.viz.scales import add_bar, contour_levels, error_scale
from jaxbp.viz.style import (
    BLUE,
    DIVERGING,
    SEQUENTIAL,
    VERMILLION,
    WIDTH,
    Drawing,
    new_figure,
    number,
    style,
)

CURVE, SIDE = 500, 81  # points of a curve, and of a side of a map


def draw_fit(
    model: Model,
    inputs: Any,
    outputs: Any,
    *,
    held_out: Any = None,
    output: int = 0,
    coverage: float = 0.9,
    title: str = "",
) -> Drawing:
    """Draw a fitted model with data and the intervals of new observations.

    Of one input: the data over the curve and its band. Of two: the surface, the half width of the
    intervals, and the error at the rows. Of more: predicted against true values, the errors, and
    cuts through the most central row, with their bands.

    Args:
        model: as `fit_model` returns it; without error bars there are no bands.
        inputs: (n, d) rows of data, or a data frame.
        outputs: (n,) or (n, k).
        held_out: the rows that took no part in the fit, as a mask or as indices; where there are
            some, the errors are theirs.
        output: which of k outputs.
        coverage: the share of new observations that the intervals hold.
        title: above the figure.

    Returns:
        The drawing; axes `curve`, or `surface`, `width` and `error`, or those of
        `draw_regression`.

    Raises:
        ValueError: the shapes do not fit the model, or coverage is not in [0, 1).

    Examples:
        >>> import numpy as np
        >>> import jaxbp
        >>> x = np.linspace(0, 3, 20)
        >>> drawing = jaxbp.viz.draw_fit(jaxbp.fit_model(x, np.sin(x)), x, np.sin(x))
        >>> list(drawing.axes)
        ['curve']
    """
    num_inputs, num_outputs = model.num_inputs, model.num_outputs
    points = np.asarray(frame_values("inputs", inputs, model.names[:num_inputs]), float)
    points = points.reshape(len(points), -1)
    values = np.asarray(outputs, float)
    values = values.reshape(len(values), -1)
    if points.shape[1] != num_inputs or values.shape != (len(points), num_outputs):
        raise ValueError(
            f"inputs and outputs must have {num_inputs} and {num_outputs} columns like the model "
            f"and as many rows as each other, got shapes {points.shape} and {values.shape}"
        )
    if check_count("output", output, minimum=0) >= num_outputs:
        raise ValueError(f"output must be below {num_outputs}, got {output}")
    new = np.zeros(len(points), bool)
    new[slice(0) if held_out is None else held_out] = True
    names = model.names or (
        *(f"x{i}" for i in range(num_inputs)),
        *(["y"] if num_outputs == 1 else [f"y{i}" for i in range(num_outputs)]),
    )
    data = _Data(points, values[:, output], new, names[:num_inputs], names[num_inputs + output])
    fit = _Fit(model, output, coverage)
    if num_inputs == 1:
        return _draw_curve(fit, data, title)
    if num_inputs == 2 and (np.ptp(points, axis=0) > 0).all():
        return _draw_surface(fit, data, title)
    return _draw_cuts(fit, data, title)


class _Data(NamedTuple):
    """Rows with their names: points (n, d), values (n,), and which were held out, (n,)."""

    points: np.ndarray
    values: np.ndarray
    new: np.ndarray
    inputs: tuple[str, ...]
    output: str

    @property
    def scored(self) -> np.ndarray:
        """The rows whose errors are shown: those that were held out, if any were."""
        return self.new if self.new.any() else ~self.new


class _Fit(NamedTuple):
    """One output of a model, and the bounds of its intervals."""

    model: Model
    output: int
    coverage: float

    def value(self, points: np.ndarray) -> np.ndarray:
        return np.asarray(self.model(points)).reshape(len(points), -1)[:, self.output]

    def bounds(self, points: np.ndarray) -> tuple[np.ndarray, ...]:
        """Lower and upper (n,), or nothing where the model has no error bars."""
        if self.model.bars is None:
            return ()
        both = self.model.interval(points, self.coverage)
        return tuple(bound.reshape(len(points), -1)[:, self.output] for bound in both)

    @property
    def name(self) -> str:
        return f"{100 * self.coverage:g} % of new observations"


def _draw_curve(fit: _Fit, data: _Data, title: str) -> Drawing:
    x = np.linspace(data.points.min(), data.points.max(), CURVE)
    bounds = fit.bounds(x[:, np.newaxis])
    with style():
        figure = new_figure(WIDTH, 4.4, title)
        ax = figure.subplots()
        band = None
        if bounds:
            look: Any = {"color": BLUE, "alpha": BAND, "linewidth": 0, "label": fit.name}
            band = ax.fill_between(x, bounds[0], bounds[1], **look)
        (curve,) = ax.plot(x, fit.value(x[:, np.newaxis]), color=BLUE, linewidth=1.6, label="fit")
        for name, which, marker, shade in (
            ("fitted rows", ~data.new, "o", "0.3"),
            ("test rows", data.new, "D", VERMILLION),
        ):
            if which.any():
                here = data.points[which, 0], data.values[which]
                ax.plot(*here, marker, color=shade, markersize=3.5, zorder=3, label=name)
        ax.set(xlabel=data.inputs[0], ylabel=data.output, xmargin=0.02)
        ax.grid(alpha=0.25, linewidth=0.6)
        ax.legend(frameon=False)
    return Drawing(figure, {"curve": ax}, {"curve": curve, "band": band})


def _draw_surface(fit: _Fit, data: _Data, title: str) -> Drawing:
    grid = Grid.around(data.points, SIDE)
    values, bounds = fit.value(grid.points), fit.bounds(grid.points)
    scored = data.points[data.scored]
    error = fit.value(scored) - data.values[data.scored]
    names = ["surface", "width", "error"] if bounds else ["surface", "error"]
    with style():
        height = map_height(grid, WIDTH / len(names) - 0.7)
        figure = new_figure(WIDTH, height + 0.9 + 0.3 * bool(title), title)
        axes = dict(zip(names, figure.subplots(1, len(names)), strict=True))
        artists = {"surface": fill(axes["surface"], grid, values, contour_levels(values))}
        add_bar(axes["surface"], artists["surface"], data.output)
        axes["surface"].set_title("fit")
        if bounds:
            width = (bounds[1] - bounds[0]) / 2
            artists["width"] = colour(axes["width"], grid, width, cmap=SEQUENTIAL)
            add_bar(axes["width"], artists["width"], data.output)
            axes["width"].set_title(f"half width of the intervals\n{fit.name}")
            axes["width"].set_aspect(axes["surface"].get_aspect())
        for name in names[:-1]:
            look: Any = {"s": min(8.0, 1e3 / len(data.points)), "color": "black", "linewidths": 0}
            scatter(axes[name], data.points, **look)
        what = "test" if data.new.any() else "fitted"
        scale = error_scale(error)
        look = {"s": 14, "edgecolors": "0.6", "linewidths": 0.3, "cmap": DIVERGING, "c": error}
        look |= {"vmin": -scale.limit, "vmax": scale.limit, "clip_on": False}
        artists["error"] = scatter(axes["error"], scored, **look)
        add_bar(axes["error"], artists["error"], extend="both" if scale.clipped else "neither")
        axes["error"].set_title(
            f"error at the {what} rows: predicted − true\nlargest {number(scale.largest)}"
        )
        axes["error"].set(
            xlim=axes["surface"].get_xlim(),
            ylim=axes["surface"].get_ylim(),
            aspect=axes["surface"].get_aspect(),
        )
        for i, ax in enumerate(axes.values()):
            ax.set(xlabel=data.inputs[0], ylabel="" if i else data.inputs[1])
            ax.locator_params(nbins=5)
    return Drawing(figure, axes, artists)


def _draw_cuts(fit: _Fit, data: _Data, title: str) -> Drawing:
    points, scored = data.points, np.flatnonzero(data.scored)
    low, high = points.min(axis=0), points.max(axis=0)
    offsets = (points[scored] - np.median(points, axis=0)) / np.where(high > low, high - low, 1.0)
    middle = scored[int(np.square(offsets).sum(axis=1).argmin())]
    cuts = {}
    for i, name in enumerate(data.inputs):
        along = np.repeat(points[[middle]], CURVE, axis=0)
        along[:, i] = np.linspace(low[i], high[i], CURVE)
        cuts[name] = (along[:, i], fit.value(along), *fit.bounds(along))
    return draw_regression(
        data.values[scored],
        fit.value(points[scored]),
        cuts=cuts,
        point=(points[middle], float(data.values[middle])),
        label=data.output,
        title=title,
    )
