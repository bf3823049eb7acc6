"""What `fit_surface` says of a fit: the numbers, the table, the pictures, the JSON beside them."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import jaxbp
from jaxbp import viz
from support.command_line import print_table
from support.config import Config
from support.details import draw_details, draw_film
from support.fitting import Fitted
from support.outputs import versions, write_json
from support.tasks import Task


class Score(NamedTuple):
    """The error over points that were not trained on, in the units of the data.

    Attributes:
        rmse: root mean square error.
        nrmse: rmse over the standard deviation of the true values.
        r2: 1 - the share of the variance that is not explained.
        max_error: the largest |predicted - true|.
        max_error_at: its x and y.
    """

    rmse: float
    nrmse: float
    r2: float
    max_error: float
    max_error_at: tuple[float, float]


def score(task: Task, predicted: np.ndarray) -> Score:
    """Measures predicted (k,) against the scored rows of the task's test points."""
    error = np.where(task.scored, predicted - task.test[:, 2], 0.0)
    rmse = float(np.sqrt(np.mean(error[task.scored] ** 2)))
    deviation = float(task.test[task.scored, 2].std())
    nrmse = rmse / deviation if deviation > 0 else float("nan")
    worst = int(np.argmax(np.abs(error)))
    x, y = task.test[worst, :2]
    return Score(rmse, nrmse, 1 - nrmse**2, float(np.abs(error[worst])), (float(x), float(y)))


def gradient_difference(fitted: Fitted) -> float:
    """The largest element of | hand-written gradient - jax.grad of the reference |, at the end, over all samples."""
    inputs, targets = fitted.train

    def loss(params: jaxbp.Params) -> jax.Array:
        error = jaxbp.reference_predict(fitted.mlp, params, inputs) - targets
        return (error * error).mean()

    params = fitted.result.params
    hand = jax.jit(jaxbp.loss_and_gradient, static_argnums=0)(fitted.mlp, params, inputs, targets)[1]
    auto = jax.jit(jax.grad(loss))(params)
    pairs = zip(jax.tree.leaves(hand), jax.tree.leaves(auto), strict=True)
    return float(np.max([float(abs(a - b).max()) for a, b in pairs]))


def report(config: Config, task: Task, fitted: Fitted, folder: Path) -> None:
    """Measures the fit, prints the table, writes the pictures and the JSON."""
    predicted = fitted.predict(task.test[:, :2])
    result = fitted.result
    summary = {
        "samples": len(task.train),
        "parameters": fitted.num_params,
        "steps": int(result.state.step),
        "status": result.status,
        "compile_seconds": result.compile_seconds,
        "run_seconds": result.run_seconds,
        "test_points": int(task.scored.sum()),
        **score(task, predicted)._asdict(),
        "gradient_difference": gradient_difference(fitted),
        "dtype": str(result.params[0].weight.dtype),
        "device": jax.devices()[0].device_kind,
    }
    print_summary(summary, task.title)
    paths = draw(config, task, fitted, predicted, summary, folder)
    print(f"\nwrote {', '.join(map(str, paths))}")


def print_summary(summary: dict[str, Any], title: str) -> None:
    """Prints the table."""
    x, y = summary["max_error_at"]
    rows = {
        "samples": f"{summary['samples']}",
        "parameters": f"{summary['parameters']}",
        "steps": f"{summary['steps']} ({summary['status']})",
        "compile": f"{summary['compile_seconds']:.2f} s",
        "run": f"{summary['run_seconds']:.2f} s",
        f"on {summary['test_points']} other points": "",
        "  RMSE": f"{summary['rmse']:.3e}",
        "  NRMSE": f"{summary['nrmse']:.3e}",
        "  R2": f"{summary['r2']:.12g}",
        "  largest error": f"{summary['max_error']:.3e} at ({x:.4g}, {y:.4g})",
        "hand-written gradient − jax.grad": f"at most {summary['gradient_difference']:.1e} ({summary['dtype']})",
    }
    print_table(rows, title)


def draw(
    config: Config, task: Task, fitted: Fitted, predicted: np.ndarray, summary: dict[str, Any], folder: Path
) -> list[Path]:
    """Draws and writes the pictures and the JSON; returns their paths."""
    history = fitted.history
    prefix = "" if config.stem == "surface" else f"{config.stem}_"
    grid = task.shape or (len(task.test),)
    x, y = task.test[:, 0], task.test[:, 1]
    if task.shape is not None:
        x, y = x.reshape(grid)[0], y.reshape(grid)[:, 0]
    comparison = viz.draw_surface_comparison(
        x,
        y,
        task.test[:, 2].reshape(grid),
        predicted.reshape(grid),
        labels=task.labels,
        title=task.formula,
        footer=(
            f"NRMSE {summary['nrmse']:.2g}   1 − R² {1 - summary['r2']:.2g}   "
            f"largest error {summary['max_error']:.3g}   ·   {summary['samples']} samples, "
            f"{summary['parameters']} parameters, {summary['steps']} steps, seed {config.seed}"
        ),
    )
    samples = viz.draw_samples(task.train, labels=task.labels, title=f"{task.formula}: {len(task.train)} samples")
    curves = viz.draw_curves(
        history.step,
        {"train": history.loss, "held out": history.validation_loss},
        ylabel="mean squared error, standardized",
        title=f"{task.formula}: loss",
        references={"variance": 1.0},
    )
    figures = {
        f"{prefix}surface_true_pred.png": comparison.figure,
        f"{prefix}surface_samples.png": samples.ax.figure,
        f"{prefix}loss_curve.svg": curves.ax.figure,
    }
    if config.details:
        figures |= {f"{prefix}{name}": figure for name, figure in draw_details(task, fitted).items()}
    paths = [viz.save_figure(figure, folder / name) for name, figure in figures.items()]
    if config.film:
        paths += draw_film(task, fitted, folder, prefix)
    sidecar = folder / f"{prefix}fit_surface.json"
    write_json(
        sidecar,
        {
            "config": dataclasses.asdict(config),
            "result": summary,
            "levels": comparison.levels.tolist(),
            "error_limit": comparison.error_limit,
            "history": {name: values.tolist() for name, values in history._asdict().items()},
            "versions": versions(),
        },
    )
    return [*paths, sidecar]
