"""Activations and losses where numbers are extreme, and at the kinks."""

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from architectures import ACTIVATION_NAMES, LOSS_NAMES

import jaxbp
from jaxbp.activations import ACTIVATIONS
from jaxbp.losses import LOSSES

pytestmark = pytest.mark.modes


@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_slope_is_the_derivative_of_the_value(name, x64):
    phi = ACTIVATIONS[name]
    z = np.concatenate([np.linspace(-30, 30, 601), [-1e4, 1e4, 1e-12, -1e-12]])
    value, slope = oracle.ACTIVATIONS[name]
    with np.errstate(over="ignore"):
        expected = slope(z)

    @jax.jit
    def both(z):
        a = phi.value(z)
        return a, phi.slope(z if phi.keeps_preactivation else None, a)

    a, answer = both(z)
    np.testing.assert_allclose(a, value(z), rtol=1e-13, atol=1e-15)
    # 1 - a^2 and a (1 - a) lose what cancels in 1 - a, a few units of rounding of 1.
    np.testing.assert_allclose(answer, expected, rtol=1e-12, atol=4e-15)


@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_a_kink_is_where_the_slope_jumps(name, x64):
    phi, z = ACTIVATIONS[name], np.array([-1e-9, 1e-9])
    left, right = phi.slope(z, phi.value(z))
    assert (abs(float(right - left)) > 0.5) == phi.kink


@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_the_formula_of_a_slope_names_what_the_slope_reads(name):
    phi = ACTIVATIONS[name]
    assert ("{z}" in phi.formula) == phi.keeps_preactivation  # else z may be None
    assert phi.formula.format(a="a8", z="z8")


@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_the_convention_at_zero_is_autodiffs(name, x64):
    mlp = jaxbp.Mlp((2, 3, 1), hidden=name)
    params = (
        jaxbp.Layer(jnp.zeros((2, 3)), jnp.zeros(3)),
        jaxbp.Layer(jnp.ones((3, 1)), jnp.zeros(1)),
    )
    inputs = jnp.ones((4, 2))
    hand, auto = (
        jax.jit(jax.grad(lambda p, f=f: f(mlp, p, inputs).sum()))(params)
        for f in (jaxbp.predict, jaxbp.reference_predict)
    )
    assert jax.tree.all(
        jax.tree.map(lambda a, b: np.allclose(a, b, rtol=1e-15, atol=0), hand, auto)
    )
    if name == "relu":
        assert not hand[0].weight.any()


@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_saturated_units_stay_finite(name):
    mlp = jaxbp.Mlp((1, 2, 1), hidden=name, output="sigmoid")
    inputs, targets = np.ones((3, 1), np.float32), np.zeros((3, 1), np.float32)
    compute = jax.jit(lambda params: jaxbp.loss_and_gradient(mlp, params, inputs, targets))
    for size in (1e4, -1e4):
        params = (
            jaxbp.Layer(np.full((1, 2), size, np.float32), np.zeros(2, np.float32)),
            jaxbp.Layer(np.ones((2, 1), np.float32), np.zeros(1, np.float32)),
        )
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(compute(params)))


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "binary_cross_entropy"])
def test_extreme_logits_stay_finite(loss):
    logits = jnp.array([[1e4, 0.0, -1e4]], jnp.float32)
    for hot in range(3):
        targets = jax.nn.one_hot(jnp.array([hot]), 3, dtype=jnp.float32)
        assert jnp.isfinite(LOSSES[loss].values(logits, targets)).all()
        assert jnp.isfinite(LOSSES[loss].gradient(logits, targets)).all()


@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_the_gradient_of_a_loss_is_its_derivative(loss, x64):
    generator = np.random.default_rng(0)
    outputs = jnp.asarray(3 * generator.standard_normal((9, 4)))
    targets = jnp.asarray(generator.dirichlet(np.ones(4), 9))
    row = LOSSES[loss]
    answer, expected = jax.jit(
        lambda o: (row.gradient(o, targets), jax.grad(lambda o: row.values(o, targets).sum())(o))
    )(outputs)
    np.testing.assert_allclose(answer, expected, rtol=1e-12, atol=1e-15)


def test_labels_are_one_hot_rows(x64):
    outputs, labels = jax.random.normal(jax.random.key(0), (5, 3)), jnp.array([0, 2, 1, 1, 0])
    softmax = LOSSES["softmax_cross_entropy"]
    rows = jnp.eye(3)[labels]
    np.testing.assert_array_equal(softmax.values(outputs, labels), softmax.values(outputs, rows))
    np.testing.assert_array_equal(
        softmax.gradient(outputs, labels), softmax.gradient(outputs, rows)
    )


@pytest.mark.parametrize(
    ("scheme", "variance"),
    [
        ("glorot", 2 / 500),
        ("he", 2 / 300),
        ("lecun", 1 / 300),
        ("uniform", 1 / 3),
        ("normal", 1.0),
        ("sine", 2 / 300),
    ],
)
@pytest.mark.usefixtures("compiled_quickly")
def test_schemes_have_their_variance(scheme, variance):
    mlp = jaxbp.Mlp((300, 300, 200, 1))
    _, layer, _ = jaxbp.init(mlp, jax.random.key(3), scheme)
    samples = (
        np.asarray(jaxbp.init(jaxbp.Mlp((300, 200)), jax.random.key(3), scheme)[0].weight)
        if scheme == "glorot"
        else np.asarray(layer.weight)
    )
    # The variance of 60,000 draws is off by less than five of its standard deviations, at most
    # sqrt(2 / 60,000) each.
    assert samples.var() == pytest.approx(variance, rel=5 * np.sqrt(2 / samples.size))
    assert abs(samples.mean()) < 5 * np.sqrt(variance / samples.size)
    assert not np.asarray(layer.bias).any()


def test_a_scheme_of_the_tutorials_takes_any_scale():
    normal, uniform = (
        jaxbp.init(jaxbp.Mlp((200, 300)), jax.random.key(0), s, scale=0.5)[0]
        for s in ("normal", "uniform")
    )
    assert float(normal.weight.std()) == pytest.approx(0.5, rel=0.02)
    assert 0.49 < float(jnp.abs(uniform.weight).max()) <= 0.5
    left_out, given = (
        jaxbp.init(jaxbp.Mlp((2, 3)), jax.random.key(0), "normal", **some)
        for some in ({}, {"scale": 1})
    )
    np.testing.assert_array_equal(left_out[0].weight, given[0].weight)


@pytest.mark.usefixtures("compiled_quickly")
def test_sine_networks_start_with_frequencies_and_phases():
    layer = jaxbp.init(
        jaxbp.Mlp((2, 1000, 10, 1), hidden="sine"), jax.random.key(0), "sine", scale=7.0
    )[0]
    assert 6.9 < float(jnp.abs(layer.weight).max()) <= 7.0
    assert 3.1 < float(jnp.abs(layer.bias).max()) <= np.pi
