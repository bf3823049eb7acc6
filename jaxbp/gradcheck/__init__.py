"""Independent checks of hand-written derivatives."""

from jaxbp.gradcheck.gradients import check_gradients, explain_gradient
from jaxbp.gradcheck.numerical import numerical_gradient
from jaxbp.gradcheck.reference import Derivatives, rounding_bound
from jaxbp.gradcheck.report import Report, Row, compare
from jaxbp.gradcheck.rules import METHODS, check_rule
from jaxbp.gradcheck.traces import autodiff_of, check_trace

__all__ = [
    "METHODS",
    "Derivatives",
    "Report",
    "Row",
    "autodiff_of",
    "check_gradients",
    "check_rule",
    "check_trace",
    "compare",
    "explain_gradient",
    "numerical_gradient",
    "rounding_bound",
]
