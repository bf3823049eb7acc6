"""Parameters as other libraries name and lay them out, and programs that run without jaxbp.

layout      of layer i = 0, 1, ...          weight
PyTorch     "{2 i}.weight", "{2 i}.bias"    (fan_out, fan_in), in Sequential(Linear, activation, Linear, ...)
Flax        params, Dense_{i}, kernel       (fan_in, fan_out), in a compact module of Dense layers
Equinox     ".layers[{i}].weight"           (fan_out, fan_in), the leaves of eqx.nn.MLP by their key paths
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jax.typing import DTypeLike

from jaxbp._checks import check_count, check_name
from jaxbp._files import atomic_write
from jaxbp.params import Layer, Params

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")  # that a program can be exported for


def to_torch_state_dict(params: Params) -> dict[str, np.ndarray]:
    """Lays parameters out as PyTorch does: make tensors of the arrays and give them to
    `load_state_dict`.

    Args:
        params: a network's parameters.

    Returns:
        Arrays by name: weights (fan_out, fan_in) and biases (fan_out,).

    Raises:
        TypeError: params holds no layers.
    """
    return _named(params, "{}.weight", "{}.bias", stride=2)


def from_torch_state_dict(state_dict: Mapping[str, Any]) -> Params:
    """Reads the parameters of a PyTorch network of Linear layers, in the order of its state dict.

    Args:
        state_dict: what `module.state_dict()` returned, or NumPy arrays of the same names, a weight
            before its bias.

    Returns:
        The parameters.

    Raises:
        ValueError: names or shapes are not those of Linear layers with biases that follow one
            another.
    """
    return _layers(list(state_dict.items()), "weight", transposed=True)


def to_flax_variables(params: Params) -> dict[str, Any]:
    """Lays parameters out as Flax (linen) does: give them to `module.apply`.

    Args:
        params: a network's parameters.

    Returns:
        {"params": {"Dense_0": {"kernel": (fan_in, fan_out), "bias": (fan_out,)}, ...}}.

    Raises:
        TypeError: params holds no layers.
    """
    arrays = list(_named(params, "{}.kernel", "{}.bias").values())
    pairs = zip(arrays[::2], arrays[1::2], strict=True)
    return {
        "params": {
            f"Dense_{i}": {"kernel": weight.T, "bias": bias}
            for i, (weight, bias) in enumerate(pairs)
        }
    }


def from_flax_variables(variables: Mapping[str, Any]) -> Params:
    """Reads the parameters of a Flax (linen) module of Dense layers, in the order of their numbers.

    Args:
        variables: what `module.init` returned, {"params": {"Dense_0": {"kernel": ..., "bias": ...},
            ...}}.

    Returns:
        The parameters.

    Raises:
        ValueError: names or shapes are not those of Dense layers with biases that follow one
            another.
    """
    found = variables.get("params", {})
    names = [f"Dense_{i}" for i in range(len(found))]
    if sorted(names) != sorted(found):
        raise ValueError(
            f"variables must hold params of Dense_0, Dense_1, ..., got {', '.join(found)}"
        )
    items = [
        (f"{name}.{part}", found[name].get(part)) for name in names for part in ("kernel", "bias")
    ]
    return _layers(items, "kernel", transposed=False)


def to_equinox_leaves(params: Params) -> dict[str, np.ndarray]:
    """Lays parameters out as the leaves of Equinox' MLP, by their key paths.

    Put them in with `tree_map_with_path(lambda path, leaf: leaves.get(keystr(path), leaf), mlp)` of
    `jax.tree_util`.

    Args:
        params: a network's parameters.

    Returns:
        Arrays by key path: weights (fan_out, fan_in) and biases (fan_out,).

    Raises:
        TypeError: params holds no layers.
    """
    return _named(params, ".layers[{}].weight", ".layers[{}].bias")


def from_equinox_leaves(leaves: Mapping[str, Any]) -> Params:
    """Reads the parameters of Equinox' MLP.

    Args:
        leaves: arrays by key path, in order: {keystr(path): leaf for path, leaf in
            tree_leaves_with_path(mlp)}; what is not an array of a layer is passed over.

    Returns:
        The parameters.

    Raises:
        ValueError: names or shapes are not those of linear layers with biases that follow one
            another.
    """
    return _layers(
        [item for item in leaves.items() if item[0].startswith(".layers[")],
        "weight",
        transposed=True,
    )


def export_program(
    function: Callable[[Any], Any],
    num_inputs: int,
    path: str | Path,
    dtype: DTypeLike = np.float32,
    platforms: Sequence[str] | None = None,
) -> Path:
    """Writes a fitted function as a program that `jax.export` runs without jaxbp, its gradient
    included.

    Read it with `jax.export.deserialize(bytearray(path.read_bytes()))`; `.call(points)` takes any
    number of points, and `jax.grad` of it runs the hand-written backward pass. No device of the
    platforms has to be at hand to write it.

    Args:
        function: points (n, num_inputs) -> outputs: a Model, or a partial of `predict`.
        num_inputs: d.
        path: the file.
        dtype: of the points.
        platforms: what it runs on, any of cpu, cuda, rocm and tpu; unless given, the kind of device
            at hand.

    Returns:
        The path.

    Raises:
        ValueError: num_inputs is no positive number, or a platform is not known.
        OSError: the file cannot be written.
        ImportError: flatbuffers, in which JAX writes programs, is not installed (extra `export`).
    """
    check_count("num_inputs", num_inputs, minimum=1)
    (batch,) = export.symbolic_shape("n", constraints=["n >= 1"])
    for position, platform in enumerate(platforms or ()):
        check_name(f"platforms[{position}]", platform, PLATFORMS)
    lower = export.export(jax.jit(lambda points: function(points)), platforms=platforms)
    program = lower(jax.ShapeDtypeStruct((batch, num_inputs), dtype))
    path = Path(path).expanduser()
    with atomic_write(path, durable=True) as partial:
        partial.write_bytes(program.serialize(vjp_order=1))
    return path


def _named(params: Params, weight: str, bias: str, stride: int = 1) -> dict[str, np.ndarray]:
    if not (
        isinstance(params, tuple) and params and all(isinstance(layer, Layer) for layer in params)
    ):
        raise TypeError(f"params must be a tuple of Layers, got {type(params).__name__}")
    named = {}
    for i, layer in enumerate(params):
        named[weight.format(stride * i)] = np.ascontiguousarray(np.asarray(layer.weight).T)
        named[bias.format(stride * i)] = np.asarray(layer.bias)
    return named


def _layers(items: list[tuple[str, Any]], weight: str, *, transposed: bool) -> Params:
    """Layers of arrays that alternate between weights and biases."""
    for position, (name, array) in enumerate(items):
        wanted = "bias" if position % 2 else weight
        if name.rsplit(".", 1)[-1] != wanted or np.ndim(array) != 2 - position % 2 or array is None:
            raise ValueError(
                f"array {position} must be a {wanted} of a linear layer, got {name} {np.shape(array)}"
            )
    if not items or len(items) % 2:
        raise ValueError(f"each layer must have a {weight} and a bias, got {len(items)} arrays")
    arrays = [np.asarray(array) for _, array in items]
    weights = [array.T if transposed else array for array in arrays[::2]]
    layers = tuple(
        Layer(jnp.asarray(w), jnp.asarray(b)) for w, b in zip(weights, arrays[1::2], strict=True)
    )
    sizes = [weights[0].shape[0]]
    for (name, _), layer in zip(items[::2], layers, strict=True):
        if layer.weight.shape != (sizes[-1], layer.bias.shape[0]):
            came = f"a weight {layer.weight.shape} and a bias {layer.bias.shape}"
            raise ValueError(
                f"{name} must belong to a layer that takes {sizes[-1]} inputs, got {came}"
            )
        sizes.append(layer.bias.shape[0])
    return layers
