"""Training: `fit` and the solvers that it runs. Only this package imports optax."""

from jaxbp.training.devices import PLATFORMS, use_platform
from jaxbp.training.evaluation import evaluate
from jaxbp.training.first_order import first_order
from jaxbp.training.gauss_newton import gauss_newton
from jaxbp.training.hosts import join_hosts, own_rows
from jaxbp.training.loop import fit
from jaxbp.training.many import Fits, fit_many
from jaxbp.training.optimizers import OPTIMIZERS, SCHEDULES, named_optimizer
from jaxbp.training.recorder import LayerHistory, LayerRecord
from jaxbp.training.solver import Batch, Problem, Solver, dropout_masks
from jaxbp.training.stages import Stage, StagesResult, fit_stages
from jaxbp.training.state import FitResult, History, Outcome, Record, TrainState
from jaxbp.training.steps import Chunk, advance

__all__ = [
    "OPTIMIZERS",
    "PLATFORMS",
    "SCHEDULES",
    "Batch",
    "Chunk",
    "FitResult",
    "Fits",
    "History",
    "LayerHistory",
    "LayerRecord",
    "Outcome",
    "Problem",
    "Record",
    "Solver",
    "Stage",
    "StagesResult",
    "TrainState",
    "advance",
    "dropout_masks",
    "evaluate",
    "first_order",
    "fit",
    "fit_many",
    "fit_stages",
    "gauss_newton",
    "join_hosts",
    "named_optimizer",
    "own_rows",
    "use_platform",
]
