"""Fitting a task: standardize, draw parameters, run `fit`."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxbp
from jaxbp.data import Standardizer, standardizer
from jaxbp.training import FitResult, History, Record, Solver, named_optimizer
from support.command_line import Progress
from support.config import PRESETS, Config
from support.tasks import Task


class Fitted(NamedTuple):
    """A network that was fitted in standard units.

    Attributes:
        mlp: the network.
        result: what `fit` returned.
        points: the map of x and y to standard units.
        values: that of z.
        train: inputs and targets in standard units.
        history: the records, the losses as mean squared errors in standard units.
    """

    mlp: jaxbp.Mlp
    result: FitResult
    points: Standardizer
    values: Standardizer
    train: tuple[np.ndarray, np.ndarray]
    history: History

    @property
    def num_samples(self) -> int:
        """How many samples it was trained on."""
        return len(self.train[0])

    def predict(self, points: np.ndarray) -> np.ndarray:
        """Predicts z (n,) at points (n, 2), all in the units of the data."""
        inputs = self.points.standardize(points).astype(self.result.params[0].weight.dtype)
        outputs = jax.jit(jaxbp.predict, static_argnums=0)(self.mlp, self.result.params, inputs)
        return self.values.restore(np.asarray(outputs, np.float64))[:, 0]


def fit_task(config: Config, task: Task, start: Fitted | None = None) -> Fitted:
    """Fits a network to the task, as the flags say; from `start` on, where one is given."""
    points = standardizer(task.train[:, :2], task.labels[:2])
    values = standardizer(task.train[:, 2:], task.labels[2:])
    dtype = np.float64 if config.x64 else np.float32

    def standardize(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inputs, targets = points.standardize(rows[:, :2]), values.standardize(rows[:, 2:])
        return inputs.astype(dtype), targets.astype(dtype)

    mlp = jaxbp.Mlp(sizes=(2, *config.hidden, 1), hidden=config.activation)
    init_key, fit_key = jax.random.split(jax.random.key(config.seed))
    if config.scheme == "tutorial":
        params = tutorial_params(mlp, dtype)
    else:
        params = jaxbp.init(mlp, init_key, config.scheme, scale=config.scale, dtype=dtype)
    fit = partial(
        jaxbp.fit,
        mlp,
        params,
        standardize(task.train),
        solver=_solver(config),
        batch_size=_batch_size(config, len(task.train)),
        loss="half_squared_error" if config.is_tutorial else "mean_squared_error",
        validation=standardize(task.held_out),
        key=fit_key,
        record_every=config.record_every or max(1, config.steps // 50),
        tile=config.tile,
        dropout=config.dropout,
        patience=config.patience,
    )
    state = None if start is None else start.result.state
    steps = config.steps if state is None else config.steps - int(state.step)
    if config.is_tutorial and steps > 0:
        # The tutorial prints a loss before the update that it leads to, so the last update follows the last line.
        printed = fit(steps=steps - 1, state=state, on_record=None if config.quiet else _print_epoch)
        last = fit(steps=1 if printed.status == "finished" else 0, state=printed.state)
        result = last._replace(
            params=last.params if printed.status == "finished" else printed.params,
            status=printed.status if printed.status != "finished" else last.status,
            history=printed.history,
            compile_seconds=printed.compile_seconds + last.compile_seconds,
            run_seconds=printed.run_seconds + last.run_seconds,
        )
    else:
        with Progress(config.steps, quiet=config.quiet) as progress:
            result = fit(steps=steps, state=state, on_record=progress)
    if start is not None:
        result = _joined(start.result, result)
    factor = 2 if config.is_tutorial else 1
    losses = {name: factor * getattr(result.history, name) for name in ("loss", "validation_loss")}
    return Fitted(mlp, result, points, values, standardize(task.train), result.history._replace(**losses))


def _batch_size(config: Config, num_samples: int) -> int | None:
    """The batch size of the flags; the default one is cut down to the number of samples."""
    if config.batch_size == PRESETS[config.preset].batch_size and config.batch_size is not None:
        return min(config.batch_size, num_samples)
    return config.batch_size


def _joined(first: FitResult, second: FitResult) -> FitResult:
    """A run and its continuation as one."""
    pairs = zip(first.history, second.history, strict=True)
    history = History(*(np.concatenate([a, b]) for a, b in pairs))
    seconds = np.concatenate([first.history.seconds, first.run_seconds + second.history.seconds])
    return second._replace(
        history=history._replace(seconds=seconds),
        compile_seconds=first.compile_seconds + second.compile_seconds,
        run_seconds=first.run_seconds + second.run_seconds,
    )


def _solver(config: Config) -> Solver:
    name = "adam" if config.solver == "gauss_newton" else config.solver  # a wrong learning rate is refused either way
    optimizer = named_optimizer(name, config.learning_rate, config.schedule, config.steps)
    first = jaxbp.first_order(optimizer, weight_decay=config.weight_decay, clip_norm=config.clip_norm)
    return jaxbp.gauss_newton() if config.solver == "gauss_newton" else first


def tutorial_params(mlp: jaxbp.Mlp, dtype: type) -> jaxbp.Params:
    """The tutorial's own start: NumPy's global generator at seed 99, weights uniform in [-1, 1], biases 0."""
    generator = np.random.RandomState(99)
    sizes = zip(mlp.sizes[:-1], mlp.sizes[1:], strict=True)
    weights = [generator.uniform(-1, 1, size=shape) for shape in sizes]
    return tuple(jaxbp.Layer(jnp.asarray(weight, dtype), jnp.zeros(weight.shape[1], dtype)) for weight in weights)


def _print_epoch(record: Record) -> None:
    """Prints the loss as the tutorial does: the mean squared error, of whose half it follows the gradient."""
    print(f"EPOCH {record.step}: Loss = {2 * record.loss:.4f}", flush=True)
