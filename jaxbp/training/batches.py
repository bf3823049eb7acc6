"""Mini-batches without replacement, as a pure function of key, epoch and place.

The permutations of all epochs are concatenated, and batches are consecutive slices of them. A batch
may reach into the next epoch, so every sample is used equally often also where the batch size does
not divide the number of samples.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Permutations(NamedTuple):
    """Orders of the samples (num_samples,) in the epoch of the next batch, and in the one after."""

    current: Array
    following: Array


class Piece(NamedTuple):
    """Rows in the order of the steps, from `step` on; an epoch has `num_samples` rows."""

    samples: Any
    step: Any
    num_samples: int | Array


def permutations_at(key: Array, epoch: Array, num_samples: int) -> Permutations:
    """Draw both permutations; they depend on key and epoch alone."""
    return Permutations(
        _permutation(key, epoch, num_samples), _permutation(key, epoch + 1, num_samples)
    )


def permutations_after(key: Array, permutations: Permutations, epoch: Array) -> Permutations:
    """Return those of the epoch after this one, of which only the second is drawn."""
    num_samples = permutations.current.shape[0]
    return Permutations(permutations.following, _permutation(key, epoch + 2, num_samples))


def next_batch(
    permutations: Permutations, epoch: Array, place: Array, batch_size: int
) -> tuple[Array, Array, Array]:
    """Return the indices of the batch at a place, and epoch and place of the one after it."""
    num_samples = permutations.current.shape[0]
    places = place + jnp.arange(batch_size, dtype=place.dtype)
    # Gathered from each in turn: joining the permutations would copy both at every step.
    here = permutations.current[jnp.minimum(places, num_samples - 1)]
    there = permutations.following[jnp.maximum(places - num_samples, 0)]
    indices = jnp.where(places < num_samples, here, there)
    return indices, *_moved(epoch, place, batch_size, num_samples)


def next_of_piece(
    piece: Piece, step: Array, epoch: Array, place: Array, batch_size: int
) -> tuple[Array, Array, Array]:
    """Return the indices of a step's batch in its piece, and epoch and place of the next one."""
    first = (step - piece.step) * batch_size
    indices = first + jnp.arange(batch_size, dtype=first.dtype)
    return indices, *_moved(epoch, place, batch_size, piece.num_samples)


def _moved(
    epoch: Array, place: Array, batch_size: int, num_samples: int | Array
) -> tuple[Array, Array]:
    """Return epoch and place after a batch, which is no larger than an epoch."""
    later = place + batch_size
    over = later >= num_samples
    return epoch + over.astype(epoch.dtype), jnp.where(over, later - num_samples, later)


def _permutation(key: Array, epoch: Array, num_samples: int) -> Array:
    return jax.random.permutation(jax.random.fold_in(key, epoch), num_samples)
