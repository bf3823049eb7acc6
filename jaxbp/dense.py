"""One dense layer: forward, and backward as the formulas that the whole project rests on.

    forward    Z = A W + b,  A' = phi(Z) * M            M a dropout mask, left out when there is none
    step 1     D = dL/dZ = dL/dA' * M * phi'(Z)
    step 2     dL/dW = A^T D,  dL/db = sum of D over the batch

Legend: n samples, A (n, fan_in) the inputs, Z (n, fan_out) the preactivation, A' (n, fan_out) the outputs.
Matrix products run at the highest precision that the device has, in both passes: a GPU's or TPU's default would round
the factors to 8 or 11 bits.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxbp.activations import Activation
from jaxbp.params import Layer

# From twice this many samples a sum over the batch runs in blocks of half to all of this many. A long float32 sum of
# 131,072 products was off by 48 to 95 units of rounding, in blocks by 16 to 33. Equal blocks need no copy.
BLOCK = 2048


class DenseResiduals(NamedTuple):
    """What the forward pass of one layer leaves for its backward pass.

    Attributes:
        inputs: A (n, fan_in).
        preactivation: Z (n, fan_out), or None where nothing reads it.
        activation: phi(Z) (n, fan_out), before the mask.
        mask: M (n, fan_out), 0 or 1 / (1 - rate), or None without dropout.
    """

    inputs: Array
    preactivation: Any
    activation: Array
    mask: Array | None


def matmul(left: Array, right: Array) -> Array:
    """Multiplies matrices at the highest precision."""
    return jnp.matmul(left, right, precision=jax.lax.Precision.HIGHEST)


def dense_forward(
    layer: Layer, inputs: Array, activation: Activation, mask: Array | None = None, *, keep_preactivation: bool = False
) -> tuple[Array, DenseResiduals]:
    """Computes A' = phi(A W + b) * M (n, fan_out), and what the backward pass will read.

    Z is kept where the slope reads it, or everywhere with `keep_preactivation`.
    """
    preactivation = matmul(inputs, layer.weight) + layer.bias[jnp.newaxis, :]
    active = activation.value(preactivation)
    kept = preactivation if keep_preactivation or activation.keeps_preactivation else None
    return active if mask is None else active * mask, DenseResiduals(inputs, kept, active, mask)


def dense_node_error(residuals: DenseResiduals, outputs_bar: Array, activation: Activation) -> Array:
    """Computes the node error D = dL/dZ (n, fan_out) from outputs_bar = dL/dA'.

    dL = <outputs_bar, dA'> and dA' = M * phi'(Z) * dZ, hence D = outputs_bar * M * phi'(Z).
    """
    activation_error = outputs_bar if residuals.mask is None else outputs_bar * residuals.mask
    return activation_error * activation.slope(residuals.preactivation, residuals.activation)


def dense_gradient(residuals: DenseResiduals, node_error: Array) -> Layer:
    """Reads the gradient of weight (fan_in, fan_out) and bias (fan_out,) off the node error D.

    dL = <D, dZ> and dZ = A dW + db, hence dL/dW = A^T D and dL/db = the sum of D over the batch.
    """
    return Layer(weight=_product_over_batch(residuals.inputs, node_error), bias=node_error.sum(axis=0))


def dropout_mask(key: Array, rate: float, shape: tuple[int, int], dtype: DTypeLike) -> Array:
    """Draws M (n, fan_out): 0 with probability `rate`, otherwise 1 / (1 - rate) (Srivastava et al. 2014)."""
    return jax.random.bernoulli(key, 1 - rate, shape).astype(dtype) / (1 - rate)


def _product_over_batch(inputs: Array, node_error: Array) -> Array:
    """A^T D for A (n, fan_in) and D (n, fan_out), summed in equal blocks where n is large and can be divided."""
    n = inputs.shape[0] if isinstance(inputs.shape[0], int) else 0  # no number where it is exported
    num_blocks = next((k for k in range(max(2, n // BLOCK), 2 * n // BLOCK) if n % k == 0), 0)
    if num_blocks == 0:
        return matmul(inputs.T, node_error)
    blocks = (some.reshape(num_blocks, -1, some.shape[1]) for some in (inputs, node_error))
    return jnp.einsum("bni,bno->bio", *blocks, precision=jax.lax.Precision.HIGHEST).sum(axis=0)
