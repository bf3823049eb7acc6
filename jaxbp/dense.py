"""One dense layer, forward and backward: the pair that the project is about.

    Z = A W + b        A' = phi(Z) * M        M a dropout mask, left out when there is none

Legend: n samples, A (n, fan_in) the inputs, Z (n, fan_out) the preactivation, A' (n, fan_out) the layer's answer.
Matrix products run at the highest precision that the device has, in both passes: a GPU's or TPU's default would round
the factors to 8 or 11 bits.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxbp.activations import Activation
from jaxbp.params import Layer

# Above twice this many samples a sum over the batch runs in blocks of this many. One long float32 sum of 131,072
# products was off by 48 to 95 units of rounding, in blocks by 16 to 33; the product for one output also runs faster.
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
    layer: Layer,
    inputs: Array,
    activation: Activation,
    mask: Array | None = None,
    *,
    keep_preactivation: bool = False,
) -> tuple[Array, DenseResiduals]:
    """Computes A' = phi(A W + b) * M.

    Args:
        layer: weight (fan_in, fan_out), bias (fan_out,).
        inputs: (n, fan_in).
        activation: phi and its slope.
        mask: (n, fan_out), or None.
        keep_preactivation: keeps Z even where the slope does not read it.

    Returns:
        The outputs A' (n, fan_out) and the residuals.
    """
    preactivation = matmul(inputs, layer.weight) + layer.bias[jnp.newaxis, :]
    active = activation.value(preactivation)
    kept = preactivation if keep_preactivation or activation.keeps_preactivation else None
    return active if mask is None else active * mask, DenseResiduals(inputs, kept, active, mask)


def dense_node_error(residuals: DenseResiduals, outputs_bar: Array, activation: Activation) -> Array:
    """Computes the node error D = dL/dZ from the cotangent of the layer's outputs.

    dL = <A'_bar, dA'> and dA' = M * phi'(Z) * dZ, hence D = A'_bar * M * phi'(Z).

    Args:
        residuals: what `dense_forward` left.
        outputs_bar: dL/dA' (n, fan_out).
        activation: the activation that ran forward.

    Returns:
        D (n, fan_out).
    """
    activation_error = outputs_bar if residuals.mask is None else outputs_bar * residuals.mask
    return activation_error * activation.slope(residuals.preactivation, residuals.activation)


def dense_gradient(residuals: DenseResiduals, node_error: Array) -> Layer:
    """Reads the layer's gradient off its node error.

    dL = <D, dZ> and dZ = A dW + db, hence dL/dW = A^T D and dL/db = the sum of D over the batch.

    Args:
        residuals: what `dense_forward` left.
        node_error: D (n, fan_out).

    Returns:
        Layer(dL/dW (fan_in, fan_out), dL/db (fan_out,)).
    """
    return Layer(weight=_product_over_batch(residuals.inputs, node_error), bias=node_error.sum(axis=0))


def dense_backward(
    layer: Layer, residuals: DenseResiduals, outputs_bar: Array, activation: Activation
) -> tuple[Layer, Array]:
    """Carries the cotangent of the outputs to the layer and to its inputs: the transpose of `dense_forward`.

    Args:
        layer: the layer that ran forward.
        residuals: what `dense_forward` left.
        outputs_bar: dL/dA' (n, fan_out).
        activation: the activation that ran forward.

    Returns:
        The layer's gradient and inputs_bar = dL/dA = D W^T (n, fan_in).
    """
    node_error = dense_node_error(residuals, outputs_bar, activation)
    return dense_gradient(residuals, node_error), matmul(node_error, layer.weight.T)


def _product_over_batch(inputs: Array, node_error: Array) -> Array:
    """A^T D for A (n, fan_in) and D (n, fan_out), summed in blocks where n is large."""
    num_blocks = inputs.shape[0] // BLOCK
    if num_blocks < 2:
        return matmul(inputs.T, node_error)
    whole = num_blocks * BLOCK
    blocks = (num_blocks, BLOCK)
    input_blocks = inputs[:whole].reshape(*blocks, -1)
    error_blocks = node_error[:whole].reshape(*blocks, -1)
    product = matmul(input_blocks.transpose(0, 2, 1), error_blocks).sum(axis=0)
    return product + matmul(inputs[whole:].T, node_error[whole:])
