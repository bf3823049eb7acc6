"""A multilayer perceptron: the forward pass, and the backward pass as two hand-written steps.

For layers l = 1..L, one sample per row:

    forward    Z_l = A_{l-1} W_l + b_l,  A_l = phi_l(Z_l),  A_0 = inputs
    step 1     from the last layer to the first, with the activation error E_l = dL/dA_l and the
               node error D_l = dL/dZ_l:    D_l = E_l * phi_l'(Z_l),  E_{l-1} = D_l W_l^T
    step 2     dL/dW_l = A_{l-1}^T D_l,  dL/db_l = sum of D_l over the batch

Legend: n samples, sizes (n_0, ..., n_L); A_l, Z_l, E_l and D_l are (n, n_l), or (n_l, n) with
axis = 1.

References:
    Rumelhart, Hinton and Williams 1986; Nielsen, Neural Networks and Deep Learning, chapter 2.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxbp._layout import keeps_preactivations, samples_axis, turned
from jaxbp._samples import as_batch, as_params
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
    keep_preactivations: bool | None = None,
    axis: int = 0,
) -> tuple[Array, Residuals]:
    """Run the layers from the first to the last.

    Args:
        mlp: network.
        params: its parameters.
        inputs: A_0 (n, n_0), in the dtype of the parameters.
        masks: dropout mask (n, n_l) of each layer, None for a layer without; None for no dropout.
        keep_preactivations: whether to keep every Z_l, also where no slope needs it; by default
            for small batches only (see `keeps_preactivations`).
        axis: axis that counts the samples in every array but the parameters: 0, or 1 for (n_l, n).

    Returns:
        Outputs A_L (n, n_L), and the residuals of each layer.
    """
    if keep_preactivations is None:
        keep_preactivations = keeps_preactivations(mlp, inputs.shape[axis])
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
    """Take step 1 of the backward pass: propagate the errors from the last layer to the first.

    `residuals` and `axis` are those of `forward`; outputs_bar = E_L = dL/dA_L (n, n_L).

    Returns:
        Node errors (D_1, ..., D_L), D_l (n, n_l), and activation errors (E_0, ..., E_L), E_l
        (n, n_l); E_0 = dL/dA_0 is the cotangent of the inputs.
    """
    node_errors, activation_errors = [], [outputs_bar]
    for layer, kept, phi in zip(
        reversed(params), reversed(residuals), reversed(mlp.activations), strict=True
    ):
        node_error = dense_node_error(kept, activation_errors[-1], phi)  # D_l = E_l * phi_l'(Z_l)
        node_errors.append(node_error)
        # E_{l-1} = D_l W_l^T
        activation_errors.append(apply_weight(node_error, layer.weight.T, axis))
    return tuple(reversed(node_errors)), tuple(reversed(activation_errors))


def gradient(residuals: Residuals, node_errors: tuple[Array, ...], axis: int = 0) -> Params:
    """Take step 2 of the backward pass: read every gradient off the node errors (D_1, ..., D_L).

    Returns:
        The gradient, with the structure of the parameters: dL/dW_l = A_{l-1}^T D_l, dL/db_l = the
        sum of D_l.
    """
    pairs = zip(residuals, node_errors, strict=True)
    return tuple(dense_gradient(kept, node_error, axis) for kept, node_error in pairs)


def backward(
    mlp: Mlp, params: Params, residuals: Residuals, outputs_bar: Array, axis: int
) -> tuple[Params, tuple[Array, ...], tuple[Array, ...]]:
    """Take both steps layer by layer; the result is that of `gradient` and `node_errors`.

    This needs less memory: the gradient of a layer is read before its error is propagated. The
    barrier at the output layer keeps XLA to that order; the products of the other layers may run
    in parallel.
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


def predict(mlp: Mlp, params: Any, inputs: Any) -> Array:
    """Compute the outputs; reverse-mode autodiff of this function runs the hand-written steps.

    jax.grad, hessian, vmap, jit, scan, remat and shard_map work on it. Forward mode (jvp, jacfwd)
    does not: use `reference_predict` there.

    Args:
        mlp: network (static under jit).
        params: its parameters, as `init` returns them or as a sequence of (weight, bias) pairs.
        inputs: (n, n_0) real numbers, cast to the dtype of the parameters.

    Returns:
        Outputs (n, n_L).

    Raises:
        ValueError: parameters or inputs do not fit the network.
        TypeError: an array does not hold real numbers, or forward-mode autodiff was requested (of
            a function that is jitted already, JAX's own error comes instead).

    Examples:
        >>> import jaxbp
        >>> jaxbp.predict(jaxbp.Mlp((2, 1)), [([[0.25], [0.5]], [0.5])], [[1, 0]]).tolist()
        [[0.75]]
    """
    params = as_params(mlp, params)
    params, inputs = _vary_together(params, as_batch(mlp, params, inputs))
    try:
        return _predict(mlp, params, inputs)
    except TypeError as error:
        if "forward-mode" in str(error):
            raise TypeError(
                "predict carries a hand-written reverse-mode rule and cannot be differentiated in "
                "forward mode (jvp, jacfwd): use reference_predict there"
            ) from error
        raise


def reference_predict(mlp: Mlp, params: Any, inputs: Any) -> Array:
    """Compute the same outputs without the hand-written rule: JAX differentiates each operation.

    Arguments, result and errors are those of `predict`. The hand-written backward pass is checked
    against this function; it also supports forward mode.

    Examples:
        >>> import jax
        >>> import jaxbp
        >>> outputs = lambda x: jaxbp.reference_predict(jaxbp.Mlp((2, 1)), [([[3], [4]], [0])], x)
        >>> jax.jacfwd(outputs)(jax.numpy.ones((1, 2))).tolist()
        [[[[3.0, 4.0]]]]
    """
    params = as_params(mlp, params)
    return forward(mlp, params, as_batch(mlp, params, inputs))[0]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _predict(mlp: Mlp, params: Params, inputs: Array) -> Array:
    return _predict_fwd(mlp, params, inputs)[0]


def _predict_fwd(mlp: Mlp, params: Params, inputs: Array) -> tuple[Array, tuple[Params, Residuals]]:
    # Calls `forward`, never `_predict`: a rule that ran itself could not be differentiated twice.
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


def _vary_together(params: Params, inputs: Array) -> tuple[Params, Array]:
    """Mark all arrays as varying over the same shard_map axes; no effect outside of shard_map.

    Over a sharded batch the gradient of a replicated parameter differs between devices, which is
    not the type of the parameter. The transpose of the mark is the sum over the devices.
    """
    axes = frozenset[str]().union(
        *(jax.typeof(leaf).mat.varying for leaf in jax.tree.leaves((params, inputs)))
    )

    def vary(leaf: Array) -> Array:
        return jax.lax.pcast(leaf, tuple(axes - jax.typeof(leaf).mat.varying), to="varying")

    return jax.tree.map(vary, (params, inputs)) if axes else (params, inputs)
