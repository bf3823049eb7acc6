"""Training: `fit` and the solvers that it runs. Only this package imports optax."""

from jaxbp.training.devices import use_platform
from jaxbp.training.first_order import first_order
from jaxbp.training.gauss_newton import gauss_newton
from jaxbp.training.loop import fit
from jaxbp.training.optimizers import named_optimizer
from jaxbp.training.recorder import LayerHistory, LayerRecord
from jaxbp.training.solver import Batch, Problem, Solver
from jaxbp.training.stages import Stage, StagesResult, fit_stages
from jaxbp.training.state import FitResult, History, Record, TrainState

__all__ = [
    "Batch",
    "FitResult",
    "History",
    "LayerHistory",
    "LayerRecord",
    "Problem",
    "Record",
    "Solver",
    "Stage",
    "StagesResult",
    "TrainState",
    "first_order",
    "fit",
    "fit_stages",
    "gauss_newton",
    "named_optimizer",
    "use_platform",
]
