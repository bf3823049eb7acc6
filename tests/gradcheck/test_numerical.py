"""Numerical derivatives against known ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbp.gradcheck import numerical_gradient

pytestmark = pytest.mark.modes


def function(params):
    return jnp.sum(jnp.sin(params["a"]) * params["b"]) + jnp.exp(params["b"][0])


@pytest.mark.parametrize(("method", "tolerance"), [("central", 1e-9), ("complex", 1e-15)])
def test_it_is_the_gradient(method, tolerance, x64):
    params = {"a": jnp.array([[0.3, -1.0], [2.0, 0.1]]), "b": jnp.array([0.5, -0.4])}
    params["a"] = params["a"][:, :]

    def of(tree):
        return function({"a": tree["a"][0], "b": tree["b"]}) + jnp.sum(tree["a"][1] ** 3)

    found, expected = numerical_gradient(of, params, method), jax.grad(of)(params)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance * 10, atol=tolerance)


def test_the_error_of_central_differences_falls_with_the_square_of_the_step(x64):
    errors = [
        abs(float(numerical_gradient(jnp.exp, jnp.array(0.3), step=h)) - np.exp(0.3))
        for h in (1e-2, 1e-3)
    ]
    assert errors[0] / errors[1] == pytest.approx(100, rel=1e-2)


def test_in_float32_the_step_fits_the_dtype_and_the_element():
    params = jnp.array([1.0, 2.0, 30.0], jnp.float32)
    found = numerical_gradient(lambda p: jnp.sum(p * p), params)
    np.testing.assert_allclose(found, 2 * params, rtol=3e-2)


def test_what_cannot_be_differentiated_is_named():
    with pytest.raises(TypeError, match=r"params\['n'\] must be of a floating dtype, got int"):
        numerical_gradient(lambda p: p["n"] * 0.5, {"n": 3})
    with pytest.raises(ValueError, match=r"function must return a scalar, got shape \(3,\)"):
        numerical_gradient(jnp.exp, jnp.ones(3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"method": "forward"}, "method must be one of"), ({"step": 0.0}, "step must be positive"),
     ({"step": -1.0}, "step must be a finite number of at least 0")],
)  # fmt: skip
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        numerical_gradient(jnp.exp, jnp.array(0.3), **arguments)


@pytest.mark.parametrize("f", [jax.nn.softplus, lambda p: jnp.logaddexp(p, 0.3), jax.nn.mish])
def test_a_complex_step_that_vanishes_is_replaced(f, x64):
    for at in (-3.0, 0.4, 2.0):
        found = numerical_gradient(f, jnp.array(at), "complex")
        assert float(found) == pytest.approx(float(jax.grad(f)(at)), rel=1e-8)
