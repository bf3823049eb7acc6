"""Independent judges of hand-written derivatives: the only place that compares them with autodiff."""

from jaxbp.gradcheck.gradients import check_gradients, rounding_bound
from jaxbp.gradcheck.numerical import numerical_gradient
from jaxbp.gradcheck.report import Report, Row, compare
from jaxbp.gradcheck.rules import check_rule
from jaxbp.gradcheck.traces import Derivatives, autodiff_of, check_trace

__all__ = [
    "Derivatives",
    "Report",
    "Row",
    "autodiff_of",
    "check_gradients",
    "check_rule",
    "check_trace",
    "compare",
    "numerical_gradient",
    "rounding_bound",
]
