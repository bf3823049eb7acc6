"""Boxes: a surface and its slopes, the blend, and the file of a model of boxes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxbp
from jaxbp.fitting.boxes import SINE, Boxes, BoxParams, _blend, fit_distances, fit_sines
from jaxbp.fitting.standardizing import standardizer
from jaxbp.training import Batch

GENERATOR = np.random.default_rng(0)
POINTS = GENERATOR.uniform(-1, 1, (1500, 2))
VALUES = np.exp(POINTS[:, :1]) * np.cos(4 * POINTS[:, 1:])
NEW = GENERATOR.uniform(-0.95, 0.95, (200, 2))
TRUE = np.exp(NEW[:, :1]) * np.cos(4 * NEW[:, 1:])


def fitted(kind):
    batch = Batch(POINTS, VALUES)
    return fit_sines(batch, 60, 5.0) if kind == SINE else fit_distances(batch)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "bound"), [(SINE, 1e-4), ("distance", 1e-2)])
def test_a_smooth_surface_and_its_slopes(x64, kind, bound):
    term = fitted(kind)
    np.testing.assert_allclose(term(jnp.asarray(NEW)), TRUE, atol=bound)
    slopes = jax.vmap(jax.grad(lambda point: term(point[None])[0, 0]))(jnp.asarray(NEW[:20]))
    step = 1e-4
    for i, one in enumerate(np.eye(2)):
        pair = [term(jnp.asarray(NEW[:20] + sign * step * one)) for sign in (1, -1)]
        np.testing.assert_allclose(slopes[:, i], (pair[0] - pair[1])[:, 0] / (2 * step), atol=1e-3)


@pytest.mark.parametrize(
    ("kernel", "grid"), [(SINE, (3, 2)), pytest.param("Matern 3/2", (2, 3), marks=pytest.mark.slow)]
)
def test_the_backward_pass_is_that_of_autodiff(x64, kernel, grid):
    """With points outside of the grid, where the weights stay as they are."""
    generator = np.random.default_rng(1)
    layer = Boxes(kernel, (2, 6, 2), grid)
    params = BoxParams(*(jnp.asarray(generator.uniform(0.5, 1.5, s)) for s in layer.shapes()))
    inputs = jnp.asarray(generator.uniform(-1, 4, (9, 2)))
    by_hand, wanted = (
        jax.jit(jax.grad(lambda p, x, f=f: jnp.sum(jnp.sin(f(p, x))), (0, 1)))(params, inputs)
        for f in (layer, lambda p, x: _blend(layer, p, x)[0])
    )
    for left, right in zip(jax.tree.leaves(by_hand), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9 * np.abs(right).max())


def test_boxes_of_one_network_are_that_network(x64):
    """Weights sum to 1: where every box holds the same constant, the blend is that constant."""
    layer = Boxes(SINE, (2, 4, 1), (3, 5))
    shapes = layer.shapes()
    params = jax.tree.map(
        jnp.zeros,
        shapes,
        is_leaf=lambda leaf: (
            isinstance(leaf, tuple) and all(isinstance(size, int) for size in leaf)
        ),
    )
    params = params._replace(step=jnp.ones(2), trend=jnp.full(shapes.trend, 2.5))
    outside = jnp.asarray([[-3.0, 9.0], [0.0, 0.0], [1.7, 4.99]])
    np.testing.assert_allclose(layer(params, outside), 2.5, rtol=1e-14)


@pytest.mark.parametrize("kind", [SINE, "distance"])
def test_the_file_of_a_model_of_boxes(tmp_path, kind):
    scalers = standardizer(POINTS), standardizer(VALUES)
    model = jaxbp.Model((fitted(kind),), *scalers, False)
    model.save(tmp_path / "model.npz")
    loaded = jaxbp.load(tmp_path / "model.npz")
    assert loaded.terms[0].network == model.terms[0].network
    np.testing.assert_array_equal(loaded(NEW), model(NEW))
    assert str(loaded) == str(model)
