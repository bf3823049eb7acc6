"""What `fit_surface --details` and `--film` draw: folds, units, weights, layers, the surface as it is learned."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxbp
from jaxbp import viz
from support.fitting import Fitted
from support.tasks import Task

SIDE = 61  # points along each side of the maps
KINKED = ("relu", "leaky_relu")
FRAMES = 16


def grid_of(task: Task, side: int = SIDE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An even grid over the test points' rectangle: columns, rows, points (side * side, 2)."""
    x, y = (np.linspace(values.min(), values.max(), side) for values in task.test[:, :2].T)
    return x, y, np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def traces_over(fitted: Fitted, points: np.ndarray, values: np.ndarray) -> jaxbp.Trace:
    """Both passes for each point by itself: every array of the trace has a leading axis for the points."""
    dtype = fitted.result.params[0].weight.dtype
    inputs = fitted.points.standardize(points).astype(dtype)[:, np.newaxis]
    targets = fitted.values.standardize(values[:, np.newaxis]).astype(dtype)[:, np.newaxis]

    def one(inputs: jax.Array, targets: jax.Array) -> jaxbp.Trace:
        return jaxbp.backprop(fitted.mlp, fitted.result.params, inputs, targets)

    return jax.jit(jax.vmap(one))(inputs, targets)


def draw_details(task: Task, fitted: Fitted) -> dict[str, Any]:
    """Draws the pictures by file name, without the prefix of the run."""
    x, y, points = grid_of(task)
    true = _nearest(task, points)
    trace = traces_over(fitted, points, true)
    shape = (len(y), len(x))
    predicted = fitted.predict(points)
    figures: dict[str, Any] = {"surface_error_detail.png": _error_detail(task, x, y, predicted, true, trace, fitted)}
    if fitted.mlp.num_layers > 1:
        units = viz.draw_unit_maps(
            x,
            y,
            np.asarray(trace.activations[-2]).reshape(*shape, -1),
            np.asarray(trace.node_errors[-2]).reshape(*shape, -1),
            importance=np.abs(np.asarray(fitted.result.params[-1].weight)).sum(axis=1),
            labels=task.labels[:2],
            title="The units of the last hidden layer with the largest outgoing weights",
        )
        figures["unit_maps.png"] = units.figure
    _, gradient = jaxbp.loss_and_gradient(fitted.mlp, fitted.result.params, *fitted.train)
    pairs = zip(fitted.result.params, fitted.start, strict=True)
    updates = [np.asarray(now.weight) - np.asarray(then.weight) for now, then in pairs]
    matrices = viz.draw_weights(
        [layer.weight for layer in fitted.result.params],
        [layer.weight for layer in gradient],
        updates,
        title="Weights, their gradients at the end, their change since the start",
    )
    figures["weights_matrix.png"] = matrices.figure
    flow = viz.draw_gradient_flow(fitted.result.layers, title="Layers through training")
    figures["gradient_flow.svg"] = flow.figure
    return figures


def draw_film(task: Task, fitted: Fitted, folder: Path, prefix: str) -> list[Path]:
    """Writes the film of the predicted surface as GIF and as page."""
    x, y, points = grid_of(task, 61)
    true = _nearest(task, points).reshape(len(y), len(x))
    steps = sorted(fitted.snapshots)
    wanted = np.unique(np.round(np.geomspace(1, len(steps), min(FRAMES, len(steps)))).astype(int)) - 1
    chosen = [steps[i] for i in wanted]
    frames = [fitted.predict_with(fitted.snapshots[step], points).reshape(true.shape) for step in chosen]
    film = viz.animate_training(x, y, frames, chosen, true, labels=task.labels, title=task.formula)
    return [viz.save_film(film, folder / f"{prefix}training_film{kind}", dpi=72) for kind in (".gif", ".html")]


def _nearest(task: Task, points: np.ndarray) -> np.ndarray:
    """The true value at each point: the surface's where its formula is known, otherwise that of a near test point."""
    if task.function is not None:
        return task.function(*points.T)
    if task.shape is not None:
        values = task.test.reshape(*task.shape, 3)
        columns, rows = values[0, :, 0], values[:, 0, 1]
        column = np.abs(columns - points[:, :1]).argmin(axis=1)
        row = np.abs(rows - points[:, 1:]).argmin(axis=1)
        return values[row, column, 2]
    test = task.test[:: 1 + len(task.test) // 5000]  # as many as can be looked through for every point
    scale = np.ptp(test[:, :2], axis=0)
    gaps = [(((test[:, :2] - point) / scale) ** 2).sum(axis=1) for point in points]
    return test[[int(gap.argmin()) for gap in gaps], 2]


def _error_detail(
    task: Task,
    x: np.ndarray,
    y: np.ndarray,
    predicted: np.ndarray,
    true: np.ndarray,
    trace: jaxbp.Trace,
    fitted: Fitted,
) -> Any:
    """The error map, with the folds of a network that has them; beside it a histogram and two cuts."""
    import matplotlib.pyplot as plt

    shape = (len(y), len(x))
    error = (predicted - true).reshape(shape)
    kinked = [
        np.asarray(z).reshape(*shape, -1)
        for z, name in zip(trace.preactivations, fitted.mlp.activation_names, strict=True)
        if name in KINKED
    ]
    with viz.style():
        figure = plt.figure(figsize=(8.4, 3.9), layout="constrained")
        halves: Any = figure.subfigures(1, 2, width_ratios=(1.15, 1.0))
        left, right = halves
        viz.draw_folds(x, y, error, kinked[:1], labels=task.labels[:2], title="error", ax=left.subplots())
        above, middle, below = right.subplots(3, 1)
        above.hist(error.ravel(), bins=60, color=viz.BLUE)
        above.set(yscale="log", xlabel="predicted − true", ylabel="points", title="errors")
        cuts = ((middle, shape[0] // 2, "y", y), (below, int(0.9 * shape[1]), "x", x))
        for ax, index, name, axis in cuts:
            rows = [values.reshape(shape) for values in (true, predicted)]
            true_cut, predicted_cut = (row[index] if name == "y" else row[:, index] for row in rows)
            along = x if name == "y" else y
            ax.plot(along, true_cut, color=viz.BLACK, linewidth=1.6, label="true")
            ax.plot(along, predicted_cut, color=viz.VERMILLION, linestyle="--", linewidth=1.4, label="predicted")
            ax.set(xlabel=task.labels[0 if name == "y" else 1], ylabel=task.labels[2])
            ax.set_title(f"cut at {task.labels[1 if name == 'y' else 0]} = {axis[index]:.3g}")
        middle.legend(frameon=False, fontsize=8)
    return figure
