"""What a run is made of: the state to go on from, the records, the outcome, the result."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxbp._html import card, number, table
from jaxbp.params import Params
from jaxbp.training.recorder import LayerHistory
from jaxbp.training.solver import Solver


class TrainState(NamedTuple):
    """All that a run needs to go on.

    Attributes:
        step: the number of steps taken.
        params: the parameters after them.
        solver: the solver's state.
        key: the key that the run was started with.
        epoch: the epoch in which the next batch starts.
        place: its first place in the permutation of that epoch.
    """

    step: Array
    params: Params
    solver: Any
    key: Array
    epoch: Array
    place: Array

    @classmethod
    def start(cls, params: Params, solver: Solver, key: Array | None = None) -> "TrainState":
        """The state before the first step; without a key, that of seed 0."""
        params, zero = jax.tree.map(jnp.asarray, params), jnp.zeros((), jnp.int32)
        return cls(
            zero, params, solver.init(params), jax.random.key(0) if key is None else key, zero, zero
        )

    @property
    def batch_key(self) -> Array:
        """The key of the order of the samples."""
        return jax.random.split(self.key)[0]

    @property
    def step_key(self) -> Array:
        """The key of the next step."""
        return jax.random.fold_in(jax.random.split(self.key)[1], self.step)


class Record(NamedTuple):
    """What is measured between two chunks of steps.

    Attributes:
        step: the number of steps taken.
        loss: the loss over all training samples, without dropout.
        validation_loss: the loss over the validation samples, NaN without any.
        seconds: run time so far, compile time apart.
    """

    step: int
    loss: float
    validation_loss: float
    seconds: float


class History(NamedTuple):
    """The records of a run as arrays (num_records,), named as in `Record`."""

    step: np.ndarray
    loss: np.ndarray
    validation_loss: np.ndarray
    seconds: np.ndarray

    @classmethod
    def of(cls, records: list[Record]) -> "History":
        """Puts records together."""
        return cls(*(np.array(column) for column in zip(*records, strict=True)))

    def then(self, later: "History") -> "History":
        """This history and that of the run that went on, whose first record is this one's last again."""
        return History(*(np.concatenate([a, b[1:]]) for a, b in zip(self, later, strict=True)))


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
        kind: finished, stopped early (by `patience`), or diverged.
        step: the last step taken.
        reason: of a divergence, what became non-finite.
        layer: the layer that did so first, from 1; None where none did.
    """

    kind: Literal["finished", "stopped early", "diverged"]
    step: int
    reason: str = ""
    layer: int | None = None

    @property
    def diverged(self) -> bool:
        """Whether a number became NaN or infinite."""
        return self.kind == "diverged"

    def __str__(self) -> str:
        return f"diverged: {self.reason} after step {self.step}" if self.diverged else self.kind


class FitResult(NamedTuple):
    """What `fit` returns; given to `fit` in place of parameters, the run goes on.

    Attributes:
        params: the last parameters, or the best ones with `keep_best` or `patience`; a solver may
            finish them.
        state: the last state.
        history: the records, from the first step on also where the run went on.
        outcome: how it ended.
        compile_seconds: time spent compiling.
        run_seconds: time spent in the compiled loop.
        layers: what `record_layers` asked for, None without it.
    """

    params: Params
    state: TrainState
    history: History
    outcome: Outcome
    compile_seconds: float
    run_seconds: float
    layers: LayerHistory | None = None

    def then(self, later: "FitResult") -> "FitResult":
        """This run and the one that went on from it as one."""
        seconds = later.history._replace(seconds=self.run_seconds + later.history.seconds)
        layers = (
            later.layers
            if self.layers is None or later.layers is None
            else self.layers.then(later.layers)
        )
        return later._replace(
            history=self.history.then(seconds),
            layers=layers,
            compile_seconds=self.compile_seconds + later.compile_seconds,
            run_seconds=self.run_seconds + later.run_seconds,
        )

    @property
    def status(self) -> str:
        """The outcome in words: "finished", "stopped early", or "diverged: ..." with the layer and the step."""
        return str(self.outcome)

    def _repr_html_(self) -> str:
        """Outcome, losses and times as a table."""
        history, checked = self.history, np.isfinite(self.history.validation_loss).any()
        rows = [("steps", f"{int(history.step[-1])}"), ("loss, first", number(history.loss[0]))]
        rows += [("loss, last", number(history.loss[-1]))]
        rows += [("held-out loss, last", number(history.validation_loss[-1]))] if checked else []
        rows += [("compile, s", number(self.compile_seconds)), ("run, s", number(self.run_seconds))]
        return card(f"fit: {self.status}", table((), rows))
