"""The tangent kernel and the gradients of single samples, against JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from architectures import draw_params

import jaxbp

MLP = jaxbp.Mlp((2, 5, 3), hidden="tanh")


def samples(n=6):
    generator = np.random.default_rng(0)
    return generator.standard_normal((n, 2)), generator.standard_normal((n, 3))


def test_the_tangent_kernel_is_the_product_of_the_jacobian_with_itself(x64):
    params, (inputs, _) = draw_params(MLP), samples()
    kernel = jaxbp.neural_tangent_kernel(MLP, params, inputs)
    rows = jax.tree.leaves(jax.jacrev(lambda p: jaxbp.reference_predict(MLP, p, inputs))(params))
    jacobian = np.concatenate([np.reshape(leaf, (18, -1)) for leaf in rows], axis=1)
    np.testing.assert_allclose(kernel, jacobian @ jacobian.T, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("loss", ["mean_squared_error", "softmax_cross_entropy"])
def test_gradients_of_single_samples(loss, x64):
    params, (inputs, targets) = draw_params(MLP), samples()
    targets = targets if loss == "mean_squared_error" else np.array([0, 2, 1, 1, 0, 2])
    found = jaxbp.per_example_gradients(MLP, params, inputs, targets, loss)
    for i in range(len(inputs)):
        one = jaxbp.loss_and_gradient(MLP, params, inputs[i : i + 1], targets[i : i + 1], loss)[1]
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(one), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-12, atol=1e-14)
    whole = jaxbp.loss_and_gradient(MLP, params, inputs, targets, loss)[1]
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(a.mean(0), b, rtol=1e-12, atol=1e-14)
    norms = jaxbp.per_example_gradients(MLP, params, inputs, targets, loss, norms=True)
    squares = sum(jnp.sum(leaf.reshape(6, -1) ** 2, axis=1) for leaf in jax.tree.leaves(found))
    np.testing.assert_allclose(norms, np.sqrt(squares), rtol=1e-12)
