"""Learn handwritten digits with an Affine-ReLU-Affine network.

The digits are scikit-learn's, or MNIST from a folder of IDX files. The accuracies on training and
test images are printed once an epoch.
"""

from shared.experiment import Common, begin, finish, print_values, run

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import data
import jaxbp
from jaxbp import viz


@dataclass(frozen=True)
class Config(Common):
    """Flags of digits."""

    mnist: str = ""
    """Folder with MNIST's four IDX files, plain or .gz; scikit-learn's digits unless given."""
    hidden: int = 50
    """Hidden units."""
    iterations: int = 10_000
    """Number of mini-batches."""
    batch_size: int = 100
    """Images of each mini-batch."""
    learning_rate: float = 0.1
    """Learning rate; the book's is 0.1."""


def main(config: Config) -> None:
    """Train, print accuracies, draw them and the misclassified test images."""
    folder = begin(config)
    images = data.images_of(config.mnist, config.seed)
    mlp = jaxbp.Mlp((images.train_images.shape[1], config.hidden, 10), hidden="relu")
    params, found = train(mlp, images, config)
    outputs = np.asarray(jaxbp.predict(mlp, params, images.test_images.astype(np.float32)))
    wrong = np.flatnonzero(outputs.argmax(axis=1) != images.test_labels)
    accuracy = 1 - len(wrong) / len(outputs)
    stem = "mnist" if config.mnist else "digits"
    values = {
        "images": f"{len(images.train_images)} to train on, {len(outputs)} to test with",
        "network": "-".join(map(str, mlp.sizes)),
        "iterations": f"{config.iterations} of {config.batch_size} images",
        "test accuracy": f"{accuracy:.4f} ({len(wrong)} wrong)",
    }
    print_values(stem, values)
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
        title=f"Misclassified test images: {len(wrong)} of {len(outputs)}",
    )
    files = {f"{stem}_accuracy.svg": drawn, f"{stem}_errors.png": gallery}
    finish(config, folder, stem, {"test_accuracy": accuracy, **found}, files)


def train(
    mlp: jaxbp.Mlp, images: data.LabelledImages, config: Config
) -> tuple[jaxbp.Params, dict[str, np.ndarray]]:
    """Train by plain descent; measure and print after iteration 1 and once an epoch.

    Batches are slices of permutations; the book draws them with replacement. Returned are the
    parameters, and by iteration the accuracies on training and test images and the loss. The
    document forgets the 0.01 of the initial weights, which makes their deviation 1.
    """
    init_key, key = jax.random.split(jax.random.key(config.seed))
    params = jaxbp.init(mlp, init_key, "normal", scale=0.01, dtype=jnp.float32)
    train = (images.train_images.astype(np.float32), images.train_labels)
    test = (images.test_images.astype(np.float32), images.test_labels)
    classes = jax.jit(lambda params, inputs: jaxbp.predict(mlp, params, inputs).argmax(axis=1))
    epoch = max(1, len(train[0]) // config.batch_size)
    found: dict[str, list[float]] = {"iteration": [], "train": [], "test": [], "loss": []}

    def measure(record: Any, params: jaxbp.Params) -> None:
        step = int(record.step)
        if (step - 1) % epoch == 0 and step not in found["iteration"]:
            right = [float(np.mean(classes(params, x) == labels)) for x, labels in (train, test)]
            for values, value in zip(found.values(), (step, *right, record.loss), strict=True):
                values.append(value)
            if not config.quiet:
                print("train acc, test acc | {:.4f}, {:.4f}".format(*right), flush=True)

    result: Any = params
    for steps in (1, config.iterations - 1):
        result = jaxbp.fit(
            mlp,
            result,
            train,
            steps=steps,
            solver=jaxbp.first_order(optax.sgd(config.learning_rate)),
            batch_size=config.batch_size,
            loss="softmax_cross_entropy",
            key=key,
            record_every=min(steps, epoch) or 1,
            callbacks=(measure,),
        )
    if result.outcome.diverged:
        raise ValueError(f"learning_rate must be smaller: the fit {result.outcome}")
    return result.params, {name: np.array(values) for name, values in found.items()}


if __name__ == "__main__":
    run(main, Config)
