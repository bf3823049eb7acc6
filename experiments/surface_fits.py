"""Fitting a task as the flags of `fit_surface` say: the network, its start, its training."""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxbp
from data import Task
from jaxbp._checks import check_count
from jaxbp.fitting import MOST_INPUTS_OF_BANDS, Rows, choose_band
from jaxbp.fitting.model import Candidate, Term
from jaxbp.params import SINE_FREQUENCY
from jaxbp.training import Batch, FitResult, Record, join_hosts, named_optimizer, own_rows
from surface_flags import Config
from surface_pictures import Fitted

HIDDEN = (128, 128)  # where no units are asked for and none are chosen
ENOUGH = 1e-10  # of the standard deviation on the held-out samples: no band with more units is tried then
CHOOSING = 12.0  # seconds that the candidates are estimated to take
ROUGH, STEEP = (
    1e-3,
    (32, 32),
)  # of the standard deviation: of what leaves more, a tanh network is trained as well
MOST_TRAINED = 1536  # units: more of them fill their band so densely that training moves nothing


def use_devices(config: Config) -> None:
    """Makes the devices of the CPU and joins the other processes; call it before anything touches a device."""
    if config.devices is not None:
        jax.config.update("jax_num_cpu_devices", check_count("devices", config.devices, minimum=1))
    if config.coordinator is not None:
        join_hosts(config.coordinator, config.num_processes, config.process_id)


def fit(config: Config, task: Task, earlier: Fitted | None = None) -> Fitted:
    """Fits a network to the task; goes on from an earlier fit to the same samples if there is one."""
    dtype = np.float64 if config.x64 else np.float32
    init_key, fit_key = jax.random.split(jax.random.key(config.seed))
    mlp, params = network_of(config, len(task.labels) - 1, init_key, dtype)
    start = jaxbp.Model.for_data(mlp, params, *task.train, task.labels)
    train, held_out = start.standardize(*task.train), start.standardize(*task.held_out)
    solved = None
    if config.chooses:
        solved = start = chosen_model(config, start, train, held_out)
        # What jumps or bends within the spacing of the samples has no band; a network that is
        # trained may follow it.
        if train[0].shape[1] <= MOST_INPUTS_OF_BANDS and solved.score(*task.held_out).nrmse > ROUGH:
            steep = jaxbp.Mlp((mlp.sizes[0], *STEEP, 1), hidden="tanh")
            start = one_network(start, steep, jaxbp.init(steep, init_key, dtype=dtype))
    mlp, params = start.mlp, start.params
    steps = config.steps if config.steps is not None else steps_for(mlp)
    options: dict[str, Any] = {
        "solver": solver_of(config, steps),
        "batch_size": None if config.batch_size is None else min(config.batch_size, len(train[0])),
        "validation": held_out,
        "record_every": config.record_every or max(1, round(steps / 10)),
        "key": fit_key,
        "devices": "all" if config.devices is None and jax.process_count() > 1 else config.devices,
    }
    rows = own_rows(len(train[0]))
    own = (train[0][rows], train[1][rows])
    unsaved = {"checkpoint": None, "checkpoint_every": None, "resume": False}
    if config.checkpoint is not None or config.resume or config.checkpoint_every is not None:
        folder = (
            None
            if config.checkpoint is None
            else Path(config.checkpoint) / (config.stem.rstrip("_") or "surface")
        )
        options |= {
            "checkpoint": folder,
            "checkpoint_every": config.checkpoint_every,
            "resume": config.resume,
        }
    if not config.quiet:
        print("compiling ...", flush=True)
        options["on_record"] = print_epoch if config.is_tutorial else partial(print_record, steps)
    if config.stages > 1:
        starts, mlps = [params, *later_starts(config, mlp, fit_key, dtype)], [mlp] * config.stages
        stages = jaxbp.fit_stages(mlps, starts, own, steps=steps, **options)
        return Fitted(
            task,
            start.with_terms(
                [Term(net, s.params, s.scale) for net, s in zip(mlps, stages.stages, strict=False)]
            ),
            stages,
            start,
            {},
            {},
        )
    snapshots = {} if earlier is None else dict(earlier.snapshots)
    options |= {name: getattr(config, name) for name in ("loss", "tile", "dropout", "patience")}
    options |= {"on_params": snapshots.__setitem__, "record_layers": config.details}
    goes_on: jaxbp.Params | FitResult = params
    if earlier is not None and isinstance(earlier.result, FitResult):
        goes_on, steps = earlier.result, steps - int(earlier.result.history.step[-1])
    if config.is_tutorial and steps > 0:
        # The tutorial prints a loss before the update that it leads to, so the last update follows
        # the last line.
        result = jaxbp.fit(mlp, goes_on, own, steps=steps - 1, **options)
        if not result.outcome.diverged:
            result = jaxbp.fit(mlp, result, own, steps=1, **options | unsaved | {"on_record": None})
    else:
        result = jaxbp.fit(mlp, goes_on, own, steps=steps, **options)
    phases = phases_of(config, start, solved, train, result)
    best = min(phases.values(), key=lambda model: model.score(*task.held_out).nrmse)
    return Fitted(task, best, result, start, snapshots, phases)


def network_of(
    config: Config, num_inputs: int, key: jax.Array, dtype: type
) -> tuple[jaxbp.Mlp, jaxbp.Params]:
    """The network that the flags describe, at its start; a linear one where the samples are to choose."""
    if config.chooses:
        linear = jaxbp.Layer(jnp.zeros((num_inputs, 1), dtype), jnp.zeros(1, dtype))
        return jaxbp.Mlp((num_inputs, 1)), (linear,)
    mlp = jaxbp.Mlp((num_inputs, *(config.hidden or HIDDEN), 1), hidden=config.activation)
    if config.scheme == "tutorial":
        return mlp, tutorial_params(mlp, dtype)
    return mlp, jaxbp.init(mlp, key, config.scheme, scale=config.scale, dtype=dtype)


def chosen_model(config: Config, start: jaxbp.Model, train: Any, held_out: Any) -> jaxbp.Model:
    """The network that the held-out samples prefer, its output layer solved."""
    show = None if config.quiet else print_candidate
    if train[0].shape[1] > MOST_INPUTS_OF_BANDS:
        model = jaxbp.fit_model(*train, seed=config.seed, on_candidate=show)
        mlp, params = model.mlp, model.params
    else:
        every = Batch(*map(jnp.asarray, train))
        rows = Rows(every, every, Batch(*map(jnp.asarray, held_out)))
        words: dict[str, Any] = {"effort": "high", "seconds": CHOOSING, "enough": ENOUGH}
        mlp, params = choose_band(rows, seed=config.seed, on_candidate=show, **words).members[0]
    return one_network(
        start, mlp, jax.tree.map(lambda leaf: leaf.astype(start.params[0].weight.dtype), params)
    )


def one_network(model: jaxbp.Model, mlp: jaxbp.Mlp, params: jaxbp.Params) -> jaxbp.Model:
    """The model with another network."""
    return model.with_terms([Term(mlp, params, np.ones(1))])


def steps_for(mlp: jaxbp.Mlp) -> int:
    """The steps of a run whose flags do not say: as many as take some seconds."""
    if mlp.num_layers > 2:
        return 330 if max(mlp.sizes) > max(STEEP) else 200
    return 30 * 512 // mlp.sizes[1] if 1 < mlp.sizes[1] <= MOST_TRAINED else 0


def phases_of(
    config: Config, start: jaxbp.Model, solved: jaxbp.Model | None, train: Any, result: FitResult
) -> dict[str, jaxbp.Model]:
    """What the start, the training and the last solve each brought; the training alone with an optax optimizer."""
    if config.solver != "gauss_newton":
        return {"every layer trained": start.with_params(result.params)}
    if solved is None:
        solved = start.with_params(jaxbp.solve_output(start.mlp, start.params, train))
    if int(result.history.step[-1]) == 0:
        return {"output layer solved": solved}
    return {
        "output layer solved at the start": solved,
        "every layer trained": start.with_params(result.state.params),
        "output layer solved at the end": start.with_params(result.params),
    }


def later_starts(config: Config, mlp: jaxbp.Mlp, key: jax.Array, dtype: type) -> list[jaxbp.Params]:
    """Parameters for the stages after the first; a sine network starts with twice the frequencies of the one before."""
    if config.scheme == "tutorial":
        raise ValueError(
            "scheme must draw a new start for each stage, got tutorial, which has one only"
        )
    starts = []
    for stage in range(1, config.stages):
        scale = (
            (config.scale or SINE_FREQUENCY) * 2**stage if config.scheme == "sine" else config.scale
        )
        starts.append(
            jaxbp.init(mlp, jax.random.fold_in(key, stage), config.scheme, scale=scale, dtype=dtype)
        )
    return starts


def solver_of(config: Config, steps: int) -> jaxbp.training.Solver:
    """The solver of the flags."""
    if config.solver == "gauss_newton":
        return jaxbp.gauss_newton(damping=config.damping)
    optimizer = named_optimizer(config.solver, config.learning_rate, config.schedule, steps)
    return jaxbp.first_order(
        optimizer, weight_decay=config.weight_decay, clip_norm=config.clip_norm
    )


def tutorial_params(mlp: jaxbp.Mlp, dtype: type) -> jaxbp.Params:
    """The tutorial's own start: NumPy's global generator at seed 99, weights uniform in [-1, 1], biases 0."""
    generator = np.random.RandomState(99)
    sizes = zip(mlp.sizes[:-1], mlp.sizes[1:], strict=True)
    weights = [generator.uniform(-1, 1, size=shape) for shape in sizes]
    return tuple(
        jaxbp.Layer(jnp.asarray(weight, dtype), jnp.zeros(weight.shape[1], dtype))
        for weight in weights
    )


def print_candidate(candidate: Candidate) -> None:
    """Prints a line for each band of frequencies that is tried."""
    print(f"{candidate.name:<36} held out {candidate.held_out:.2e}", flush=True)


def print_record(steps: int, record: Record) -> None:
    """Prints a line for about every fifth record, within 60 columns."""
    if record.step in (0, steps) or record.step % max(1, steps // 10) < max(1, steps // 20):
        losses = f"train {record.loss:.2e}  held out {record.validation_loss:.2e}"
        print(f"step {record.step:>6}  {losses}  {record.seconds:6.1f} s", flush=True)


def print_epoch(record: Record) -> None:
    """Prints the loss as the tutorial does: the mean squared error, of whose half it follows the gradient."""
    print(f"EPOCH {record.step}: Loss = {2 * record.loss:.4f}", flush=True)
