"""Activation functions phi and their slopes phi', side by side.

Legend: z the preactivation, a = phi(z) the activation. A slope reads both, or a alone where z is
None: the forward pass keeps z where the slope needs it and in small batches. At a kink the slope
is that of autodiff of the value: relu'(0) = 0, leaky_relu'(0) = 1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxbp._checks import check_functions, check_name

LEAK = 0.01  # the slope of leaky_relu below 0
ROOT, ROOT_REST = 181 / 256, 7.553118654752440e-05  # sqrt(1/2), the first part of few digits


@dataclass(frozen=True)
class Activation:
    """An activation function and its derivative, both elementwise.

    Attributes:
        name: for messages, ledgers and pictures.
        value: z -> phi(z).
        slope: (z, a) -> phi'(z), where a = phi(z).
        formula: the slope as text for a ledger; {a} and {z} stand for the values of the node.
        keeps_preactivation: whether the slope needs z. If False, z is None in large batches; it
            need not be kept then.
        kink: whether the slope jumps at z = 0.

    Raises:
        ValueError: the name is not a text, or value or slope is not a hashable function.

    Examples:
        >>> import jax.numpy as jnp
        >>> import jaxbp
        >>> cubic = jaxbp.Activation("cubic", lambda z: z**3, lambda z, a: 3 * z**2)
        >>> jaxbp.Mlp((2, 8, 1), hidden=cubic).activation_names
        ('cubic', 'identity')
    """

    name: str
    value: Callable[[Array], Array] = field(repr=False)
    slope: Callable[[Any, Array], Array] = field(repr=False)
    formula: str = ""
    keeps_preactivation: bool = True
    kink: bool = False

    def __post_init__(self) -> None:
        check_functions("Activation", self.name, value=self.value, slope=self.slope)
        if not self.formula:
            object.__setattr__(self, "formula", f"{self.name}'({{z}})")

    @classmethod
    def by_autodiff(cls, name: str, value: Callable[[Array], Array]) -> "Activation":
        """Make an activation whose slope JAX derives from its value.

        Examples:
            >>> import jax
            >>> import jaxbp
            >>> mish = jaxbp.Activation.by_autodiff("mish", jax.nn.mish)
            >>> mlp = jaxbp.Mlp((2, 8, 1), hidden=mish)
        """
        return cls(name, value, _AutodiffSlope(value))


@dataclass(frozen=True)
class _AutodiffSlope:
    """The slope of an elementwise function by `jax.vjp`; equal for equal functions."""

    value: Callable[[Array], Array]

    def __call__(self, z: Array, a: Array) -> Array:
        return jax.vjp(self.value, z)[1](jnp.ones_like(a))[0]


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
    """a = sigmoid(z), phi' = a (1 - a) = a sigmoid(-z); 1 - a cancels where a is near 1."""
    return a * (1 - a) if z is None else a * jax.nn.sigmoid(-z)


def tanh_slope(z: Array | None, a: Array) -> Array:
    """a = tanh(z), phi' = 1 - a^2 = 4 t / (1 + t)^2 with t = exp(-2 |z|); 1 - a^2 cancels."""
    if z is None:
        return 1 - a * a
    t = jnp.exp(-2 * jnp.abs(z))
    return 4 * t / ((1 + t) * (1 + t))


def softplus_slope(z: Array | None, a: Array) -> Array:
    """a = log(1 + exp(z)), phi' = sigmoid(z) = 1 - exp(-a), by expm1 for a tiny a."""
    return -jnp.expm1(-a)


def silu_slope(z: Array, a: Array) -> Array:
    """a = z s, phi' = s (1 + z (1 - s)), with s = 1 / (1 + t), 1 - s = t s and t = exp(-z)."""
    t = jnp.exp(jnp.minimum(-z, -math.log(jnp.finfo(z.dtype).tiny)))
    s = 1 / (1 + t)
    return s * (1 + z * jnp.where(z > 0, t * s, 1 - s))


def gelu(z: Array) -> Array:
    """a = z Phi(z) with Phi the exact normal distribution function (Hendrycks and Gimpel 2016)."""
    return jax.nn.gelu(z, approximate=False)


def gelu_slope(z: Array, a: Array) -> Array:
    """phi' = Phi(z) + z N(z), Phi(z) = erfc(-x) / 2, x = z / sqrt(2), with the normal density N.

    Both functions multiply the rounding of their arguments, z^2 and x. It is known from products
    of h, z to half its digits, and to first order changes the slope by N times a shift of z.
    """
    bits = jnp.finfo(z.dtype)
    h = jax.lax.reduce_precision(z, bits.nexp, bits.nmant // 2)
    x, square = z * (ROOT + ROOT_REST), z * z
    x_rest = (h * ROOT - x) + ((z - h) * ROOT + z * ROOT_REST)
    square_rest = (h * h - square) + (z - h) * (z + h)
    density = jnp.exp(square / -2) * (2 * math.pi) ** -0.5
    shift = x_rest / ROOT - z * (square_rest / 2)
    return jax.lax.erfc(-x) / 2 + density * (z + shift)


def sine_slope(z: Array, a: Array) -> Array:
    """a = sin(z), phi' = cos(z)."""
    return jnp.cos(z)


# jax.nn.relu and not jnp.maximum, whose slope at 0 is 1/2 under autodiff.
NAMED = (
    Activation("identity", identity, identity_slope, "1", False),
    Activation("relu", jax.nn.relu, relu_slope, "[{a} > 0]", False, kink=True),
    Activation(
        "leaky_relu", leaky_relu, leaky_relu_slope, f"[{{a}} >= 0 ? 1 : {LEAK}]", False, kink=True
    ),
    Activation("sigmoid", jax.nn.sigmoid, sigmoid_slope, "{a} (1 - {a})", False),
    Activation("tanh", jnp.tanh, tanh_slope, "(1 - {a}^2)", False),
    Activation("softplus", jax.nn.softplus, softplus_slope, "(1 - exp(-{a}))", False),
    Activation("silu", jax.nn.silu, silu_slope),
    Activation("gelu", gelu, gelu_slope),
    Activation("sine", jnp.sin, sine_slope, "cos({z})"),
)
ACTIVATIONS: dict[str, Activation] = {activation.name: activation for activation in NAMED}
ALIASES = {"linear": "identity", "logistic": "sigmoid"}


def as_activation(argument: str, given: Any) -> Activation:
    """Return an `Activation`, looked up if `given` is a name.

    Args:
        argument: the caller's name for it.
        given: an `Activation`, a key of `ACTIVATIONS` or an alias of one.

    Raises:
        ValueError: it is neither; the message of a plain function shows how to wrap it.
    """
    if isinstance(given, Activation):
        return given
    if isinstance(given, str) and given == "softmax":
        raise ValueError(
            f"{argument} must be an elementwise activation, got 'softmax': use output=\"identity\" "
            'with loss="softmax_cross_entropy", which applies the softmax to the outputs'
        )
    if not isinstance(given, str):
        raise ValueError(
            f"{argument} must be a name or an Activation, got "
            f"{getattr(given, '__name__', repr(given))}: pass one of {', '.join(ACTIVATIONS)}, "
            'or wrap it as jaxbp.Activation("mine", value, slope), slope(z, a) being its '
            'derivative, or jaxbp.Activation.by_autodiff("mine", value)'
        )
    name = ALIASES.get(given, given)
    check_name(argument, name, ACTIVATIONS)
    return ACTIVATIONS[name]
