"""The network's static description `Mlp`, its parameters `Params`, and the schemes that draw them.

Legend: L the number of affine layers, sizes (n_0, ..., n_L), n_0 the inputs, n_L the outputs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxbp.checks import check_count, check_number
from jaxbp.names import ACTIVATION_NAMES, SCHEME_NAMES, SchemeName, check_name

SINE_FREQUENCY = 3.0  # radians for each unit of the inputs, at most, in the first layer of a sine network


class Layer(NamedTuple):
    """One affine layer, Z = A W + b.

    Attributes:
        weight: (fan_in, fan_out).
        bias: (fan_out,).
    """

    weight: Array
    bias: Array


Params = tuple[Layer, ...]


@dataclass(frozen=True)
class Mlp:
    """What is fixed about a multilayer perceptron: static, hashable, free of arrays.

    Attributes:
        sizes: (n_0, ..., n_L), the units of the input, of each hidden layer and of the output.
        hidden: the activation of the hidden layers: one name for all, or one for each.
        output: the activation of the last layer.

    Raises:
        ValueError: a size is not a positive whole number, or an activation is not known.
    """

    sizes: tuple[int, ...]
    hidden: str | tuple[str, ...] = "tanh"
    output: str = "identity"

    def __post_init__(self) -> None:
        if not isinstance(self.sizes, Sequence) or isinstance(self.sizes, str) or len(self.sizes) < 2:
            raise ValueError(f"sizes must list at least an input and an output size, got {self.sizes!r}")
        sizes = tuple(check_count(f"sizes[{i}]", size, minimum=1) for i, size in enumerate(self.sizes))
        object.__setattr__(self, "sizes", sizes)
        if not isinstance(self.hidden, (str, Sequence)):
            raise ValueError(f"hidden must be an activation or a tuple of them, got {self.hidden!r}")
        if not isinstance(self.hidden, str):
            object.__setattr__(self, "hidden", tuple(self.hidden))
            if len(self.hidden) != len(sizes) - 2:
                raise ValueError(
                    f"hidden must be one activation or one for each of the {len(sizes) - 2} hidden layers, "
                    f"got {len(self.hidden)}: {self.hidden!r}"
                )
            for i, name in enumerate(self.hidden):
                check_name(f"hidden[{i}]", name, ACTIVATION_NAMES)
        else:
            check_name("hidden", self.hidden, ACTIVATION_NAMES)
        check_name("output", self.output, ACTIVATION_NAMES)

    @property
    def num_layers(self) -> int:
        """L, the number of affine layers."""
        return len(self.sizes) - 1

    @property
    def num_params(self) -> int:
        """The number of weights and biases together."""
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in zip(self.sizes[:-1], self.sizes[1:], strict=True))

    @property
    def activation_names(self) -> tuple[str, ...]:
        """One name for each affine layer, the output's last."""
        hidden = (self.hidden,) * (self.num_layers - 1) if isinstance(self.hidden, str) else self.hidden
        return (*hidden, self.output)


def init(
    mlp: Mlp,
    key: Array,
    scheme: SchemeName = "glorot",
    *,
    scale: float | None = None,
    dtype: DTypeLike | None = None,
) -> Params:
    """Draws parameters: independent weights by the scheme, biases 0.

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
        mlp: the network.
        key: a JAX random key; the layers draw from splits of it.
        scheme: a name of the table.
        scale: of `uniform` and `normal` (1 unless given), and the highest first-layer frequency of `sine`, in radians
            for each unit of the inputs (3 unless given: some periods over standardized inputs).
        dtype: a floating dtype, JAX's default one unless given.

    Returns:
        The parameters: one Layer(weight (n_{l-1}, n_l), bias (n_l,)) for each affine layer.

    Raises:
        ValueError: the scheme is not known, or a scale is given that it does not read or that is not positive.
        TypeError: dtype is not a floating dtype.

    References:
        Glorot and Bengio 2010; He et al. 2015; LeCun et al. 1998; Sitzmann et al. 2020, section 3.2.
    """
    check_name("scheme", scheme, SCHEME_NAMES)
    dtype = jnp.dtype(dtype or jnp.result_type(float))
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"dtype must be a floating dtype, got {dtype}")
    if scale is not None:
        if scheme not in ("uniform", "normal", "sine"):
            raise ValueError(
                f"scale must be left out for scheme {scheme!r}, whose weights it does not set; got {scale!r}"
            )
        if check_number("scale", scale, minimum=0) == 0:
            raise ValueError(f"scale must be positive, got {scale!r}")
    layers = []
    for position, layer_key in enumerate(jax.random.split(key, mlp.num_layers)):
        fan_in, fan_out = mlp.sizes[position : position + 2]
        weight_key, bias_key = jax.random.split(layer_key)
        bias = jnp.zeros((fan_out,), dtype)
        if scheme == "sine" and position == 0 and mlp.num_layers > 1:
            limit = SINE_FREQUENCY if scale is None else scale
            # Phases all around the circle: with zero biases every unit, and so the whole first layer, would be odd.
            bias = _uniform(bias_key, bias.shape, math.pi, dtype)
            weight = _uniform(weight_key, (fan_in, fan_out), limit, dtype)
        else:
            weight = _draw_weight(weight_key, (fan_in, fan_out), scheme, 1.0 if scale is None else scale, dtype)
        layers.append(Layer(weight, bias))
    return tuple(layers)


def _draw_weight(key: Array, shape: tuple[int, int], scheme: str, scale: float, dtype: DTypeLike) -> Array:
    fan_in, fan_out = shape
    match scheme:
        case "glorot":
            return _uniform(key, shape, math.sqrt(6 / (fan_in + fan_out)), dtype)
        case "he":
            return math.sqrt(2 / fan_in) * jax.random.normal(key, shape, dtype)
        case "lecun":
            return math.sqrt(1 / fan_in) * jax.random.normal(key, shape, dtype)
        case "sine":
            return _uniform(key, shape, math.sqrt(6 / fan_in), dtype)
        case "uniform":
            return _uniform(key, shape, scale, dtype)
        case _:
            return scale * jax.random.normal(key, shape, dtype)


def _uniform(key: Array, shape: tuple[int, ...], limit: float, dtype: DTypeLike) -> Array:
    return jax.random.uniform(key, shape, dtype, minval=-limit, maxval=limit)


def check_params(mlp: Mlp, params: Any, root: str = "params") -> None:
    """Raises a ValueError that names the key path unless `params` has the structure and shapes of `mlp`.

    It reads shapes and dtypes only, so that it holds at trace time. The key path starts with `root`.
    """
    if not isinstance(params, tuple) or isinstance(params, Layer):
        raise ValueError(f"{root} must be a tuple of {mlp.num_layers} Layers, got {type(params).__name__}")
    if len(params) != mlp.num_layers:
        raise ValueError(f"{root} must have {mlp.num_layers} layers for sizes {mlp.sizes}, got {len(params)}")
    dtype = None
    for position, layer in enumerate(params):
        if not isinstance(layer, Layer):
            raise ValueError(f"{root}[{position}] must be a Layer(weight, bias), got {type(layer).__name__}")
        fan_in, fan_out = mlp.sizes[position : position + 2]
        for name, leaf, shape in (("weight", layer.weight, (fan_in, fan_out)), ("bias", layer.bias, (fan_out,))):
            path = f"{root}[{position}].{name}"
            if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
                raise ValueError(f"{path} must be an array of shape {shape}, got {type(leaf).__name__}")
            if leaf.shape != shape:
                raise ValueError(f"{path} must have shape {shape} for sizes {mlp.sizes}, got {leaf.shape}")
            dtype = leaf.dtype if dtype is None else dtype
            if leaf.dtype != dtype or not jnp.issubdtype(leaf.dtype, jnp.floating):
                raise ValueError(f"{path} must have the floating dtype of {root}[0].weight ({dtype}), got {leaf.dtype}")
            if jax.dtypes.canonicalize_dtype(leaf.dtype) != leaf.dtype:
                raise ValueError(f"{path} must not be {leaf.dtype} while x64 is off: cast it, or turn x64 on")
