"""The activations: phi and its slope phi', side by side.

Legend: z the preactivation, a = phi(z) the activation. A slope is given both; where it reads only a, the forward pass
need not keep z. At a kink the slope is the one that autodiff of the value gives: relu'(0) = 0, leaky_relu'(0) = 1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxbp.names import check_name

LEAK = 0.01  # the slope of leaky_relu below 0


class Activation(NamedTuple):
    """An activation and its derivative, both elementwise.

    Attributes:
        value: z -> phi(z).
        slope: (z, a) -> phi'(z); z is None where `keeps_preactivation` is False.
        keeps_preactivation: whether the slope reads z.
    """

    value: Callable[[Array], Array]
    slope: Callable[[Any, Array], Array]
    keeps_preactivation: bool = False


def identity(z: Array) -> Array:
    """a = z."""
    return z


def identity_slope(z: Array | None, a: Array) -> Array:
    """phi' = 1."""
    return jnp.ones_like(a)


def relu(z: Array) -> Array:
    """a = max(z, 0); not `jnp.maximum`, whose slope at 0 is 1/2 under autodiff."""
    return jax.nn.relu(z)


def relu_slope(z: Array | None, a: Array) -> Array:
    """phi' = [a > 0]."""
    return (a > 0).astype(a.dtype)


def leaky_relu(z: Array) -> Array:
    """a = z where z >= 0, LEAK z below."""
    return jax.nn.leaky_relu(z, LEAK)


def leaky_relu_slope(z: Array | None, a: Array) -> Array:
    """phi' = 1 where a >= 0, LEAK below."""
    return jnp.where(a >= 0, 1, LEAK).astype(a.dtype)


def sigmoid(z: Array) -> Array:
    """a = 1 / (1 + exp(-z))."""
    return jax.nn.sigmoid(z)


def sigmoid_slope(z: Array | None, a: Array) -> Array:
    """phi' = a (1 - a)."""
    return a * (1 - a)


def tanh(z: Array) -> Array:
    """a = tanh(z)."""
    return jnp.tanh(z)


def tanh_slope(z: Array | None, a: Array) -> Array:
    """phi' = 1 - a^2."""
    return 1 - a * a


def softplus(z: Array) -> Array:
    """a = log(1 + exp(z))."""
    return jax.nn.softplus(z)


def softplus_slope(z: Array | None, a: Array) -> Array:
    """phi' = sigmoid(z) = 1 - exp(-a)."""
    return -jnp.expm1(-a)


def silu(z: Array) -> Array:
    """a = z sigmoid(z)."""
    return jax.nn.silu(z)


def silu_slope(z: Array, a: Array) -> Array:
    """phi' = s + a (1 - s) with s = sigmoid(z)."""
    s = jax.nn.sigmoid(z)
    return s + a * (1 - s)


def gelu(z: Array) -> Array:
    """a = z Phi(z) with Phi the exact normal distribution function (Hendrycks and Gimpel 2016)."""
    return jax.nn.gelu(z, approximate=False)


def gelu_slope(z: Array, a: Array) -> Array:
    """phi' = Phi(z) + z N(z) with N the normal density."""
    distribution = jax.scipy.special.ndtr(z)
    density = jax.scipy.stats.norm.pdf(z)
    return distribution + z * density


def sine(z: Array) -> Array:
    """a = sin(z)."""
    return jnp.sin(z)


def sine_slope(z: Array, a: Array) -> Array:
    """phi' = cos(z)."""
    return jnp.cos(z)


ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(identity, identity_slope),
    "relu": Activation(relu, relu_slope),
    "leaky_relu": Activation(leaky_relu, leaky_relu_slope),
    "sigmoid": Activation(sigmoid, sigmoid_slope),
    "tanh": Activation(tanh, tanh_slope),
    "softplus": Activation(softplus, softplus_slope),
    "silu": Activation(silu, silu_slope, keeps_preactivation=True),
    "gelu": Activation(gelu, gelu_slope, keeps_preactivation=True),
    "sine": Activation(sine, sine_slope, keeps_preactivation=True),
}


def activation(name: str) -> Activation:
    """Returns the activation of that name.

    Raises:
        ValueError: no activation has this name; the known ones are listed, nearest first.
    """
    check_name("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]
