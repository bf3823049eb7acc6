"""Check the gradient of a 784-50-10 network on three images, as the book does, by three judges.

Central differences, the complex step and jax.grad agree with the hand-written gradient. The document's own loss,
-log(p + 1e-7), cannot pass its criterion: the 1e-7 is in the loss but not in the gradient.
"""

import sys
from dataclasses import dataclass

from support.command_line import Common, parse, print_columns, run


@dataclass(frozen=True)
class Config(Common):
    """Flags of check_gradients."""

    mnist: str | None = None
    """Folder with MNIST's four IDX files; scikit-learn's digits, enlarged to 28 x 28, unless given."""
    scale: float = 0.01
    """Standard deviation of the weights."""


CRITERION = 1e-7  # the document's, of the mean difference


def main(config: Config) -> None:
    """Judges every parameter, prints mean and largest differences, draws them."""
    from jaxbp import data, viz
    from support.outputs import begin, finish
    from systems.judges import JUDGES, NAMES, differences, enlarged, judge, start

    folder = begin(config)
    images = data.digit_images(seed=config.seed) if config.mnist is None else data.mnist_images(config.mnist)
    three = enlarged(images.train_images[:3], images.side)
    hand, judged = judge(start(config.scale, config.seed), three, images.train_labels[:3])
    found = {name: differences(hand, gradient) for name, gradient in judged.items()}
    for column, what in enumerate(("mean", "largest")):
        rows = [(name, *(f"{found[name][leaf][column]:.1e}" for leaf in NAMES)) for name in JUDGES]
        print_columns([f"{what} | hand − judge |", *NAMES], rows, f"784-50-10, three images, {what} difference")
    guard = found[JUDGES[3]]["b2"][0]
    print(
        "\nlog(p + 1e-7) has the gradient (p − t) p / (p + 1e-7), p the true class's probability, and not p − t."
        f"\nWith p near 1/10 it is off by a millionth: {guard:.1e} on b2, above the criterion {CRITERION:.0e}."
        "\nLog-softmax needs no guard."
    )
    dots = viz.draw_dots(
        {leaf: {name: found[name][leaf][0] for name in JUDGES} for leaf in NAMES},
        xlabel="mean | hand-written − judge |",
        title="Gradient check, 784-50-10, three images",
        references={"criterion": CRITERION},
    )
    finish(config, "gradient_check", {"gradient_check.svg": dots.ax.figure}, {"differences": found}, folder)


if __name__ == "__main__":
    run(main, parse(Config, sys.argv[1:], default=Config()))
