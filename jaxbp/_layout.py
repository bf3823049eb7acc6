"""Memory layout of a batch: the axis of the samples, and tiles of them."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from jaxbp._checks import check_count
from jaxbp.params import Mlp

# All as `experiments/benchmarks/speed.py` found them on a CPU, beside autodiff, which does neither.
NARROW = 32  # units of a layer up to which the samples are columns
# Bytes of activations in a tile; with more than twice as many both passes wait for memory. Narrow
# layers compute less with what they load. One CPU device of several has a core's cache to itself.
TILE_BYTES, NARROW_TILE_BYTES, CORE_BYTES = 2**23, 2**22, 2**20
NARROW_TILE = 2**13  # samples; fewer do not use all threads

# Where the samples are rows, XLA on a CPU adds the terms of a product with a vector, or of so few
# elements, one by one; those of a sum in parts. From LONG samples on that pays: over 131,072 the
# product was off by 190 units, the sum by 3.
FEW, LONG = 9, 4096
# On jax 0.10 a sum of so many products over the rows is a slow loop; of few rows a product with
# ones is quicker.
MANY, SHORT = 2**15, 256

# Activations of a batch, up to which Z is kept for the slopes: a larger batch would take longer.
FEW_ACTIVATIONS = 2048

Sum = TypeVar("Sum")


def samples_axis(mlp: Mlp) -> int:
    """Which axis of its arrays should count the samples: 1 where all layers are narrow."""
    return 1 if max(mlp.sizes) <= NARROW else 0


def keeps_preactivations(mlp: Mlp, num_samples: int) -> bool:
    """Whether the forward pass keeps every Z, so that no slope cancels where a unit saturates.

    In a larger batch sigmoid and tanh read their slopes off A alone, which takes less time and
    memory. An `Activation` with keeps_preactivation=True keeps Z in every batch.
    """
    return isinstance(num_samples, int) and num_samples * sum(mlp.sizes) <= FEW_ACTIVATIONS


def turned(array: Array, axis: int) -> Array:
    """Move the samples from rows to that axis.

    The barrier keeps XLA from folding the transposition into products, which a CPU would then
    compute by slow loops.
    """
    return array if axis == 0 else jax.lax.optimization_barrier(array.T)


def product_over_samples(left: Array, right: Array, axis: int) -> Array:
    """A^T D (fan_in, fan_out), or A D^T where the samples are columns: a sum over the samples."""
    fan_in, fan_out, num_samples = left.shape[1 - axis], right.shape[1 - axis], left.shape[axis]
    small = fan_in == 1 or (axis == 0 and (fan_out == 1 or fan_in * fan_out <= FEW))
    if (
        small and isinstance(num_samples, int) and num_samples >= LONG
    ):  # no number where it is exported
        products = jnp.expand_dims(left, 2 - axis) * jnp.expand_dims(right, 1 - axis)
        return products.sum(axis=2 * axis)
    samples = (
        ((axis,), (axis,)),
        ((), ()),
    )  # not a matmul: on jax 0.10.1 it would copy the factor that it transposes
    return jax.lax.dot_general(left, right, samples, precision=jax.lax.Precision.HIGHEST)


def sum_over_samples(array: Array, axis: int) -> Array:
    """The sum of D (fan_out,) over the samples."""
    num_samples = array.shape[axis]
    if axis == 0 and isinstance(num_samples, int) and num_samples <= SHORT and array.size >= MANY:
        return product_over_samples(jnp.ones((num_samples, 1), array.dtype), array, axis)[0]
    return array.sum(axis=axis)


def tile_of(mlp: Mlp, num_samples: int, itemsize: int, *, on_a_core: bool = False) -> int | None:
    """Number of samples that both passes hold at a time, None for all: on a CPU, by its cache."""
    if (
        not isinstance(num_samples, int) or jax.default_backend() != "cpu"
    ):  # a symbol where it is exported
        return None
    num_bytes = num_samples * sum(mlp.sizes) * itemsize
    if on_a_core:
        num_tiles = num_bytes // CORE_BYTES
    elif samples_axis(mlp):
        num_tiles = min(num_bytes // NARROW_TILE_BYTES, num_samples // NARROW_TILE)
    else:
        num_tiles = num_bytes // TILE_BYTES
    return None if num_tiles < 2 else -(-num_samples // num_tiles)


def sum_over_tiles(one: Callable[..., Sum], arrays: Any, num_samples: int, tile: int | None) -> Sum:
    """Sum one(*arrays) over tiles of the samples, with one tile in memory at a time.

    The first tile takes the remainder and starts the sum, so that the carry has the right type
    under shard_map too.
    """
    # In an exported program the number of samples may be a symbol, which no comparison may read.
    if tile is None or num_samples <= check_count("tile", tile, minimum=1):
        return one(*arrays)
    num_tiles = (num_samples - 1) // tile
    first = num_samples - num_tiles * tile

    def add(i: int, total: Sum) -> Sum:
        part = jax.tree.map(
            lambda array: jax.lax.dynamic_slice_in_dim(array, first + i * tile, tile), arrays
        )
        return jax.tree.map(jnp.add, total, one(*part))

    return jax.lax.fori_loop(
        0, num_tiles, add, one(*jax.tree.map(lambda array: array[:first], arrays))
    )
