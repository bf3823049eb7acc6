"""Both passes of a network with every number kept: the trace, and the ledger that writes its numbers out."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxbp.activations import activation
from jaxbp.dense import matmul
from jaxbp.ledger import Ledger, make_ledger
from jaxbp.losses import loss_named
from jaxbp.names import LossName
from jaxbp.network import forward, gradient, node_errors
from jaxbp.params import Mlp, Params
from jaxbp.samples import as_samples


@partial(
    jax.tree_util.register_dataclass,
    data_fields=(
        *("params", "inputs", "targets", "preactivations", "activations"),
        *("activation_errors", "node_errors", "gradient", "loss"),
    ),
    meta_fields=("mlp", "loss_name"),
)
@dataclass(frozen=True)
class Trace:
    """Every number of one forward and one backward pass; index l - 1 of a tuple belongs to layer l.

    It is a pytree: it can be returned from jit and vmap.

    Attributes:
        mlp: the network.
        loss_name: the name of the loss.
        params: its parameters.
        inputs: A_0 (n, n_0).
        targets: (n, n_L), or labels (n,).
        preactivations: Z_l (n, n_l).
        activations: A_l (n, n_l); the last one is the outputs.
        activation_errors: E_l = dL/dA_l (n, n_l).
        node_errors: D_l = dL/dZ_l (n, n_l).
        gradient: Layer(dL/dW_l, dL/db_l).
        loss: the loss, a scalar.
    """

    mlp: Mlp
    loss_name: LossName
    params: Params
    inputs: Array
    targets: Array
    preactivations: tuple[Array, ...]
    activations: tuple[Array, ...]
    activation_errors: tuple[Array, ...]
    node_errors: tuple[Array, ...]
    gradient: Params
    loss: Array

    def autodiff(self) -> tuple[Params, tuple[Array, ...], tuple[Array, ...]]:
        """What `jax.grad` has for the numbers of the backward pass.

        It differentiates the reference forward pass, with a zero added to each Z_l and A_l so that it answers for node
        errors too; no hand-written derivative takes part in it.

        Returns:
            The gradient, of the structure of the parameters, dL/dZ_l and dL/dA_l (n, n_l).
        """
        zeros = tuple(jnp.zeros_like(z) for z in self.preactivations)
        judge = jax.jit(jax.grad(_perturbed_loss, (2, 3, 4)), static_argnums=(0, 1))
        return judge(self.mlp, self.loss_name, self.params, zeros, zeros, self.inputs, self.targets)

    def largest_difference(self) -> float:
        """How far the backward pass is from autodiff: the largest | difference | in an array over its largest entry."""
        hand = (self.gradient, self.node_errors, self.activation_errors)
        pairs = zip(jax.tree.leaves(hand), jax.tree.leaves(self.autodiff()), strict=True)
        # A NaN must not hide among the others, as it would from Python's max.
        return float(jnp.stack([jnp.abs(a - b).max() / jnp.maximum(jnp.abs(b).max(), 1e-30) for a, b in pairs]).max())

    def ledger(self) -> Ledger:
        """Writes every number out: its formula, the factors, the product, what autodiff has for it, the difference.

        Returns:
            The ledger, in the order in which the passes run: forward, step 1, step 2.

        Raises:
            ValueError: the trace holds traced values, as inside jit, or those of several batches, as from vmap.
        """
        if self.inputs.ndim != 2:
            raise ValueError(f"trace must be that of one batch to be written out, got inputs {self.inputs.shape}")
        if isinstance(self.loss, jax.core.Tracer):
            raise ValueError("trace must hold concrete numbers to be written out, got traced ones, as inside jit")
        passes = zip(self.mlp.activation_names, self.preactivations, self.activations, strict=True)
        return make_ledger(self, [activation(name).slope(z, a) for name, z, a in passes], *self.autodiff())


def backprop(mlp: Mlp, params: Params, inputs: Any, targets: Any, loss: LossName = "mean_squared_error") -> Trace:
    """Runs both passes by hand and keeps every number of them.

    Args:
        mlp: the network (static under jit, as is `loss`).
        params: its parameters.
        inputs: (n, n_0) real numbers, n at least 1.
        targets: (n, n_L), or what else the loss takes.
        loss: the name of a loss.

    Returns:
        The trace.

    Raises:
        ValueError: a shape does not fit, the batch is empty, or the loss is not known.
        TypeError: inputs or targets are not real numbers.
    """
    chosen = loss_named(loss)
    inputs, targets = as_samples(mlp, params, inputs, targets, chosen)
    outputs, residuals = forward(mlp, params, inputs, keep_preactivations=True)
    outputs_bar = chosen.gradient(outputs, targets) / inputs.shape[0]
    errors, activation_errors = node_errors(mlp, params, residuals, outputs_bar)
    return Trace(
        mlp=mlp,
        loss_name=loss,
        params=params,
        inputs=inputs,
        targets=targets,
        preactivations=tuple(kept.preactivation for kept in residuals),
        activations=tuple(kept.activation for kept in residuals),
        activation_errors=activation_errors[1:],
        node_errors=errors,
        gradient=gradient(residuals, errors),
        loss=chosen.values(outputs, targets).mean(),
    )


def _perturbed_loss(
    mlp: Mlp,
    loss: str,
    params: Params,
    preactivation_shifts: tuple[Array, ...],
    activation_shifts: tuple[Array, ...],
    inputs: Array,
    targets: Array,
) -> Array:
    """The loss with something added to every Z_l and A_l: its derivative at 0 is the node and the activation error."""
    outputs = inputs
    for layer, name, dz, da in zip(params, mlp.activation_names, preactivation_shifts, activation_shifts, strict=True):
        preactivation = matmul(outputs, layer.weight) + layer.bias[jnp.newaxis, :] + dz
        outputs = activation(name).value(preactivation) + da
    return loss_named(loss).values(outputs, targets).mean()
