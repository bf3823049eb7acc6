"""Autodiff beside every number of a trace's backward pass."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxbp.backprop import Trace
from jaxbp.dense import affine
from jaxbp.gradcheck.gradients import allowances, cancelled, mask_flips, widen
from jaxbp.gradcheck.report import Report, compare
from jaxbp.losses import Loss
from jaxbp.params import Mlp, Params


class Derivatives(NamedTuple):
    """What autodiff has for the backward pass, named as in `Trace`; index l - 1 belongs to layer l.

    Attributes:
        gradient: of the structure of the parameters.
        node_errors: dL/dZ_l (n, n_l).
        activation_errors: dL/dA_l (n, n_l).
        inputs_error: dL/dA_0 (n, n_0).
    """

    gradient: Params
    node_errors: tuple[Array, ...]
    activation_errors: tuple[Array, ...]
    inputs_error: Array


def autodiff_of(trace: Trace) -> Derivatives:
    """Differentiates the reference forward pass in float64, with a zero added to each Z_l and A_l.

    The zeros make `jax.grad` answer for node errors too; no hand-written derivative takes part in
    it.
    """
    with jax.enable_x64(True):
        stored = widen((trace.params, trace.inputs, trace.targets))
        return _autodiff(trace.mlp, trace.loss_function, *stored)


def check_trace(trace: Trace) -> Report:
    """Holds every number of a trace's backward pass against autodiff, leaf by leaf.

    Args:
        trace: what `backprop` returned, with concrete numbers.

    Returns:
        The report: gradient, node errors and activation errors, each with the error that rounding
            may cause.

    Raises:
        ValueError: the trace holds traced values, as inside jit, or those of several batches, as
            from vmap.
    """
    check_concrete(trace)
    num_samples, dtype = trace.inputs.shape[0], trace.inputs.dtype
    hand = Derivatives(
        trace.gradient, trace.node_errors, trace.activation_errors, trace.inputs_error
    )
    with jax.enable_x64(True):
        params, inputs, targets = widen((trace.params, trace.inputs, trace.targets))
        judge = partial(_autodiff, trace.mlp, trace.loss_function, inputs=inputs, targets=targets)
        allowed = allowances(judge, params, trace.mlp, num_samples, dtype)
        rows = compare("", hand, judge(params), "autodiff", allowed)
        notes = [*mask_flips(trace.mlp, trace.params, trace.inputs), *cancelled(rows)]
    return Report(
        tuple(row._replace(path=row.path.removeprefix(".")) for row in rows), notes=tuple(notes)
    )


def check_concrete(trace: Trace) -> None:
    """Raises a ValueError unless the trace holds the concrete numbers of one batch."""
    if isinstance(trace.loss, jax.core.Tracer):
        raise ValueError("trace must hold concrete numbers, got traced ones, as inside jit")
    if trace.inputs.ndim != 2:
        raise ValueError(f"trace must be that of one batch, got inputs {trace.inputs.shape}")


@partial(jax.jit, static_argnums=(0, 1))
def _autodiff(mlp: Mlp, loss: Loss, params: Params, inputs: Array, targets: Array) -> Derivatives:
    dtype = params[0].weight.dtype
    inputs = inputs.astype(dtype)
    targets = targets if jnp.issubdtype(targets.dtype, jnp.integer) else targets.astype(dtype)
    zeros = tuple(jnp.zeros((inputs.shape[0], size), dtype) for size in mlp.sizes[1:])

    def objective(
        params: Params,
        preactivation_shifts: tuple[Array, ...],
        shifts: tuple[Array, ...],
        inputs: Array,
    ) -> Array:
        outputs = inputs
        for layer, activation, dz, da in zip(
            params, mlp.activations, preactivation_shifts, shifts, strict=True
        ):
            preactivation = affine(layer, outputs) + dz
            outputs = activation.value(preactivation) + da
        return loss.values(outputs, targets).mean()

    return Derivatives(*jax.grad(objective, (0, 1, 2, 3))(params, zeros, zeros, inputs))
