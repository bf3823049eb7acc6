"""A multilayer perceptron: the forward pass, and the backward pass as two steps written by hand.

For layers l = 1..L, one sample a row:

    forward    Z_l = A_{l-1} W_l + b_l,  A_l = phi_l(Z_l),  A_0 = inputs
    step 1     from the last layer to the first, with E_l = dL/dA_l (activation error) and D_l = dL/dZ_l (node error):
               D_l = E_l * phi_l'(Z_l),  E_{l-1} = D_l W_l^T
    step 2     dL/dW_l = A_{l-1}^T D_l,  dL/db_l = sum of D_l over the batch

Legend: n samples, sizes (n_0, ..., n_L); A_l, Z_l, E_l and D_l are (n, n_l), or with axis = 1 (n_l,
n).

References:
    Rumelhart, Hinton and Williams 1986; Nielsen, Neural Networks and Deep Learning, chapter 2.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxbp._layout import samples_axis, turned
from jaxbp._samples import as_batch
from jaxbp._sharding import vary_together
from jaxbp.dense import (
    DenseResiduals,
    apply_weight,
    dense_forward,
    dense_gradient,
    dense_node_error,
)
from jaxbp.params import Layer, Mlp, Params

Residuals = tuple[DenseResiduals, ...]
Masks = tuple[Array | None, ...]


def forward(
    mlp: Mlp,
    params: Params,
    inputs: Array,
    masks: Masks | None = None,
    *,
    keep_preactivations: bool = False,
    axis: int = 0,
) -> tuple[Array, Residuals]:
    """Runs the layers from the first to the last.

    Args:
        mlp: the network.
        params: its parameters.
        inputs: A_0 (n, n_0), of the dtype of the parameters.
        masks: a dropout mask (n, n_l) for each layer, None for a layer without; None for no dropout
            at all.
        keep_preactivations: keeps every Z_l, also those that no slope reads.
        axis: which axis counts the samples, in every array but the parameters: 0, or 1 for (n_l,
            n).

    Returns:
        The outputs A_L (n, n_L), and for each layer what its backward pass will read.
    """
    outputs, residuals = inputs, []
    for layer, phi, mask in zip(
        params, mlp.activations, masks or (None,) * mlp.num_layers, strict=True
    ):
        # A_l = phi_l(A_{l-1} W_l + b_l)
        outputs, kept = dense_forward(
            layer, outputs, phi, mask, keep_preactivation=keep_preactivations, axis=axis
        )
        residuals.append(kept)
    return outputs, tuple(residuals)


def node_errors(
    mlp: Mlp, params: Params, residuals: Residuals, outputs_bar: Array, axis: int = 0
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Step 1 of the backward pass: carries the errors from the last layer to the first.

    `residuals` is what `forward` left, outputs_bar = E_L = dL/dA_L (n, n_L), and `axis` that of
    `forward`.

    Returns:
        The node errors (D_1, ..., D_L), D_l (n, n_l), and the activation errors (E_0, ..., E_L),
        E_l (n, n_l), of which E_0 = dL/dA_0 is the cotangent of the inputs.
    """
    node_errors, activation_errors = [], [outputs_bar]
    for layer, kept, phi in zip(
        reversed(params), reversed(residuals), reversed(mlp.activations), strict=True
    ):
        node_error = dense_node_error(kept, activation_errors[-1], phi)  # D_l = E_l * phi_l'(Z_l)
        node_errors.append(node_error)
        activation_errors.append(
            apply_weight(node_error, layer.weight.T, axis)
        )  # E_{l-1} = D_l W_l^T
    return tuple(reversed(node_errors)), tuple(reversed(activation_errors))


def gradient(residuals: Residuals, node_errors: tuple[Array, ...], axis: int = 0) -> Params:
    """Step 2 of the backward pass: reads every gradient off the node errors (D_1, ..., D_L) of step
    1.

    Returns:
        The gradient, of the structure of the parameters: dL/dW_l = A_{l-1}^T D_l, dL/db_l = the sum
            of D_l.
    """
    pairs = zip(residuals, node_errors, strict=True)
    return tuple(dense_gradient(kept, node_error, axis) for kept, node_error in pairs)


def backward(
    mlp: Mlp, params: Params, residuals: Residuals, outputs_bar: Array, axis: int
) -> tuple[Params, tuple[Array, ...], tuple[Array, ...]]:
    """Takes both steps a layer at a time, and returns what `gradient` and `node_errors` do, in less
    memory.

    A layer's gradient is read before its error goes further back. The barrier at the output layer
    keeps XLA to that order, and leaves it free to run products of the other layers side by side.
    """
    gradient: list[Layer] = []
    node_errors, activation_errors = [], [outputs_bar]
    for layer, kept, phi in zip(
        reversed(params), reversed(residuals), reversed(mlp.activations), strict=True
    ):
        node_error = dense_node_error(kept, activation_errors[-1], phi)
        read = dense_gradient(kept, node_error, axis)
        if not gradient:
            read, node_error = jax.lax.optimization_barrier((read, node_error))
        gradient.append(read)
        node_errors.append(node_error)
        activation_errors.append(apply_weight(node_error, layer.weight.T, axis))
    return (
        tuple(reversed(gradient)),
        tuple(reversed(node_errors)),
        tuple(reversed(activation_errors)),
    )


def predict(mlp: Mlp, params: Params, inputs: Any) -> Array:
    """Computes the network's outputs; reverse-mode autodiff of it runs the two hand-written steps.

    jax.grad, hessian, vmap, jit, scan, remat and shard_map work on it; forward mode (jvp, jacfwd)
    does not: use `reference_predict` there.

    Args:
        mlp: the network (static under jit).
        params: its parameters.
        inputs: (n, n_0) real numbers, cast to the dtype of the parameters.

    Returns:
        The outputs (n, n_L).

    Raises:
        ValueError: parameters or inputs do not fit the network.
        TypeError: the inputs are not real numbers, or forward-mode autodiff was asked for (of a
            function that is jitted already, JAX's own error comes instead).
    """
    params, inputs = vary_together(params, as_batch(mlp, params, inputs))
    try:
        return _predict(mlp, params, inputs)
    except TypeError as error:
        if "forward-mode" in str(error):
            raise TypeError(
                "predict carries a hand-written reverse-mode rule and cannot be differentiated in forward mode "
                "(jvp, jacfwd): use reference_predict there"
            ) from error
        raise


def reference_predict(mlp: Mlp, params: Params, inputs: Any) -> Array:
    """Computes the same outputs without the hand-written rule: JAX differentiates each operation by
    itself.

    Arguments, result and errors are those of `predict`. It is the judge of the hand-written
    backward pass, and it serves forward mode.
    """
    return forward(mlp, params, as_batch(mlp, params, inputs))[0]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _predict(mlp: Mlp, params: Params, inputs: Array) -> Array:
    return _predict_fwd(mlp, params, inputs)[0]


def _predict_fwd(mlp: Mlp, params: Params, inputs: Array) -> tuple[Array, tuple[Params, Residuals]]:
    # It calls `forward`, never `_predict`: a rule that ran itself could not be differentiated a
    # second time.
    axis = samples_axis(mlp)
    outputs, residuals = forward(mlp, params, turned(inputs, axis), axis=axis)
    return jnp.moveaxis(outputs, axis, 0), (params, residuals)


def _predict_bwd(
    mlp: Mlp, saved: tuple[Params, Residuals], outputs_bar: Array
) -> tuple[Params, Array]:
    (params, residuals), axis = saved, samples_axis(mlp)
    gradient, _, activation_errors = backward(
        mlp, params, residuals, turned(outputs_bar, axis), axis
    )
    return gradient, jnp.moveaxis(activation_errors[0], axis, 0)


_predict.defvjp(_predict_fwd, _predict_bwd)
