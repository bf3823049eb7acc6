"""Fit a surface z = f(x, y) from samples and draw it beside the fit.

By default sin(x) + x cos(y) + y + 3^(x/3) over [-10, 10]^2 from 10,000 random samples. Other
surfaces, a formula, the measured terrain that ships with matplotlib, or a table of your own are
fitted the same way. The pictures and a JSON file with every number go to --out.
"""

import sys
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import data
import jaxbp
from common import begin, finish, print_table, run
from data import Task
from jaxbp.fitting.model import Score
from jaxbp.gradcheck import Report
from surface_fits import fit, use_devices
from surface_flags import MINIMA, PRESETS, Config, check, runs_of
from surface_page import draw_page
from surface_pictures import PICTURES, Fitted, draw, draw_contrast

CHECKED = 1000  # samples on which the gradient is held against jax.grad
TILE = 1000  # samples a time


def main(config: Config) -> None:
    """Samples, fits, scores, draws."""
    check(config)
    use_devices(config)
    folder = begin(config, **MINIMA)
    writes = jax.process_index() == 0
    config = replace(config, quiet=config.quiet or not writes)
    fitted: Fitted | None = None
    for one in runs_of(config):
        task = task_of(one)
        check_inputs(one, task)
        goes_on = fitted is not None and len(fitted.task.train.values) == one.samples
        fitted = fit(one, task, fitted if goes_on else None)
        if not writes:
            continue
        model, result = fitted.model, fitted.result
        predicted = model(task.test.points)
        score = Score(predicted[task.scored], task.test.values[task.scored])
        inputs, targets = model.standardize(*task.train)
        report = jaxbp.check_gradients(
            model.mlp, model.params, inputs[:CHECKED], targets[:CHECKED], one.loss
        )
        numbers = summary(fitted, score, report) | {
            "output_gradient": output_gradient(fitted, one.loss)
        }
        print_table(
            table(numbers, result, report, one.loss), task.title if one.stem else one.surface
        )
        files = draw(one, fitted, predicted, numbers)
        finish(replace(one, **PICTURES), folder, f"{one.stem}fit_surface", numbers, files)
        if score.nrmse > 1:
            print(
                "warning: the mean of the data would be nearer to them than this fit; try other flags",
                file=sys.stderr,
            )
        if result.outcome.diverged:
            raise ValueError(
                f"the fit {result.outcome}; the pictures show the last good parameters"
            )
    if not writes:
        return
    if config.contrast and fitted is not None:
        tutorial = fit(replace(PRESETS["tutorial"], quiet=True), task_of(PRESETS["tutorial"]))
        finish(config, folder, "surface_contrast", {}, draw_contrast(fitted, tutorial))
    if config.page and fitted is not None:
        finish(config, folder, f"{config.stem}surface_page", *draw_page(config, fitted.task))


def check_inputs(config: Config, task: Task) -> None:
    """Raises a ValueError for a picture that needs two inputs where there is another number of them."""
    num_inputs = task.train.points.shape[1]
    for name in ("details", "film", "contrast"):
        if getattr(config, name) and num_inputs != 2:
            raise ValueError(
                f"--{name} must be left out with {num_inputs} input columns: it draws maps of two"
            )


def output_gradient(fitted: Fitted, loss: str) -> dict[str, float]:
    """The norm of the output layer's gradient over all training samples, and what it is where that layer is zero."""
    model = fitted.model
    samples, params = model.standardize(*fitted.task.train), model.params
    zero = (*params[:-1], jax.tree.map(jnp.zeros_like, params[-1]))
    gradient = jax.jit(partial(jaxbp.loss_and_gradient, model.mlp, loss=loss, tile=TILE))
    ends = {
        name: gradient(some, *samples)[1][-1] for name, some in (("end", params), ("zero", zero))
    }
    return {
        name: float(np.sqrt(sum(jnp.sum(leaf**2) for leaf in layer)))
        for name, layer in ends.items()
    }


def task_of(config: Config) -> Task:
    """Draws the samples that the flags ask for."""
    generator = np.random.RandomState(config.seed)
    if config.data is not None:
        return data.sample_table(config.data, config.columns, config.samples, generator)
    surface = data.surface(config.surface)
    if config.expression is not None:
        x_min, x_max, y_min, y_max = config.domain
        if not (-np.inf < x_min < x_max < np.inf and -np.inf < y_min < y_max < np.inf):
            raise ValueError(
                f"domain must be x_min x_max y_min y_max with min below max, got {config.domain}"
            )
        function = data.parse_expression(config.expression)
        surface = data.Surface(function, ((x_min, x_max), (y_min, y_max)), config.expression)
    return data.sample_surface(
        surface, config.samples, generator, on_grid=config.sampling == "grid"
    )


def summary(fitted: Fitted, score: Score, report: Report) -> dict[str, Any]:
    """What goes into the JSON file: no times, so that a run on the same machine writes the same bytes."""
    task, model, history = fitted.task, fitted.model, fitted.result.history
    points, values = task.test.points[task.scored], task.test.values[task.scored]
    scores = {
        name: score if one is model else Score(one(points), values)
        for name, one in fitted.phases.items()
    }
    return {
        "samples": len(task.train.values),
        "parameters": model.num_params,
        "dtype": str(model.params[0].weight.dtype),
        "steps": int(history.step[-1]),
        "status": str(fitted.result.outcome),
        "test_points": int(task.scored.sum()),
        "rmse": score.rmse,
        "nrmse": score.nrmse,
        "unexplained": score.nrmse**2,
        "max_error": score.max_error,
        "max_error_at": points[score.max_error_row],
        "phases": {name: some.nrmse for name, some in scores.items()},
        "gradient_error_over_bound": report.share,
        "history": {name: getattr(history, name) for name in ("step", "loss", "validation_loss")},
    }


def table(numbers: dict[str, Any], result: Any, report: Report, loss: str) -> dict[str, str]:
    """The rows of the printed table."""
    where = ", ".join(f"{value:.4g}" for value in numbers["max_error_at"])
    return {
        "samples": f"{numbers['samples']}",
        "parameters": f"{numbers['parameters']} ({numbers['dtype']})",
        "loss": f"{loss.replace('_', ' ')}, standardized",
        "steps": f"{numbers['steps']} ({numbers['status']})",
        "compile": f"{result.compile_seconds:.2f} s",
        "run": f"{result.run_seconds:.2f} s",
        f"on {numbers['test_points']} other points": "",
        "  RMSE": f"{numbers['rmse']:.3e}, in the units of the data",
        "  NRMSE": f"{numbers['nrmse']:.3e}, RMSE / standard deviation",
        "  1 - R2": f"{numbers['unexplained']:.3e}",
        "  largest error": f"{numbers['max_error']:.3e} at ({where})",
        **{f"  NRMSE, {name}": f"{error:.3e}" for name, error in numbers["phases"].items()},
        "gradient of the output layer": "{end:.1e}, of {zero:.1e} where it is zero".format(
            **numbers["output_gradient"]
        ),
        "gradient by hand and by jax.grad": report.summary,
    }


if __name__ == "__main__":
    run(main, Config, PRESETS)
