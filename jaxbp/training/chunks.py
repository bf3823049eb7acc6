"""A run in chunks of steps: the compiled programs, what is measured between them, and what ends the run."""

import math
import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxbp.params import Params
from jaxbp.training.batches import Piece
from jaxbp.training.disk import READ_ROWS, DiskSamples
from jaxbp.training.evaluation import Evaluation, evaluate, first_overflow
from jaxbp.training.progress import Point
from jaxbp.training.recorder import RECORDED_SAMPLES, LayerRecord, layer_record
from jaxbp.training.shards import distribute, fetch, gathered, replicate, share
from jaxbp.training.solver import Batch, Problem, Solver
from jaxbp.training.state import Outcome, Record, TrainState
from jaxbp.training.steps import Chunk, advance, refused


class Run(NamedTuple):
    """A run that is validated and cast.

    Attributes:
        problem: network, loss and batch size.
        solver: what takes the steps.
        state: where to start.
        train: the training samples.
        held_out: the validation samples, if any.
        num_steps: the step at which the run ends.
        record_every: the number of steps from one record to the next.
        record_layers: whether every layer is measured at each record.
    """

    problem: Problem
    solver: Solver
    state: TrainState
    train: Batch | DiskSamples
    held_out: Batch | None
    num_steps: int
    record_every: int
    record_layers: bool

    def placed(self) -> "Run":
        """The run with its samples and its state on the devices of its mesh; the run itself without one."""
        mesh = self.problem.mesh
        train = self.train if isinstance(self.train, DiskSamples) else share(mesh, self.train)
        return self._replace(
            state=replicate(mesh, self.state), train=train, held_out=distribute(mesh, self.held_out)
        )

    def evaluate(self, params: Params, samples: Batch | DiskSamples) -> Evaluation:
        """Evaluates parameters over samples of the placed run."""
        if isinstance(samples, DiskSamples):
            return samples.evaluate(self.problem, params)
        return evaluate(self.problem, params, samples)

    def loss(self, params: Params, samples: Batch | DiskSamples) -> float:
        """The loss of parameters, wherever they are, over samples of the placed run."""
        return float(self.evaluate(replicate(self.problem.mesh, params), samples).loss)

    def measure(self, state: TrainState, before: TrainState) -> tuple[Any, Any, LayerRecord | None]:
        """Evaluates training and validation samples, and the layers if asked to; the results are on the host."""
        held_out, layers = None, None
        if self.held_out is not None:
            held_out = self.evaluate(state.params, self.held_out)
        if self.record_layers:
            some = (
                self.train.first(RECORDED_SAMPLES)
                if isinstance(self.train, DiskSamples)
                else self.train
            )
            layers = layer_record(self.problem, state.params, before.params, some)
        return jax.device_get((self.evaluate(state.params, self.train), held_out, layers))

    @property
    def steps_a_piece(self) -> int:
        """The number of steps that samples on disk are read for at a time."""
        return max(1, min(self.record_every, READ_ROWS // (self.problem.batch_size or 1)))

    def piece(self, state: TrainState, steps: int, later: int = 0) -> Batch | Piece:
        """What so many steps take that follow so many others: all samples, or what is read for them."""
        if not isinstance(self.train, DiskSamples):
            return self.train
        batch_size, key = (
            self.problem.batch_size or 0,
            np.ravel(jax.random.key_data(state.batch_key)).tolist(),
        )
        first = int(state.epoch) * self.train.num_samples + int(state.place) + later * batch_size
        rows = self.train.in_order(
            tuple(key), first, steps * batch_size, self.steps_a_piece * batch_size
        )
        return Piece(share(self.problem.mesh, rows), state.step + later, self.train.num_samples)

    def take(self, state: TrainState, stop: int) -> Chunk:
        """Takes the steps from a state until `stop`, or until one that is refused."""
        if not isinstance(self.train, DiskSamples):
            return advance(self.problem, self.solver, state, self.train, stop, self.num_steps, None)
        start = int(state.step)
        edges = [*range(start, stop, self.steps_a_piece), stop]
        pieces = (
            (self.piece(state, last - first, first - start), last)
            for first, last in pairwise(edges)
        )
        chunk, following = Chunk(state, state, jnp.array(True)), next(pieces, None)
        while following is not None and bool(chunk.alive):
            piece, last = following
            chunk = advance(
                self.problem, self.solver, chunk.state, piece, last, self.num_steps, chunk.before
            )
            following = next(pieces, None)  # read while the device computes
        return chunk


def compile_seconds(run: Run) -> float:
    """Compiles what the run needs, by a chunk of no steps and a first measurement; returns the time it took."""
    start = time.perf_counter()
    before = run.state if isinstance(run.train, DiskSamples) else None  # as `take` has it
    samples, step = run.piece(run.state, 0), int(run.state.step)
    chunk = advance(run.problem, run.solver, run.state, samples, step, run.num_steps, before)
    jax.block_until_ready((chunk, run.measure(run.state, run.state)))
    return time.perf_counter() - start


def points(run: Run, seconds: float = 0.0) -> Iterator[Point]:
    """Takes the steps of a placed run chunk by chunk and measures between them; divergence is
    decided here alone.

    `seconds` is what the run took before. The states that it gives out are on the default device.
    """
    state, before, alive = run.state, run.state, True
    while True:
        start = time.perf_counter()
        outcome = None
        if not alive:
            look = partial(run.evaluate, samples=run.train)
            outcome = refused(run.problem, run.solver, state, run.piece(state, 1), look)
        evaluation, held_out, layers = run.measure(state, before)
        seconds += time.perf_counter() - start
        record = Record(
            int(state.step),
            float(evaluation.loss),
            math.nan if held_out is None else float(held_out.loss),
            seconds,
        )
        if outcome is None and (evaluation.nonfinite.any() or not math.isfinite(record.loss)):
            outcome = Outcome("diverged", record.step, *first_overflow(run.problem, evaluation))
            state = before  # the overflow of a chunk's last step shows only here
        elif outcome is None and record.step >= run.num_steps:
            outcome = Outcome("finished", record.step)
        yield Point(fetch(run.problem.mesh, state), record, layers, outcome)
        if outcome is not None:
            return
        start = time.perf_counter()
        stop = min(run.num_steps, record.step + run.record_every)
        state, before, still_alive = run.take(state, stop)
        alive = bool(still_alive)
        seconds += time.perf_counter() - start


def finished(run: Run, start: Params, params: Params, watched: Batch | DiskSamples) -> Params:
    """The parameters with the smallest loss over the watched samples: these, these after `finish`,
    or the start's.

    `run` and `watched` are placed.
    """
    if run.solver.finish is None:
        return params
    train = (
        run.train.mapped
        if isinstance(run.train, DiskSamples)
        else gathered(run.problem.mesh, run.train)
    )
    proposals = [params, run.solver.finish(run.problem, params, train), start]
    losses = [run.loss(proposal, watched) for proposal in proposals]
    return proposals[int(np.argmin(np.where(np.isfinite(losses), losses, np.inf)))]
