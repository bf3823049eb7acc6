"""`fit` and `fit_many`: one loop over compiled chunks of steps, with a record between them."""

import math
import os
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

from jaxbp._checks import check_count
from jaxbp._samples import as_params
from jaxbp._threads import one_blas_thread
from jaxbp.losses import Loss, as_loss
from jaxbp.params import Mlp, Params
from jaxbp.training.batches import (
    Permutations,
    Piece,
    next_batch,
    next_of_piece,
    permutations_after,
    permutations_at,
)
from jaxbp.training.callbacks import Callback, Checkpoint, check_callbacks
from jaxbp.training.checkpoint import saving
from jaxbp.training.evaluation import (
    RECORDED_SAMPLES,
    LayerRecord,
    evaluate,
    first_overflow,
    layer_record,
)
from jaxbp.training.first_order import DEFAULT_SOLVER
from jaxbp.training.samples import MemorySamples, Samples, fitting_samples
from jaxbp.training.sharding import everywhere, fetch, in_shares, replicate, with_auto_axes
from jaxbp.training.solver import Batch, Problem, Solver, check_solver
from jaxbp.training.state import FitResult, Fits, Outcome, Progress, Record, TrainState

# Multiplications of a forward pass up to which networks train faster under vmap than in threads on
# a CPU: `python experiments/benchmarks/speed.py --parts many`.
SMALL = 2**15


def fit(  # noqa: PLR0913
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
    callbacks: Sequence[Callback | Callable[[Record, Params], object]] = (),
    mesh: Mesh | None = None,
) -> FitResult:
    """Fit the parameters of a network to samples.

    The steps run in chunks of `record_every` inside one compiled loop, without a call back to
    Python. A step whose loss or parameters are not finite is not taken: the run ends before it,
    with a RuntimeWarning.

    Args:
        mlp: network.
        start: parameters; or the state or the result of an earlier run, which is then continued:
            from a result, history, layers and times are those of the whole run.
        data: inputs (n, n_0) and targets (n, n_L), or labels (n,). With `batch_size` memory-mapped
            arrays (`np.load(path, mmap_mode="r")`) stay on disk: 32 MB of them are in memory at a
            time.
        steps: number of steps to take.
        solver: `first_order(...)` or `gauss_newton(...)`; Adam at 1e-3 by default.
        batch_size: number of samples of a step, drawn by epochs without replacement; None for all.
        loss: a `Loss`, or the name of one.
        validation: inputs and targets that are not trained on.
        key: for the order of the samples, dropout and the solver; required with `batch_size` or
            dropout.
        record_every: number of steps from one record to the next.
        callbacks: `KeepBest`, `EarlyStopping`, `RecordLayers`, `Checkpoint`, or functions
            `(record, params)` that are called on the host at each record.
        mesh: devices that share the samples, such as `jax.make_mesh((2,), ("samples",))`; with
            several processes each gives an equal share of the training samples. The devices must
            divide the number of samples and `batch_size`.

    Returns:
        Parameters, state, history and outcome.

    Raises:
        ValueError: an argument is out of range or does not fit the others, a sample is NaN or
            infinite, or the checkpoints in the folder are those of another run.
        TypeError: an array does not hold real numbers, or solver, callbacks or mesh have another
            type.
        OSError: a checkpoint cannot be written; earlier ones stay.

    Examples:
        >>> import jax, numpy as np, optax, jaxbp
        >>> inputs = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
        >>> mlp = jaxbp.Mlp((1, 8, 1))
        >>> params = jaxbp.init(mlp, jax.random.key(0), dtype=np.float32)
        >>> solver = jaxbp.first_order(optax.adam, learning_rate=1e-2)
        >>> result = jaxbp.fit(mlp, params, (inputs, inputs**2), steps=300, solver=solver)
        >>> result.status, bool(result.history.loss[-1] < 0.1 * result.history.loss[0])
        ('finished', True)
    """
    callbacks, mesh, loss = check_callbacks(callbacks), with_auto_axes(mesh), as_loss(loss)
    solver = check_solver(DEFAULT_SOLVER if solver is None else solver)
    check_count("steps", steps, minimum=0)
    check_count("record_every", record_every, minimum=1)
    if not isinstance(start, (TrainState, FitResult)):
        _check_key(key, batch_size, solver)
    state = _state(mlp, start, solver, key)
    train, held_out = fitting_samples(mlp, state.params, data, validation, loss, batch_size, mesh)
    problem = Problem(mlp, loss, batch_size, mesh, int(state.step) + steps)
    run = Run(problem, solver, train, held_out, record_every, callbacks)
    with one_blas_thread(), saving(run, state) as (save, progress):
        state = replicate(mesh, progress.state)
        progress, outcome, compile_seconds = run_chunks(run, state, int(state.step), progress, save)
        params = progress.best if run.keeps_best else progress.state.params
        if steps:
            params = run.finished(progress.start, params)
    if outcome.diverged:
        message = f"fit {outcome}; the last good parameters are kept"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    result = FitResult(
        params,
        progress.state,
        progress.history,
        outcome,
        compile_seconds,
        progress.seconds,
        progress.layer_history,
    )
    return start.then(result) if isinstance(start, FitResult) else result


def fit_many(  # noqa: PLR0913
    mlp: Mlp,
    starts: Params,
    data: tuple[Any, Any],
    *,
    steps: int,
    solver: Solver | None = None,
    batch_size: int | None = None,
    loss: str | Loss = "mean_squared_error",
    validation: tuple[Any, Any] | None = None,
    key: Array | None = None,
    record_every: int = 100,
    callbacks: Sequence[Callback | Callable[[Record, Params], object]] = (),
) -> Fits:
    """Train networks of one architecture at once on the same samples, in one compiled program.

    On a CPU each network trains in a thread; on an accelerator, and where steps are short, they
    train under vmap.

    Args:
        mlp: network.
        starts: parameters whose leaves have a leading axis, one network each:
            `jax.vmap(partial(init, mlp))(keys)`.
        data: as in `fit`; in memory.
        steps: number of steps of each network.
        solver: as in `fit`; a setting that is an array with the leading axis of `starts` differs
            between the networks: `first_order(optax.sgd, learning_rate=rates)`.
        batch_size: as in `fit`; each network draws the samples in another order.
        loss: as in `fit`.
        validation: as in `fit`.
        key: split into one for each network; required with `batch_size` or dropout.
        record_every: as in `fit`.
        callbacks: `KeepBest`, `EarlyStopping`, or functions `(record, params)`, which are called
            with the losses (m,) and the parameters of all networks.

    Returns:
        Parameters and records of all networks. A network that becomes non-finite keeps its last
        good parameters. Unlike in `fit`, the solver does not finish them: see `solve_output`.

    Raises:
        ValueError: an argument is out of range or does not fit the others, or a sample is NaN or
            infinite.
        TypeError: an array does not hold real numbers, or solver or callbacks have another type.

    Examples:
        >>> from functools import partial
        >>> import jax, numpy as np, optax, jaxbp
        >>> inputs = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
        >>> mlp = jaxbp.Mlp((1, 8, 1))
        >>> keys = jax.random.split(jax.random.key(0), 3)
        >>> starts = jax.vmap(partial(jaxbp.init, mlp, dtype=np.float32))(keys)
        >>> solver = jaxbp.first_order(optax.sgd, learning_rate=np.float32([0.01, 0.1, 0.3]))
        >>> fits = jaxbp.fit_many(mlp, starts, (inputs, inputs**2), steps=100, solver=solver)
        >>> fits.loss.shape
        (2, 3)
    """
    callbacks, loss = check_callbacks(callbacks), as_loss(loss)
    for one in callbacks:
        if isinstance(one, Callback) and (isinstance(one, Checkpoint) or one.records_layers):
            raise ValueError(
                f"callbacks must not hold {type(one).__name__} in fit_many, only in fit"
            )
    solver = check_solver(DEFAULT_SOLVER if solver is None else solver)
    check_count("steps", steps, minimum=0)
    check_count("record_every", record_every, minimum=1)
    _check_key(key, batch_size, solver)
    solvers, count = _one_each(starts, solver)
    first = as_params(mlp, jax.tree.map(lambda leaf: leaf[0], starts))
    in_memory = tuple(map(np.asarray, data)) if isinstance(data, tuple) else data
    train, held_out = fitting_samples(mlp, first, in_memory, validation, loss, batch_size)
    keys = jax.random.split(jax.random.key(0) if key is None else key, count)
    problem = Problem(mlp, loss, batch_size, None, steps)
    with one_blas_thread(), ThreadPoolExecutor(os.cpu_count()) as pool:
        run = ManyRuns(problem, solvers, train, held_out, record_every, callbacks, pool)
        states = run.start(starts, keys)
        progress, _, _ = run_chunks(run, states, 0, Progress(starts, None, starts))
    (params, alive), history = progress.state, progress.history
    params = progress.best if run.keeps_best else params
    return Fits(params, history.step, history.loss, history.validation_loss, ~alive)


class Visit(NamedTuple):
    """State after a chunk of steps, its measurements, and the state on the default device."""

    state: Any
    step: int
    loss: Any
    validation_loss: Any
    layers: LayerRecord | None
    outcome: Outcome | None
    saved: Any


@dataclass(frozen=True)
class Run:
    """A validated run of one network."""

    problem: Problem
    solver: Solver
    train: Samples
    held_out: MemorySamples | None
    record_every: int
    callbacks: tuple[Any, ...]

    @property
    def values(self) -> list[Callback]:
        """Callbacks that are no plain functions."""
        return [one for one in self.callbacks if isinstance(one, Callback)]

    @property
    def keeps_best(self) -> bool:
        """Whether the result has the parameters of the best record."""
        return any(one.keeps_best for one in self.values)

    def visit(self, state: TrainState, stop: int) -> Visit:
        """Take the steps until `stop`, or until one is refused, and measure."""
        chunk = Chunk(state, state, True)
        for piece, last in self.train.pieces(self.problem, state, stop, self.record_every):
            if not chunk.alive:
                break
            chunk = advance(self.problem, self.solver, chunk.state, piece, last, chunk.before)
        state, layers = chunk.state, None
        evaluation = jax.device_get(self.train.evaluate(self.problem, state.params))
        held_out = math.nan
        if self.held_out is not None:
            held_out = float(self.held_out.evaluate(self.problem, state.params).loss)
        if any(one.records_layers for one in self.values):
            rows, before = self.train.first(RECORDED_SAMPLES), chunk.before.params
            layers = jax.device_get(layer_record(self.problem, state.params, before, rows))
        outcome, step, loss = None, int(state.step), float(evaluation.loss)
        if not chunk.alive:
            outcome = self._refused(state)
        elif evaluation.nonfinite.any() or not math.isfinite(loss):
            outcome = Outcome("diverged", step, *first_overflow(self.problem, evaluation))
            state = chunk.before  # the overflow of a chunk's last step shows only here
        saved = fetch(self.problem.mesh, state)
        return Visit(state, step, loss, held_out, layers, outcome, saved)

    def finished(self, start: Params, params: Params) -> Params:
        """Return the best of these parameters, those that the solver proposes, and the start."""
        proposal = self.solver.finish(self.problem, params, self.train.all_rows(self.problem))
        if proposal is None:
            return params
        best_of_held_out = self.keeps_best and self.held_out is not None
        watched: Any = self.held_out if best_of_held_out else self.train
        proposals, mesh = [params, proposal, start], self.problem.mesh
        losses = [
            float(watched.evaluate(self.problem, replicate(mesh, one)).loss) for one in proposals
        ]
        return proposals[int(np.argmin(np.where(np.isfinite(losses), losses, np.inf)))]

    def _refused(self, state: TrainState) -> Outcome:
        """Take the step that was refused once more, and find the layer that overflowed first."""
        step = int(state.step)
        pieces: Any = self.train.pieces(self.problem, state, step + 1, self.record_every)
        piece, _ = next(pieces)
        permutations = _permutations(self.problem, state, piece)
        take = jax.jit(partial(take_step, guarded=False))
        chunk = take(self.problem, self.solver, piece, permutations, Chunk(state, state, True))
        params = chunk.state.params
        for layer, leaves in enumerate(params, start=1):
            if not bool(_all_finite((leaves,))):
                reason = f"the parameters of layer {layer} are not finite"
                return Outcome("diverged", step, reason, layer)
        evaluation = self.train.evaluate(self.problem, params)
        return Outcome("diverged", step, *first_overflow(self.problem, evaluation))


class Members(NamedTuple):
    """Stacked parameters of many networks, and which of them are finite."""

    params: Params
    alive: np.ndarray


@dataclass(frozen=True)
class ManyRuns(Run):
    """Validated runs of many networks, whose states are stacked under vmap, else a list."""

    pool: ThreadPoolExecutor

    def start(self, starts: Params, keys: Array) -> Any:
        """Return the states before the first step."""
        if self._vmapped:
            return _start_all(starts, self.solver, keys)
        members = (_member((starts, self.solver, keys), i) for i in range(len(keys)))
        return [_start(*member) for member in members]

    def visit(self, state: Any, stop: int) -> Visit:
        """Take the steps of every network until `stop`, and measure."""
        held_out = None if self.held_out is None else self.held_out.batch
        shared = self.train.all_rows(self.problem), held_out, stop
        if self._vmapped:
            state, *measured = _visit_all(self.problem, self.solver, state, *shared)
            params, measured = jax.device_get((state.params, measured))
        else:
            state, params, measured = self._visit_in_threads(state, *shared)
        loss, validation, alive = measured
        validation = np.full_like(loss, np.nan) if validation is None else validation
        return Visit(state, stop, loss, validation, None, None, Members(params, alive))

    def _visit_in_threads(self, states: list[TrainState], *shared: Any) -> Any:
        # Settings of the calling thread.
        x64 = jax.config.jax_enable_x64  # type: ignore[attr-defined]
        nans = jax.config.jax_debug_nans  # type: ignore[attr-defined]
        device = jax.config.jax_default_device  # type: ignore[attr-defined]

        def one(i: int) -> Any:
            with jax.enable_x64(x64), jax.debug_nans(nans), jax.default_device(device):
                solver = _member(self.solver, i)
                state, *measured = _visit_one(self.problem, solver, states[i], *shared)
                return state, *jax.device_get((state.params, measured))

        # The first one compiles while there are no steps to take.
        first = [one(0)] if shared[-1] == 0 else []
        visits = first + list(self.pool.map(one, range(len(first), len(states))))
        later, *seen = zip(*visits, strict=True)
        return list(later), *(jax.tree.map(lambda *leaves: np.stack(leaves), *one) for one in seen)

    @property
    def _vmapped(self) -> bool:
        """Whether steps are so short that calling their operations takes most of the time."""
        sizes, rows = self.problem.mlp.sizes, self.train.num_samples
        multiplications = rows * sum(fan_in * fan_out for fan_in, fan_out in pairwise(sizes))
        small = self.problem.batch_size is None and multiplications <= SMALL
        return small or jax.default_backend() != "cpu"


def run_chunks(
    run: Run,
    state: Any,
    step: int,
    progress: Progress,
    save: Callable[[Progress, bool], None] = lambda progress, ended: None,
) -> tuple[Progress, Outcome, float]:
    """Run chunk by chunk until the last step, a divergence, or a callback that stops the run.

    Returns progress, outcome, and the time of compiling and of the first record.
    """
    resumed = bool(progress.records)
    seconds, compile_seconds = progress.seconds, None
    while True:
        started = time.perf_counter()
        visit = run.visit(state, step)
        elapsed = time.perf_counter() - started
        if compile_seconds is None:
            compile_seconds = elapsed
        else:
            seconds += elapsed
        state, outcome = visit.state, visit.outcome
        if not resumed:  # a resumed run begins at its last record
            record = Record(visit.step, visit.loss, visit.validation_loss, seconds)
            progress = progress.then(record, visit.saved, visit.layers)
            for callback in run.callbacks:
                if not isinstance(callback, Callback):
                    callback(record, visit.saved.params)
        resumed = False
        if outcome is None and visit.step >= run.problem.num_steps:
            outcome = Outcome("finished", visit.step)
        elif outcome is None and any(one.stops(progress.records) for one in run.values):
            outcome = Outcome("stopped early", visit.step)
        if outcome is None or not outcome.diverged:
            save(progress, outcome is not None)
        if outcome is not None:
            return progress, outcome, compile_seconds
        step = min(int(run.problem.num_steps), visit.step + run.record_every)


class Chunk(NamedTuple):
    """Last good state after some steps, the state before it, and whether all could be taken."""

    state: TrainState
    before: TrainState
    alive: Any


@jax.jit
def advance(
    problem: Problem,
    solver: Solver,
    state: TrainState,
    train: Batch | Piece,
    stop: int | Array,
    before: TrainState | None = None,
) -> Chunk:
    """Take steps until `stop`, or until one whose loss or parameters are not finite.

    A pure function: vmap it over states, keys or solvers to train many networks at once. The loss
    of a step is that of the parameters before it, so an overflow shows one step late: the previous
    state is carried along to fall back on.

    Args:
        problem: network, loss, batch size and last step.
        solver: takes the steps.
        state: start: `TrainState.start(params, solver, key)`.
        train: training samples, of the dtype of the parameters; or those of these steps in their
            order.
        stop: step to stop at.
        before: state before this one; this one by default.

    Returns:
        The last good state, the one before it, and whether `stop` was reached.
    """

    def running(chunk: Chunk) -> Array:
        return chunk.alive & (chunk.state.step < stop)

    def take_epoch(carry: tuple[Chunk, Permutations]) -> tuple[Chunk, Permutations]:
        chunk, permutations = carry
        epoch = chunk.state.epoch

        def in_it(chunk: Chunk) -> Array:
            return running(chunk) & (chunk.state.epoch == epoch)

        def after(permutations: Permutations) -> Permutations:
            return permutations_after(state.batch_key, permutations, epoch)

        # Permutations carried along by every step would be copied at every step.
        chunk = jax.lax.while_loop(in_it, partial(take, permutations), chunk)
        over = chunk.state.epoch > epoch
        return chunk, jax.lax.cond(over, after, lambda permutations: permutations, permutations)

    take = partial(take_step, problem, solver, train)
    start = Chunk(state, before or state, jnp.array(True))
    permutations = _permutations(problem, state, train)
    if permutations is None:
        return jax.lax.while_loop(running, partial(take, None), start)
    return jax.lax.while_loop(lambda carry: running(carry[0]), take_epoch, (start, permutations))[0]


def take_step(
    problem: Problem,
    solver: Solver,
    train: Batch | Piece,
    permutations: Permutations | None,
    chunk: Chunk,
    guarded: bool = True,
) -> Chunk:
    """Draw a batch and take one step; guarded, only if loss and parameters are finite."""
    now, rows = chunk.state, train.samples if isinstance(train, Piece) else train
    epoch, place = now.epoch, now.place
    if problem.batch_size is not None:
        if isinstance(train, Piece):
            drawn = next_of_piece(train, now.step, epoch, place, problem.batch_size)
        else:
            drawn = next_batch(permutations, epoch, place, problem.batch_size)  # type: ignore[arg-type]
        indices, epoch, place = drawn
        # Without shares every device of a mesh would compute the whole batch.
        rows = in_shares(problem.mesh, jax.tree.map(lambda array: array[indices], rows))
    params, inner, loss = solver.step(problem, now.params, now.solver, rows, now.step_key)
    params, inner = everywhere(problem.mesh, (params, inner))
    later = TrainState(now.step + 1, params, inner, now.key, epoch, place)
    if not guarded:
        return Chunk(later, now, jnp.array(True))
    sound = jnp.isfinite(loss)
    alive = sound & _all_finite(params)
    return Chunk(_choose(alive, later, _choose(sound, now, chunk.before)), now, alive)


@jax.jit
def _start(params: Params, solver: Solver, key: Array) -> TrainState:
    return TrainState.start(params, solver, key)


_start_all = jax.jit(jax.vmap(_start))


@jax.jit
def _visit_one(
    problem: Problem,
    solver: Solver,
    state: TrainState,
    train: Batch,
    held_out: Batch | None,
    stop: int,
) -> tuple[TrainState, Array, Array | None, Array]:
    """Take the steps of one network until `stop`; returns its state, its losses, and `alive`."""
    chunk = advance(problem, solver, state, train, stop)
    params = chunk.state.params
    loss = evaluate(problem, params, train).loss
    validation = None if held_out is None else evaluate(problem, params, held_out).loss
    return chunk.state, loss, validation, chunk.alive


_visit_all = jax.jit(jax.vmap(_visit_one, in_axes=(None, 0, 0, None, None, None)))


def _permutations(problem: Problem, state: TrainState, train: Batch | Piece) -> Permutations | None:
    """Return the orders of the samples, if batches are drawn from all of them."""
    if problem.batch_size is None or isinstance(train, Piece):
        return None
    return permutations_at(state.batch_key, state.epoch, train.inputs.shape[0])


def _choose(condition: Array, then: TrainState, otherwise: TrainState) -> TrainState:
    return jax.tree.map(partial(jnp.where, condition), then, otherwise)


def _all_finite(params: Params) -> Array:
    return jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(params)]))


def _member(tree: Any, position: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[position], tree)


def _check_key(key: Array | None, batch_size: int | None, solver: Solver) -> None:
    drops = getattr(solver, "dropout", None) is not None
    if key is None and (batch_size is not None or drops):
        raise ValueError("key must be given with batch_size or dropout: jax.random.key(seed)")


def _state(
    mlp: Mlp, start: Params | TrainState | FitResult, solver: Solver, key: Array | None
) -> TrainState:
    """Return the state that the run starts from."""
    state = start.state if isinstance(start, FitResult) else start
    if not isinstance(state, TrainState):
        return TrainState.start(as_params(mlp, state), solver, key)
    as_params(mlp, state.params)
    wanted = jax.tree.structure(jax.eval_shape(solver.init, state.params))
    if jax.tree.structure(state.solver) != wanted:  # type: ignore[operator]
        name = type(solver).__name__
        raise ValueError(f"start must be a state of the solver {name}, got that of another solver")
    return state


def _one_each(starts: Params, solver: Solver) -> tuple[Any, int]:
    """Give the settings of a solver the leading axis of the starts; returns them and its length."""
    settings = [leaf for leaf in jax.tree.leaves(solver) if np.ndim(leaf)]
    shapes = [np.shape(leaf) or (0,) for leaf in (*jax.tree.leaves(starts), *settings)]
    lengths = {shape[0] for shape in shapes}
    if len(lengths) != 1 or not min(lengths):
        raise ValueError(
            "starts and the settings of solver must have one leading axis, a network each, "
            f"got lengths {sorted(lengths)}"
        )
    count = lengths.pop()
    each = jax.tree.map(lambda leaf: leaf if np.ndim(leaf) else np.full(count, leaf), solver)
    return each, count
