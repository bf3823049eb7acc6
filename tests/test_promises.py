"""Promises of docstrings that the rest of the program would keep running without."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from architectures import draw_params

import jaxbp
from jaxbp._layout import sum_over_samples, sum_over_tiles, tile_of
from jaxbp.activations import ACTIVATIONS
from jaxbp.dense import DenseResiduals, dense_gradient
from jaxbp.gradcheck import reference, rounding_bound

pytestmark = pytest.mark.modes
MLP = jaxbp.Mlp((2, 6, 6, 1), hidden="relu")


def test_every_product_of_both_passes_runs_at_the_highest_precision():
    arguments = (
        draw_params(MLP, dtype=np.float32),
        np.ones((3, 2), np.float32),
        np.ones((3, 1), np.float32),
    )
    programs = [
        jax.make_jaxpr(lambda *some: jaxbp.loss_and_gradient(MLP, *some))(*arguments),
        jax.make_jaxpr(jax.grad(lambda p, x, _: jaxbp.predict(MLP, p, x).sum()))(*arguments),
    ]
    for program in programs:
        text = "".join(str(program).split())
        assert text.count("dot_general[") >= 8
        assert text.count("dot_general[") == text.count(
            "precision=(Precision.HIGHEST,Precision.HIGHEST)"
        )


def test_long_sums_over_a_batch_round_little():
    """In blocks a sum of 131,072 products is off by a third of what one long sum is off by."""
    generator = np.random.default_rng(0)
    inputs, error = (generator.random((131_072, width)).astype(np.float32) for width in (3, 2))
    weight, _ = dense_gradient(
        DenseResiduals(jnp.asarray(inputs), None, jnp.asarray(error), None), jnp.asarray(error)
    )
    exact = inputs.astype(np.float64).T @ error.astype(np.float64)
    assert np.abs(weight / exact - 1).max() < 24 * 2.0**-24


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(
    ("num_samples", "width"), [(256, 128), (257, 128), (32, 1024), (32, 1023), (1, 2**15)]
)
def test_a_sum_over_the_samples_is_one_whichever_way_it_is_taken(num_samples, width, axis, x64):
    """Of n terms, added one by one in any order, a sum is off by at most (n - 1) u times that of
    their sizes."""
    terms = np.random.default_rng(0).standard_normal((num_samples, width))
    for dtype in (np.float32, np.float64):
        rounded = terms.astype(dtype)
        found = np.asarray(sum_over_samples(jnp.asarray(np.moveaxis(rounded, 0, axis)), axis))
        assert (found.shape, found.dtype) == ((width,), dtype)
        allowed = (
            (num_samples - 1) * np.finfo(dtype).eps / 2 * np.abs(rounded.astype(float)).sum(axis=0)
        )
        assert (np.abs(found - [math.fsum(column) for column in rounded.T]) <= allowed).all()


def test_a_slope_read_off_a_tiny_activation_keeps_its_digits():
    softplus, z = ACTIVATIONS["softplus"], jnp.array([-20.0, -40.0, -80.0], jnp.float32)
    np.testing.assert_allclose(
        softplus.slope(z, softplus.value(z)), np.exp(np.float64(z)), rtol=1e-5
    )


def test_a_distribution_must_sum_to_one_to_rounding():
    mlp, rows = jaxbp.Mlp((2, 3)), np.full((4, 3), 1 / 3, np.float32)
    arguments = mlp, draw_params(mlp, dtype=np.float32), np.ones((4, 2), np.float32)
    jaxbp.loss_and_gradient(*arguments, rows, "softmax_cross_entropy")
    with pytest.raises(ValueError, match=r"targets\[2\] must sum to 1"):
        jaxbp.loss_and_gradient(
            *arguments, rows * np.float32([[1], [1], [1.0005], [1]]), "softmax_cross_entropy"
        )


def test_no_tile_is_larger_than_asked_for():
    seen = []

    def one(array):
        seen.append(len(array))
        return array.sum()

    for num_samples, tile in ((10, 4), (8, 4), (3, 7), (9, 1)):
        assert (
            sum_over_tiles(one, (jnp.arange(num_samples),), num_samples, tile)
            == num_samples * (num_samples - 1) / 2
        )
        assert max(seen) <= tile
        seen.clear()


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="other devices take all samples at once")
def test_a_tile_keeps_8_to_16_mib_of_activations():
    mib = 2**20
    for mlp in (jaxbp.Mlp((2, 64, 64, 1)), jaxbp.Mlp((784, 512, 10))):
        for itemsize in (4, 8):
            sample = itemsize * sum(mlp.sizes)
            assert tile_of(mlp, int(15.9 * mib) // sample, itemsize) is None
            for size in (16.1, 20, 31.9, 100, 5000):
                num_samples = int(size * mib) // sample
                assert 7.9 * mib < sample * tile_of(mlp, num_samples, itemsize) <= 16.1 * mib


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="other devices take all samples at once")
def test_tiles_of_narrow_layers_are_smaller_but_not_short():
    for mlp in (jaxbp.Mlp((2, 32, 1)), jaxbp.Mlp((2, *[32] * 8, 1))):
        sample = 4 * sum(mlp.sizes)
        for num_samples in (100_000, 1_000_000):
            tile = tile_of(mlp, num_samples, 4)
            assert tile >= 8192
            assert sample * tile < 8.1 * 2**20 or tile < 2 * 8192
    assert tile_of(jaxbp.Mlp((2, 32, 1)), 16_000, 4) is None


def test_central_differences_refuse_a_gradient_by_themselves(x64, monkeypatch):
    generator = np.random.default_rng(0)
    arguments = (
        MLP,
        draw_params(MLP),
        generator.standard_normal((5, 2)),
        generator.standard_normal((5, 1)),
    )
    right = jaxbp.loss_and_gradient(*arguments)[1]
    wrong = (*right[:2], right[2]._replace(weight=1.001 * right[2].weight))
    compare = reference.compare

    def lenient(*some):
        return [row._replace(allowed=np.inf) for row in compare(*some)]

    monkeypatch.setattr(reference, "compare", lenient)
    monkeypatch.setattr(reference, "allowances", lambda *_: [1e-14] * 6)
    assert jaxbp.check_gradients(*arguments, gradient=right).ok
    report = jaxbp.check_gradients(*arguments, gradient=wrong)
    assert [(row.path, row.method) for row in report.rows if not row.ok] == [
        ("params[2].weight", "central difference")
    ]


@pytest.mark.parametrize(
    ("sizes", "num_samples", "units"),
    [
        ((3, 5), 7, 8.0),
        ((3, 5, 5, 5, 5), 64, 16.0),
        ((3, 64, 1), 1, 8.0 * 2**0.5),
        ((3, 1024), 7, 16.0),
        ((3, 5), 1024, 16.0),
        ((1024, 5), 2, 16.0),
    ],
)
def test_the_bound_on_rounding_is_that_of_the_statement(sizes, num_samples, units):
    for dtype, unit in ((np.float32, 2.0**-24), (np.float64, 2.0**-53)):
        assert rounding_bound(jaxbp.Mlp(sizes), num_samples, dtype) == pytest.approx(
            units * unit, rel=1e-14
        )


def test_units_on_another_side_of_a_kink_in_float32_are_counted():
    mlp = jaxbp.Mlp((2, 1, 1), hidden="relu")
    layers = ([[1.0], [1.0]], [-1.0]), ([[1.0]], [0.0])
    params = tuple(
        jaxbp.Layer(*(jnp.array(leaf, jnp.float32) for leaf in layer)) for layer in layers
    )
    report = jaxbp.check_gradients(mlp, params, np.float32([[1.0, 1e-9]]), np.float32([[1.0]]))
    assert "1 units are on the other side of a kink in float32 than in float64" in report.notes


def test_the_value_that_a_rule_computes_is_judged_apart():
    square = jax.custom_vjp(jnp.square)
    square.defvjp(lambda x: (1.001 * x**2, x), lambda x, bar: (2 * x * bar,))
    report = jaxbp.check_rule(square, jnp.square, jnp.array([1.0, 2.0]))
    assert {(row.path, row.method) for row in report.rows if not row.ok} == {
        ("value by the rule", "reference")
    }
