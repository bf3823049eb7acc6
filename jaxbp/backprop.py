"""Both passes in one sweep: forward, gradient of the loss, node errors, gradient of the parameters.

No autodiff takes part. `loss_and_gradient` sweeps a batch at once or tile by tile, `backprop` keeps
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

    A pytree, to be returned from jit and vmap. `trace.ledger()` writes its numbers out
    (`jaxbp.ledger.make_ledger`).

    Attributes:
        mlp: the network.
        loss_function: the loss.
        params: its parameters.
        inputs: A_0 (n, n_0).
        targets: (n, n_L), or labels (n,).
        preactivations: Z_l (n, n_l).
        activations: A_l (n, n_l); the last one is the outputs.
        activation_errors: E_l = dL/dA_l (n, n_l).
        node_errors: D_l = dL/dZ_l (n, n_l).
        inputs_error: E_0 = dL/dA_0 (n, n_0), the gradient with respect to the inputs.
        gradient: Layer(dL/dW_l, dL/db_l).
        loss: the loss, a scalar.
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
    """Runs both passes over validated samples; inside jit, what nobody reads of the trace costs
    nothing.

    Arguments are those of `loss_and_gradient`; `num_samples` is the size of the batch whose mean
    the loss is: more than the samples where they are a tile of it.
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
    params: Params,
    inputs: Any,
    targets: Any,
    loss: str | Loss = "mean_squared_error",
    tile: int | None = None,
    masks: Masks | None = None,
) -> tuple[Array, Params]:
    """Computes a loss over a batch and its gradient, by hand.

    Inside shard_map it answers for the samples of its own shard: average both over the devices.

    Args:
        mlp: the network (static under jit, as are `loss` and `tile`).
        params: its parameters.
        inputs: (n, n_0) real numbers, n at least 1.
        targets: (n, n_L), or what else the loss takes.
        loss: a `Loss`, or the name of one.
        tile: the number of samples to hold in memory at a time; None for all at once, or on a CPU
            for tiles that keep 8 of 16 MB of activations, or 4 of 8 in narrow layers. The result
            differs by the order of summation only.
        masks: a dropout mask (n, n_l) or None for each layer, as `dropout_masks` draws them; None
            for no dropout.

    Returns:
        The loss, a scalar, and its gradient with the structure of the parameters.

    Raises:
        ValueError: a shape does not fit, the batch is empty, or the loss is not known.
        TypeError: inputs or targets are not real numbers.
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
    """Computes what `loss_and_gradient` does, of samples that are validated already."""
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
    mlp: Mlp, params: Params, inputs: Any, targets: Any, loss: str | Loss = "mean_squared_error"
) -> Trace:
    """Runs both passes by hand and keeps every number of them.

    Args:
        mlp: the network (static under jit, as is `loss`).
        params: its parameters.
        inputs: (n, n_0) real numbers, n at least 1.
        targets: (n, n_L), or what else the loss takes.
        loss: a `Loss`, or the name of one.

    Returns:
        The trace.

    Raises:
        ValueError, TypeError: as `loss_and_gradient` does.
    """
    loss, params = as_loss(loss), as_params(mlp, params)
    inputs, targets = as_samples(mlp, params, inputs, targets, loss)
    return sweep(mlp, params, inputs, targets, loss, inputs.shape[0])
