"""Layers as matrices, and layers through training."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxbp.viz.style import DIVERGING, SEQUENTIAL, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RATIO_GUIDE = 1e-3  # a rule of thumb for the size of a step over that of the weights


@dataclass(frozen=True)
class WeightMatrices:
    """What `draw_weights` drew: the figure, the images by column name and layer, the scale of each column."""

    figure: "Figure"
    images: dict[str, list[Any]]
    limits: dict[str, float]


@dataclass(frozen=True)
class GradientFlow:
    """What `draw_gradient_flow` drew: the figure, the panels by name, a line for each layer in each of them."""

    figure: "Figure"
    axes: dict[str, "Axes"]
    lines: dict[str, list[Any]]


def draw_weights(
    weights: Any, gradients: Any, updates: Any, *, title: str = "", figure: "Figure | None" = None
) -> WeightMatrices:
    """Draws weights, their gradients and their updates as matrices, a row for each layer.

    A column has one symmetric scale, which ends at the 99.5th percentile of its sizes, so that layers can be compared
    and a row or a column of zeros is seen: a unit that nothing reaches or that reaches nothing.

    Args:
        weights: for each layer (fan_in, fan_out), as `[layer.weight for layer in params]`.
        gradients: dL/dW, of the same shapes.
        updates: what a step changed, of the same shapes.
        title: above the figure.
        figure: where to draw; a new one unless given.

    Returns:
        The artists.

    Raises:
        ValueError: the shapes do not fit together.
    """
    columns = {"W": weights, "∂L/∂W": gradients, "ΔW": updates}
    columns = {name: [np.asarray(matrix, float) for matrix in matrices] for name, matrices in columns.items()}
    shapes = [matrix.shape for matrix in columns["W"]]
    for name, matrices in columns.items():
        if [matrix.shape for matrix in matrices] != shapes:
            raise ValueError(f"{name} must have the shapes {shapes} of W, got {[matrix.shape for matrix in matrices]}")
    heights = [min(max(rows, 6), 64 if width > 1 else 16) for rows, width in shapes]
    with style():
        if figure is None:
            import matplotlib.pyplot as plt

            figure = plt.figure(figsize=(8.4, 0.03 * sum(heights) + 0.55 * len(heights) + 0.8), layout="constrained")
        grid = figure.subplots(len(shapes), 3, squeeze=False, gridspec_kw={"height_ratios": heights})
        images: dict[str, list[Any]] = {}
        limits = {}
        for column, (name, matrices) in enumerate(columns.items()):
            sizes = np.concatenate([np.abs(matrix).ravel() for matrix in matrices])
            limits[name] = max(float(np.percentile(sizes, 99.5)), 1e-300)
            options: dict[str, Any] = {"cmap": DIVERGING, "vmin": -limits[name], "vmax": limits[name]}
            images[name] = []
            for row, matrix in enumerate(matrices):
                ax = grid[row, column]
                images[name].append(ax.imshow(matrix, aspect="auto", interpolation="nearest", **options))
                ax.set(xticks=[], yticks=[])
                if column == 0:
                    rows, width = matrix.shape
                    ax.set_ylabel(f"layer {row + 1}\n{rows} × {width}", rotation=0, ha="right", va="center", fontsize=9)
            grid[0, column].set_title(f"{name}   (largest {sizes.max():.2g})")
            bar = figure.colorbar(
                images[name][-1], ax=list(grid[:, column]), location="bottom", extend="both", pad=0.02, aspect=40
            )
            bar.ax.locator_params(nbins=5)
        figure.supxlabel("to unit (across), from unit (down)", fontsize=9)
        if title:
            figure.suptitle(title)
    return WeightMatrices(figure, images, limits)


def draw_gradient_flow(history: Any, *, title: str = "", figure: "Figure | None" = None) -> GradientFlow:
    """Draws what a recorder saw in each layer: gradients, relative updates, dead units.

    Args:
        history: `FitResult.layers`, from `fit` with `record_layers`.
        title: above the figure.
        figure: where to draw; a new one unless given.

    Returns:
        The artists.

    Raises:
        ValueError: there is no history.
    """
    if history is None:
        raise ValueError("history must be FitResult.layers of a fit with record_layers=True, got None")
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(history.update > 0, history.update / history.weight, np.nan)
    panels = {
        "gradient ‖∂L/∂W‖": np.where(history.gradient > 0, history.gradient, np.nan),
        "update ‖ΔW‖ / ‖W‖": ratio,
        "dead units (share)": history.dead,
    }
    num_layers = history.gradient.shape[1]
    with style():
        import matplotlib
        import matplotlib.pyplot as plt

        if figure is None:
            figure = plt.figure(figsize=(9.6, 3.2), layout="constrained")
        # From dark to light with depth, short of the palest colours, which white paper swallows.
        colours = matplotlib.colormaps[SEQUENTIAL](np.linspace(0.0, 0.82, num_layers))
        axes: dict[str, Axes] = {}
        lines: dict[str, list[Any]] = {}
        for ax, (name, values) in zip(figure.subplots(1, 3), panels.items(), strict=True):
            lines[name] = [
                ax.plot(history.step, values[:, layer], color=colours[layer], linewidth=1.5)[0]
                for layer in range(num_layers)
            ]
            ax.set(xlabel="step", title=name)
            ax.grid(alpha=0.25, linewidth=0.6)
            if "dead" in name:
                ax.set_ylim(-0.04, 1.04)
            elif np.isfinite(values).any():
                ax.set_yscale("log")
            axes[name] = ax
        guide = axes["update ‖ΔW‖ / ‖W‖"].axhline(RATIO_GUIDE, color="0.35", linestyle=":", linewidth=1.2)
        names = [f"layer {layer + 1}" for layer in range(num_layers)]
        handles = [*lines["gradient ‖∂L/∂W‖"], guide]
        options: Any = {"loc": "outside lower center", "ncols": num_layers + 1, "frameon": False, "fontsize": 9}
        figure.legend(handles, [*names, f"guide {RATIO_GUIDE:g}"], **options)
        if title:
            figure.suptitle(title)
    return GradientFlow(figure, axes, lines)
