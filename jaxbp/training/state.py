"""What a run is made of: the state to go on from, the records, the result."""

from typing import Any, NamedTuple

import numpy as np
from jax import Array

from jaxbp.params import Params
from jaxbp.training.recorder import LayerHistory


class TrainState(NamedTuple):
    """All that a run needs to go on.

    Attributes:
        step: the number of steps taken.
        params: the parameters after them.
        solver: the solver's state.
        key: the key that the run was started with.
    """

    step: Array
    params: Params
    solver: Any
    key: Array


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


class FitResult(NamedTuple):
    """What `fit` returns.

    Attributes:
        params: the last parameters, or the best ones with `keep_best` or `patience`.
        state: give it to `fit` to go on.
        history: the records.
        status: "finished", "stopped early", or "diverged: ..." with the step and the layer.
        compile_seconds: time spent compiling.
        run_seconds: time spent in the compiled loop.
        layers: what `record_layers` asked for, None without it.
    """

    params: Params
    state: TrainState
    history: History
    status: str
    compile_seconds: float
    run_seconds: float
    layers: LayerHistory | None = None
