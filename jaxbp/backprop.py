"""Both passes in one sweep: forward, gradient of the loss, node errors, gradient of the parameters.

No autodiff takes part. `loss_and_gradient` sweeps a batch at once or in tiles; `backprop` keeps
every number.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxbp._layout import keeps_preactivations, samples_axis, sum_over_tiles, tile_of, turned
from jaxbp._samples import as_params, as_samples
from jaxbp.losses import Loss, as_loss
from jaxbp.network import Masks, backward, forward
from jaxbp.params import Mlp, Params

if TYPE_CHECKING:
    from jaxbp.ledger import Ledger


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Trace:
    """Every number of one forward and one backward pass; index l - 1 of a tuple belongs to layer l.

    A pytree, which jit and vmap can return.

    Attributes:
        mlp: network.
        loss_function: the `Loss`.
        params: parameters of the network.
        inputs: A_0 (n, n_0).
        targets: (n, n_L), or labels (n,).
        preactivations: Z_l (n, n_l).
        activations: A_l (n, n_l); the last one is the outputs.
        activation_errors: E_l = dL/dA_l (n, n_l).
        node_errors: D_l = dL/dZ_l (n, n_l).
        inputs_error: E_0 = dL/dA_0 (n, n_0), the gradient with respect to the inputs.
        gradient: Layer(dL/dW_l, dL/db_l).
        loss: scalar.
    """

    mlp: Mlp = field(metadata={"static": True})
    loss_function: Loss = field(metadata={"static": True})
    params: Params
    inputs: Array
    targets: Array
    preactivations: tuple[Array, ...]
    activations: tuple[Array, ...]
    activation_errors: tuple[Array, ...]
    node_errors: tuple[Array, ...]
    inputs_error: Array
    gradient: Params
    loss: Array

    @property
    def loss_name(self) -> str:
        """The name of the loss."""
        return self.loss_function.name

    @property
    def probabilities(self) -> Array | None:
        """Sigmoid or softmax of the outputs (n, n_L) for a loss on logits, else None."""
        of = self.loss_function.probabilities
        return None if of is None else of(self.activations[-1])

    def ledger(self, *, source_first: bool = False) -> "Ledger":
        """Write every number out: its formula, the factors, autodiff's value and the difference.

        Args:
            source_first: name the weight from node 4 to node 8 w48 instead of w84.

        Returns:
            The ledger, in the order of the passes: forward, step 1, step 2.

        Raises:
            ValueError: the trace holds traced values, as inside jit, or several batches, as from
                vmap.
        """
        from jaxbp.ledger import make_ledger

        return make_ledger(self, source_first=source_first)

    def _repr_html_(self) -> str:
        """Return the numbers as HTML."""
        from jaxbp.ledger import trace_html

        return trace_html(self)


def sweep(
    mlp: Mlp,
    params: Params,
    inputs: Array,
    targets: Array,
    loss: Loss,
    num_samples: int,
    masks: Masks | None = None,
    keep_preactivations: bool = True,
) -> Trace:
    """Run both passes over validated samples; inside jit, unused parts of the trace cost nothing.

    `num_samples` is the size of the batch whose mean the loss is; the samples may be a tile of it.
    """
    axis = samples_axis(mlp)
    turn, back = partial(turned, axis=axis), partial(jnp.moveaxis, source=axis, destination=0)
    outputs, residuals = forward(
        mlp,
        params,
        *jax.tree.map(turn, (inputs, masks)),
        keep_preactivations=keep_preactivations,
        axis=axis,
    )
    outputs_bar = loss.gradient(back(outputs), targets) / num_samples  # E_L
    gradient, errors, activation_errors = backward(mlp, params, residuals, turn(outputs_bar), axis)
    return Trace(
        mlp=mlp,
        loss_function=loss,
        params=params,
        inputs=inputs,
        targets=targets,
        preactivations=tuple(jax.tree.map(back, kept.preactivation) for kept in residuals),
        activations=tuple(back(kept.activation) for kept in residuals),
        activation_errors=tuple(back(error) for error in activation_errors[1:]),
        node_errors=tuple(back(error) for error in errors),
        inputs_error=back(activation_errors[0]),
        gradient=gradient,
        loss=loss.values(back(outputs), targets).sum() / num_samples,
    )


def loss_and_gradient(
    mlp: Mlp,
    params: Any,
    inputs: Any,
    targets: Any,
    loss: str | Loss = "mean_squared_error",
    tile: int | None = None,
    masks: Masks | None = None,
) -> tuple[Array, Params]:
    """Compute the loss over a batch and its gradient by hand.

    Inside shard_map the result is that of the samples of the shard: average it over the devices.

    Args:
        mlp: network (static under jit, as are `loss` and `tile`).
        params: its parameters, as `init` returns them or as a sequence of (weight, bias) pairs.
        inputs: (n, n_0) real numbers, n at least 1.
        targets: (n, n_L); for `softmax_cross_entropy` also (n,) labels.
        loss: a `Loss`, or the name of one.
        tile: number of samples to hold in memory at a time; by default all of them, on a CPU tiles
            of 8 MB of activations beyond 16 MB (4 beyond 8 in narrow layers). The result differs by
            the order of summation only.
        masks: dropout mask (n, n_l) or None for each layer, as `dropout_masks` draws them; None for
            no dropout.

    Returns:
        The loss, a scalar, and its gradient, a tuple of Layers.

    Raises:
        ValueError: a shape does not fit, the batch is empty, the loss is not known, or the output
            activation is the sigmoid that the loss applies itself.
        TypeError: an array does not hold real numbers.

    Examples:
        One linear unit, half squared error: dL/dw = (a - y) x.

        >>> import jaxbp
        >>> mlp, params = jaxbp.Mlp((2, 1)), [([[0.25], [0.5]], [0.5])]
        >>> loss, gradient = jaxbp.loss_and_gradient(
        ...     mlp, params, [[1, 0]], [[0]], loss="half_squared_error"
        ... )
        >>> float(loss), gradient[0].weight.tolist(), gradient[0].bias.tolist()
        (0.28125, [[0.75], [0.0]], [0.75])
    """
    loss, params = as_loss(loss), as_params(mlp, params)
    inputs, targets = as_samples(mlp, params, inputs, targets, loss)
    return tiled_loss_and_gradient(mlp, params, inputs, targets, loss, tile, masks)


def tiled_loss_and_gradient(
    mlp: Mlp,
    params: Params,
    inputs: Array,
    targets: Array,
    loss: Loss,
    tile: int | None,
    masks: Masks | None,
) -> tuple[Array, Params]:
    """Do the same for validated samples."""
    num_samples = inputs.shape[0]
    tile = tile_of(mlp, num_samples, inputs.dtype.itemsize) if tile is None else tile
    keep = keeps_preactivations(mlp, num_samples)
    if tile is None:
        trace = sweep(mlp, params, inputs, targets, loss, num_samples, masks, keep)
        return trace.loss, trace.gradient

    def one(inputs: Array, targets: Array, masks: Masks | None) -> tuple[Array, Params]:
        trace = sweep(mlp, params, inputs, targets, loss, num_samples, masks, keep)
        return trace.loss, trace.gradient

    return sum_over_tiles(one, (inputs, targets, masks), num_samples, tile)


def backprop(
    mlp: Mlp, params: Any, inputs: Any, targets: Any, loss: str | Loss = "mean_squared_error"
) -> Trace:
    """Run both passes by hand and keep every number; arguments as for `loss_and_gradient`.

    Examples:
        >>> import jaxbp
        >>> trace = jaxbp.backprop(
        ...     jaxbp.Mlp((2, 1)), [([[0.25], [0.5]], [0.5])], [[1, 0]], [[0]], "half_squared_error"
        ... )
        >>> trace.node_errors[0].tolist(), trace.inputs_error.tolist()
        ([[0.75]], [[0.1875, 0.375]])
        >>> trace.ledger()["dL/dw31"].formula
        'a1 d3'
    """
    loss, params = as_loss(loss), as_params(mlp, params)
    inputs, targets = as_samples(mlp, params, inputs, targets, loss)
    return sweep(mlp, params, inputs, targets, loss, inputs.shape[0])
