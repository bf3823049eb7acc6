"""Fit a surface z = f(x, y), or a table of your own, and draw the fit beside the truth.

Without flags: sin(x) + x cos(y) + y + 3^(x/3) over [-10, 10]^2 from 10,000 random samples, fitted
twice. First a 2-64-64-64-1 network, all layers trained by Gauss-Newton from the hand-written node
errors; then jaxbp.fit_model, which chooses a network and solves for its output layer. Errors are
measured on a 201 x 201 grid.

    python experiments/fit_surface.py --surface franke
    python experiments/fit_surface.py --expression "sin(x)*cos(y)" --domain -3 3 0 1
    python experiments/fit_surface.py --contrast             # gradient descent beside both
    python experiments/fit_surface.py --preset tutorial      # the tutorial's own run
    python experiments/fit_surface.py --data runs.csv --target thrust
"""

from shared.experiment import Common, Progress, begin, finish, print_table, print_values, run

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import data
import jaxbp
from data import Task
from jaxbp import viz
from jaxbp.fitting import read_table
from jaxbp.fitting.polynomials import Polynomial
from jaxbp.gradcheck import Report
from jaxbp.viz.style import number


@dataclass(frozen=True)
class Config(Common):
    """Flags of fit_surface."""

    preset: Literal["surface", "tutorial", "tutorial-random"] = "surface"
    """The main job, or the tutorial's gradient descent on its grid or on random samples."""
    surface: str = "target"
    """Surface to fit: target, franke, peaks, himmelblau, ripple or terrain."""
    expression: str = ""
    """Formula of x and y to fit instead."""
    domain: tuple[float, float, float, float] = (-10.0, 10.0, -10.0, 10.0)
    """x_min x_max y_min y_max of the formula."""
    data: str = ""
    """Table to fit instead, a .csv, .xlsx or .npz file with any number of input columns."""
    target: str = ""
    """Column of the table to predict; the last one unless given."""
    skip_rows: int = 0
    """Lines of the table before its line of names."""
    drop_missing: bool = False
    """Leave rows of the table out that lack a value."""
    categories: Literal["refuse", "one-hot"] = "refuse"
    """Refuse columns of texts, or make columns of 0 and 1."""
    decimal: Literal[".", ",", "auto"] = "auto"
    """Decimal sign of the table; auto where its numbers tell."""
    samples: int = 10_000
    """Training samples of a surface."""
    steps: int = 0
    """Training steps; 300 of Gauss-Newton and 2,000 of gradient descent unless given."""
    x64: bool = True
    """Train in float64; --no-x64 for float32."""
    contrast: bool = False
    """Also train by the tutorial's gradient descent on the same samples, and draw it as well."""


SIZES = (2, 64, 64, 64, 1)
STEPS, DESCENT_STEPS = 300, 2000
BATCH_SIZE, DAMPING = 512, 0.03  # of Gauss-Newton
RATE, EPOCHS_PER_LINE = 1e-3, 20  # of the tutorial
CHECKED = 1000  # samples on which the gradient is compared with jax.grad
SECONDS = {"compile": 4.0, "Gauss-Newton": 5.0, "fit_model": 4.0, "errors": 1.0, "draw": 4.0}
DESCENT_SECONDS = {"gradient descent": 15.0}


class Fit(NamedTuple):
    """A fitted model, the seconds that it took (compilation included), and its training."""

    model: jaxbp.Model
    seconds: float
    result: Any = None  # of jaxbp.fit
    start: jaxbp.Params = ()


def main(config: Config) -> None:
    """Fit a table, a surface, or the surface as the tutorial does."""
    folder = begin(config)
    if config.data:
        fit_table(config, folder)
    else:
        fit_surface(config, folder)


def fit_surface(config: Config, folder: Path) -> None:
    """Fit one set of samples by Gauss-Newton and by fit_model; by descent if asked to."""
    task = task_of(config)
    fits: dict[str, Fit] = {}
    if config.preset != "surface":  # the tutorial's run, with its printed lines
        descent = fits["gradient descent"] = descend(config, task)
        history, factor = descent.result.history, 2.0  # it prints twice the loss that it follows
    else:
        progress = Progress((DESCENT_SECONDS if config.contrast else {}) | SECONDS, config.quiet)
        if config.contrast:
            fits["gradient descent"] = descend(config, task, progress)
        fits |= train(config, task, progress)
        history, factor = fits["Gauss-Newton"].result.history, 1.0
        progress("fit_model")
        start = time.perf_counter()
        model = jaxbp.fit_model(*task.train, seed=config.seed, names=task.surface.labels)
        fits["fit_model"] = Fit(model, time.perf_counter() - start)
        progress("errors")
    numbers = {name: measure(fit, task) for name, fit in fits.items()}
    print_fits(config, numbers, fits)
    if config.preset == "surface":
        progress("draw")
    name = "surface_contrast.png" if config.contrast else "surface_true_pred.png"
    loss = viz.draw_curves(
        history.step,
        {"train": factor * history.loss},
        ylabel="mean squared error, standardized",
        title=f"{task.surface.formula}: loss",
        references={"variance": 1.0},
    )
    stem = stem_of(config)
    files = {f"{stem}{name}": draw_fits(task, fits, numbers), f"{stem}loss_curve.svg": loss}
    numbers["history"] = {"step": history.step, "loss": history.loss}
    finish(config, folder, f"{stem}fit_surface", numbers, files)


def task_of(config: Config) -> Task:
    """Draw the samples that the flags ask for."""
    surface = data.surface(config.surface)
    if config.expression:
        x_min, x_max, y_min, y_max = config.domain
        if not (np.isfinite(config.domain).all() and x_min < x_max and y_min < y_max):
            raise ValueError(
                f"domain must be x_min x_max y_min y_max with min below max, got {config.domain}"
            )
        function = data.parse_expression(config.expression)
        surface = data.Surface(function, ((x_min, x_max), (y_min, y_max)), config.expression)
    generator = np.random.RandomState(config.seed)
    return data.sample_surface(
        surface, config.samples, generator, on_grid=config.preset == "tutorial"
    )


def stem_of(config: Config) -> str:
    """Return the start of the names of the files: empty for the main job."""
    if config.preset != "surface":
        return f"{config.preset.replace('-', '_')}_"
    name = "expression" if config.expression else config.surface
    return "" if name == "target" else f"{name}_"


def train(
    config: Config, task: Task, progress: Progress, callbacks: tuple[Any, ...] = ()
) -> dict[str, Fit]:
    """Train every layer by Gauss-Newton; the output layer solved afterwards is a fit of its own."""
    start, steps = time.perf_counter(), config.steps or STEPS
    init_key, fit_key = jax.random.split(jax.random.key(config.seed))
    mlp = jaxbp.Mlp(SIZES, hidden="sine")
    params = jaxbp.init(mlp, init_key, "sine", dtype=jnp.float64 if config.x64 else jnp.float32)
    model = jaxbp.Model.for_data(mlp, params, *task.train, task.surface.labels)

    def report(record: Any, _: jaxbp.Params) -> None:
        text = f"step {record.step} of {steps}, training loss {record.loss:.1e}"
        progress("Gauss-Newton", record.step / steps, text)

    progress("compile")
    result = jaxbp.fit(
        mlp,
        params,
        model.standardize(*task.train),
        steps=steps,
        solver=jaxbp.gauss_newton(damping=DAMPING),
        batch_size=min(BATCH_SIZE, config.samples),
        key=fit_key,
        record_every=max(1, steps // 10),
        callbacks=(report, *callbacks),
    )
    seconds = time.perf_counter() - start
    return {
        "Gauss-Newton": Fit(model.with_params(result.state.params), seconds, result, params),
        "+ output layer solved": Fit(model.with_params(result.params), seconds),
    }


def descend(
    config: Config,
    task: Task,
    progress: Progress | None = None,
    callbacks: tuple[Any, ...] = (),
) -> Fit:
    """Train as the tutorial does: ReLU, its own start, full batches, half the squared error.

    The tutorial prints the loss before the update that follows, so the last step has no record.
    """
    start, steps = time.perf_counter(), config.steps or DESCENT_STEPS
    mlp = jaxbp.Mlp(SIZES, hidden="relu")
    params = tutorial_params(mlp, np.float64 if config.x64 else np.float32)
    model = jaxbp.Model.for_data(mlp, params, *task.train, task.surface.labels)

    def report(record: Any, _: jaxbp.Params) -> None:
        if progress is None and not config.quiet:
            print(f"EPOCH {record.step}: Loss = {2 * record.loss:.4f}", flush=True)
        elif progress is not None and record.step % (10 * EPOCHS_PER_LINE) == 0:
            progress("gradient descent", record.step / steps, f"step {record.step} of {steps}")

    result: Any = params
    for count, followed in ((steps - 1, (report, *callbacks)), (1, callbacks)):
        result = jaxbp.fit(
            mlp,
            result,
            model.standardize(*task.train),
            steps=count,
            solver=jaxbp.first_order(optax.sgd(RATE)),
            loss="half_squared_error",
            record_every=EPOCHS_PER_LINE,
            callbacks=followed,
        )
    if result.outcome.diverged:
        raise ValueError(f"the fit {result.outcome}")
    return Fit(model.with_params(result.params), time.perf_counter() - start, result, params)


def tutorial_params(mlp: jaxbp.Mlp, dtype: Any) -> jaxbp.Params:
    """Return the tutorial's start: NumPy seed 99, weights uniform in [-1, 1], biases 0."""
    generator = np.random.RandomState(99)
    pairs = zip(mlp.sizes[:-1], mlp.sizes[1:], strict=True)
    weights = [generator.uniform(-1, 1, size=pair) for pair in pairs]
    return tuple(
        jaxbp.Layer(jnp.asarray(weight, dtype), jnp.zeros(weight.shape[1], dtype))
        for weight in weights
    )


def measure(fit: Fit, task: Task) -> dict[str, Any]:
    """Measure the error on the scored points, and the gradient by hand against jax.grad."""
    error = fit.model(task.test.points[task.scored]) - task.test.values[task.scored]
    place = int(np.abs(error).argmax())
    rmse = float(np.sqrt(np.mean(error**2)))
    report = check_gradient(fit.model, task)
    return {
        "parameters": fit.model.num_params,
        "rmse": rmse,
        "nrmse": rmse / float(task.test.values[task.scored].std()),
        "max_error": float(error[place]),
        "max_error_at": task.test.points[task.scored][place],
        "gradient_ok": None if report is None else report.ok,
        "gradient_error_over_bound": None if report is None else report.share,
    }


def check_gradient(model: jaxbp.Model, task: Task) -> Report | None:
    """Compare the gradient by hand with jax.grad; None of distance units and boxes."""
    network, params = model.mlp, model.params
    inputs, targets = (part[:CHECKED] for part in model.standardize(*task.train))
    with jax.enable_x64(True):  # fit_model computes in float64 with --no-x64 too
        if isinstance(network, jaxbp.Mlp):
            dtype = params[0].weight.dtype
            inputs, targets = inputs.astype(dtype), targets.astype(dtype)
            return jaxbp.check_gradients(network, params, inputs, targets)
        if isinstance(network, Polynomial):

            def reference(params: Any, inputs: Any) -> Any:
                return network.units(jnp, params, inputs).T @ params.weight

            given = jax.tree.map(jnp.asarray, params), jnp.asarray(inputs)
            report = jaxbp.check_rule(network, reference, *given, methods=("autodiff",), budget=0)
            # check_rule also checks in float32; polynomials are always evaluated in float64.
            return Report(tuple(row for row in report.rows if row.where == "float64"))
    return None


def print_fits(config: Config, numbers: dict[str, Any], fits: dict[str, Fit]) -> None:
    """Print a row for each fit."""
    words = {True: "ok", False: "WRONG", None: "not checked"}
    rows = {
        name: {
            "parameters": found["parameters"],
            "seconds": f"{fits[name].seconds:.1f}",
            "NRMSE": f"{found['nrmse']:.2e}",
            "largest error": f"{found['max_error']:.1e}",
            "gradient": words[found["gradient_ok"]],
            "of bound": found["gradient_error_over_bound"] or "",
        }
        for name, found in numbers.items()
    }
    print_table(f"{config.expression or config.surface}, {config.samples} samples", rows, ".2f")
    print("  NRMSE: RMSE / standard deviation, on points that were not trained on")
    print("  gradient: by hand against jax.grad, and the error over the bound of rounding")


def draw_fits(task: Task, fits: dict[str, Fit], numbers: dict[str, Any]) -> viz.Drawing:
    """Draw the true surface, every fit and its error."""
    shown = {name: fit for name, fit in fits.items() if name != "+ output layer solved"}
    errors = [f"{name} {number(numbers[name]['nrmse'], 2)}" for name in shown]
    return viz.draw_surface_comparison(
        task.grid,
        task.test.values,
        {name: fit.model(task.test.points) for name, fit in shown.items()},
        labels=task.surface.labels,
        title=f"{task.surface.formula}, {len(task.train.values)} samples",
        footer=f"NRMSE: {', '.join(errors)}",
    )


def fit_table(config: Config, folder: Path) -> None:
    """Fit one column of a table by fit_model; a fifth of the rows takes no part in any choice."""
    table, names = read_table(
        config.data,
        "all",
        skip_rows=config.skip_rows,
        drop_missing=config.drop_missing,
        categories=config.categories,
        decimal=None if config.decimal == "auto" else config.decimal,
    )
    target = config.target or names[-1]
    if target not in names or len(names) < 2:
        raise ValueError(f"target must be one of at least two columns, got {target}")
    inputs = [name for name in names if name != target]
    rows = np.random.RandomState(config.seed).permutation(len(table))
    test, train = np.split(rows, [len(table) // 5])
    print(
        f"predicting {target} from {', '.join(inputs)}: "
        f"{len(train)} rows to fit, {len(test)} to test with"
    )
    points = table[:, [names.index(name) for name in inputs]]
    values = table[:, names.index(target)]
    progress = Progress({"fit_model": 15.0, "draw": 2.0}, config.quiet)
    progress("fit_model")
    start = time.perf_counter()
    model = jaxbp.fit_model(points[train], values[train], seed=config.seed, names=(*inputs, target))
    seconds = time.perf_counter() - start
    progress("draw")
    error = model(points[test]) - values[test]
    rmse, largest = float(np.sqrt(np.mean(error**2))), float(np.abs(error).max())
    nrmse = rmse / float(values[test].std() or 1.0)
    chosen = next(one.name for one in model.history if one.chosen)
    print_values(
        f"{target}, on the {len(test)} test rows",
        {
            "model": f"{chosen}, {model.num_params} parameters, {seconds:.1f} s",
            "RMSE": f"{rmse:.3g}, in the units of {target}",
            "NRMSE": f"{nrmse:.2e}, RMSE / standard deviation",
            "largest error": f"{largest:.3g}",
        },
    )
    if nrmse > 1:
        print("  warning: the mean of the data would be a better prediction than this fit")
    numbers: dict[str, Any] = {"rows": len(train)}
    numbers |= {"test_rows": len(test), "parameters": model.num_params}
    numbers |= {"rmse": rmse, "max_error": largest, "nrmse": nrmse}
    title = f"{Path(config.data).name}: {target}"
    drawn = viz.draw_fit(model, points, values, held_out=test, title=title)
    files = {"data_true_pred.png": drawn, "data_model.npz": model.save}
    finish(config, folder, "data_fit_surface", numbers, files)


if __name__ == "__main__":
    run(main, Config)
