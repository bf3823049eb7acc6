"""Parameters as people have them, and networks without biases."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from architectures import ACTIVATION_NAMES, draw_params

import jaxbp
from jaxbp._samples import as_params
from jaxbp.jacobian import gram, seeded_errors, squared_columns, tangent, weighted_gradient
from jaxbp.network import forward

MLP = jaxbp.Mlp((2, 3, 1), hidden="sigmoid")
WEIGHTS = ([[1, -2, 3], [0, 1, 2]], [[1], [2], [-1]])
BIASES = ([1, 0, -1], [2])
INPUTS, TARGETS = [[1.0, 2.0], [0.5, -1.0]], [[1.0], [0.0]]


def forms():
    layers = [
        jaxbp.Layer(jnp.asarray(weight, jnp.float32), jnp.asarray(bias, jnp.float32))
        for weight, bias in zip(WEIGHTS, BIASES, strict=True)
    ]
    yield "layers", tuple(layers)
    yield "list of layers", layers
    yield "lists of integers", [list(pair) for pair in zip(WEIGHTS, BIASES, strict=True)]
    yield "pairs of tuples", tuple(zip(WEIGHTS, BIASES, strict=True))
    for dtype in (np.int64, np.float32, np.float64):
        yield (
            f"NumPy {np.dtype(dtype)}",
            [
                (np.array(weight, dtype), np.array(bias, dtype))
                for weight, bias in zip(WEIGHTS, BIASES, strict=True)
            ],
        )
    yield (
        "rows as biases",
        [
            (np.array(weight), np.array([bias]))
            for weight, bias in zip(WEIGHTS, BIASES, strict=True)
        ],
    )
    yield "a vector of weights", [(WEIGHTS[0], BIASES[0]), ([1, 2, -1], 2)]
    yield "mixed", [(np.float32(WEIGHTS[0]), BIASES[0]), (np.array(WEIGHTS[1]), np.float64([2]))]


FUNCTIONS = {
    "predict": lambda params: jaxbp.predict(MLP, params, INPUTS),
    "reference_predict": lambda params: jaxbp.reference_predict(MLP, params, INPUTS),
    "loss_and_gradient": lambda params: jaxbp.loss_and_gradient(MLP, params, INPUTS, TARGETS),
    "jit": lambda params: jax.jit(jaxbp.predict, static_argnums=0)(MLP, params, np.float32(INPUTS)),
    "backprop": lambda params: jaxbp.backprop(MLP, params, INPUTS, TARGETS),
    "fit": lambda params: jaxbp.fit(MLP, params, (INPUTS, TARGETS), steps=2).params,
    "solve_output": lambda params: jaxbp.solve_output(MLP, params, (INPUTS, TARGETS)),
    "gradient of predict": lambda params: jax.tree.leaves(
        jax.grad(lambda p: jaxbp.predict(MLP, p, INPUTS).sum())(params)
    ),
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_form_gives_the_same(function):
    call, (_, layers) = FUNCTIONS[function], next(forms())
    expected = jax.tree.leaves(call(layers))
    for name, params in forms():
        if function in ("jit", "gradient of predict") and not name.startswith("NumPy float"):
            continue  # JAX itself takes arrays there
        for one, other in zip(jax.tree.leaves(call(params)), expected, strict=True):
            # Some forms are float32 where x64 is on.
            close = {"rtol": 1e-6, "atol": 1e-6}
            np.testing.assert_allclose(np.ravel(one), np.ravel(other), err_msg=name, **close)


def test_checks_take_gradients_as_people_have_them():
    _, gradient = jaxbp.loss_and_gradient(MLP, next(forms())[1], INPUTS, TARGETS)
    pairs = [[np.array(layer.weight), np.array(layer.bias)[None]] for layer in gradient]
    for name, params in forms():
        if name != "a vector of weights":
            assert jaxbp.check_gradients(MLP, params, INPUTS, TARGETS, gradient=pairs).ok


def test_one_rule_for_the_dtype():
    for x64, params_dtype, expected in product(
        (False, True), (np.float16, np.float32, np.float64, np.int32, None), (None,)
    ):
        with jax.enable_x64(x64):
            params = [
                tuple(np.array(leaf, params_dtype) if params_dtype else leaf for leaf in pair)
                for pair in zip(WEIGHTS, BIASES, strict=True)
            ]
            default = np.float64 if x64 else np.float32
            expected = default if params_dtype in (np.int32, None, np.float64) else params_dtype
            dtypes = {leaf.dtype for leaf in jax.tree.leaves(as_params(MLP, params))}
            assert dtypes == {np.dtype(expected)}
    mixed = [(np.float16(WEIGHTS[0]), BIASES[0]), (np.float32(WEIGHTS[1]), np.float16(BIASES[1]))]
    assert {leaf.dtype for leaf in jax.tree.leaves(as_params(MLP, mixed))} == {np.dtype("float32")}


def test_arrays_that_fit_are_not_copied():
    layers = next(forms())[1]
    assert all(
        one is other
        for one, other in zip(
            jax.tree.leaves(as_params(MLP, layers)), jax.tree.leaves(layers), strict=True
        )
    )


def bare(hidden="tanh", sizes=(3, 4, 5, 2)):
    mlp = jaxbp.Mlp(sizes, hidden, bias=False)
    generator = np.random.default_rng(1)
    inputs, targets = (generator.standard_normal((6, size)) for size in (sizes[0], sizes[-1]))
    return mlp, draw_params(mlp), inputs, targets


@pytest.mark.parametrize("hidden", ACTIVATION_NAMES)
def test_both_passes_without_biases(hidden, x64):
    mlp, params, inputs, targets = bare(hidden)
    loss, gradient = jaxbp.loss_and_gradient(mlp, params, inputs, targets)
    value, expected, inputs_bar = oracle.backprop(
        mlp.activation_names, params, inputs, targets, "mean_squared_error"
    )
    assert loss == pytest.approx(value, rel=1e-13)
    for layer, (weight, _) in zip(gradient, expected, strict=True):
        assert layer.bias is None
        np.testing.assert_allclose(layer.weight, weight, rtol=1e-11, atol=1e-14)
    trace = jaxbp.backprop(mlp, params, inputs, targets)
    np.testing.assert_allclose(trace.inputs_error, inputs_bar, rtol=1e-11, atol=1e-14)
    assert jaxbp.check_gradients(mlp, params, inputs, targets).ok
    assert trace.ledger().largest_difference < 1e-13


def test_a_network_without_biases_equals_one_whose_biases_are_zero_and_fixed(x64):
    mlp, params, inputs, targets = bare()
    full = jaxbp.Mlp(mlp.sizes, mlp.hidden)
    zeros = tuple(layer._replace(bias=jnp.zeros(layer.weight.shape[1])) for layer in params)
    _, gradient = jaxbp.loss_and_gradient(mlp, params, inputs, targets)
    _, expected = jaxbp.loss_and_gradient(full, zeros, inputs, targets)
    for layer, other in zip(gradient, expected, strict=True):
        np.testing.assert_array_equal(layer.weight, other.weight)
    assert mlp.num_params == 3 * 4 + 4 * 5 + 5 * 2
    assert full.num_params == mlp.num_params + 4 + 5 + 2


def test_the_jacobian_without_biases(x64):
    mlp, params, inputs, _ = bare()
    _, residuals = forward(mlp, params, inputs)
    seeds = jnp.moveaxis(jnp.broadcast_to(jnp.eye(2), (6, 2, 2)), 2, 0)
    errors = seeded_errors(mlp, params, residuals, seeds)
    leaves = jax.jacrev(lambda p: jaxbp.reference_predict(mlp, p, inputs))(params)
    rows = np.concatenate([leaf.reshape(12, -1) for leaf in jax.tree.leaves(leaves)], axis=1)
    kernel = np.tril(gram(residuals, errors))
    np.testing.assert_allclose(kernel, np.tril(rows @ rows.T), rtol=1e-12, atol=1e-13)
    direction = jax.tree.map(jnp.cos, params)
    flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(direction)])
    change = tangent(residuals, errors, direction)
    np.testing.assert_allclose(np.ravel(change), rows @ flat, rtol=1e-12)
    weights = jnp.sin(jnp.arange(12.0)).reshape(6, 2)
    for found, expected in (
        (weighted_gradient(residuals, errors, weights), np.ravel(weights) @ rows),
        (squared_columns(residuals, errors), (rows**2).sum(axis=0)),
    ):
        found = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(found)])
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("solver", [None, jaxbp.gauss_newton()], ids=["adam", "newton"])
def test_training_keeps_biases_away(solver, x64):
    mlp, params, inputs, targets = bare(sizes=(3, 12, 1))
    result = jaxbp.fit(mlp, params, (inputs, targets), steps=30, solver=solver)
    assert all(layer.bias is None for layer in result.params)
    assert result.history.loss[-1] < result.history.loss[0]


@pytest.mark.parametrize("num_samples", [4, 60])
def test_the_output_layer_is_solved_without_a_bias(num_samples, x64):
    mlp = jaxbp.Mlp((2, 7, 2), bias=False)
    params, generator = draw_params(mlp), np.random.default_rng(0)
    inputs, targets = (generator.standard_normal((num_samples, 2)) for _ in range(2))
    solved = jaxbp.solve_output(mlp, params, (inputs, targets), ridge=0)
    hidden = np.tanh(inputs @ np.asarray(params[0].weight))
    expected = np.linalg.lstsq(hidden, targets, rcond=None)[0]
    assert solved[1].bias is None
    np.testing.assert_allclose(solved[1].weight, expected, rtol=1e-9, atol=1e-11)


def test_init_without_biases():
    for scheme in ("glorot", "he", "sine"):
        params = jaxbp.init(jaxbp.Mlp((2, 3, 1), bias=False), jax.random.key(0), scheme)
        assert [layer.bias for layer in params] == [None, None]
    with pytest.raises(TypeError, match="key must be a JAX random key"):
        jaxbp.init(MLP, 0)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ([jaxbp.Layer([[1.0]], [0.0])], r"params\[0\]\.bias must be None for Mlp"),
        ([([[1.0]], [0.0])], r"params\[0\]\.bias must be None for Mlp"),
        ([None], r"params\[0\]\.weight must be an array"),
    ],
)
def test_biases_where_there_are_none(params, message):
    with pytest.raises((ValueError, TypeError), match=message):
        jaxbp.predict(jaxbp.Mlp((1, 1), bias=False), params, [[1.0]])
    with pytest.raises(ValueError, match="bias must be True or False, got 1"):
        jaxbp.Mlp((1, 1), bias=1)


def test_weights_alone_are_enough():
    mlp = jaxbp.Mlp((2, 2, 1), bias=False)
    expected = jaxbp.predict(mlp, [jaxbp.Layer([[1, 2], [3, 4]]), jaxbp.Layer([[5], [6]])], INPUTS)
    for params in ([[[1, 2], [3, 4]], [[5], [6]]], [([[1, 2], [3, 4]], None), np.array([5, 6])]):
        np.testing.assert_array_equal(jaxbp.predict(mlp, params, INPUTS), expected)
