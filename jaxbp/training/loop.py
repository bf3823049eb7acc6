"""`fit`: chunks of steps inside one compiled loop, a record between them."""

import math
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxbp.checks import check_count, check_finite, check_number, warn_if_narrowed
from jaxbp.losses import loss_named
from jaxbp.names import LossName
from jaxbp.params import Mlp, Params, check_params
from jaxbp.samples import as_samples
from jaxbp.training.first_order import first_order
from jaxbp.training.recorder import LayerRecord, layer_history, layer_record
from jaxbp.training.solver import Batch, Problem, Solver
from jaxbp.training.state import FitResult, History, Record, TrainState
from jaxbp.training.steps import advance, compiled, diagnose, first_overflow, measure, orders_for


def fit(
    mlp: Mlp,
    params: Params,
    data: tuple[Any, Any],
    *,
    steps: int,
    solver: Solver | None = None,
    batch_size: int | None = None,
    loss: LossName = "mean_squared_error",
    validation: tuple[Any, Any] | None = None,
    key: Array | None = None,
    record_every: int = 100,
    tile: int | None = None,
    dropout: float = 0.0,
    keep_best: bool = False,
    patience: int | None = None,
    state: TrainState | None = None,
    on_record: Callable[[Record], None] | None = None,
    on_params: Callable[[int, Params], None] | None = None,
    record_layers: bool = False,
) -> FitResult:
    """Fits the parameters to samples.

    The steps run in chunks of `record_every` inside one compiled loop; nothing calls back to Python within a chunk.
    A step whose loss or parameters are not finite is not taken: the run ends before it, with a RuntimeWarning.

    Args:
        mlp: the network.
        params: where to start; not used when `state` is given.
        data: inputs (n, n_0) and targets (n, n_L), or labels (n,).
        steps: how many steps to take (from `state`, where one is given).
        solver: `first_order(...)`; Adam at 1e-3 unless given.
        batch_size: samples a step, drawn by epochs without replacement; None for all of them.
        loss: the name of a loss.
        validation: inputs and targets that are not trained on.
        key: for the order of the samples, dropout and the solver; required with `batch_size` or `dropout`.
        record_every: the number of steps from one record to the next.
        tile: how many samples a gradient holds in memory at a time; None for the whole batch.
        dropout: the probability with which a hidden unit is dropped in training, in [0, 1).
        keep_best: returns the parameters of the record with the smallest validation loss (training loss without
            validation samples) instead of the last.
        patience: stops after this many records without a smaller validation loss, and keeps the best.
        state: of an earlier result, to go on from it.
        on_record: called on the host with each record, for progress bars and logs.
        on_params: called on the host with the step and the parameters at each record, for films and snapshots.
        record_layers: also measures every layer at each record: `LayerRecord` says what.

    Returns:
        Parameters, state, history and status.

    Raises:
        ValueError: an argument is out of range or does not fit the others, or a sample is NaN or infinite.
        TypeError: an array does not hold real numbers, or the solver is none.
    """
    steps = check_count("steps", steps, minimum=0)
    record_every = check_count("record_every", record_every, minimum=1)
    dropout = check_number("dropout", dropout, minimum=0, below=1)
    if patience is not None:
        check_count("patience", patience, minimum=1)
        if validation is None:
            raise ValueError("validation must be given with patience: early stopping watches the validation loss")
    solver = first_order(optax.adam(1e-3)) if solver is None else solver
    if not isinstance(solver, Solver):
        raise TypeError(f"solver must be a Solver, such as first_order(optax.adam(1e-3)), got {type(solver).__name__}")
    params = params if state is None else state.params
    check_params(mlp, params)
    train, held_out = _samples(mlp, params, data, validation, loss)
    num_samples = train.inputs.shape[0]
    if batch_size is not None and check_count("batch_size", batch_size, minimum=1) > num_samples:
        raise ValueError(f"batch_size must be at most the number of samples, {num_samples}, got {batch_size}")
    if key is None and state is None and (batch_size is not None or dropout > 0):
        raise ValueError("key must be given with batch_size or dropout: jax.random.key(seed)")
    if state is None:
        key = jax.random.key(0) if key is None else key
        params = jax.tree.map(jnp.asarray, params)
        state = TrainState(jnp.zeros((), jnp.int32), params, solver.init(params), key)
    elif jax.tree.structure(state.solver) != jax.tree.structure(  # type: ignore[operator]
        jax.eval_shape(solver.init, params)
    ):
        raise ValueError(f"state must come from the solver {solver.name}, got that of another")
    last = int(state.step) + steps
    problem = Problem(mlp, loss, tile, dropout, last)

    start = time.perf_counter()
    orders = partial(orders_for, batch_size=batch_size, num_samples=num_samples)
    take_steps = compiled(partial(advance, problem, solver, batch_size), state, orders(state), 0, train)
    take_record = compiled(partial(measure, problem), state.params, train, held_out)
    take_layers = compiled(partial(layer_record, problem), state.params, state.params, train) if record_layers else None
    compile_seconds = time.perf_counter() - start

    records: list[Record] = []
    layers: list[LayerRecord] = []
    before = state
    best, best_loss, records_since_best = state.params, math.inf, 0
    status, run_seconds = "finished", 0.0
    while True:
        start = time.perf_counter()
        evaluation, held_out_evaluation = jax.device_get(take_record(state.params, train, held_out))
        if take_layers is not None:
            layers.append(jax.device_get(take_layers(state.params, before.params, train)))
        run_seconds += time.perf_counter() - start
        validation_loss = math.nan if held_out_evaluation is None else float(held_out_evaluation.loss)
        record = Record(int(state.step), float(evaluation.loss), validation_loss, run_seconds)
        records.append(record)
        if on_record is not None:
            on_record(record)
        if on_params is not None:
            on_params(record.step, state.params)
        watched = record.loss if held_out is None else record.validation_loss
        if watched < best_loss:
            best, best_loss, records_since_best = state.params, watched, 0
        else:
            records_since_best += 1
        if evaluation.nonfinite.any() or not math.isfinite(record.loss):
            status = f"diverged: {first_overflow(mlp, evaluation)} at step {record.step}"
            state = before  # the overflow of a chunk's last step shows only here
        elif patience is not None and records_since_best >= patience:
            status = "stopped early"
        if status != "finished" or record.step >= last:
            break
        start = time.perf_counter()
        state, before, alive = take_steps(state, orders(state), min(last, record.step + record_every), train)
        if not bool(alive):
            status = diagnose(problem, solver, batch_size, state, train)
        run_seconds += time.perf_counter() - start
    if status.startswith("diverged"):
        warnings.warn(f"fit {status}; the last good parameters are kept", RuntimeWarning, stacklevel=2)
    history = History(*(np.array(column) for column in zip(*records, strict=True)))
    chosen = best if keep_best or patience is not None else state.params
    by_layer = layer_history([record.step for record in records], layers) if layers else None
    return FitResult(chosen, state, history, status, compile_seconds, run_seconds, by_layer)


def _samples(mlp: Mlp, params: Params, data: Any, validation: Any, loss: LossName) -> tuple[Batch, Batch | None]:
    """Checks and casts the samples to train on and those held out, and warns once for all of them."""
    pairs = {"data": data} if validation is None else {"data": data, "validation": validation}
    arrays: dict[str, Any] = {}
    for name, pair in pairs.items():
        if not (isinstance(pair, tuple) and len(pair) == 2):
            raise ValueError(f"{name} must be a pair (inputs, targets), got {type(pair).__name__}")
        prefix = "" if name == "data" else "validation "
        arrays |= {f"{prefix}inputs": pair[0], f"{prefix}targets": pair[1]}
    warn_if_narrowed(4, **arrays)
    cast = [_finite(name, array, params[0].weight.dtype) for name, array in arrays.items()]
    chosen = loss_named(loss)
    train = Batch(*as_samples(mlp, params, cast[0], cast[1], chosen))
    return train, None if validation is None else Batch(*as_samples(mlp, params, cast[2], cast[3], chosen))


def _finite(name: str, array: Any, dtype: Any) -> Any:
    """Casts numbers to the dtype of the parameters, or names the first that is not finite in it; labels stay."""
    array = np.asarray(array)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        return array
    check_finite(name, array)
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    if not np.isfinite(cast).all():
        raise ValueError(f"{name} must fit into {dtype}, got {np.abs(array).max():g}")
    return cast
