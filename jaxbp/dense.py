"""One dense layer: its forward pass, and its backward pass in two steps.

    forward    Z = A W + b,  A' = phi(Z) * M            M: dropout mask, absent without dropout
    step 1     D = dL/dZ = dL/dA' * M * phi'(Z)
    step 2     dL/dW = A^T D,  dL/db = sum of D over the batch

Legend: n samples, A (n, fan_in) inputs, Z (n, fan_out) preactivation, A' (n, fan_out) outputs. A
layer without a bias has b = None and dL/db = None. With axis = 1 the samples are columns and all
of these are transposed, which is faster for narrow layers. Matrix products run at the highest
precision of the device in both passes: the default of a GPU or TPU rounds the factors to 8 or 11
bits.
"""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxbp._layout import product_over_samples, sum_over_samples
from jaxbp.activations import Activation
from jaxbp.params import Layer


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class DenseResiduals:
    """Values saved by the forward pass of one layer for its backward pass.

    Attributes:
        inputs: A.
        preactivation: Z, or None if it is not kept.
        activation: phi(Z), before the mask.
        mask: M, 0 or 1 / (1 - rate), or None without dropout.
        has_bias: whether the layer has a bias.
    """

    inputs: Array
    preactivation: Any
    activation: Array
    mask: Array | None
    has_bias: bool = field(default=True, metadata={"static": True})


def matmul(left: Array, right: Array) -> Array:
    """Multiply matrices at the highest precision."""
    return jax.lax.dot(left, right, precision=jax.lax.Precision.HIGHEST)


def apply_weight(samples: Array, weight: Array, axis: int) -> Array:
    """Compute A W, or (A W)^T = W^T A^T if the samples are columns."""
    return matmul(samples, weight) if axis == 0 else matmul(weight.T, samples)


def affine(layer: Layer, samples: Array, axis: int = 0) -> Array:
    """Compute A W + b, or A W without a bias."""
    product = apply_weight(samples, layer.weight, axis)
    return product if layer.bias is None else product + jnp.expand_dims(layer.bias, axis)


def dense_forward(
    layer: Layer,
    inputs: Array,
    activation: Activation,
    mask: Array | None,
    *,
    keep_preactivation: bool,
    axis: int,
) -> tuple[Array, DenseResiduals]:
    """Compute A' = phi(A W + b) * M and the residuals.

    Z is kept if the slope needs it or with `keep_preactivation`.
    """
    preactivation = affine(layer, inputs, axis)
    active = activation.value(preactivation)
    kept = preactivation if keep_preactivation or activation.keeps_preactivation else None
    residuals = DenseResiduals(inputs, kept, active, mask, layer.bias is not None)
    return active if mask is None else active * mask, residuals


def dense_node_error(
    residuals: DenseResiduals, outputs_bar: Array, activation: Activation
) -> Array:
    """Compute the node error D = dL/dZ from outputs_bar = dL/dA'.

    dL = <outputs_bar, dA'> and dA' = M * phi'(Z) * dZ, hence D = outputs_bar * M * phi'(Z).
    """
    activation_error = outputs_bar if residuals.mask is None else outputs_bar * residuals.mask
    return activation_error * activation.slope(residuals.preactivation, residuals.activation)


def dense_gradient(residuals: DenseResiduals, node_error: Array, axis: int = 0) -> Layer:
    """Read the gradient of weight (fan_in, fan_out) and bias (fan_out,) off the node error D.

    dL = <D, dZ> and dZ = A dW + db, hence dL/dW = A^T D and dL/db = the sum of D over the batch.
    """
    weight = product_over_samples(residuals.inputs, node_error, axis)
    return Layer(weight, sum_over_samples(node_error, axis) if residuals.has_bias else None)
