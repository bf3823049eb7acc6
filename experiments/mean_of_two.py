"""Learn the mean of two numbers with a 2-3-1 ReLU network, after one step of backpropagation by hand."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

import jaxbp
from common import Common, begin, finish, print_columns, print_table, run
from jaxbp import viz
from jaxbp.gradcheck import check_trace
from jaxbp.training import FitResult, named_optimizer
from jaxbp.viz import Grid
from jaxbp.viz.style import number


@dataclass(frozen=True)
class Config(Common):
    """Flags of mean_of_two."""

    samples: int = 200
    """Random pairs to learn from."""
    steps: int = 5000
    """Steps of gradient descent."""
    learning_rate: float = 0.1
    """Learning rate of these steps."""


MLP = jaxbp.Mlp((2, 3, 1), hidden="relu")
INPUTS, TARGETS = np.array([[0.1, 0.3]]), np.array([[0.2]])
# The document shows the prediction, -0.1, and the third hidden unit, -0.46 before its ReLU; these
# weights give both.
WEIGHTS = (
    ([[0.6, 0.2, -0.6], [0.3, 0.7, -1.5]], [0.05, 0.01, 0.05]),
    ([[-0.5], [0.25], [0.4]], [-0.06]),
)


def main(config: Config) -> None:
    """Shows the one example's changes, then learns the task and draws what was learned."""
    folder = begin(config, samples=1)
    params = tuple(jaxbp.Layer(jnp.asarray(weight), jnp.asarray(bias)) for weight, bias in WEIGHTS)
    # Of the half squared error, whose derivative is the difference; a step of learning rate 1
    # changes by its negative.
    trace = jaxbp.backprop(MLP, params, INPUTS, TARGETS, "half_squared_error")
    changes = jax.tree.map(jnp.negative, trace.gradient)
    print_example(trace, changes)
    result = learn(config.seed, config.samples, config.steps, config.learning_rate)
    if result.outcome.diverged:
        raise ValueError(f"the fit {result.outcome}")
    grid = Grid.over(((0.0, 1.0), (0.0, 1.0)), 41)
    predicted, true = (
        np.asarray(jaxbp.predict(MLP, result.params, grid.points))[:, 0],
        grid.points.mean(axis=1),
    )
    rmse = float(np.sqrt(np.mean((predicted - true) ** 2)))
    print_table(
        {"root mean square error": f"{rmse:.1e}"},
        f"after {config.steps} steps, on a grid of other pairs",
    )
    drawn = viz.draw_surface_comparison(
        *(grid, true, predicted),
        labels=("first input", "second input", "mean"),
        title="2-3-1 ReLU network: the mean of two numbers",
        footer=f"{config.samples} pairs, {config.steps} steps, root mean square error {number(rmse, 2)}",
    )
    walk = viz.draw_walk(
        trace,
        report=check_trace(trace),
        title="One example: inputs 0.1 and 0.3, target 0.2",
    )
    numbers = {
        "prediction": trace.activations[-1][0, 0],
        "preactivations": trace.preactivations,
        "changes": changes,
    }
    numbers |= {"rmse": rmse, "step": result.history.step, "loss": result.history.loss}
    finish(
        config,
        folder,
        "mean_of_two",
        numbers,
        {"mean_of_two.png": drawn.figure, "mean_of_two_walk.svg": walk.figure},
    )


def print_example(trace: jaxbp.Trace, changes: jaxbp.Params) -> None:
    """Prints the one example of the document, and what a step adds to each parameter."""
    output, (hidden, last) = float(trace.activations[-1][0, 0]), changes
    rows = {
        "prediction": f"{output:.2f}",
        "target − prediction": f"{float(TARGETS[0, 0]) - output:.2f}",
        "hidden units": ", ".join(f"{a:.2f}" for a in trace.activations[0][0]),
        "third unit before its ReLU": f"{float(trace.preactivations[0][0, 2]):.2f}",
        "change of the output's bias": f"{float(last.bias[0]):.2f}",
        "changes of the output's weights": ", ".join(
            f"{change:.3f}" for change in last.weight[:, 0]
        ),
    }
    print_table(rows, "inputs 0.1 and 0.3, target 0.2, learning rate 1")
    units = enumerate(zip(*hidden.weight, hidden.bias, strict=True), start=1)
    cells = [(f"hidden {number}", *(f"{change:.4f}" for change in unit)) for number, unit in units]
    print_columns(
        ["change of", "weight from 0.1", "weight from 0.3", "bias"],
        cells,
        "the hidden units' parameters",
    )


def learn(seed: int, samples: int, steps: int, learning_rate: float) -> FitResult:
    """Learns the task from random pairs in the unit square, by full-batch descent."""
    generator = np.random.RandomState(seed)
    inputs, others = generator.rand(samples, 2), generator.rand(samples, 2)
    return jaxbp.fit(
        MLP,
        jaxbp.init(MLP, jax.random.key(seed), "he"),
        (inputs, inputs.mean(axis=1, keepdims=True)),
        solver=jaxbp.first_order(named_optimizer("sgd", learning_rate)),
        steps=steps,
        loss="half_squared_error",
        validation=(others, others.mean(axis=1, keepdims=True)),
        record_every=max(1, steps // 100),
    )


if __name__ == "__main__":
    run(main, Config)
