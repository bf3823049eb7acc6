"""Activations and node errors of single units over the input plane."""

from typing import Any

import numpy as np

from jaxbp.viz.grid import Grid
from jaxbp.viz.maps import check_values, colour, map_height, mark_gaps
from jaxbp.viz.scales import asinh_norm, bar_below
from jaxbp.viz.style import DIVERGING, SEQUENTIAL, WIDTH, Drawing, new_figure, style

SIDE = 4  # maps in a row and rows of maps


def draw_unit_maps(
    grid: Grid,
    activations: np.ndarray,
    node_errors: np.ndarray,
    *,
    outgoing: np.ndarray | None = None,
    labels: tuple[str, ...] = ("x", "y"),
    title: str = "",
) -> Drawing:
    """Draw the activations of up to 16 units over the plane at the left, the node errors right.

    Shown are those that change the outputs most: with the largest standard deviation of the
    activation over the plane, times the sum of the outgoing weights' sizes.

    Args:
        grid: where.
        activations: (n, units).
        node_errors: (n, units), dL/dz of the sample at each point.
        outgoing: (units, outputs) weights of the next layer; all equal unless given.
        labels: the names of x and y.
        title: above the figure.

    Returns:
        The drawing; artists `activations` and `node_errors` by unit; numbers `units`, those shown,
        and `left_out`. All activations have one scale, and so have all node errors: linear up to
        the median size, then logarithmic.

    Raises:
        ValueError: the shapes do not fit together.

    Examples:
        >>> import numpy as np
        >>> from jaxbp import viz
        >>> grid = viz.Grid.over(((0, 1), (0, 2)), 11)
        >>> x, y = grid.points.T
        >>> units = np.column_stack([x, y])
        >>> drawing = viz.draw_unit_maps(grid, np.tanh(units), 1 - np.tanh(units) ** 2)
    """
    activations = check_values("activations", grid, activations, units=True)
    node_errors = check_values("node_errors", grid, node_errors, units=True)
    if node_errors.shape != activations.shape:
        wanted = f"{activations.shape} like activations"
        raise ValueError(f"node_errors must have shape {wanted}, got {node_errors.shape}")
    num_units = activations.shape[1]
    weights = np.ones((num_units, 1)) if outgoing is None else np.asarray(outgoing, float)
    if weights.ndim != 2 or len(weights) != num_units:
        raise ValueError(
            f"outgoing must have shape ({num_units}, outputs) for the units, got {weights.shape}"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        effect = np.nan_to_num(activations.std(axis=0) * np.abs(weights).sum(axis=1), nan=-1.0)
    units = tuple(int(unit) for unit in np.argsort(-effect, kind="stable")[: SIDE * SIDE])
    side = min(SIDE, int(np.ceil(np.sqrt(len(units)))))
    rows = -(-len(units) // side)
    cell = (WIDTH - 0.9) / (2 * side)
    left_out = num_units - len(units)
    title += f" ({len(units)} of {num_units} units)" if left_out else ""
    with style():
        figure = new_figure(WIDTH, min(9.0, rows * map_height(grid, cell)) + 1.1, title)
        ratios = [*[1.0] * side, 0.2, *[1.0] * side]
        table = figure.subplots(rows, 2 * side + 1, squeeze=False, width_ratios=ratios)
        for ax in table[:, side]:
            ax.axis("off")
        box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"}
        corner: Any = {"fontsize": 8, "va": "top", "bbox": box | {"alpha": 0.85}}
        maps: dict[str, dict[int, Any]] = {"activations": {}, "node_errors": {}}
        looks: Any = (
            ("activations", "activation a", activations, SEQUENTIAL),
            ("node_errors", "node error δ = ∂L/∂z", node_errors, DIVERGING),
        )
        for half, (name, label, values, colours) in enumerate(looks):
            block = table[:, half * (side + 1) :][:, :side].ravel()
            norm = asinh_norm(values[:, units], symmetric=half == 1)
            for ax, unit in zip(block, units, strict=False):
                mark_gaps(ax, grid, values[:, unit])
                maps[name][unit] = colour(ax, grid, values[:, unit], norm=norm, cmap=colours)
                ax.set(xticks=[], yticks=[])
                ax.text(0.06, 0.93, str(unit), transform=ax.transAxes, **corner)
            bar_below(figure, maps[name][units[0]], list(block), label)
            block[(rows - 1) * side].set(xlabel=labels[0], ylabel=labels[1])
            for ax in block[len(units) :]:
                ax.axis("off")
    return Drawing(figure, {}, maps, {"units": units, "left_out": left_out})
