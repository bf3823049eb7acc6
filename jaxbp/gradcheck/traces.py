"""Autodiff beside every number of a trace's backward pass."""

import jax

from jaxbp.backprop import Trace
from jaxbp.gradcheck.reference import (
    Derivatives,
    against_autodiff,
    notes_on,
    reference_derivatives,
    widen,
)
from jaxbp.gradcheck.report import Report


def autodiff_of(trace: Trace) -> Derivatives:
    """Differentiate the reference forward pass in float64, with a zero added to each Z_l and A_l.

    No hand-written derivative takes part in it.
    """
    with jax.enable_x64(True):
        stored = widen((trace.params, trace.inputs, trace.targets))
        return reference_derivatives(trace.mlp, trace.loss_function, False, *stored)


def check_trace(trace: Trace) -> Report:
    """Compare every number of a trace's backward pass with autodiff, leaf by leaf.

    Args:
        trace: what `backprop` returned, with concrete numbers.

    Returns:
        The report: gradient, node errors and activation errors, each with the error that rounding
            may cause.

    Raises:
        ValueError: the trace holds traced values, as inside jit, or those of several batches, as
            from vmap.

    Examples:
        >>> import jaxbp
        >>> from jaxbp.gradcheck import check_trace
        >>> trace = jaxbp.backprop(jaxbp.Mlp((1, 1)), [([[2.0]], [0.5])], [[1.0]], [[0.0]])
        >>> bool(check_trace(trace))
        True
    """
    check_concrete(trace)
    hand = Derivatives(
        trace.gradient, trace.node_errors, trace.activation_errors, trace.inputs_error
    )
    with jax.enable_x64(True):
        params, inputs, targets = widen((trace.params, trace.inputs, trace.targets))
        case = trace.mlp, trace.loss_function, params, inputs, targets
        dtype = trace.inputs.dtype
        rows = against_autodiff("", hand, reference_derivatives, case, dtype, False)[0]
        notes = notes_on(trace.mlp, trace.params, trace.inputs, rows)
    return Report(
        tuple(row._replace(path=row.path.removeprefix(".")) for row in rows), notes=tuple(notes)
    )


def check_concrete(trace: Trace) -> None:
    """Raise a ValueError unless the trace holds the concrete numbers of one batch."""
    if isinstance(trace.loss, jax.core.Tracer):
        raise ValueError("trace must hold concrete numbers, got traced ones, as inside jit")
    if trace.inputs.ndim != 2:
        raise ValueError(f"trace must be that of one batch, got inputs {trace.inputs.shape}")
