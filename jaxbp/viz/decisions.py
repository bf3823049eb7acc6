"""What a classifier decides over the input plane."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxbp.viz.style import BLACK, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class DecisionMap:
    """What `draw_decision_map` drew.

    Attributes:
        ax: the axes.
        filled: the filled contours of the output.
        boundary: the line at the threshold; None where the output does not reach it.
        lines: the units' lines.
        points: the points of each label.
        bar: the colour bar.
    """

    ax: "Axes"
    filled: Any
    boundary: Any
    lines: list[Any]
    points: dict[float, Any]
    bar: Any


def draw_decision_map(
    x: np.ndarray,
    y: np.ndarray,
    outputs: np.ndarray,
    *,
    points: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    lines: Any = (),
    threshold: float = 0.5,
    title: str = "",
    ax: "Axes | None" = None,
) -> DecisionMap:
    """Draws an output in [0, 1] over the plane, the line on which it decides, and the samples.

    Args:
        x: (num_columns,) the grid's columns.
        y: (num_rows,) the grid's rows.
        outputs: (num_rows, num_columns), probabilities.
        points: (n, 2) samples to mark.
        labels: (n,) their classes, 0 or 1; required with points.
        lines: (units, 3) rows w_x, w_y, b of units to show by their lines w_x x + w_y y + b = 0.
        threshold: where the decision changes.
        title: above the panel.
        ax: where to draw; a new figure unless given.

    Returns:
        The artists.

    Raises:
        ValueError: the shapes do not fit together.
    """
    if outputs.shape != (len(y), len(x)):
        raise ValueError(f"outputs must have shape {(len(y), len(x))} for x and y, got {outputs.shape}")
    if points is not None and (labels is None or len(labels) != len(points)):
        raise ValueError(f"labels must be {len(points)} like the points, got {None if labels is None else len(labels)}")
    if labels is not None and not np.isin(labels, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1, got {np.setdiff1d(labels, (0, 1))[0]}")
    with style():
        if ax is None:
            import matplotlib.pyplot as plt

            ax = plt.figure(figsize=(6.4, 4.8), layout="constrained").subplots()
        filled = ax.contourf(x, y, outputs, levels=np.linspace(0, 1, 21), cmap="cividis")
        boundary = None
        if outputs.min() < threshold < outputs.max():
            boundary = ax.contour(x, y, outputs, levels=[threshold], colors="white", linewidths=2.0)
        drawn: list[Any] = []
        for i, (w_x, w_y, b) in enumerate(lines):
            # The point of the line that is nearest to the origin, and the direction along it.
            norm = w_x * w_x + w_y * w_y
            if norm > 0:
                foot = (-b * w_x / norm, -b * w_y / norm)
                other = (foot[0] - w_y, foot[1] + w_x)
                options: dict[str, Any] = {"linestyle": ("--", ":")[i % 2], "linewidth": 1.4, "color": BLACK}
                drawn.append(ax.axline(foot, other, label=None if drawn else "hidden units", **options))
        marked: dict[float, Any] = {}
        if points is not None and labels is not None:
            for label, marker in ((0.0, "o"), (1.0, "s")):
                some = points[np.asarray(labels) == label]
                options = {"s": 90, "edgecolors": BLACK, "linewidths": 1.4, "zorder": 3}
                colour = "white" if label else "0.25"
                options["label"] = f"target {label:g}"
                marked[label] = ax.scatter(some[:, 0], some[:, 1], marker=marker, c=colour, **options)
        ax.set(xlabel="x", ylabel="y", title=title, xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), aspect="equal")
        bar = ax.figure.colorbar(filled, ax=ax, label="output", ticks=np.linspace(0, 1, 6), pad=0.02)
        if marked:
            ax.figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return DecisionMap(ax, filled, boundary, drawn, marked, bar)
