"""One sigmoid layer: its gradient, and the printed rule that leaves the upstream gradient out."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import jaxbp
from jaxbp.network import forward, gradient, node_errors
from jaxbp.training import named_optimizer
from systems.vectors import Difference, difference, flat

MLP = jaxbp.Mlp((2, 1), output="sigmoid")
INPUTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TARGETS = np.array([[0.0], [1.0], [1.0], [1.0]])  # the disjunction


class OneLayer(NamedTuple):
    """The layer at its start, and what the two rules make of it.

    Attributes:
        hand: the gradient by the hand-written backward pass.
        autodiff: the largest | hand - jax.grad |.
        printed: the printed rule's.
        difference: of the printed rule's from the right one.
        losses: (steps + 1,) each, by rule.
        outputs: (4,) after the last step, by rule.
    """

    hand: jaxbp.Params
    autodiff: float
    printed: jaxbp.Params
    difference: Difference
    losses: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]


def printed_gradient(params: jaxbp.Params) -> jaxbp.Params:
    """The gradient of the sum of the outputs: what the document's rule computes, where the loss takes no part."""
    outputs, residuals = forward(MLP, params, jnp.asarray(INPUTS))
    return gradient(residuals, node_errors(MLP, params, residuals, jnp.ones_like(outputs))[0])


def study(seed: int, steps: int, learning_rate: float) -> OneLayer:
    """Draws weights and bias uniformly from [0, 1) as the document does, compares the rules, trains by both."""
    generator = np.random.RandomState(seed)
    params = (jaxbp.Layer(jnp.asarray(generator.rand(2, 1)), jnp.asarray(generator.rand(1))),)

    def reference_loss(params: jaxbp.Params) -> Array:
        return jnp.mean((jaxbp.reference_predict(MLP, params, INPUTS) - TARGETS) ** 2)

    hand = jaxbp.loss_and_gradient(MLP, params, INPUTS, TARGETS)[1]
    printed = printed_gradient(params)
    autodiff = float(np.abs(flat(hand) - flat(jax.grad(reference_loss)(params))).max())
    solver = jaxbp.first_order(named_optimizer("sgd", learning_rate))
    right = jaxbp.fit(MLP, params, (INPUTS, TARGETS), steps=steps, solver=solver, record_every=1)

    def step(params: jaxbp.Params, _: Any) -> tuple[jaxbp.Params, Array]:
        moved = jax.tree.map(lambda leaf, bar: leaf - learning_rate * bar, params, printed_gradient(params))
        return moved, reference_loss(params)

    wrong, losses = jax.jit(lambda params: jax.lax.scan(step, params, length=steps))(params)
    final = {"chain rule": right.params, "as printed": wrong}
    return OneLayer(
        hand,
        autodiff,
        printed,
        difference(printed, hand),
        {"chain rule": right.history.loss, "as printed": np.append(losses, reference_loss(wrong))},
        {name: np.asarray(jaxbp.predict(MLP, some, INPUTS))[:, 0] for name, some in final.items()},
    )
