"""Learn the mean of two numbers with a 2-3-1 ReLU network, after one step of backpropagation by hand."""

import sys
from dataclasses import dataclass

from support.command_line import Common, parse, print_columns, print_table, run


@dataclass(frozen=True)
class Config(Common):
    """Flags of mean_of_two."""

    samples: int = 200
    """Random pairs to learn from."""
    steps: int = 5000
    """Steps of gradient descent."""
    learning_rate: float = 0.1
    """Of these steps."""


def main(config: Config) -> None:
    """Shows the one example's changes, then learns the task and draws what was learned."""
    import numpy as np

    import jaxbp
    from jaxbp import data, viz
    from support.outputs import begin, finish
    from systems.mean_of_two import MLP, TARGETS, example, learn

    folder = begin(config)
    trace, changes = example()
    output = float(trace.activations[-1][0, 0])
    print_table(
        {
            "prediction": f"{output:.2f}",
            "target − prediction": f"{float(TARGETS[0, 0]) - output:.2f}",
            "hidden units": ", ".join(f"{a:.2f}" for a in trace.activations[0][0]),
            "third unit before its ReLU": f"{float(trace.preactivations[0][0, 2]):.2f}",
            "change of the output's bias": f"{float(changes[1].bias[0]):.2f}",
            "changes of the output's weights": ", ".join(f"{change:.3f}" for change in changes[1].weight[:, 0]),
        },
        "inputs 0.1 and 0.3, target 0.2, learning rate 1",
    )
    rows = [(f"hidden {j + 1}", *(f"{change:.4f}" for change in (*weight, bias)))
            for j, (weight, bias) in enumerate(zip(changes[0].weight.T, changes[0].bias, strict=True))]  # fmt: skip
    print_columns(["change of", "weight from 0.1", "weight from 0.3", "bias"], rows, "the hidden units' parameters")
    result = learn(config.seed, config.samples, config.steps, config.learning_rate)
    if result.status != "finished":
        raise ValueError(f"the fit {result.status}")
    grid = data.grid_points(((0.0, 1.0), (0.0, 1.0)), 41)
    predicted = np.asarray(jaxbp.predict(MLP, result.params, grid))[:, 0]
    true = grid.mean(axis=1)
    rmse = float(np.sqrt(np.mean((predicted - true) ** 2)))
    print_table({"root mean square error": f"{rmse:.1e}"}, f"after {config.steps} steps, on a grid of other pairs")
    axis = np.linspace(0, 1, 41)
    drawn = viz.draw_surface_comparison(
        axis,
        axis,
        true.reshape(41, 41),
        predicted.reshape(41, 41),
        labels=("first input", "second input", "mean"),
        title="2-3-1 ReLU network: the mean of two numbers",
        footer=f"{config.samples} pairs, {config.steps} steps, root mean square error {rmse:.1e}",
    )
    walk = viz.draw_walk(trace, title="One example: inputs 0.1 and 0.3, target 0.2")
    numbers = {
        "prediction": output,
        "preactivations": trace.preactivations,
        "changes": changes,
        "rmse": rmse,
        "history": result.history._asdict(),
    }
    figures = {"mean_of_two.png": drawn.figure, "mean_of_two_walk.svg": walk.figure}
    finish(config, "mean_of_two", figures, numbers, folder)


if __name__ == "__main__":
    run(main, parse(Config, sys.argv[1:], default=Config()))
