"""The architecture `Mlp`, its parameters `Params`, and the schemes that draw them.

Legend: L affine layers, sizes (n_0, ..., n_L), n_0 inputs, n_L outputs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxbp._checks import check_count, check_number, look_up
from jaxbp.activations import ACTIVATIONS, Activation, as_activation

SINE_FREQUENCY = 3.0  # highest of the first layer of a sine network, radians per unit of inputs


class Layer(NamedTuple):
    """Parameters of one affine layer, Z = A W + b.

    Attributes:
        weight: (fan_in, fan_out).
        bias: (fan_out,), or None in a network without biases.

    Examples:
        >>> import jax.numpy as jnp
        >>> import jaxbp
        >>> layer = jaxbp.Layer(jnp.array([[0.34], [0.56]]), jnp.array([0.54]))
        >>> layer.weight.shape, layer.bias.shape
        ((2, 1), (1,))
    """

    weight: Array
    bias: Any = None  # not Array | None, which would ask every reader of a bias to test for None


Params = tuple[Layer, ...]


@dataclass(frozen=True)
class Mlp:
    """The architecture of a multilayer perceptron: static, hashable, free of arrays.

    Attributes:
        sizes: (n_0, ..., n_L), units of the input, of each hidden layer and of the output.
        hidden: activation of the hidden layers: a name or an `Activation` for all, or a tuple with
            one for each. A named one is stored by its name.
        output: activation of the last layer. It is the identity with a loss on logits.
        bias: whether the layers have biases.

    Raises:
        ValueError: a size is not a positive whole number, or an activation is not known.

    Examples:
        >>> import jaxbp
        >>> mlp = jaxbp.Mlp((2, 64, 64, 1), hidden=("tanh", "relu"))
        >>> mlp.num_layers, mlp.num_params, mlp.activation_names
        (3, 4417, ('tanh', 'relu', 'identity'))
    """

    sizes: tuple[int, ...]
    hidden: str | Activation | tuple[str | Activation, ...] = "tanh"
    output: str | Activation = "identity"
    bias: bool = True

    def __post_init__(self) -> None:
        if (
            not isinstance(self.sizes, Sequence)
            or isinstance(self.sizes, str)
            or len(self.sizes) < 2
        ):
            raise ValueError(
                f"sizes must list at least an input and an output size, got {self.sizes!r}"
            )
        sizes = tuple(
            check_count(f"sizes[{i}]", size, minimum=1) for i, size in enumerate(self.sizes)
        )
        object.__setattr__(self, "sizes", sizes)
        hidden: Any = self.hidden
        if isinstance(hidden, Sequence) and not isinstance(hidden, str):
            if len(hidden) != len(sizes) - 2:
                raise ValueError(
                    "hidden must be one activation or one for each of the "
                    f"{len(sizes) - 2} hidden layers, got {len(hidden)}: {hidden!r}"
                )
            hidden = tuple(_stored(f"hidden[{i}]", given) for i, given in enumerate(hidden))
        else:
            hidden = _stored("hidden", hidden)
        object.__setattr__(self, "hidden", hidden)
        object.__setattr__(self, "output", _stored("output", self.output))
        if not isinstance(self.bias, bool):
            raise ValueError(f"bias must be True or False, got {self.bias!r}")

    @property
    def num_layers(self) -> int:
        """L, the number of affine layers."""
        return len(self.sizes) - 1

    @property
    def num_params(self) -> int:
        """Number of weights and biases."""
        return sum((fan_in + self.bias) * fan_out for fan_in, fan_out in pairwise(self.sizes))

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The `Activation` of each affine layer, the output's last."""
        hidden = self.hidden
        each = hidden if isinstance(hidden, tuple) else (hidden,) * (self.num_layers - 1)
        return tuple(as_activation("hidden", given) for given in (*each, self.output))

    @property
    def activation_names(self) -> tuple[str, ...]:
        """The names of `activations`."""
        return tuple(activation.name for activation in self.activations)


def _stored(argument: str, given: Any) -> str | Activation:
    """An activation as `Mlp` stores it: the name of a named one, else the value."""
    activation = as_activation(argument, given)
    return activation.name if ACTIVATIONS.get(activation.name) == activation else activation


def uniform(key: Array, shape: tuple[int, ...], limit: float, dtype: DTypeLike) -> Array:
    """Draw uniformly from [-limit, limit]."""
    return jax.random.uniform(key, shape, dtype, minval=-limit, maxval=limit)


def normal(key: Array, shape: tuple[int, ...], deviation: float, dtype: DTypeLike) -> Array:
    """Draw from the normal distribution with mean 0 and that standard deviation."""
    return deviation * jax.random.normal(key, shape, dtype)


class Scheme(NamedTuple):
    """Distribution of the weights of a layer.

    Attributes:
        draw: (key, shape, width, dtype) -> weight.
        squared_width: (fan_in, fan_out) -> square of the width; None if `scale` is the width.
        scale: default of `scale`; None if the scheme does not read it.
    """

    draw: Callable[[Array, tuple[int, ...], float, DTypeLike], Array]
    squared_width: Callable[[int, int], float] | None
    scale: float | None = None


SCHEMES: dict[str, Scheme] = {
    "glorot": Scheme(uniform, lambda fan_in, fan_out: 6 / (fan_in + fan_out)),
    "he": Scheme(normal, lambda fan_in, fan_out: 2 / fan_in),
    "lecun": Scheme(normal, lambda fan_in, fan_out: 1 / fan_in),
    "uniform": Scheme(uniform, None, 1.0),
    "normal": Scheme(normal, None, 1.0),
    "sine": Scheme(uniform, lambda fan_in, fan_out: 6 / fan_in, SINE_FREQUENCY),
}


def init(
    mlp: Mlp,
    key: Array,
    scheme: str = "glorot",
    *,
    scale: float | None = None,
    dtype: DTypeLike | None = None,
) -> Params:
    """Draw parameters: independent weights by the scheme, biases 0.

    | scheme  | weights                                               | for            |
    |---------|-------------------------------------------------------|----------------|
    | glorot  | uniform, variance 2 / (fan_in + fan_out)              | tanh, sigmoid  |
    | he      | normal, variance 2 / fan_in                           | relu           |
    | lecun   | normal, variance 1 / fan_in                           | silu, gelu     |
    | uniform | uniform in [-scale, scale]                            | the tutorials  |
    | normal  | normal, standard deviation scale                      | the tutorials  |
    | sine    | uniform, variance 2 / fan_in; first layer uniform in  | sine           |
    |         | [-scale, scale], its biases in [-pi, pi]              |                |

    Args:
        mlp: network.
        key: JAX random key; the layers draw from splits of it.
        scheme: name in the table.
        scale: width of `uniform` and `normal` (default 1), or highest first-layer frequency of
            `sine` in radians per unit of the inputs (default 3: some periods over standardized
            inputs).
        dtype: floating dtype; JAX's default if None.

    Returns:
        A Layer(weight (n_{l-1}, n_l), bias (n_l,)) for each affine layer.

    Raises:
        ValueError: the scheme is not known, or it does not read the scale, or the scale is not
            positive.
        TypeError: key is not a JAX random key, or dtype is not a floating dtype.

    References:
        Glorot and Bengio 2010; He et al. 2015; LeCun et al. 1998; Sitzmann et al. 2020, section
        3.2.

    Examples:
        >>> import jax
        >>> import jaxbp
        >>> params = jaxbp.init(jaxbp.Mlp((2, 8, 1)), jax.random.key(0), scheme="he")
        >>> [layer.weight.shape for layer in params]
        [(2, 8), (8, 1)]
    """
    row = look_up("scheme", scheme, SCHEMES)
    if not isinstance(key, Array):
        raise TypeError(f"key must be a JAX random key, such as jax.random.key(0), got {key!r}")
    dtype = jnp.dtype(dtype or jnp.result_type(float))
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"dtype must be a floating dtype, got {dtype}")
    if scale is not None:
        if row.scale is None:
            raise ValueError(
                f"scale must be left out for scheme {scheme!r}, which does not read it; "
                f"got {scale!r}"
            )
        if check_number("scale", scale, minimum=0) == 0:
            raise ValueError(f"scale must be positive, got {scale!r}")
    scale = row.scale if scale is None else scale
    layers = []
    for position, layer_key in enumerate(jax.random.split(key, mlp.num_layers)):
        fan_in, fan_out = mlp.sizes[position : position + 2]
        weight_key, bias_key = jax.random.split(layer_key)
        width: Any = (
            scale if row.squared_width is None else math.sqrt(row.squared_width(fan_in, fan_out))
        )
        bias = jnp.zeros((fan_out,), dtype)
        if scheme == "sine" and position == 0 and mlp.num_layers > 1:
            width = scale
            # Phases all around the circle: with zero biases the whole first layer would be odd.
            bias = uniform(bias_key, (fan_out,), math.pi, dtype)
        weight = row.draw(weight_key, (fan_in, fan_out), width, dtype)
        layers.append(Layer(weight, bias if mlp.bias else None))
    return tuple(layers)
