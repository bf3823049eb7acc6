"""Learn the mean of two numbers with a 2-3-1 ReLU network, after one step by hand."""

from shared.experiment import Common, begin, finish, print_table, print_values, run

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxbp
from jaxbp import viz
from jaxbp.gradcheck import check_trace
from jaxbp.viz import Grid
from jaxbp.viz.style import number

SAMPLES, STEPS, RATE = 200, 5000, 0.1
MLP = jaxbp.Mlp((2, 3, 1), hidden="relu")
INPUTS, TARGETS = np.array([[0.1, 0.3]]), np.array([[0.2]])
# The document gives the prediction, -0.1, and the third hidden unit, -0.46 before its ReLU; these
# weights yield both.
WEIGHTS = (
    ([[0.6, 0.2, -0.6], [0.3, 0.7, -1.5]], [0.05, 0.01, 0.05]),
    ([[-0.5], [0.25], [0.4]], [-0.06]),
)


def main(config: Common) -> None:
    """Print the changes of the one example, learn the task, draw the result."""
    folder = begin(config)
    params = tuple(jaxbp.Layer(jnp.asarray(weight), jnp.asarray(bias)) for weight, bias in WEIGHTS)
    # A step of learning rate 1 changes the parameters by minus the gradient.
    trace = jaxbp.backprop(MLP, params, INPUTS, TARGETS, "half_squared_error")
    changes = jax.tree.map(jnp.negative, trace.gradient)
    print_example(trace, changes)
    inputs = np.random.RandomState(config.seed).rand(SAMPLES, 2)
    result = jaxbp.fit(
        MLP,
        jaxbp.init(MLP, jax.random.key(config.seed), "he"),
        (inputs, inputs.mean(axis=1, keepdims=True)),
        solver=jaxbp.first_order(optax.sgd(RATE)),
        steps=STEPS,
        loss="half_squared_error",
    )
    if result.outcome.diverged:
        raise ValueError(f"the fit {result.outcome}")
    grid = Grid.over(((0.0, 1.0), (0.0, 1.0)), 41)
    predicted = np.asarray(jaxbp.predict(MLP, result.params, grid.points))[:, 0]
    true = grid.points.mean(axis=1)
    rmse = float(np.sqrt(np.mean((predicted - true) ** 2)))
    print(f"\nafter {STEPS} steps the root mean squared error on other pairs is {rmse:.1e}")
    drawn = viz.draw_surface_comparison(
        grid,
        true,
        predicted,
        labels=("first input", "second input", "mean"),
        title="2-3-1 ReLU network: the mean of two numbers",
        footer=f"{SAMPLES} pairs, {STEPS} steps, RMSE {number(rmse, 2)}",
    )
    title = "One example: inputs 0.1 and 0.3, target 0.2"
    diagram = viz.draw_walk(trace, report=check_trace(trace), title=title)
    numbers = {
        "prediction": trace.activations[-1][0, 0],
        "preactivations": trace.preactivations,
        "changes": changes,
        "rmse": rmse,
    }
    files = {"mean_of_two.png": drawn, "mean_of_two_walk.svg": diagram}
    finish(config, folder, "mean_of_two", numbers, files)


def print_example(trace: jaxbp.Trace, changes: jaxbp.Params) -> None:
    """Print the document's example, and the change of each parameter in one step."""
    output, (hidden, last) = float(trace.activations[-1][0, 0]), changes
    values = {
        "prediction": f"{output:.2f}",
        "target - prediction": f"{float(TARGETS[0, 0]) - output:.2f}",
        "hidden units": ", ".join(f"{a:.2f}" for a in trace.activations[0][0]),
        "third unit before its ReLU": f"{float(trace.preactivations[0][0, 2]):.2f}",
        "change of the output's bias": f"{float(last.bias[0]):.2f}",
        "changes of the output's weights": ", ".join(f"{c:.3f}" for c in last.weight[:, 0]),
    }
    print_values("inputs 0.1 and 0.3, target 0.2, learning rate 1", values)
    header = ("weight from 0.1", "weight from 0.3", "bias")
    rows = {
        f"hidden {place}": dict(zip(header, map(float, unit), strict=True))
        for place, unit in enumerate(zip(*hidden.weight, hidden.bias, strict=True), start=1)
    }
    print_table("changes of the hidden units' parameters", rows, ".4f")


if __name__ == "__main__":
    run(main, Common)
