"""`fit`: chunks of steps inside one compiled loop, a record between them."""

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
from jax import Array

from jaxbp._checks import check_count, check_number
from jaxbp._samples import check_params
from jaxbp._threads import one_blas_thread
from jaxbp.losses import Loss, as_loss
from jaxbp.params import Mlp, Params
from jaxbp.training.checkpoints import checkpoints
from jaxbp.training.chunks import Run, compile_seconds, finished, points
from jaxbp.training.devices import mesh_of
from jaxbp.training.disk import DiskSamples
from jaxbp.training.first_order import DEFAULT_SOLVER
from jaxbp.training.samples import check_batch_size, fitting_samples, samples_on_disk, stay_on_disk
from jaxbp.training.shards import check_divided, num_samples_of
from jaxbp.training.solver import Problem, Solver
from jaxbp.training.state import FitResult, Outcome, Record, TrainState


def fit(
    mlp: Mlp,
    start: Params | TrainState | FitResult,
    data: tuple[Any, Any],
    *,
    steps: int,
    solver: Solver | None = None,
    batch_size: int | None = None,
    loss: str | Loss = "mean_squared_error",
    validation: tuple[Any, Any] | None = None,
    key: Array | None = None,
    record_every: int = 100,
    tile: int | None = None,
    dropout: float = 0.0,
    keep_best: bool = False,
    patience: int | None = None,
    on_record: Callable[[Record], None] | None = None,
    on_params: Callable[[int, Params], None] | None = None,
    record_layers: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    devices: int | str | Sequence[jax.Device] | None = None,
) -> FitResult:
    """Fits the parameters to samples.

    The steps run in chunks of `record_every` inside one compiled loop; nothing calls back to Python
    within a chunk. A step whose loss or parameters are not finite is not taken: the run ends before
    it, with a RuntimeWarning.

    Args:
        mlp: the network.
        start: parameters; or the state or the result of an earlier run, which then goes on: from a
            result, history, layers and times are those of the whole run.
        data: inputs (n, n_0) and targets (n, n_L), or labels (n,). With `batch_size` memory-mapped
            arrays (`np.load(path, mmap_mode="r")`) stay on disk: 32 MB of them are in memory at a
            time.
        steps: how many steps to take.
        solver: `first_order(...)` or `gauss_newton(...)`; Adam at 1e-3 unless given.
        batch_size: samples a step, drawn by epochs without replacement; None for all of them.
        loss: a `Loss`, or the name of one.
        validation: inputs and targets that are not trained on.
        key: for the order of the samples, dropout and the solver; required with `batch_size` or
            `dropout`.
        record_every: the number of steps from one record to the next.
        tile: how many samples a gradient holds in memory at a time; None as in `loss_and_gradient`.
        dropout: the probability with which a hidden unit is dropped in training, in [0, 1).
        keep_best: returns the parameters of the record with the smallest validation loss (training
            loss without validation samples) instead of the last.
        patience: stops after this many records without a smaller validation loss, and keeps the
            best.
        on_record: called on the host with each record, for progress bars and logs.
        on_params: called on the host with the step and the parameters at each record, for films and
            snapshots.
        record_layers: also measures every layer at each record: `LayerRecord` says what.
        checkpoint: a folder to save the run in, at a record every `checkpoint_every` steps and at
            the end, so that it can go on; SIGTERM and SIGINT then save at the next record and exit
            with 128 + their number.
        checkpoint_every: the number of steps from one checkpoint to the next; `record_every` unless
            given.
        resume: goes on from the newest checkpoint in the folder, if there is one: the result is bit
            for bit that of the same call without an interruption, on the same machine. A solver's
            settings are not in the file.
        devices: the devices that share the samples: how many of each process, JAX devices, "all",
            or None for one as JAX chooses it. They must divide the number of samples and
            `batch_size`; `tile` is for each of them, and without one several CPU devices take tiles
            that keep 1 MB of activations.

    Returns:
        Parameters, state, history and outcome.

    Raises:
        ValueError: an argument is out of range or does not fit the others, a sample is NaN or
            infinite, or the checkpoints in the folder are those of another run.
        TypeError: an array does not hold real numbers, or the solver is none.
        OSError: a checkpoint cannot be written; those before it stay.
    """
    loss = as_loss(loss)
    check_count("steps", steps, minimum=0)
    check_count("record_every", record_every, minimum=1)
    every = check_count(
        "checkpoint_every",
        record_every if checkpoint_every is None else checkpoint_every,
        minimum=1,
    )
    if checkpoint is None and (resume or checkpoint_every is not None):
        raise ValueError(
            "checkpoint must be given with resume and checkpoint_every: the folder of the checkpoints"
        )
    check_number("dropout", dropout, minimum=0, below=1)
    if patience is not None:
        check_count("patience", patience, minimum=1)
        if validation is None:
            raise ValueError(
                "validation must be given with patience: early stopping watches the validation loss"
            )
    solver = DEFAULT_SOLVER if solver is None else solver
    if not isinstance(solver, Solver):
        raise TypeError(
            f"solver must be a Solver, such as first_order(optax.adam(1e-3)), got {type(solver).__name__}"
        )
    if (
        key is None
        and not isinstance(start, (TrainState, FitResult))
        and (batch_size is not None or dropout > 0)
    ):
        raise ValueError("key must be given with batch_size or dropout: jax.random.key(seed)")
    state = _state(mlp, start, solver, key)
    read: Any = samples_on_disk if stay_on_disk(data, batch_size) else fitting_samples
    train, held_out = read(mlp, state.params, data, validation, loss)
    mesh = mesh_of(devices)
    on_disk = isinstance(train, DiskSamples)
    num_samples = train.num_samples if on_disk else num_samples_of(mesh, train.inputs.shape[0])
    check_batch_size(batch_size, num_samples)
    check_divided(
        "batch_size must be a number of samples",
        mesh,
        num_samples if batch_size is None else batch_size,
    )
    problem = Problem(mlp, loss, batch_size, tile, dropout, mesh=mesh)
    run = Run(
        problem,
        solver,
        state,
        train,
        held_out,
        int(state.step) + steps,
        record_every,
        record_layers,
    )

    folder = None if checkpoint is None else Path(checkpoint).expanduser()
    with one_blas_thread(), checkpoints(folder, every, resume, run) as (kept, progress):
        rest, known = run._replace(state=progress.state).placed(), bool(progress.records)
        compiling = compile_seconds(rest)
        for point in points(rest, progress.seconds):
            if not known:  # the first point of a run that goes on is its last record again
                progress = progress.see(point)
                if on_record is not None:
                    on_record(point.record)
                if on_params is not None:
                    on_params(point.record.step, point.state.params)
            known, impatient = (
                False,
                patience is not None and progress.best.records_since >= patience,
            )
            outcome = point.outcome or Outcome(
                "stopped early" if impatient else "finished", point.record.step
            )
            if not outcome.diverged:
                kept.save(progress, ended=impatient or point.outcome is not None)
            if impatient:
                break
    if outcome.diverged:
        warnings.warn(
            f"fit {outcome}; the last good parameters are kept", RuntimeWarning, stacklevel=2
        )
    chooses = keep_best or patience is not None
    watched = rest.train if rest.held_out is None or not chooses else rest.held_out
    params = progress.best.params if chooses else progress.state.params
    with one_blas_thread():
        params = (
            finished(rest, progress.start, params, watched) if steps else params
        )  # no steps return the start
    history, layers = progress.history, progress.layer_history
    result = FitResult(
        params, progress.state, history, outcome, compiling, progress.seconds, layers
    )
    return start.then(result) if isinstance(start, FitResult) else result


def _state(
    mlp: Mlp, start: Params | TrainState | FitResult, solver: Solver, key: Array | None
) -> TrainState:
    """The state that the run starts from."""
    state = start.state if isinstance(start, FitResult) else start
    if not isinstance(state, TrainState):
        check_params(mlp, state)
        return TrainState.start(state, solver, key)
    check_params(mlp, state.params)
    wanted = jax.tree.structure(jax.eval_shape(solver.init, state.params))
    if jax.tree.structure(state.solver) != wanted:  # type: ignore[operator]
        raise ValueError(f"start must be a state of the solver {solver.name}, got that of another")
    return state
