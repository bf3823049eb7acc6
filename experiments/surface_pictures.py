"""The pictures of `fit_surface`: the fit beside the truth, the samples, the loss; details, film and contrast."""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

import jaxbp
from data import Samples, Task
from jaxbp import viz
from jaxbp.training import FitResult, StagesResult
from jaxbp.viz import Grid
from jaxbp.viz.style import number
from surface_flags import Config

SIDE = 121  # points along each side of the maps of details and films
UNIT_SIDE = 61  # and of those inside the units
FRAMES = 26
PICTURES: dict[str, Any] = {
    "details": False,
    "film": False,
    "contrast": False,
    "page": False,
}  # flags that add pictures and change no number


class Fitted(NamedTuple):
    """A task with the model that was fitted to it.

    Attributes:
        task: the samples.
        model: the fitted function, in the units of the data.
        result: what `fit` or `fit_stages` returned.
        start: the model before the first step.
        snapshots: by step, the parameters at the records.
        phases: what the start, the training and the last solve each brought.
    """

    task: Task
    model: jaxbp.Model
    result: FitResult | StagesResult
    start: jaxbp.Model
    snapshots: Mapping[int, jaxbp.Params]
    phases: Mapping[str, jaxbp.Model]


def draw(
    config: Config, fitted: Fitted, predicted: np.ndarray, numbers: dict[str, Any]
) -> dict[str, Any]:
    """Draws the pictures of every run, by file name; adds the contour levels to the numbers.

    `predicted` holds the model's values at the points of `task.test`.
    """
    task, history, prefix = fitted.task, fitted.result.history, config.stem
    footer = (
        f"NRMSE {number(numbers['nrmse'], 2)}   1 − R² {number(numbers['unexplained'], 2)}   ·   "
        f"{numbers['samples']} samples, {numbers['parameters']} parameters, "
        f"{numbers['steps']} steps, seed {config.seed}"
    )
    if task.train.points.shape[1] == 2:
        figures = draw_plane(task, predicted, footer, numbers)
    else:
        figures = draw_cuts(fitted, predicted[task.scored], footer)
    # The loss curve is that of the training between the two solves of the output layer.
    held_out = {
        name: phase.score(*task.held_out).nrmse ** 2 for name, phase in fitted.phases.items()
    }
    solved = {f"{name}, held out": error for name, error in held_out.items() if "solved" in name}
    factor = (
        2 if config.is_tutorial else 1
    )  # of the error that is printed over the loss that is followed
    curves = viz.draw_curves(
        history.step,
        {"train": factor * history.loss, "held out": factor * history.validation_loss},
        ylabel="mean squared error, standardized",
        title=f"{task.title}: loss",
        references={"variance": 1.0} | solved,
    )
    figures["loss_curve.svg"] = curves
    if config.details:
        figures |= details(fitted)
    files: dict[str, Any] = {f"{prefix}{name}": drawing.figure for name, drawing in figures.items()}
    if config.film:
        files |= dict.fromkeys(
            (f"{prefix}training_film.gif", f"{prefix}training_film.html"), film(fitted)
        )
    return files


def draw_plane(
    task: Task, predicted: np.ndarray, footer: str, numbers: dict[str, Any]
) -> dict[str, Any]:
    """Draws a fit of two inputs as maps; adds the contour levels to the numbers."""
    comparison = viz.draw_surface_comparison(
        task.grid or task.test.points,
        task.test.values,
        predicted,
        labels=task.labels,
        title=task.title,
        footer=footer,
    )
    numbers["levels"] = comparison.numbers["levels"]
    rows = np.column_stack(task.train)
    samples = viz.draw_samples(rows, labels=task.labels, title=f"{task.title}: {len(rows)} samples")
    return {"surface_true_pred.png": comparison, "surface_samples.png": samples}


def draw_cuts(fitted: Fitted, predicted: np.ndarray, footer: str) -> dict[str, Any]:
    """Draws a fit of another number of inputs: rows that were not trained on, cuts through the most central one."""
    task, points, values = fitted.task, fitted.task.test.points, fitted.task.test.values
    scored = Samples(points[task.scored], values[task.scored])
    scale = np.where(np.ptp(points, axis=0) > 0, np.ptp(points, axis=0), 1.0)
    middle = int(
        np.argmin(np.sum(((scored.points - np.median(points, axis=0)) / scale) ** 2, axis=1))
    )
    cuts = {}
    for i, name in enumerate(task.labels[:-1]):
        along = np.repeat(scored.points[[middle]], SIDE, axis=0)
        along[:, i] = np.linspace(points[:, i].min(), points[:, i].max(), SIDE)
        cuts[name] = along[:, i], fitted.model(along)
    drawn = viz.draw_regression(
        scored.values,
        predicted,
        cuts=cuts,
        point=(scored.points[middle], float(scored.values[middle])),
        label=task.labels[-1],
        title=task.title,
        footer=footer,
    )
    return {"true_pred.png": drawn}


def details(fitted: Fitted) -> dict[str, Any]:
    """Draws kink lines, units, weights and layers."""
    task, model = fitted.task, fitted.model
    grid, unit_grid = (Grid.around(task.test.points, side) for side in (SIDE, UNIT_SIDE))
    mlp, params = model.mlp, model.params
    preactivations, _, _ = passes_over(fitted, grid)
    layers = zip(preactivations, mlp.activations, strict=True)
    kinks = {layer: z for layer, (z, activation) in enumerate(layers, start=1) if activation.kink}
    error = viz.draw_error_detail(
        grid,
        task.values_at(grid.points),
        model(grid.points),
        kinks,
        labels=task.labels,
        title=task.title,
    )
    drawn = {"surface_error_detail.png": error}
    if mlp.num_layers > 1:
        _, activations, node_errors = passes_over(fitted, unit_grid)
        drawn["unit_maps.png"] = viz.draw_unit_maps(
            unit_grid,
            activations[-2],
            node_errors[-2],
            outgoing=np.asarray(params[-1].weight),
            labels=task.labels[:2],
            title="The units of the last hidden layer that matter most",
        )
    _, gradient = jaxbp.loss_and_gradient(mlp, params, *model.standardize(*task.train))
    ends = zip(params, fitted.start.params, strict=True)
    drawn["weights_matrix.png"] = viz.draw_weights(
        [np.asarray(layer.weight) for layer in params],
        [np.asarray(layer.weight) for layer in gradient],
        [np.asarray(now.weight - then.weight) for now, then in ends],
        title="Weights, their gradients at the end, their change since the start",
    )
    if isinstance(fitted.result, FitResult) and fitted.result.layers is not None:
        drawn["gradient_flow.svg"] = viz.draw_gradient_flow(
            fitted.result.layers, title="Layers through training"
        )
    return drawn


def passes_over(fitted: Fitted, grid: Grid) -> tuple[list[np.ndarray], ...]:
    """Preactivations, activations and node errors (n, n_l) of each layer, for each point of a grid by itself."""
    model = fitted.model

    @jax.jit
    @jax.vmap
    def one(inputs: jax.Array, targets: jax.Array) -> Any:
        trace = jaxbp.backprop(model.mlp, model.params, inputs[None], targets[None])
        return trace.preactivations, trace.activations, trace.node_errors

    passes = one(*model.standardize(grid.points, fitted.task.values_at(grid.points)))
    return tuple([np.asarray(array)[:, 0] for array in layers] for layers in passes)


def film(fitted: Fitted) -> viz.Film:
    """Films the predicted surface as it is learned."""
    task, grid = fitted.task, Grid.around(fitted.task.test.points, UNIT_SIDE)
    steps = sorted(fitted.snapshots)
    chosen = [steps[place] for place in spread(len(steps), FRAMES)]
    frames = [fitted.model.with_params(fitted.snapshots[step])(grid.points) for step in chosen]
    return viz.animate_training(
        grid, frames, chosen, task.values_at(grid.points), labels=task.labels, title=task.title
    )


def spread(count: int, wanted: int) -> np.ndarray:
    """At least so many places of a sequence, or all: the first ones in a row, then even on a logarithmic scale."""
    tries = (
        np.unique(np.geomspace(1, count, many).round().astype(int)) - 1
        for many in itertools.count(wanted)
    )
    return next(places for places in tries if len(places) >= min(wanted, count))


def draw_contrast(fitted: Fitted, tutorial: Fitted) -> dict[str, Any]:
    """Draws the true surface, the tutorial's fit and this one, with their errors."""
    task = fitted.task
    predicted = {
        name: one.model(task.test.points)
        for name, one in (("the tutorial's fit", tutorial), ("this fit", fitted))
    }
    drawn = viz.draw_surface_comparison(
        task.grid or task.test.points,
        task.test.values,
        predicted,
        labels=task.labels,
        title=task.title,
    )
    return {"surface_contrast.png": drawn.figure}
