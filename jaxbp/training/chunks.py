"""A run in chunks of steps: the compiled programs, what is measured between them, and what ends the run."""

import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxbp.params import Params
from jaxbp.training.evaluation import evaluate, first_overflow
from jaxbp.training.progress import Point
from jaxbp.training.recorder import LayerRecord, layer_record
from jaxbp.training.shards import distribute, fetch, gathered, replicate, share
from jaxbp.training.solver import Batch, Problem, Solver
from jaxbp.training.state import Outcome, Record, TrainState
from jaxbp.training.steps import advance, refused


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
    train: Batch
    held_out: Batch | None
    num_steps: int
    record_every: int
    record_layers: bool

    def placed(self) -> "Run":
        """The run with its samples and its state on the devices of its mesh; the run itself without one."""
        mesh = self.problem.mesh
        train, held_out = share(mesh, self.train), distribute(mesh, self.held_out)
        return self._replace(state=replicate(mesh, self.state), train=train, held_out=held_out)

    def loss(self, params: Params, samples: Batch) -> float:
        """The loss of parameters, wherever they are, over samples of the placed run."""
        return float(evaluate(self.problem, replicate(self.problem.mesh, params), samples).loss)

    def measure(self, state: TrainState, before: TrainState) -> tuple[Any, Any, LayerRecord | None]:
        """Evaluates training and validation samples, and the layers if asked to; the results are on the host."""
        held_out = None if self.held_out is None else evaluate(self.problem, state.params, self.held_out)
        layers = layer_record(self.problem, state.params, before.params, self.train) if self.record_layers else None
        return jax.device_get((evaluate(self.problem, state.params, self.train), held_out, layers))


def compile_seconds(run: Run) -> float:
    """Compiles what the run needs, by a chunk of no steps and a first measurement; returns the time it took."""
    start = time.perf_counter()
    chunk = advance(run.problem, run.solver, run.state, run.train, int(run.state.step), run.num_steps)
    jax.block_until_ready((chunk, run.measure(run.state, run.state)))
    return time.perf_counter() - start


def points(run: Run, seconds: float = 0.0) -> Iterator[Point]:
    """Takes the steps of a placed run chunk by chunk and measures between them; divergence is decided here alone.

    `seconds` is what the run took before. The states that it gives out are on the default device.
    """
    state, before, alive = run.state, run.state, True
    while True:
        start = time.perf_counter()
        outcome = None if alive else refused(run.problem, run.solver, state, run.train)
        evaluation, held_out, layers = run.measure(state, before)
        seconds += time.perf_counter() - start
        record = Record(
            int(state.step), float(evaluation.loss), math.nan if held_out is None else float(held_out.loss), seconds
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
        state, before, still_alive = advance(run.problem, run.solver, state, run.train, stop, run.num_steps)
        alive = bool(still_alive)
        seconds += time.perf_counter() - start


def finished(run: Run, start: Params, params: Params, watched: Batch) -> Params:
    """The parameters with the smallest loss over the watched samples: these, these after `finish`, or the start's.

    `run` and `watched` are placed.
    """
    if run.solver.finish is None:
        return params
    proposals = [params, run.solver.finish(run.problem, params, gathered(run.problem.mesh, run.train)), start]
    losses = [run.loss(proposal, watched) for proposal in proposals]
    return proposals[int(np.argmin(np.where(np.isfinite(losses), losses, np.inf)))]
