"""The checker is checked: right gradients pass, wrong ones are caught and named."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from architectures import draw_case
from test_gradient import cast

import jaxbp


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(3))
def test_right_gradients_pass(seed, dtype):
    case = draw_case(400 + seed)
    with jax.enable_x64(dtype is np.float64):
        report = jaxbp.check_gradients(case.mlp, *cast(case, dtype), case.loss)
    assert report.ok, str(report)
    assert report.worst.error <= report.worst.allowed


def test_a_trained_network_passes(x64):
    """Near a minimum the terms of the gradient cancel, and every program's error grows against what is left."""
    mlp = jaxbp.Mlp((2, 8, 1))
    inputs = jax.random.normal(jax.random.key(1), (50, 2))
    targets = jnp.sin(inputs[:, :1])
    params = jaxbp.init(mlp, jax.random.key(0))
    params = jaxbp.fit(mlp, params, (inputs, targets), steps=300, solver=jaxbp.first_order(optax.lbfgs())).params
    assert jaxbp.check_gradients(mlp, params, inputs, targets).ok


def flip(array, index, change):
    return array.at[index].add(change)


WRONG = {
    "scaled by 1.001": lambda g: jax.tree.map(lambda leaf: 1.001 * leaf, g),
    "doubled": lambda g: jax.tree.map(lambda leaf: 2 * leaf, g),
    "negated": lambda g: jax.tree.map(lambda leaf: -leaf, g),
    "square weight transposed": lambda g: (g[0], g[1]._replace(weight=g[1].weight.T), g[2]),
    "bias forgotten": lambda g: (g[0]._replace(bias=0 * g[0].bias), *g[1:]),
    "bias averaged": lambda g: (*g[:2], g[2]._replace(bias=g[2].bias / 7)),
    "layer stale": lambda g: (g[0], g[1]._replace(bias=g[0].bias), g[2]),
    "one element off": lambda g: (g[0]._replace(weight=flip(g[0].weight, (1, 3), 1e-3)), *g[1:]),
    "one element NaN": lambda g: (g[0]._replace(weight=flip(g[0].weight, (1, 3), jnp.nan)), *g[1:]),
}


@pytest.mark.parametrize(
    ("fault", "dtype"),
    [*((fault, np.float32) for fault in WRONG), ("doubled", np.float64), ("one element off", np.float64)],
)
def test_wrong_gradients_are_caught(fault, dtype):
    mlp = jaxbp.Mlp((2, 5, 5, 1), hidden=("tanh", "silu"))
    with jax.enable_x64(dtype is np.float64), jax.debug_nans(False):
        params = jaxbp.init(mlp, jax.random.key(0), dtype=dtype)
        inputs = jax.random.normal(jax.random.key(1), (7, 2), dtype)
        targets = jnp.ones((7, 1), dtype)
        wrong = WRONG[fault](jaxbp.loss_and_gradient(mlp, params, inputs, targets)[1])
        report = jaxbp.check_gradients(mlp, params, inputs, targets, gradient=wrong)
    assert not report.ok
    assert "WRONG" in str(report)
    if fault == "one element off":
        assert report.worst.path == "params[0].weight"
        assert report.worst.place == (1, 3)
        assert "params[0].weight[1, 3]: hand" in str(report.worst)


def test_a_step_across_a_kink_is_left_out_and_said():
    mlp = jaxbp.Mlp((1, 2, 1), hidden="relu")
    params = (
        jaxbp.Layer(jnp.ones((1, 2), jnp.float32), jnp.array([0.0, -1.0], jnp.float32)),
        jaxbp.Layer(jnp.ones((2, 1), jnp.float32), jnp.zeros(1, jnp.float32)),
    )
    report = jaxbp.check_gradients(mlp, params, np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32))
    assert report.ok
    assert any("change sides of a kink" in note for note in report.notes)


def rule(bwd):
    @jax.custom_vjp
    def cube(x):
        return x**3

    cube.defvjp(lambda x: (x**3, x), bwd)
    return cube


@pytest.mark.parametrize(
    ("bwd", "ok"),
    [
        (lambda x, bar: (3 * x**2 * bar,), True),
        (lambda x, bar: (3 * x**2,), False),
        (lambda x, bar: (2 * x**2 * bar,), False),
        (lambda x, bar: (3.003 * x**2 * bar,), False),
        (lambda x, bar: ((3 * x**2 * bar).T,), False),
    ],
)
def test_rules(bwd, ok):
    x = jax.random.normal(jax.random.key(0), (4, 4))
    report = jaxbp.check_rule(rule(bwd), lambda x: x**3, x)
    assert report.ok == ok, str(report)


def test_the_library_s_own_rule_passes():
    case = draw_case(7)
    params, inputs, _ = cast(case, np.float32)
    report = jaxbp.check_rule(
        lambda p, x: jaxbp.predict(case.mlp, p, x), lambda p, x: jaxbp.reference_predict(case.mlp, p, x), params, inputs
    )
    assert report.ok, str(report)


def test_a_function_that_is_not_deterministic_is_not_judged():
    calls = iter(range(100))
    report = jaxbp.check_rule(lambda x: x + next(calls), lambda x: x, jnp.ones(3))
    assert not report.ok
    assert "not deterministic" in str(report)


def test_function_and_reference_must_return_the_same_structure():
    with pytest.raises(ValueError, match="same structure"):
        jaxbp.check_rule(lambda x: (x, x), lambda x: x, jnp.ones(3))
    with pytest.raises(ValueError, match="same shapes"):
        jaxbp.check_rule(lambda x: x[:2], lambda x: x, jnp.ones(3))
