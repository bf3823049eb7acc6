"""The activations: phi and its slope phi' side by side, and one row each with all that is known of
them.

Legend: z the preactivation, a = phi(z) the activation. A slope is given both; where it reads only
a, the forward pass need not keep z. At a kink the slope is the one that autodiff of the value
gives: relu'(0) = 0, leaky_relu'(0) = 1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

LEAK = 0.01  # the slope of leaky_relu below 0


class Activation(NamedTuple):
    """An activation and its derivative, both elementwise.

    Attributes:
        value: z -> phi(z).
        slope: (z, a) -> phi'(z); z is None where `keeps_preactivation` is False.
        formula: the slope in the words of a ledger, {a} and {z} standing for the node's values.
        keeps_preactivation: whether the slope reads z.
        kink: whether the slope jumps at z = 0.
    """

    value: Callable[[Array], Array]
    slope: Callable[[Any, Array], Array]
    formula: str
    keeps_preactivation: bool = False
    kink: bool = False


def identity(z: Array) -> Array:
    """a = z."""
    return z


def identity_slope(z: Array | None, a: Array) -> Array:
    """phi' = 1."""
    return jnp.ones_like(a)


def relu_slope(z: Array | None, a: Array) -> Array:
    """a = max(z, 0), phi' = [a > 0]."""
    return (a > 0).astype(a.dtype)


def leaky_relu(z: Array) -> Array:
    """a = z where z >= 0, LEAK z below."""
    return jax.nn.leaky_relu(z, LEAK)


def leaky_relu_slope(z: Array | None, a: Array) -> Array:
    """phi' = 1 where a >= 0, LEAK below."""
    return jnp.where(a >= 0, 1, LEAK).astype(a.dtype)


def sigmoid_slope(z: Array | None, a: Array) -> Array:
    """a = 1 / (1 + exp(-z)), phi' = a (1 - a)."""
    return a * (1 - a)


def tanh_slope(z: Array | None, a: Array) -> Array:
    """a = tanh(z), phi' = 1 - a^2."""
    return 1 - a * a


def softplus_slope(z: Array | None, a: Array) -> Array:
    """a = log(1 + exp(z)), phi' = sigmoid(z) = 1 - exp(-a); expm1 keeps its digits where a is tiny."""
    return -jnp.expm1(-a)


def silu_slope(z: Array, a: Array) -> Array:
    """a = z s, phi' = s + a (1 - s), with s = sigmoid(z)."""
    s = jax.nn.sigmoid(z)
    return s + a * (1 - s)


def gelu(z: Array) -> Array:
    """a = z Phi(z) with Phi the exact normal distribution function (Hendrycks and Gimpel 2016)."""
    return jax.nn.gelu(z, approximate=False)


def gelu_slope(z: Array, a: Array) -> Array:
    """phi' = Phi(z) + z N(z) with N the normal density."""
    return jax.scipy.special.ndtr(z) + z * jax.scipy.stats.norm.pdf(z)


def sine_slope(z: Array, a: Array) -> Array:
    """a = sin(z), phi' = cos(z)."""
    return jnp.cos(z)


# jax.nn.relu and not jnp.maximum, whose slope at 0 is 1/2 under autodiff.
ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(identity, identity_slope, "1"),
    "relu": Activation(jax.nn.relu, relu_slope, "[{a} > 0]", kink=True),
    "leaky_relu": Activation(leaky_relu, leaky_relu_slope, f"[{{a}} >= 0 ? 1 : {LEAK}]", kink=True),
    "sigmoid": Activation(jax.nn.sigmoid, sigmoid_slope, "{a} (1 - {a})"),
    "tanh": Activation(jnp.tanh, tanh_slope, "(1 - {a}^2)"),
    "softplus": Activation(jax.nn.softplus, softplus_slope, "(1 - exp(-{a}))"),
    "silu": Activation(jax.nn.silu, silu_slope, "silu'({z})", keeps_preactivation=True),
    "gelu": Activation(gelu, gelu_slope, "gelu'({z})", keeps_preactivation=True),
    "sine": Activation(jnp.sin, sine_slope, "cos({z})", keeps_preactivation=True),
}
