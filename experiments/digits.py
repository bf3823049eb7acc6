"""Learn handwritten digits with an Affine-ReLU-Affine network: scikit-learn's offline, or MNIST from a folder of yours.

The accuracies of the training and the test images are printed once an epoch.
"""

import sys
from dataclasses import dataclass

from support.command_line import Common, parse, print_table, run


@dataclass(frozen=True)
class Config(Common):
    """Flags of digits."""

    mnist: str | None = None
    """Folder with MNIST's four IDX files, plain or .gz; scikit-learn's 8 x 8 digits unless given."""
    hidden: int = 50
    """Hidden units."""
    iterations: int = 10_000
    """Mini-batches."""
    batch_size: int = 100
    """Images of each."""
    learning_rate: float = 0.1
    """The book's."""
    scale: float | None = 0.01
    """Standard deviation of the first weights; the document forgets it, which makes it 1. None for He's."""


def main(config: Config) -> None:
    """Trains, prints accuracies, draws them and the test images that were taken for others."""
    import numpy as np

    import jaxbp
    from jaxbp import data, viz
    from support.outputs import begin, finish
    from systems.digits import train

    for name in ("hidden", "iterations", "batch_size"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {getattr(config, name)}")
    folder = begin(config)
    images = data.digit_images(seed=config.seed) if config.mnist is None else data.mnist_images(config.mnist)

    def print_epoch(train_share: float, test_share: float) -> None:
        if not config.quiet:
            print(f"train acc, test acc | {train_share:.4f}, {test_share:.4f}", flush=True)

    options = {name: getattr(config, name) for name in ("hidden", "iterations", "batch_size", "learning_rate", "scale")}
    trained = train(images, seed=config.seed, on_epoch=print_epoch, **options)
    found = trained.accuracies
    outputs = np.asarray(jaxbp.predict(trained.mlp, trained.params, images.test_images.astype(np.float32)))
    wrong = np.flatnonzero(outputs.argmax(axis=1) != images.test_labels)
    accuracy = 1 - len(wrong) / len(outputs)
    print_table(
        {
            "images": f"{len(images.train_images)} to train on, {len(outputs)} to test with",
            "network": "-".join(map(str, trained.mlp.sizes)),
            "iterations": f"{config.iterations} of {config.batch_size}, learning rate {config.learning_rate:g}",
            "test accuracy": f"{accuracy:.4f} ({len(wrong)} wrong)",
        },
        "digits" if config.mnist is None else "MNIST",
    )
    panels = {
        "accuracy": {"train": (found.iteration, found.train), "test": (found.iteration, found.test)},
        "loss": {"train": (found.iteration, found.loss)},
    }
    stem = "digits" if config.mnist is None else "mnist"
    curves = viz.draw_panels(panels, xlabel="iteration", ylabel="", yscale="linear", share_y=False)
    gallery = viz.draw_images(
        images.test_images[wrong].reshape(-1, images.side, images.side),
        [f"{images.test_labels[i]} taken for {outputs[i].argmax()}" for i in wrong],
        title=f"Test images taken for others: {len(wrong)} of {len(outputs)}",
    )
    figures = {f"{stem}_accuracy.svg": curves.figure, f"{stem}_errors.png": gallery.figure}
    finish(config, stem, figures, {"test_accuracy": accuracy, **found._asdict()}, folder)


if __name__ == "__main__":
    run(main, parse(Config, sys.argv[1:], default=Config()))
