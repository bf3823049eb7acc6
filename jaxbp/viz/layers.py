"""Layers as matrices, and layers through training."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxbp.training import LayerHistory
from jaxbp.viz.curves import legend_below
from jaxbp.viz.scales import TINY, asinh_norm, bar_below
from jaxbp.viz.style import DIVERGING, GREY, WIDTH, Drawing, new_figure, number, style

RATIO_GUIDE = 1e-3  # a rule of thumb for the size of a step over that of the weights
MAX_LABELS = 8  # layers in a legend
NOTE: Any = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "fontsize": 8}


def draw_weights(
    weights: Sequence[np.ndarray],
    gradients: Sequence[np.ndarray],
    updates: Sequence[np.ndarray],
    *,
    title: str = "",
) -> Drawing:
    """Draws weights, their gradients and their updates as matrices, a row for each layer.

    A column has one symmetric scale up to its largest number, linear below the median and
    logarithmic above, so that layers can be compared and a row or a column of zeros is seen: a unit
    that nothing reaches or that reaches nothing.

    Args:
        weights: for each layer (fan_in, fan_out), as `[layer.weight for layer in params]`.
        gradients: dL/dW, of the same shapes.
        updates: what a step changed, of the same shapes.
        title: above the figure.

    Returns:
        The drawing; artists `images` by column and layer, numbers `limits` by column.

    Raises:
        ValueError: the shapes do not fit together.
    """
    given = {"W": weights, "∂L/∂W": gradients, "ΔW": updates}
    columns = {
        name: [np.asarray(matrix, float) for matrix in matrices] for name, matrices in given.items()
    }
    shapes = [matrix.shape for matrix in columns["W"]]
    for name, matrices in columns.items():
        if [matrix.shape for matrix in matrices] != shapes:
            raise ValueError(
                f"{name} must have the shapes {shapes} of W, got {[matrix.shape for matrix in matrices]}"
            )
    heights = [max(12.0, 64 * rows / max(rows for rows, _ in shapes)) for rows, _ in shapes]
    widest = max(width for _, width in shapes)
    with style():
        figure = new_figure(
            WIDTH, min(0.028, 7.0 / sum(heights)) * sum(heights) + 0.25 * len(heights) + 1.3, title
        )
        grid = figure.subplots(
            len(shapes), 3, squeeze=False, gridspec_kw={"height_ratios": heights}
        )
        images: dict[str, list[Any]] = {}
        limits = {}
        for column, (name, matrices) in enumerate(columns.items()):
            norm = asinh_norm(
                np.concatenate([matrix.ravel() for matrix in matrices]), symmetric=True
            )
            limits[name], images[name] = norm.vmax, []
            for row, matrix in enumerate(matrices):
                ax, (rows, width) = grid[row, column], matrix.shape
                if not np.isfinite(matrix).all():
                    look: Any = {
                        "hatch": "////",
                        "facecolor": "0.93",
                        "edgecolor": "0.6",
                        "linewidth": 0,
                    }
                    ax.fill_between([-0.5, width - 0.5], -0.5, rows - 0.5, zorder=-1, **look)
                images[name].append(
                    ax.imshow(
                        matrix, aspect="auto", interpolation="nearest", cmap=DIVERGING, norm=norm
                    )
                )
                # As wide as its units are many beside the widest layer, but not so narrow that it
                # cannot be seen.
                ax.set_xlim(-0.5, width / max(width / widest, 0.07) - 0.5)
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
                if column == 0:
                    ax.set_ylabel(
                        f"layer {row + 1}\n{rows} × {width}", rotation=0, ha="right", va="center"
                    )
            grid[0, column].set_title(name, loc="left")
            gaps = sum(int((~np.isfinite(matrix)).sum()) for matrix in matrices)
            label = f"largest {number(limits[name])}" if limits[name] > TINY else "0 everywhere"
            bar_below(
                figure,
                images[name][0],
                list(grid[:, column]),
                label + (f"\n{gaps} not finite" if gaps else ""),
            )
        figure.supxlabel(
            "across: to unit; down: from unit; colours linear up to the median size, then logarithmic"
        )
    return Drawing(figure, {}, {"images": images}, {"limits": limits})


def draw_gradient_flow(history: LayerHistory, *, title: str = "") -> Drawing:
    """Draws what was recorded of each layer in training: gradients, relative updates, dead units
    where there are any.

    Args:
        history: `FitResult.layers`, of a fit with `RecordLayers()`.
        title: above the figure.

    Returns:
        The drawing; `axes` by quantity and artists `lines` by quantity and layer.

    Raises:
        ValueError: there is no history.
    """
    if history is None:
        raise ValueError(
            "history must be FitResult.layers of a fit with RecordLayers(), got None"
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(history.update > 0, history.update / history.weight, np.nan)
    broken = ~np.isfinite(history.gradient).all(axis=1)
    panels = {
        "gradient ‖∂L/∂W‖": np.where(history.gradient > 0, history.gradient, np.nan),
        "update ‖ΔW‖ / ‖W‖": ratio,
    }
    if np.any(history.dead > 0):
        panels["dead units (share)"] = history.dead
    num_layers = history.gradient.shape[1]
    with style():
        import matplotlib

        figure = new_figure(WIDTH, 3.4, title)
        axes = dict(zip(panels, figure.subplots(1, len(panels)), strict=True))
        # From dark to light with depth, short of the colours that white paper swallows.
        colours = matplotlib.colormaps["plasma"](np.linspace(0.0, 0.62, num_layers))
        lines: dict[str, list[Any]] = {}
        for name, values in panels.items():
            ax, marker = axes[name], "o" if len(history.step) == 1 else None
            lines[name] = [
                ax.plot(
                    history.step, column, color=ink, linewidth=1.4, marker=marker, markersize=4
                )[0]
                for column, ink in zip(values.T, colours, strict=True)
            ]
            ax.set(xlabel="step", title=name)
            ax.grid(alpha=0.25, linewidth=0.6)
            if "dead" in name:
                ax.set_ylim(-0.04, 1.04)
            elif np.isfinite(values).any():
                ax.set_yscale("log")
            else:
                ax.text(
                    0.5,
                    0.5,
                    "0 everywhere",
                    transform=ax.transAxes,
                    ha="center",
                    va="center",
                    backgroundcolor="w",
                )
                ax.set_yticks([])
            if broken.any():  # the run goes on, and its numbers do not
                ax.axvspan(
                    *history.step[broken][[0, -1]],
                    hatch="////",
                    facecolor="0.93",
                    edgecolor="0.6",
                    linewidth=0,
                )
                ax.annotate("not finite", (history.step[broken][0], 0.0), (4, 4), **NOTE)
        guide = axes["update ‖ΔW‖ / ‖W‖"].axhline(
            RATIO_GUIDE, color=GREY, linestyle=":", linewidth=1.2
        )
        named = np.unique(
            np.linspace(0, num_layers - 1, min(MAX_LABELS, num_layers)).round().astype(int)
        )
        handles = [*(lines["gradient ‖∂L/∂W‖"][layer] for layer in named), guide]
        legend_below(
            figure,
            handles,
            [*(f"layer {layer + 1}" for layer in named), f"guide {number(RATIO_GUIDE)}"],
        )
    return Drawing(figure, axes, {"lines": lines})
