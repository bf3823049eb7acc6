"""One dense layer: forward, and backward as the formulas that the whole project rests on.

    forward    Z = A W + b,  A' = phi(Z) * M            M a dropout mask, left out when there is none
    step 1     D = dL/dZ = dL/dA' * M * phi'(Z)
    step 2     dL/dW = A^T D,  dL/db = sum of D over the batch

Legend: n samples, A (n, fan_in) the inputs, Z (n, fan_out) the preactivation, A' (n, fan_out) the
outputs. With axis = 1 the samples are columns, not rows: all of these are transposed, which is
quicker where layers are narrow. Matrix products run at the highest precision that the device has,
in both passes: a GPU's or TPU's default would round the factors to 8 or 11 bits.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxbp._layout import product_over_samples, sum_over_samples
from jaxbp.activations import Activation
from jaxbp.params import Layer


class DenseResiduals(NamedTuple):
    """What the forward pass of one layer leaves for its backward pass.

    Attributes:
        inputs: A.
        preactivation: Z, or None where nothing reads it.
        activation: phi(Z), before the mask.
        mask: M, 0 or 1 / (1 - rate), or None without dropout.
    """

    inputs: Array
    preactivation: Any
    activation: Array
    mask: Array | None


def matmul(left: Array, right: Array) -> Array:
    """Multiplies matrices at the highest precision."""
    return jax.lax.dot(left, right, precision=jax.lax.Precision.HIGHEST)


def apply_weight(samples: Array, weight: Array, axis: int) -> Array:
    """Computes A W, or (A W)^T = W^T A^T where the samples are columns."""
    return matmul(samples, weight) if axis == 0 else matmul(weight.T, samples)


def dense_forward(
    layer: Layer,
    inputs: Array,
    activation: Activation,
    mask: Array | None,
    *,
    keep_preactivation: bool,
    axis: int,
) -> tuple[Array, DenseResiduals]:
    """Computes A' = phi(A W + b) * M, and what the backward pass will read.

    Z is kept where the slope reads it, or everywhere with `keep_preactivation`.
    """
    preactivation = apply_weight(inputs, layer.weight, axis) + jnp.expand_dims(layer.bias, axis)
    active = activation.value(preactivation)
    kept = preactivation if keep_preactivation or activation.keeps_preactivation else None
    return active if mask is None else active * mask, DenseResiduals(inputs, kept, active, mask)


def dense_node_error(
    residuals: DenseResiduals, outputs_bar: Array, activation: Activation
) -> Array:
    """Computes the node error D = dL/dZ from outputs_bar = dL/dA'.

    dL = <outputs_bar, dA'> and dA' = M * phi'(Z) * dZ, hence D = outputs_bar * M * phi'(Z).
    """
    activation_error = outputs_bar if residuals.mask is None else outputs_bar * residuals.mask
    return activation_error * activation.slope(residuals.preactivation, residuals.activation)


def dense_gradient(residuals: DenseResiduals, node_error: Array, axis: int = 0) -> Layer:
    """Reads the gradient of weight (fan_in, fan_out) and bias (fan_out,) off the node error D.

    dL = <D, dZ> and dZ = A dW + db, hence dL/dW = A^T D and dL/db = the sum of D over the batch.
    """
    weight = product_over_samples(residuals.inputs, node_error, axis)
    return Layer(weight, bias=sum_over_samples(node_error, axis))
