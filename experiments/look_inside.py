"""Draw the inside of the networks of fit_surface, trained by descent and by Gauss-Newton.

Errors under kink lines, units, weights, gradients by layer; a page that replays both on a small
network.
"""

from shared.experiment import Common, Progress, begin, finish, run

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import data
import fit_surface
import jaxbp
from fit_surface import Fit
from jaxbp import viz
from jaxbp.viz import Grid


@dataclass(frozen=True)
class Config(Common):
    """Flags of look_inside."""

    surface: str = "target"
    """Surface to fit, one with a formula."""
    samples: int = 10_000
    """Training samples, a square number."""
    steps: int = 0
    """Training steps; 300 of Gauss-Newton and 2,000 of gradient descent unless given."""


SIDE, UNIT_SIDE = 121, 61  # points along each side of the maps of errors, and of units
HIDDEN, PAGE_STEPS, PAGE_SIDE = (16, 16), 300, 15  # of the page
SECONDS = {"gradient descent": 15.0, "compile": 4.0, "Gauss-Newton": 6.0, "draw": 20.0}


def main(config: Config) -> None:
    """Train both networks and draw them."""
    folder = begin(config)
    surface = data.surface(config.surface)
    if surface.function is None:
        raise ValueError(f"surface must have a formula, {config.surface} has none")
    generator = np.random.RandomState(config.seed)
    task = data.sample_surface(surface, config.samples, generator, on_grid=True)
    flags = fit_surface.Config(seed=config.seed, samples=config.samples, steps=config.steps)
    progress = Progress(SECONDS, config.quiet)
    layers = (jaxbp.RecordLayers(),)
    fits = {"descent": fit_surface.descend(flags, task, progress, layers)}
    fits["gauss_newton"] = fit_surface.train(flags, task, progress, layers)["Gauss-Newton"]
    progress("draw")
    files: dict[str, Any] = {}
    for name, fit in fits.items():
        files |= {f"{name}_{file}": drawing for file, drawing in draw(fit, task).items()}
    numbers: dict[str, Any] = {name: {"nrmse": task.nrmse(fit.model)} for name, fit in fits.items()}
    numbers["page"], files["surface_page.html"] = small_networks(task, config)
    finish(config, folder, "look_inside", numbers, files)


def draw(fit: Fit, task: data.Task) -> dict[str, viz.Drawing]:
    """Draw errors, units, weights and layers of one fit."""
    model, mlp, params = fit.model, fit.model.mlp, fit.model.params
    grid, unit_grid = (Grid.over(task.surface.domain, side) for side in (SIDE, UNIT_SIDE))
    preactivations, _, _ = passes_over(model, task, grid)
    kinks = {i + 1: z for i, z in enumerate(preactivations) if mlp.activations[i].kink}
    _, activations, node_errors = passes_over(model, task, unit_grid)
    _, gradient = jaxbp.loss_and_gradient(mlp, params, *model.standardize(*task.train))
    change = jax.tree.map(jnp.subtract, params, fit.start)
    labels = task.surface.labels
    return {
        "error_detail.png": viz.draw_error_detail(
            grid,
            task.values(grid),
            model(grid.points),
            kinks,
            labels=labels,
            title=f"{task.surface.formula}: error",
        ),
        "unit_maps.png": viz.draw_unit_maps(
            unit_grid,
            activations[-2],
            node_errors[-2],
            outgoing=np.asarray(params[-1].weight),
            labels=labels[:2],
            title="The units of the last hidden layer that matter most",
        ),
        "weights_matrix.png": viz.draw_weights(
            *([np.asarray(layer.weight) for layer in some] for some in (params, gradient, change)),
            title="Weights, their gradients at the end, their change since the start",
        ),
        "gradient_flow.svg": viz.draw_gradient_flow(
            fit.result.layers, title="Layers through training"
        ),
    }


def passes_over(model: jaxbp.Model, task: data.Task, grid: Grid) -> tuple[list[np.ndarray], ...]:
    """Return preactivations, activations and node errors (n, n_l) of each layer, point by point."""

    @jax.jit
    @jax.vmap
    def one(inputs: jax.Array, targets: jax.Array) -> Any:
        trace = jaxbp.backprop(model.mlp, model.params, inputs[None], targets[None])
        return trace.preactivations, trace.activations, trace.node_errors

    passes = one(*model.standardize(grid.points, task.values(grid)))
    return tuple([np.asarray(array)[:, 0] for array in layers] for layers in passes)


def remember(snapshots: dict[int, jaxbp.Params], record: Any, params: jaxbp.Params) -> None:
    """Keep the parameters by step."""
    snapshots[int(record.step)] = params


def small_networks(task: data.Task, config: Config) -> tuple[dict[str, float], Any]:
    """Train two small networks; return their last losses, and the writer of a page of both runs."""
    params_key, key = jax.random.split(jax.random.key(config.seed))
    grid = Grid.over(task.surface.domain, PAGE_SIDE)
    mlp = jaxbp.Mlp((2, 1))
    scale = jaxbp.Model.for_data(mlp, jaxbp.init(mlp, key), *task.train)
    train, samples = (
        scale.standardize(*some) for some in (task.train, (grid.points, task.values(grid)))
    )
    recording, losses = {}, {}
    shown = np.unique([0, *np.geomspace(1, PAGE_STEPS, 33).round().astype(int)]).tolist()
    for name, hidden, scheme, solver, batch_size in (
        ("the tutorial's descent", "relu", "he", jaxbp.first_order(optax.sgd(1e-3)), None),
        ("Gauss-Newton", "tanh", "glorot", jaxbp.gauss_newton(), min(512, config.samples)),
    ):
        mlp = jaxbp.Mlp((2, *HIDDEN, 1), hidden=hidden)
        snapshots: dict[int, jaxbp.Params] = {}
        jaxbp.fit(
            mlp,
            jaxbp.init(mlp, params_key, scheme),
            train,
            steps=PAGE_STEPS,
            solver=solver,
            batch_size=batch_size,
            key=key,
            record_every=1,
            callbacks=(partial(remember, snapshots),),
        )
        loss = jax.jit(lambda params, mlp=mlp: jaxbp.loss_and_gradient(mlp, params, *samples)[0])
        steps = [(step, snapshots[step]) for step in shown]
        run_losses = [float(loss(params)) for _, params in steps]
        recording[viz.translate(name, config.lang)] = (mlp, steps, run_losses)
        losses[name] = run_losses[-1]
    title = f"{task.surface.formula.strip('$')}: two ways to train 2-16-16-1"
    words: Any = {"lang": config.lang, "title": viz.translate(title, config.lang)}
    network = (mlp, steps[-1][1])
    page = partial(viz.save_page, network, *samples, recording=recording, **words)
    return losses, lambda path: page(path=path)


if __name__ == "__main__":
    run(main, Config)
