"""State, records, outcome and result of a run."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxbp._html import card, number, table
from jaxbp.params import Params
from jaxbp.training.evaluation import LayerHistory, LayerRecord
from jaxbp.training.solver import Solver


class TrainState(NamedTuple):
    """Everything that the next step depends on.

    Attributes:
        step: number of steps taken.
        params: parameters after them.
        solver: state of the solver.
        key: key that the run was started with.
        epoch: epoch in which the next batch starts.
        place: first place of that batch in the permutation of the epoch.
    """

    step: Array
    params: Params
    solver: Any
    key: Array
    epoch: Array
    place: Array

    @classmethod
    def start(cls, params: Params, solver: Solver, key: Array | None = None) -> "TrainState":
        """Return the state before the first step; the default key is that of seed 0."""
        params, zero = jax.tree.map(jnp.asarray, params), jnp.zeros((), jnp.int32)
        key = jax.random.key(0) if key is None else key
        return cls(zero, params, solver.init(params), key, zero, zero)

    @property
    def batch_key(self) -> Array:
        """Key of the order of the samples."""
        return jax.random.split(self.key)[0]

    @property
    def step_key(self) -> Array:
        """Key of the next step."""
        return jax.random.fold_in(jax.random.split(self.key)[1], self.step)


class Record(NamedTuple):
    """Measurements between two chunks of steps; in `fit_many` losses are arrays (m,).

    Attributes:
        step: number of steps taken.
        loss: loss over all training samples, without dropout.
        validation_loss: loss over the validation samples, NaN without any.
        seconds: run time so far, without compile time.
    """

    step: int
    loss: Any
    validation_loss: Any
    seconds: float

    @property
    def watched(self) -> Any:
        """Validation loss, or the training loss where there is none; infinite instead of NaN."""
        loss = np.where(np.isnan(self.validation_loss), self.loss, self.validation_loss)
        return np.where(np.isnan(loss), np.inf, loss)


class History(NamedTuple):
    """Records of a run as arrays (num_records,), named as in `Record`."""

    step: np.ndarray
    loss: np.ndarray
    validation_loss: np.ndarray
    seconds: np.ndarray

    @classmethod
    def of(cls, records: tuple[Record, ...]) -> "History":
        """Stack records."""
        return cls(*(np.array(column) for column in zip(*records, strict=True)))

    def then(self, later: "History") -> "History":
        """Append the history of the continued run, without its first record, this one's last."""
        return History(*(np.concatenate([a, b[1:]]) for a, b in zip(self, later, strict=True)))


class Outcome(NamedTuple):
    """End of a run.

    Attributes:
        kind: finished, stopped early (by a callback), or diverged.
        step: last step taken.
        reason: of a divergence, which number became non-finite.
        layer: first non-finite layer, from 1; None where every layer is finite.
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


class Progress(NamedTuple):
    """A run up to its last record: start, last good state, best parameters and all records."""

    start: Params
    state: Any
    best: Params
    records: tuple[Record, ...] = ()
    layers: tuple[LayerRecord, ...] = ()

    def then(self, record: Record, state: Any, layers: LayerRecord | None) -> "Progress":
        """Append a record of this state."""
        least = np.inf
        if self.records:
            least = np.min([one.watched for one in self.records], axis=0)
        better = record.watched < least

        def choose(new: Any, old: Any) -> Any:
            if np.ndim(better) == 0:
                return new if better else old
            return np.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        return Progress(
            self.start,
            state,
            jax.tree.map(choose, state.params, self.best),
            (*self.records, record),
            self.layers if layers is None else (*self.layers, layers),
        )

    @property
    def seconds(self) -> float:
        """Run time so far."""
        return self.records[-1].seconds if self.records else 0.0

    @property
    def history(self) -> History:
        """Records as arrays."""
        return History.of(self.records)

    @property
    def layer_history(self) -> LayerHistory | None:
        """Layer records as arrays, None without any."""
        return LayerHistory.of(self.history.step, self.layers) if self.layers else None


class FitResult(NamedTuple):
    """Result of `fit`; given to `fit` in place of parameters, the run continues.

    Attributes:
        params: last parameters, or the best ones with `KeepBest` or `EarlyStopping`; a solver may
            finish them.
        state: last state.
        history: records, of a continued run from its first step on.
        outcome: how the run ended.
        compile_seconds: time of compiling and of the first record.
        run_seconds: time of the steps and of the later records.
        layers: measurements of `RecordLayers`, None without it.
    """

    params: Params
    state: TrainState
    history: History
    outcome: Outcome
    compile_seconds: float
    run_seconds: float
    layers: LayerHistory | None = None

    def then(self, later: "FitResult") -> "FitResult":
        """Join this run and its continuation."""
        seconds = later.history._replace(seconds=self.run_seconds + later.history.seconds)
        both = self.layers is not None and later.layers is not None
        return later._replace(
            history=self.history.then(seconds),
            layers=self.layers.then(later.layers) if both else later.layers,  # type: ignore[union-attr, arg-type]
            compile_seconds=self.compile_seconds + later.compile_seconds,
            run_seconds=self.run_seconds + later.run_seconds,
        )

    @property
    def status(self) -> str:
        """Outcome in words: finished, stopped early, or diverged with the layer and the step."""
        return str(self.outcome)

    def __repr__(self) -> str:
        """Say outcome, losses and times in a line."""
        first, last = (number(loss) for loss in self.history.loss[[0, -1]])
        seconds = f"{self.compile_seconds:.1f} s to compile, {self.run_seconds:.1f} s to run"
        losses = f"training loss {first} to {last}"
        if np.isfinite(self.history.validation_loss).any():
            losses += f", validation loss {number(self.history.validation_loss[-1])}"
        return f"FitResult: {self.outcome}, {self.outcome.step} steps, {losses}; {seconds}"

    def _repr_html_(self) -> str:
        """Show outcome, losses and times as a table."""
        history, checked = self.history, np.isfinite(self.history.validation_loss).any()
        rows = [("steps", f"{int(history.step[-1])}"), ("loss, first", number(history.loss[0]))]
        rows += [("loss, last", number(history.loss[-1]))]
        rows += [("held-out loss, last", number(history.validation_loss[-1]))] if checked else []
        rows += [("compile, s", number(self.compile_seconds)), ("run, s", number(self.run_seconds))]
        return card(f"fit: {self.status}", table((), rows))


class Fits(NamedTuple):
    """Result of `fit_many`: m networks of one architecture.

    Attributes:
        params: parameters, every leaf with a leading axis (m, ...): the last, or the best of each
            network with `KeepBest` or `EarlyStopping`.
        step: (num_records,) steps of the records.
        loss: (num_records, m) losses over the training samples; of a diverged network the last
            finite one.
        validation_loss: (num_records, m) losses over the validation samples, NaN without any.
        diverged: (m,) whether a network became non-finite, and stopped there.
    """

    params: Params
    step: np.ndarray
    loss: np.ndarray
    validation_loss: np.ndarray
    diverged: np.ndarray

    def member(self, position: int) -> Params:
        """Return the parameters of one network, as NumPy arrays."""
        return jax.tree.map(lambda leaf: np.asarray(leaf[position]), self.params)
