"""How far a run has come: what it would need to go on as if nothing had happened."""

import math
from typing import NamedTuple

import numpy as np

from jaxbp.params import Params
from jaxbp.training.recorder import LayerHistory, LayerRecord
from jaxbp.training.state import History, Outcome, Record, TrainState


class Point(NamedTuple):
    """Where a run stands between two chunks.

    Attributes:
        state: the last good state.
        record: what was measured there.
        layers: of every layer, if asked for.
        outcome: how the run ended, None while it goes on.
    """

    state: TrainState
    record: Record
    layers: LayerRecord | None
    outcome: Outcome | None


class Best(NamedTuple):
    """The best parameters so far, by the validation loss, or the training loss without validation
    samples.

    Attributes:
        params: these parameters.
        loss: their loss.
        records_since: how many records have come since.
    """

    params: Params
    loss: float = math.inf
    records_since: int = 0

    def see(self, point: Point) -> "Best":
        """Looks at one point more."""
        record = point.record
        watched = record.loss if np.isnan(record.validation_loss) else record.validation_loss
        if watched < self.loss:
            return Best(point.state.params, watched)
        return self._replace(records_since=self.records_since + 1)


class Progress(NamedTuple):
    """A run up to its last record.

    Attributes:
        start: the parameters that it started from.
        state: the last good state.
        best: the best parameters so far.
        records: all records.
        layers: all layer records, empty without `record_layers`.
    """

    start: Params
    state: TrainState
    best: Best
    records: tuple[Record, ...] = ()
    layers: tuple[LayerRecord, ...] = ()

    @classmethod
    def of(cls, state: TrainState) -> "Progress":
        """The progress of a run that has not begun."""
        return cls(state.params, state, Best(state.params))

    def see(self, point: Point) -> "Progress":
        """Goes on by one point."""
        layers = self.layers if point.layers is None else (*self.layers, point.layers)
        return Progress(
            self.start, point.state, self.best.see(point), (*self.records, point.record), layers
        )

    @property
    def seconds(self) -> float:
        """The run time so far."""
        return self.records[-1].seconds if self.records else 0.0

    @property
    def history(self) -> History:
        """The records as arrays."""
        return History.of(list(self.records))

    @property
    def layer_history(self) -> LayerHistory | None:
        """The layer records as arrays, None without any."""
        return LayerHistory.of(self.history.step, list(self.layers)) if self.layers else None
