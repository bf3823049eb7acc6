"""Mini-batches without replacement, as a pure function of key and step.

The samples of all epochs stand in one row, epoch after epoch in a fresh random order, and the batches are cut off it
one after the other. A batch may reach from one epoch into the next, so every sample is used equally often also where
the batch size does not divide the number of samples.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Orders(NamedTuple):
    """Where the next batch starts, and the orders of the two epochs that it may touch.

    Attributes:
        epoch: the epoch in which it starts.
        place: its first place in that epoch, below num_samples.
        current: (num_samples,) the permutation of that epoch.
        following: (num_samples,) that of the next.
    """

    epoch: Array
    place: Array
    current: Array
    following: Array


def orders_at(key: Array, step: int, batch_size: int, num_samples: int) -> Orders:
    """Draws the orders for a step. They depend on key and epoch alone, so that a run can go on from anywhere."""
    epoch, place = divmod(step * batch_size, num_samples)
    current, following = _order(key, epoch, num_samples), _order(key, epoch + 1, num_samples)
    return Orders(jnp.asarray(epoch, jnp.int32), jnp.asarray(place, jnp.int32), current, following)


def next_batch(key: Array, orders: Orders, batch_size: int) -> tuple[Array, Orders]:
    """Returns the indices (batch_size,) of the next batch, and the orders for the one after it."""
    num_samples = orders.current.shape[0]
    places = orders.place + jnp.arange(batch_size)
    # Gathered from each by itself: joining the two orders first would copy both at every step.
    here = orders.current[jnp.minimum(places, num_samples - 1)]
    there = orders.following[jnp.maximum(places - num_samples, 0)]
    indices = jnp.where(places < num_samples, here, there)

    def turn(orders: Orders) -> Orders:
        epoch = orders.epoch + 1
        return Orders(epoch, orders.place - num_samples, orders.following, _order(key, epoch + 1, num_samples))

    moved = orders._replace(place=orders.place + batch_size)
    return indices, jax.lax.cond(moved.place >= num_samples, turn, lambda orders: orders, moved)


def _order(key: Array, epoch: int | Array, num_samples: int) -> Array:
    return jax.random.permutation(jax.random.fold_in(key, epoch), num_samples)
