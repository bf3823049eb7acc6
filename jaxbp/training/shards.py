"""Samples sharded over the devices of a mesh; parameters, state and key on each of them.

    gradient    each device sweeps its own samples; one all-reduce averages loss and gradient together
    batch       each device hands out those of its samples that the batch draws, and sweeps an equal share of it
    K           each device computes its rows, from the activations and node errors of all: see gauss_newton

Without a mesh every function here hands its argument on, so that one program serves both. With
several processes each holds an equal share of the samples, in the order of the processes.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.experimental import multihost_utils
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxbp.training.devices import SAMPLES
from jaxbp.training.hosts import every_process, from_first

Tree = TypeVar("Tree")
ALL, EACH = PartitionSpec(), PartitionSpec(SAMPLES)  # the whole on every device, or each its rows


def num_samples_of(mesh: Mesh | None, here: int) -> int:
    """The number of samples of all processes, of which this one holds `here`.

    Raises:
        ValueError: the processes hold different numbers of samples, or the devices cannot share
            them equally.
    """
    if mesh is None:
        return here
    shares = every_process(mesh, here)
    if len(set(shares)) > 1:
        raise ValueError(f"data must hold the same number of samples in each process, got {shares}")
    return check_divided("data must hold a number of samples", mesh, sum(shares))


def check_divided(what: str, mesh: Mesh | None, number: int) -> int:
    """Returns the number, or raises a ValueError that begins with `what` unless the devices divide it."""
    if mesh is not None and number % mesh.size:
        raise ValueError(f"{what} that the {mesh.size} devices share equally, got {number}")
    return number


def share(mesh: Mesh | None, samples: Tree) -> Tree:
    """Puts the samples of this process on its devices, rows in equal shares."""
    return _put(mesh, samples, jax.make_array_from_process_local_data, EACH)


def replicate(mesh: Mesh | None, tree: Tree) -> Tree:
    """Puts arrays whole on every device, those of the first process."""

    def put(sharding: NamedSharding, data: np.ndarray) -> Array:
        return jax.make_array_from_process_local_data(sharding, from_first(data))

    return _put(mesh, tree, put, ALL)


def distribute(mesh: Mesh | None, samples: Tree) -> Tree:
    """Puts samples that every process holds all of on the devices: in equal shares where they divide, else whole."""
    divided = mesh is not None and all(
        len(array) % mesh.size == 0 for array in jax.tree.leaves(samples)
    )

    def put(sharding: NamedSharding, data: np.ndarray) -> Array:
        return jax.make_array_from_callback(data.shape, sharding, lambda index: data[index])

    return _put(mesh, samples, put, EACH if divided else ALL)


def fetch(mesh: Mesh | None, tree: Tree) -> Tree:
    """Brings arrays that are whole on every device back to the default device, so that they go with any others."""
    return (
        tree
        if mesh is None
        else jax.tree.map(lambda leaf: _rewrapped(leaf, lambda data: jnp.asarray(data)), tree)
    )


def gathered(mesh: Mesh | None, samples: Tree) -> Tree:
    """Brings the samples of all processes to the host of each."""
    return samples if mesh is None else multihost_utils.process_allgather(samples, tiled=True)


def mean_over_shards(
    mesh: Mesh | None, function: Callable[..., Tree], params: Any, *samples: Any
) -> Tree:
    """Averages function(params, *samples of a device), numbers of one dtype, over the devices: one all-reduce."""
    if mesh is None:
        return function(params, *samples)

    def local(params: Any, samples: Any) -> Tree:
        flat, unflatten = ravel_pytree(function(params, *samples))
        return unflatten(jax.lax.pmean(flat, SAMPLES))

    return jax.shard_map(local, mesh=mesh, in_specs=(ALL, EACH), out_specs=ALL)(params, samples)


def sum_over_shards(
    mesh: Mesh | None, function: Callable[..., Tree], params: Any, *samples: Any
) -> Tree:
    """Adds up function(params, *samples of a device) over the devices; samples that they cannot share stay whole."""
    if mesh is None or samples[0].shape[0] % mesh.size:
        return function(params, *samples)

    def local(params: Any, samples: Any) -> Tree:
        return jax.lax.psum(function(params, *samples), SAMPLES)

    return jax.shard_map(local, mesh=mesh, in_specs=(ALL, EACH), out_specs=ALL)(params, samples)


def rows_at(mesh: Mesh | None, indices: Array, samples: Tree) -> Tree:
    """The rows of the samples at the indices, in equal shares like the samples themselves."""
    if mesh is None:
        return jax.tree.map(lambda array: array[indices], samples)
    return jax.lax.with_sharding_constraint(
        _whole_rows_at(mesh, indices, samples), NamedSharding(mesh, EACH)
    )


def first_rows(mesh: Mesh | None, number: int, samples: Tree) -> Tree:
    """The first rows of the samples, whole on every device."""
    if mesh is None:
        return jax.tree.map(lambda array: array[:number], samples)
    return _whole_rows_at(mesh, jnp.arange(number), samples)


def _whole_rows_at(mesh: Mesh, indices: Array, samples: Tree) -> Tree:
    def local(indices: Array, samples: Tree) -> Tree:
        def rows(array: Array) -> Array:
            places = indices - jax.lax.axis_index(SAMPLES) * array.shape[0]
            mine = ((places >= 0) & (places < array.shape[0])).reshape(-1, *[1] * (array.ndim - 1))
            # Every device but one adds zero to a row, so that the sum is exact.
            return jnp.where(
                mine, array[jnp.clip(places, 0, array.shape[0] - 1)], jnp.zeros((), array.dtype)
            )

        return jax.lax.psum(jax.tree.map(rows, samples), SAMPLES)

    return jax.shard_map(local, mesh=mesh, in_specs=(ALL, EACH), out_specs=ALL)(indices, samples)


def _put(
    mesh: Mesh | None,
    tree: Tree,
    put: Callable[[NamedSharding, np.ndarray], Array],
    spec: PartitionSpec,
) -> Tree:
    if mesh is None:
        return tree
    sharding = NamedSharding(mesh, spec)
    return jax.tree.map(lambda leaf: _rewrapped(leaf, lambda data: put(sharding, data)), tree)


def _rewrapped(leaf: Any, move: Callable[[Any], Array]) -> Array:
    """Moves an array; of a random key, the numbers that it consists of."""
    if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return move(np.asarray(leaf))
    return jax.random.wrap_key_data(
        move(np.asarray(jax.random.key_data(leaf))), impl=jax.random.key_impl(leaf)
    )
