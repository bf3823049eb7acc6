"""Layers as matrices, and layers through training."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxbp.training import LayerHistory
from jaxbp.viz.curves import legend_below
from jaxbp.viz.scales import TINY, asinh_norm, bar_below
from jaxbp.viz.style import DIVERGING, GAP, GREY, WIDTH, Drawing, new_figure, number, style

RATIO_GUIDE = 1e-3  # a rule of thumb for the size of a step over that of the weights
MAX_LABELS = 8  # layers in a legend
GRADIENT, UPDATE, DEAD = "gradient ‖∂L/∂W‖", "update ‖ΔW‖ / ‖W‖", "dead units (share)"


def draw_weights(
    weights: Sequence[np.ndarray],
    gradients: Sequence[np.ndarray],
    updates: Sequence[np.ndarray],
    *,
    title: str = "",
) -> Drawing:
    """Draw weights, their gradients and their updates as matrices, a row for each layer.

    A column has one symmetric scale up to its largest number, linear below the median and
    logarithmic above, so that layers can be compared and a row or a column of zeros is seen: a unit
    without input or without output.

    Args:
        weights: for each layer (fan_in, fan_out), as `[layer.weight for layer in params]`.
        gradients: dL/dW, of the same shapes.
        updates: changes of a step, of the same shapes.
        title: above the figure.

    Returns:
        The drawing; artists `images` by column and layer, numbers `limits` by column.

    Raises:
        ValueError: the shapes do not fit together.

    Examples:
        >>> import numpy as np
        >>> from jaxbp import viz
        >>> one = [np.ones((2, 3)), np.ones((3, 1))]
        >>> drawing = viz.draw_weights(one, one, one)
    """
    given = {"W": weights, "∂L/∂W": gradients, "ΔW": updates}
    columns = {name: [np.asarray(one, float) for one in some] for name, some in given.items()}
    shapes = [matrix.shape for matrix in columns["W"]]
    for name, matrices in columns.items():
        if (got := [matrix.shape for matrix in matrices]) != shapes:
            raise ValueError(f"{name} must have the shapes {shapes} of W, got {got}")
    tallest, widest = max(rows for rows, _ in shapes), max(width for _, width in shapes)
    heights = [max(12.0, 64 * rows / tallest) for rows, _ in shapes]
    inches = min(0.028 * sum(heights), 7.0) + 0.25 * len(heights) + 1.3
    images: dict[str, list[Any]] = {}
    limits = {}
    with style():
        figure = new_figure(WIDTH, inches, title)
        grid = figure.subplots(len(shapes), 3, squeeze=False, height_ratios=heights)
        for axes, (name, matrices) in zip(grid.T, columns.items(), strict=True):
            numbers = np.concatenate([matrix.ravel() for matrix in matrices])
            norm = asinh_norm(numbers, symmetric=True)
            limits[name], images[name] = norm.vmax, []
            for ax, matrix in zip(axes, matrices, strict=True):
                rows, width = matrix.shape
                if not np.isfinite(matrix).all():
                    ax.fill_between([-0.5, width - 0.5], -0.5, rows - 0.5, zorder=-1, **GAP)
                look: Any = {"aspect": "auto", "interpolation": "nearest", "cmap": DIVERGING}
                images[name].append(ax.imshow(matrix, norm=norm, **look))
                # As wide as its share of the widest layer, but wide enough to be seen.
                ax.set_xlim(-0.5, width / max(width / widest, 0.07) - 0.5)
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
            axes[0].set_title(name, loc="left")
            gaps = int((~np.isfinite(numbers)).sum())
            label = f"largest {number(limits[name])}" if limits[name] > TINY else "0 everywhere"
            label += f"\n{gaps} not finite" if gaps else ""
            bar_below(figure, images[name][0], list(axes), label)
        look = {"rotation": 0, "ha": "right", "va": "center"}
        for layer, (ax, (rows, width)) in enumerate(zip(grid[:, 0], shapes, strict=True), start=1):
            ax.set_ylabel(f"layer {layer}\n{rows} × {width}", **look)
        figure.supxlabel(
            "across: to unit; down: from unit; "
            "colours linear up to the median size, then logarithmic"
        )
    return Drawing(figure, {}, {"images": images}, {"limits": limits})


def draw_gradient_flow(history: LayerHistory, *, title: str = "") -> Drawing:
    """Draw gradients and relative updates of each layer in training, and dead units if any.

    Args:
        history: `FitResult.layers`, from `fit` with the callback `RecordLayers`.
        title: above the figure.

    Returns:
        The drawing; `axes` by quantity and artists `lines` by quantity and layer.

    Raises:
        ValueError: there is no history.

    Examples:
        >>> import jax
        >>> import jaxbp
        >>> from jaxbp import viz
        >>> mlp, samples = jaxbp.Mlp((1, 3, 1)), ([[0.0], [1.0]], [[1.0], [0.0]])
        >>> start, callbacks = jaxbp.init(mlp, jax.random.key(0)), (jaxbp.RecordLayers(),)
        >>> result = jaxbp.fit(mlp, start, samples, steps=4, callbacks=callbacks)
        >>> drawing = viz.draw_gradient_flow(result.layers)
    """
    if history is None:
        raise ValueError("history must be FitResult.layers of a fit with RecordLayers(), got None")
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(history.update > 0, history.update / history.weight, np.nan)
    gradient = np.where(history.gradient > 0, history.gradient, np.nan)
    panels = {GRADIENT: gradient, UPDATE: ratio}
    if np.any(history.dead > 0):
        panels[DEAD] = history.dead
    broken = history.step[~np.isfinite(history.gradient).all(axis=1)]
    num_layers = history.gradient.shape[1]
    with style():
        import matplotlib

        figure = new_figure(WIDTH, 3.4, title)
        axes = dict(zip(panels, figure.subplots(1, len(panels)), strict=True))
        # From dark to light with depth, short of the colours that are faint on white.
        colours = matplotlib.colormaps["plasma"](np.linspace(0.0, 0.62, num_layers))
        look: Any = {"linewidth": 1.4, "markersize": 4}
        look |= {"marker": "o" if len(history.step) == 1 else None}
        lines: dict[str, list[Any]] = {}
        for name, values in panels.items():
            ax = axes[name]
            log = name != DEAD and np.isfinite(values).any()
            ax.set(xlabel="step", title=name, yscale="log" if log else "linear")
            lines[name] = ax.plot(history.step, values, **look)
            for line, colour in zip(lines[name], colours, strict=True):
                line.set_color(colour)
            ax.grid(alpha=0.25, linewidth=0.6)
            if name == DEAD:
                ax.set_ylim(-0.04, 1.04)
            elif not log:
                middle: Any = {"ha": "center", "va": "center", "backgroundcolor": "w"}
                ax.text(0.5, 0.5, "0 everywhere", transform=ax.transAxes, **middle)
                ax.set_yticks([])
            if len(broken):
                ax.axvspan(broken[0], broken[-1], **GAP)
                place: Any = {"xycoords": ("data", "axes fraction"), "fontsize": 8}
                place |= {"textcoords": "offset points"}
                ax.annotate("not finite", (broken[0], 0.0), (4, 4), **place)
        guide = axes[UPDATE].axhline(RATIO_GUIDE, color=GREY, linestyle=":", linewidth=1.2)
        count = min(MAX_LABELS, num_layers)
        named = np.unique(np.linspace(0, num_layers - 1, count).round().astype(int))
        handles = [*(lines[GRADIENT][layer] for layer in named), guide]
        labels = [*(f"layer {layer + 1}" for layer in named), f"guide {number(RATIO_GUIDE)}"]
        legend_below(figure, handles, labels)
    return Drawing(figure, axes, {"lines": lines})
