"""Fitting a task: standardize, draw parameters, run `fit`."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxbp
from jaxbp.data import Standardizer, standardizer
from jaxbp.params import SINE_FREQUENCY
from jaxbp.training import FitResult, History, LayerHistory, Record, Solver, named_optimizer
from support.command_line import Progress
from support.config import PRESETS, Config
from support.tasks import Task

LOSSES = ("loss", "validation_loss")


class Fitted(NamedTuple):
    """A network that was fitted in standard units.

    Attributes:
        mlp: the network.
        result: what `fit` returned.
        points: the map of x and y to standard units.
        values: that of z.
        train: inputs and targets in standard units.
        history: the records, the losses as mean squared errors in standard units.
        stages: of a fit in stages, the sum of the networks and its parameters; `mlp` and `result` are the first one's
            then, but for times and steps.
        start: the parameters before the first step.
        snapshots: by step, those at the records; empty unless a film is asked for.
    """

    mlp: jaxbp.Mlp
    result: FitResult
    points: Standardizer
    values: Standardizer
    train: tuple[np.ndarray, np.ndarray]
    history: History
    start: jaxbp.Params
    stages: jaxbp.training.StagesResult | None = None
    snapshots: Mapping[int, jaxbp.Params] = {}

    @property
    def num_samples(self) -> int:
        """How many samples it was trained on."""
        return len(self.train[0])

    @property
    def num_params(self) -> int:
        """How many parameters it has, in all stages."""
        return self.mlp.num_params * (1 if self.stages is None else len(self.stages.params))

    def predict(self, points: np.ndarray) -> np.ndarray:
        """Predicts z (n,) at points (n, 2), all in the units of the data."""
        if self.stages is None:
            return self.predict_with(self.result.params, points)
        outputs = jax.jit(self.stages.predict)(self.stages.params, self._inputs(points))
        return self.values.restore(np.asarray(outputs, np.float64))[:, 0]

    def predict_with(self, params: jaxbp.Params, points: np.ndarray) -> np.ndarray:
        """Predicts as `predict` does, with other parameters of the network."""
        outputs = _predict(self.mlp, params, self._inputs(points))
        return self.values.restore(np.asarray(outputs, np.float64))[:, 0]

    def _inputs(self, points: np.ndarray) -> np.ndarray:
        return self.points.standardize(points).astype(self.result.params[0].weight.dtype)


_predict = jax.jit(jaxbp.predict, static_argnums=0)


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
    if config.stages > 1:
        samples = standardize(task.train), standardize(task.held_out)
        stages = _fit_stages(config, mlp, params, *samples, dtype, fit_key)
        result = _summed(stages)
        return Fitted(mlp, result, points, values, samples[0], result.history, params, stages)
    snapshots: dict[int, jaxbp.Params] = {} if start is None else dict(start.snapshots)
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
        record_every=config.record_every or max(1, config.steps // (400 if config.film else 50)),
        tile=config.tile,
        dropout=config.dropout,
        patience=config.patience,
        on_params=snapshots.__setitem__ if config.film else None,
        record_layers=config.details,
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
            layers=printed.layers,
            compile_seconds=printed.compile_seconds + last.compile_seconds,
            run_seconds=printed.run_seconds + last.run_seconds,
        )
    else:
        with Progress(config.steps, quiet=config.quiet) as progress:
            result = fit(steps=steps, state=state, on_record=progress)
    if start is not None:
        result = _joined(start.result, result)
    factor = 2 if config.is_tutorial else 1
    losses = {name: factor * getattr(result.history, name) for name in LOSSES}
    history = result.history._replace(**losses)
    return Fitted(mlp, result, points, values, standardize(task.train), history, params, snapshots=snapshots)


def _fit_stages(
    config: Config,
    mlp: jaxbp.Mlp,
    params: jaxbp.Params,
    train: tuple[np.ndarray, np.ndarray],
    held_out: tuple[np.ndarray, np.ndarray],
    dtype: type,
    key: jax.Array,
) -> jaxbp.training.StagesResult:
    """Fits as many networks as asked for; each sine network starts with twice the frequencies of the one before."""
    if config.scheme == "tutorial":
        raise ValueError("scheme must draw a new start for each stage, got tutorial, which has one only")
    starts = [params]
    for stage in range(1, config.stages):
        scale = (config.scale or SINE_FREQUENCY) * 2**stage if config.scheme == "sine" else config.scale
        starts.append(jaxbp.init(mlp, jax.random.fold_in(key, stage), config.scheme, scale=scale, dtype=dtype))
    with Progress(config.steps, quiet=config.quiet) as progress:
        return jaxbp.fit_stages(
            [mlp] * config.stages,
            starts,
            train,
            steps=config.steps,
            solver=_solver(config),
            batch_size=_batch_size(config, len(train[0])),
            validation=held_out,
            key=key,
            record_every=config.record_every or max(1, config.steps // 50),
            on_record=progress,
        )


def _summed(stages: jaxbp.training.StagesResult) -> FitResult:
    """The first result with the times and steps of all, the records one after the other in the first one's units."""
    total = stages.results[0]
    for result, stage in zip(stages.results[1:], stages.params[1:], strict=False):
        square = float(np.mean(np.square(stage.scale)))
        first, later = total.history, result.history
        losses = {name: np.append(getattr(first, name), square * getattr(later, name)) for name in LOSSES}
        history = History(
            step=np.append(first.step, first.step[-1] + later.step),
            seconds=np.append(first.seconds, first.seconds[-1] + later.seconds),
            **losses,
        )
        total = total._replace(history=history)
    return total._replace(
        state=total.state._replace(step=jnp.sum(jnp.stack([result.state.step for result in stages.results]))),
        compile_seconds=sum(result.compile_seconds for result in stages.results),
        run_seconds=sum(result.run_seconds for result in stages.results),
        status=stages.results[-1].status,
    )


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
    layers = first.layers
    if layers is not None and second.layers is not None:
        layers = LayerHistory(*(np.concatenate([a, b]) for a, b in zip(layers, second.layers, strict=True)))
    return second._replace(
        history=history._replace(seconds=seconds),
        layers=layers,
        compile_seconds=first.compile_seconds + second.compile_seconds,
        run_seconds=first.run_seconds + second.run_seconds,
    )


def _solver(config: Config) -> Solver:
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


def _print_epoch(record: Record) -> None:
    """Prints the loss as the tutorial does: the mean squared error, of whose half it follows the gradient."""
    print(f"EPOCH {record.step}: Loss = {2 * record.loss:.4f}", flush=True)
