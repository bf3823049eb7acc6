"""The catalogue of wrong backward passes as gradients and rules of one network."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import jaxbp
from jaxbp.gradcheck.catalogue import MISTAKES, MISTAKES_OF_RULES, Mistake, Pass, backward_by
from jaxbp.losses import as_loss
from jaxbp.network import forward

# A square weight in each layer but the last: a forgotten transpose then has the right shape.
MLP = jaxbp.Mlp((4, 4, 4, 4, 2), hidden=("relu", "tanh", "silu"), output="sigmoid")
NUM_SAMPLES = 7
LOSS = as_loss("mean_squared_error")

Parts = Mistake | None
RIGHT: Parts = None
WRONG: dict[str, Parts] = {mistake.name: mistake for mistake in MISTAKES}
WRONG_RULES: dict[str, Parts] = {mistake.name: mistake for mistake in MISTAKES_OF_RULES}
# Visible at the kink of relu only, where central differences decide nothing.
AT_KINK = ("relu: mask >= for >", "relu: 1/2 at the kink")


def gradient_by(
    parts: Parts, params: jaxbp.Params, inputs: Array, targets: Array, bar: Any = 1.0
) -> tuple[Any, ...]:
    """Run a backward pass; return its gradients of parameters, inputs and targets."""
    p = Pass.of(jnp, MLP, params, inputs, targets, LOSS)
    gradient, of_inputs = backward_by(p, parts, bar=bar)
    return gradient, of_inputs, -bar * p.error(p.a[-1], targets)


def reference(params: jaxbp.Params, inputs: Array, targets: Array) -> Array:
    """Return the mean squared error."""
    return jnp.mean((forward(MLP, params, inputs)[0] - targets) ** 2)


def rule_by(parts: Parts) -> Callable[..., Array]:
    """Return the mean squared error with a backward pass of these parts as its rule."""
    loss = jax.custom_vjp(lambda *arguments: reference(*arguments))
    loss.defvjp(
        lambda *a: (reference(*a), a), lambda a, bar: gradient_by(parts, a[0], a[1], a[2], bar)
    )
    return loss


def draw(
    seed: int, dtype: Any, distance: float = 1.0, kink: bool = False
) -> tuple[jaxbp.Params, Array, Array]:
    """Draw parameters, inputs, and targets at a distance from the outputs.

    With `kink` a unit of layer 1 lies at its kink.
    """
    generator = np.random.default_rng(seed)
    params = tuple(
        jaxbp.Layer(
            *(jnp.asarray(generator.uniform(-1, 1, shape), dtype) for shape in ((i, o), (o,)))
        )
        for i, o in zip(MLP.sizes[:-1], MLP.sizes[1:], strict=True)
    )
    inputs = jnp.asarray(generator.standard_normal((NUM_SAMPLES, 4)), dtype)
    if kink:
        params = (params[0]._replace(bias=params[0].bias.at[0].set(0)), *params[1:])
        inputs = inputs.at[0].set(0)
    outputs = forward(MLP, params, inputs)[0]
    return (
        params,
        inputs,
        outputs + jnp.asarray(distance * generator.standard_normal(outputs.shape), dtype),
    )
