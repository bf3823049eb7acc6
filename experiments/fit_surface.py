"""Fit a surface z = f(x, y) from samples and draw it beside the fit.

By default sin(x) + x cos(y) + y + 3^(x/3) over [-10, 10]^2 from 10,000 random samples. Other surfaces, a formula, the
measured terrain that ships with matplotlib, or a table of your own are fitted the same way. The pictures and a JSON
file with every number go to --out.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from common import begin, finish, print_table, run

import jaxbp
from jaxbp import data
from jaxbp.data import Task
from jaxbp.gradcheck import Report
from jaxbp.model import Score
from jaxbp.params import SINE_FREQUENCY
from jaxbp.training import Record, named_optimizer
from surface_flags import MINIMA, PRESETS, Config, check, runs_of
from surface_pictures import PICTURES, Fitted, draw, draw_contrast


def main(config: Config) -> None:
    """Samples, fits, scores, draws."""
    check(config)
    folder = begin(config, **MINIMA)
    fitted: Fitted | None = None
    for one in runs_of(config):
        task = task_of(one)
        goes_on = fitted is not None and len(fitted.task.train.values) == one.samples
        fitted = fit(one, task, fitted if goes_on else None)
        model, result = fitted.model, fitted.result
        score = Score(model(task.test.points[task.scored]), task.test.values[task.scored])
        report = jaxbp.check_gradients(model.mlps[0], model.params, *model.standardize(*task.train), one.loss)
        numbers = summary(fitted, score, report)
        print_table(table(numbers, result, report), task.title if one.stem else one.surface)
        files = draw(one, fitted, numbers)
        finish(replace(one, **PICTURES), folder, f"{one.stem}fit_surface", numbers, files)
        if result.outcome.diverged:
            raise ValueError(f"the fit {result.outcome}; the pictures show the last good parameters")
    if config.contrast and fitted is not None:
        tutorial = fit(replace(PRESETS["tutorial"], quiet=True), task_of(PRESETS["tutorial"]))
        finish(config, folder, "surface_contrast", {}, draw_contrast(fitted, tutorial))


def task_of(config: Config) -> Task:
    """Draws the samples that the flags ask for."""
    generator = np.random.RandomState(config.seed)
    if config.data is not None:
        return data.sample_table(config.data, config.columns, config.samples, generator)
    surface = data.surface(config.surface)
    if config.expression is not None:
        x_min, x_max, y_min, y_max = config.domain
        if not (-np.inf < x_min < x_max < np.inf and -np.inf < y_min < y_max < np.inf):
            raise ValueError(f"domain must be x_min x_max y_min y_max with min below max, got {config.domain}")
        function = data.parse_expression(config.expression)
        surface = data.Surface(function, ((x_min, x_max), (y_min, y_max)), config.expression)
    return data.sample_surface(surface, config.samples, generator, on_grid=config.sampling == "grid")


def fit(config: Config, task: Task, earlier: Fitted | None = None) -> Fitted:
    """Fits a network to the task, as the flags say; goes on from an earlier fit to the same samples if there is one."""
    dtype = np.float64 if config.x64 else np.float32
    mlp = jaxbp.Mlp((len(task.labels) - 1, *config.hidden, 1), hidden=config.activation)
    init_key, fit_key = jax.random.split(jax.random.key(config.seed))
    if config.scheme == "tutorial":
        params = tutorial_params(mlp, dtype)
    else:
        params = jaxbp.init(mlp, init_key, config.scheme, scale=config.scale, dtype=dtype)
    start = jaxbp.Model.for_data(mlp, params, *task.train, task.labels)
    train, snapshots = start.standardize(*task.train), {} if earlier is None else dict(earlier.snapshots)
    options: dict[str, Any] = {
        "solver": solver_of(config),
        "batch_size": batch_size_of(config, len(task.train.values)),
        "validation": start.standardize(*task.held_out),
        "record_every": config.record_every or max(1, config.steps // 50),
    }
    if not config.quiet:
        print("compiling ...", flush=True)
        options["on_record"] = print_epoch if config.is_tutorial else partial(print_record, config)
    if config.stages > 1:
        starts = [params, *later_starts(config, mlp, fit_key, dtype)]
        mlps = [mlp] * config.stages
        stages = jaxbp.fit_stages(mlps, starts, train, steps=config.steps, key=fit_key, **options)
        return Fitted(task, start.with_terms(mlps[: len(stages.stages)], stages.stages), stages, start, snapshots)
    options |= {name: getattr(config, name) for name in ("loss", "tile", "dropout", "patience")}
    options |= {"on_params": snapshots.__setitem__, "record_layers": config.details, "key": fit_key}
    goes_on = params if earlier is None else earlier.result
    steps = config.steps - (0 if earlier is None else int(earlier.result.history.step[-1]))
    if config.is_tutorial and steps > 0:
        # The tutorial prints a loss before the update that it leads to, so the last update follows the last line.
        result = jaxbp.fit(mlp, goes_on, train, steps=steps - 1, **options)
        if not result.outcome.diverged:
            result = jaxbp.fit(mlp, result, train, steps=1, **options | {"on_record": None})
    else:
        result = jaxbp.fit(mlp, goes_on, train, steps=steps, **options)
    return Fitted(task, start.with_params(result.params), result, start, snapshots)


def later_starts(config: Config, mlp: jaxbp.Mlp, key: jax.Array, dtype: type) -> list[jaxbp.Params]:
    """Parameters for the stages after the first; a sine network starts with twice the frequencies of the one before."""
    if config.scheme == "tutorial":
        raise ValueError("scheme must draw a new start for each stage, got tutorial, which has one only")
    scales = [
        (config.scale or SINE_FREQUENCY) * 2**stage if config.scheme == "sine" else config.scale
        for stage in range(1, config.stages)
    ]
    return [
        jaxbp.init(mlp, jax.random.fold_in(key, stage), config.scheme, scale=scale, dtype=dtype)
        for stage, scale in enumerate(scales, start=1)
    ]


def batch_size_of(config: Config, num_samples: int) -> int | None:
    """The batch size of the flags; the default one is cut down to the number of samples."""
    if config.batch_size == PRESETS[config.preset].batch_size and config.batch_size is not None:
        return min(config.batch_size, num_samples)
    return config.batch_size


def solver_of(config: Config) -> jaxbp.training.Solver:
    """The solver of the flags."""
    if config.solver == "gauss_newton":
        return jaxbp.gauss_newton(damping=config.damping)
    optimizer = named_optimizer(config.solver, config.learning_rate, config.schedule, config.steps)
    return jaxbp.first_order(optimizer, weight_decay=config.weight_decay, clip_norm=config.clip_norm)


def tutorial_params(mlp: jaxbp.Mlp, dtype: type) -> jaxbp.Params:
    """The tutorial's own start: NumPy's global generator at seed 99, weights uniform in [-1, 1], biases 0."""
    generator = np.random.RandomState(99)
    sizes = zip(mlp.sizes[:-1], mlp.sizes[1:], strict=True)
    weights = [generator.uniform(-1, 1, size=shape) for shape in sizes]
    return tuple(jaxbp.Layer(jnp.asarray(weight, dtype), jnp.zeros(weight.shape[1], dtype)) for weight in weights)


def print_record(config: Config, record: Record) -> None:
    """Prints a line for about every tenth record, within 60 columns."""
    if record.step % max(1, config.steps // 10) < (config.record_every or max(1, config.steps // 50)):
        losses = f"train {record.loss:.2e}  held out {record.validation_loss:.2e}"
        print(f"step {record.step:>6}  {losses}  {record.seconds:6.1f} s", flush=True)


def print_epoch(record: Record) -> None:
    """Prints the loss as the tutorial does: the mean squared error, of whose half it follows the gradient."""
    print(f"EPOCH {record.step}: Loss = {2 * record.loss:.4f}", flush=True)


def summary(fitted: Fitted, score: Score, report: Report) -> dict[str, Any]:
    """What goes into the JSON file: no times, so that a run on the same machine writes the same bytes."""
    task, model, history = fitted.task, fitted.model, fitted.result.history
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
        "max_error_at": task.test.points[task.scored][score.max_error_row],
        "gradient_error_over_bound": report.share,
        "history": {name: getattr(history, name) for name in ("step", "loss", "validation_loss")},
    }


def table(numbers: dict[str, Any], result: Any, report: Report) -> dict[str, str]:
    """The rows of the printed table."""
    where = ", ".join(f"{value:.4g}" for value in numbers["max_error_at"])
    return {
        "samples": f"{numbers['samples']}",
        "parameters": f"{numbers['parameters']} ({numbers['dtype']})",
        "steps": f"{numbers['steps']} ({numbers['status']})",
        "compile": f"{result.compile_seconds:.2f} s",
        "run": f"{result.run_seconds:.2f} s",
        f"on {numbers['test_points']} other points": "",
        "  RMSE": f"{numbers['rmse']:.3e}, in the units of the data",
        "  NRMSE": f"{numbers['nrmse']:.3e}, RMSE / standard deviation",
        "  1 - R2": f"{numbers['unexplained']:.3e}",
        "  largest error": f"{numbers['max_error']:.3e} at ({where})",
        "gradient by hand and by jax.grad": report.summary,
    }


if __name__ == "__main__":
    run(main, Config, PRESETS)
