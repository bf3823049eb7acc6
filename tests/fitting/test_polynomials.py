"""Polynomials: values, the backward pass, the choice of the degree, and what keeps them tame."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import chebyshev as reference

import jaxbp
from jaxbp.fitting.polynomials import Polynomial, PolynomialParams
from jaxbp.fitting.standardizing import standardizer
from jaxbp.fitting.term import Term

GENERATOR = np.random.default_rng(0)


def random_layer(degrees=(5, 0, 5), num_outputs=2):
    layer = Polynomial(degrees, num_outputs)
    params = PolynomialParams(*(GENERATOR.uniform(0.5, 1.5, s) for s in layer.shapes()))
    return layer, params


def himmelblau(p):
    return (p[:, 0] ** 2 + p[:, 1] - 11) ** 2 + (p[:, 0] + p[:, 1] ** 2 - 7) ** 2


def chosen(model):
    return next(one.name for one in model.history if one.chosen)


def test_values_are_those_of_numpy(x64):
    """An input that is not read has no effect."""
    layer, params = random_layer()
    inputs = GENERATOR.uniform(-1, 2, (7, 3))
    u = (inputs - params.centre) / params.half
    series = np.zeros((6, 6, 2))
    for (a, _, b), weight in zip(layer.exponents(), params.weight, strict=True):
        assert a + b <= 5
        series[a, b] = weight
    assert len(layer.exponents()) == layer.num_terms == 21
    expected = reference.chebval2d(u[:, 0], u[:, 2], series).T
    np.testing.assert_allclose(layer(params, jnp.asarray(inputs)), expected, rtol=1e-11)


@pytest.mark.parametrize("degrees", [(1,), (4, 4), (5, 0, 5)])
def test_the_backward_pass_is_that_of_autodiff(x64, degrees):
    layer, params = random_layer(degrees)
    params = jax.tree.map(jnp.asarray, params)
    inputs = jnp.asarray(GENERATOR.uniform(-1, 3, (9, len(degrees))))

    def by_autodiff(p, x):
        return layer.units(jnp, p, x).T @ p.weight

    by_hand, wanted = (
        jax.jit(jax.grad(lambda p, x, f=f: jnp.sum(jnp.sin(f(p, x))), (0, 1)))(params, inputs)
        for f in (layer, by_autodiff)
    )
    for left, right in zip(jax.tree.leaves(by_hand), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9 * np.abs(right).max())


def test_an_entire_function_is_fitted_to_rounding():
    """Its slopes too, while x64 is off; the constant column is left alone."""
    points = GENERATOR.uniform([-6, -6, 3], [6, 6, 3], (150, 3))
    new = GENERATOR.uniform([-6, -6, 3], [6, 6, 3], (300, 3))
    model = jaxbp.fit_model(points, himmelblau(points))
    assert chosen(model) == "polynomial of degree 4"
    error = model(new) - himmelblau(new)
    assert np.sqrt(np.mean(error**2)) < 1e-14 * himmelblau(new).std()
    assert model.error < 1e-13 * himmelblau(new).std()
    slopes = jax.grad(lambda p: model(p).sum())(jnp.asarray(new))
    a, b = new[:, 0], new[:, 1]
    expected = 4 * a * (a**2 + b - 11) + 2 * (a + b**2 - 7)
    np.testing.assert_allclose(slopes[:, 0], expected, rtol=1e-4, atol=1e-3)
    assert (slopes[:, 2] == 0).all()


def test_bars_grow_outside_as_the_errors_do():
    points = GENERATOR.uniform(-1, 1, (300, 2))

    def wave(p):
        return np.sin(2 * p[:, 0]) * np.exp(p[:, 1])

    model = jaxbp.fit_model(points, wave(points))
    assert "polynomial" in chosen(model)
    for reach in (1.2, 1.5, 1.9):
        outside = reach * np.stack([np.ones(20), np.linspace(-1, 1, 20)], axis=1)
        error, deviation = np.abs(model(outside) - wave(outside)), model.std(outside)
        assert np.mean(error < 3 * deviation) > 0.9
        assert np.median(deviation) < 1e4 * np.median(error)


@pytest.mark.parametrize(
    "x",
    [
        pytest.param(np.repeat([-1.0, 0.0, 1.0], 9), id="three levels"),
        pytest.param(np.r_[np.linspace(0, 0.02, 30), np.linspace(0.98, 1, 30)], id="two clusters"),
        pytest.param(np.geomspace(1e-3, 1, 60), id="logarithmic"),
    ],
)
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_nothing_explodes_between_the_rows(x, noise):
    def bump(x):
        return 1 / (1 + 25 * x**2)

    values = bump(x) + noise * GENERATOR.standard_normal(len(x))
    model = jaxbp.fit_model(x[:, np.newaxis], values)
    new = np.linspace(x[0], x[-1], 200)
    assert np.abs(model(new[:, np.newaxis])).max() < 2


def test_levels_of_a_grid_bound_the_degree():
    levels = np.array([-1.0, 0.0, 1.0])
    grid = np.stack(np.meshgrid(*[levels] * 4), axis=-1).reshape(-1, 4)
    new = GENERATOR.uniform(-1, 1, (200, 4))
    model = jaxbp.fit_model(grid, np.sum(grid**2, axis=1))
    np.testing.assert_allclose(model(new), np.sum(new**2, axis=1), atol=1e-12)


def test_the_file_of_a_polynomial(tmp_path):
    points, values = GENERATOR.uniform(-1, 1, (50, 2)), GENERATOR.uniform(-1, 1, (50, 1))
    layer, params = random_layer((3, 3), 1)
    scalers = standardizer(points), standardizer(values)
    model = jaxbp.Model((Term(layer, params, np.ones(1)),), *scalers, True)
    model.save(tmp_path / "model.npz")
    loaded = jaxbp.load(tmp_path / "model.npz")
    assert loaded.mlp == layer
    np.testing.assert_array_equal(loaded(points), model(points))
    assert str(loaded) == str(model)
    assert "polynomial of degree 3" in str(model)


@pytest.mark.parametrize("degrees", [(), (0, 0), (2, 3), (-1,), (2.0,), (10**6,), ("2",)])
def test_unknown_degrees_are_refused(degrees):
    with pytest.raises(ValueError, match="degrees must"):
        Polynomial(degrees, 1)
