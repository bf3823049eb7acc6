"""Exclusive or, learned by 2-2-1 sigmoid networks from many starts at once."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

import jaxbp

MLP = jaxbp.Mlp((2, 2, 1), hidden="sigmoid", output="sigmoid")
INPUTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TARGETS = np.array([[0.0], [1.0], [1.0], [0.0]])


class Variant(NamedTuple):
    """A way to train.

    Attributes:
        name: for tables.
        twin: whether the start is the PyTorch twin's, uniform in +-1/sqrt(fan_in) with biases, or the NumPy program's,
            normal weights and zero biases.
        divisor: what the gradient is divided by once more: the printed program divides by the batch size twice.
    """

    name: str
    twin: bool
    divisor: int


VARIANTS = (Variant("as printed", False, len(INPUTS)), Variant("corrected", False, 1), Variant("PyTorch twin", True, 1))


class Runs(NamedTuple):
    """Networks trained from many seeds.

    Attributes:
        params: with a leading axis for the seeds.
        losses: (seeds, epochs / every + 1): before the epochs 0, every, 2 every ..., and after the last.
        solved: (seeds,) whether all four inputs get the right side of 1/2.
    """

    params: jaxbp.Params
    losses: np.ndarray
    solved: np.ndarray


def starts(variant: Variant, seeds: range) -> jaxbp.Params:
    """Draws parameters for each seed from NumPy's generator, layer by layer as the two programs do."""

    def draw(seed: int) -> list[np.ndarray]:
        generator = np.random.RandomState(seed)
        drawn: list[np.ndarray] = []
        for fan_in, fan_out in ((2, 2), (2, 1)):
            limit = 1 / np.sqrt(fan_in)
            if variant.twin:
                drawn += [
                    generator.uniform(-limit, limit, (fan_in, fan_out)),
                    generator.uniform(-limit, limit, fan_out),
                ]
            else:
                drawn += [generator.randn(fan_in, fan_out), np.zeros(fan_out)]
        return drawn

    stacked = [jnp.asarray(np.stack(leaves)) for leaves in zip(*map(draw, seeds), strict=True)]
    return (jaxbp.Layer(*stacked[:2]), jaxbp.Layer(*stacked[2:]))


def train(variant: Variant, seeds: range, epochs: int, learning_rate: float, every: int) -> Runs:
    """Descends full-batch from every seed at once, under vmap."""
    optimizer = optax.sgd(learning_rate / variant.divisor)

    def epoch(carry: Any, _: Any) -> tuple[Any, None]:
        params, state = carry
        _, gradient = jaxbp.loss_and_gradient(MLP, params, INPUTS, TARGETS)
        updates, state = optimizer.update(gradient, state)
        return (optax.apply_updates(params, updates), state), None

    def loss(params: jaxbp.Params) -> Array:
        return jaxbp.loss_and_gradient(MLP, params, INPUTS, TARGETS)[0]

    def chunk(carry: Any, _: Any) -> tuple[Any, Array]:
        return jax.lax.scan(epoch, carry, length=every)[0], loss(carry[0])

    def one(params: jaxbp.Params) -> tuple[jaxbp.Params, Array, Array]:
        (params, _), losses = jax.lax.scan(chunk, (params, optimizer.init(params)), length=epochs // every)
        outputs = jaxbp.predict(MLP, params, INPUTS)
        solved = jnp.all((outputs > 0.5) == (jnp.asarray(TARGETS) > 0.5))
        return params, jnp.append(losses, loss(params)), solved

    params, losses, solved = jax.jit(jax.vmap(one))(starts(variant, seeds))
    return Runs(params, np.asarray(losses), np.asarray(solved))


def printed_lines(variant: Variant, losses: np.ndarray, every: int) -> list[str]:
    """One seed's losses as each program prints them: before epochs 0, every, ..., or after every, 2 every, ..."""
    if variant.twin:
        last = every * (len(losses) - 1)
        return [f"Epoch [{every * i}/{last}], Loss: {loss:.4f}" for i, loss in enumerate(losses) if i > 0]
    return [f"Epoch {every * i}, Loss: {loss:.4f}" for i, loss in enumerate(losses[:-1])]


def over_the_plane(params: jaxbp.Params, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The outputs of one network on a grid around the four inputs: the axis (side,) and the outputs (side, side)."""
    axis = np.linspace(-0.25, 1.25, side)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    return axis, np.asarray(jaxbp.predict(MLP, params, points)).reshape(side, side)
