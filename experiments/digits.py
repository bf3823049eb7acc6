"""Learn handwritten digits with an Affine-ReLU-Affine network: scikit-learn's offline, or MNIST
from a folder of yours.

The accuracies of the training and the test images are printed once an epoch.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import data
import jaxbp
from common import Common, begin, finish, print_table, run
from jaxbp import viz
from jaxbp.losses import as_loss
from jaxbp.training import Batch, Problem, TrainState, advance, evaluate, named_optimizer


@dataclass(frozen=True)
class Config(Common):
    """Flags of digits."""

    mnist: str | None = None
    """Folder with MNIST's four IDX files, plain or .gz; scikit-learn's 8 x 8 digits unless given."""
    hidden: int = 50
    """Hidden units."""
    iterations: int = 10_000
    """Number of mini-batches."""
    batch_size: int = 100
    """Images of each mini-batch."""
    learning_rate: float = 0.1
    """Learning rate; the book's is 0.1."""
    scale: float | None = 0.01
    """Standard deviation of the initial weights; the document forgets it, which makes it 1. None for He's."""


def main(config: Config) -> None:
    """Trains, prints accuracies, draws them and the test images that were taken for others."""
    folder = begin(config, hidden=1, iterations=1, batch_size=1)
    images = (
        data.digit_images(seed=config.seed)
        if config.mnist is None
        else data.mnist_images(config.mnist)
    )
    mlp = jaxbp.Mlp((images.train_images.shape[1], config.hidden, 10), hidden="relu")
    params, found = train(mlp, images, config)
    outputs = np.asarray(jaxbp.predict(mlp, params, images.test_images.astype(np.float32)))
    wrong = np.flatnonzero(outputs.argmax(axis=1) != images.test_labels)
    rows = {
        "images": f"{len(images.train_images)} to train on, {len(outputs)} to test with",
        "network": "-".join(map(str, mlp.sizes)),
        "iterations": f"{config.iterations} of {config.batch_size}, learning rate {config.learning_rate:g}",
        "test accuracy": f"{1 - len(wrong) / len(outputs):.4f} ({len(wrong)} wrong)",
    }
    stem = "digits" if config.mnist is None else "mnist"
    print_table(rows, stem)
    curves = {name: (found["iteration"], values) for name, values in found.items()}
    panels = {
        "accuracy": {"train": curves["train"], "test": curves["test"]},
        "loss": {"train": curves["loss"]},
    }
    drawn = viz.draw_panels(
        panels, xlabel="iteration", ylabel="", xscale="log", yscale="linear", share_y=False
    )
    gallery = viz.draw_images(
        images.test_images[wrong].reshape(-1, images.side, images.side),
        [f"{images.test_labels[i]} taken for {outputs[i].argmax()}" for i in wrong],
        title=f"Test images taken for others: {len(wrong)} of {len(outputs)}",
    )
    figures = {f"{stem}_accuracy.svg": drawn.figure, f"{stem}_errors.png": gallery.figure}
    finish(config, folder, stem, {"test_accuracy": 1 - len(wrong) / len(outputs), **found}, figures)


def train(
    mlp: jaxbp.Mlp, images: data.LabelledImages, config: Config
) -> tuple[jaxbp.Params, dict[str, np.ndarray]]:
    """Trains as the book does, by plain descent, and measures and prints when the book does.

    The book prints after iteration 0, then after every (number of images / batch size) further
    ones. Its batches are drawn with replacement, these are slices of permutations. Returned are the
    parameters, and by iteration the shares of the training and the test images that are classified
    right, and the training loss.
    """
    init_key, key = jax.random.split(jax.random.key(config.seed))
    scheme = "he" if config.scale is None else "normal"
    params = jaxbp.init(mlp, init_key, scheme, scale=config.scale, dtype=jnp.float32)
    train, test = (
        Batch(jnp.asarray(pictures, jnp.float32), jnp.asarray(labels))
        for pictures, labels in (
            (images.train_images, images.train_labels),
            (images.test_images, images.test_labels),
        )
    )
    num_samples, measured = len(train.targets), []
    if config.batch_size > num_samples:
        raise ValueError(
            f"batch_size must be at most the number of images, {num_samples}, got {config.batch_size}"
        )
    problem = Problem(
        mlp, as_loss("softmax_cross_entropy"), config.batch_size, num_steps=config.iterations
    )
    solver = jaxbp.first_order(named_optimizer("sgd", config.learning_rate))
    state = TrainState.start(params, solver, key)

    def advanced(stop: int) -> TrainState:
        later, _, alive = advance(problem, solver, state, train, stop)
        if not alive:
            raise ValueError(
                f"learning_rate must be smaller, with {config.learning_rate:g} the fit diverged"
            )
        return later

    for stop in range(1, config.iterations + 1, max(1, num_samples // config.batch_size)):
        state = advanced(stop)
        right = [float(accuracy(mlp, state.params, batch)) for batch in (train, test)]
        measured.append((stop, *right, float(evaluate(problem, state.params, train).loss)))
        if not config.quiet:
            print(f"train acc, test acc | {right[0]:.4f}, {right[1]:.4f}")
    columns = map(np.array, zip(*measured, strict=True))
    return advanced(config.iterations).params, dict(
        zip(("iteration", "train", "test", "loss"), columns, strict=True)
    )


@partial(jax.jit, static_argnums=0)
def accuracy(mlp: jaxbp.Mlp, params: jaxbp.Params, batch: Batch) -> jax.Array:
    """The share of the images that is classified right."""
    return jnp.mean(
        (jaxbp.predict(mlp, params, batch.inputs).argmax(axis=1) == batch.targets).astype(
            jnp.float32
        )
    )


if __name__ == "__main__":
    run(main, Config)
