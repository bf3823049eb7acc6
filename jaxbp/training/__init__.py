"""Training: `fit`, `fit_many`, their solvers and callbacks. Only this package imports optax."""

from jaxbp.training.callbacks import Callback, Checkpoint, EarlyStopping, KeepBest, RecordLayers
from jaxbp.training.evaluation import LayerHistory, LayerRecord, evaluate
from jaxbp.training.first_order import (
    OPTIMIZERS,
    SCHEDULES,
    FirstOrder,
    dropout_masks,
    first_order,
    named_optimizer,
)
from jaxbp.training.gauss_newton import GaussNewton, gauss_newton
from jaxbp.training.loop import Chunk, advance, fit, fit_many
from jaxbp.training.sharding import PLATFORMS, use_platform
from jaxbp.training.solver import Batch, Problem, Solver
from jaxbp.training.state import FitResult, Fits, History, Outcome, Record, TrainState

__all__ = [
    "OPTIMIZERS",
    "PLATFORMS",
    "SCHEDULES",
    "Batch",
    "Callback",
    "Checkpoint",
    "Chunk",
    "EarlyStopping",
    "FirstOrder",
    "FitResult",
    "Fits",
    "GaussNewton",
    "History",
    "KeepBest",
    "LayerHistory",
    "LayerRecord",
    "Outcome",
    "Problem",
    "Record",
    "RecordLayers",
    "Solver",
    "TrainState",
    "advance",
    "dropout_masks",
    "evaluate",
    "first_order",
    "fit",
    "fit_many",
    "gauss_newton",
    "named_optimizer",
    "use_platform",
]
