"""Digits by an Affine-ReLU-Affine network with softmax cross-entropy, on mini-batches drawn with replacement."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import jaxbp
from jaxbp.data import LabelledImages


class Accuracies(NamedTuple):
    """What was measured, after the first step and then after each epoch.

    Attributes:
        iteration: (k,) the number of steps taken.
        train: (k,) the share of the training images that is classified right.
        test: (k,) that of the test images.
        loss: (k,) the mean loss over the training images.
    """

    iteration: np.ndarray
    train: np.ndarray
    test: np.ndarray
    loss: np.ndarray


class Trained(NamedTuple):
    """A trained classifier."""

    mlp: jaxbp.Mlp
    params: jaxbp.Params
    accuracies: Accuracies


def train(
    images: LabelledImages,
    *,
    hidden: int,
    iterations: int,
    batch_size: int,
    learning_rate: float,
    scale: float | None,
    seed: int,
    on_epoch: Callable[[float, float], None] = lambda train, test: None,
) -> Trained:
    """Trains as the book does: plain descent, batches drawn with replacement, measured once in an epoch.

    The book measures after iteration 0, then after every (number of images / batch size) further ones. `scale` is the
    standard deviation of the first weights, None for He's.
    """
    mlp = jaxbp.Mlp((images.train_images.shape[1], hidden, 10), hidden="relu")
    init_key, key = jax.random.split(jax.random.key(seed))
    scheme = {"scheme": "he"} if scale is None else {"scheme": "normal", "scale": scale}
    params = jaxbp.init(mlp, init_key, dtype=jnp.float32, **scheme)
    train_images, test_images = (jnp.asarray(some, jnp.float32) for some in (images.train_images, images.test_images))
    train_labels, test_labels = jnp.asarray(images.train_labels), jnp.asarray(images.test_labels)
    per_epoch = max(1, len(train_images) // batch_size)

    @partial(jax.jit, static_argnums=2)
    def take(params: jaxbp.Params, first: Any, num_steps: int) -> jaxbp.Params:
        def step(params: jaxbp.Params, number: Array) -> tuple[jaxbp.Params, None]:
            chosen = jax.random.randint(jax.random.fold_in(key, number), (batch_size,), 0, len(train_images))
            batch = train_images[chosen], train_labels[chosen]
            _, gradient = jaxbp.loss_and_gradient(mlp, params, *batch, "softmax_cross_entropy")
            return jax.tree.map(lambda leaf, bar: leaf - learning_rate * bar, params, gradient), None

        return jax.lax.scan(step, params, first + jnp.arange(num_steps))[0]

    @jax.jit
    def measure(params: jaxbp.Params) -> tuple[Array, Array, Array]:
        def right(images: Array, labels: Array) -> Array:
            return jnp.mean((jaxbp.predict(mlp, params, images).argmax(axis=1) == labels).astype(jnp.float32))

        loss, _ = jaxbp.loss_and_gradient(mlp, params, train_images, train_labels, "softmax_cross_entropy", tile=1000)
        return right(train_images, train_labels), right(test_images, test_labels), loss

    records, done = [], 0
    while done < iterations:
        length = min(1 if done == 0 else per_epoch, iterations - done)
        params = take(params, done, length)
        done += length
        if (done - 1) % per_epoch == 0:  # after iterations 0, per_epoch, 2 per_epoch, ...
            train_share, test_share, loss = (float(value) for value in measure(params))
            records.append((done, train_share, test_share, loss))
            on_epoch(train_share, test_share)
    return Trained(mlp, params, Accuracies(*(np.array(column) for column in zip(*records, strict=True))))
