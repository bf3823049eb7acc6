"""The graph of a function: its values are the function's, its derivatives at the inputs are jax.grad's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxbp

pytestmark = pytest.mark.usefixtures("compiled_quickly")


def price(apple, apple_count, orange, orange_count, tax):
    return (apple * apple_count + orange * orange_count) * tax


@jax.custom_vjp
def doubled_back(x):
    return jnp.sin(x)


doubled_back.defvjp(lambda x: (jnp.sin(x), x), lambda x, bar: (2 * jnp.cos(x) * bar,))


def branches(x):
    y = jnp.where(x > 0, jnp.exp(-x), x**2)
    return jax.lax.select(y.sum() > 1, y, 2 * y).sum()


def scanned(x, steps):
    return jax.lax.scan(lambda carry, step: (carry * jnp.cos(step), carry), x, steps)[1].sum()


def through_integers(x):
    order = jnp.argsort(x)
    return (x[order] * jnp.arange(x.size)).sum() + jax.lax.stop_gradient(x).sum()


MLP = jaxbp.Mlp((2, 4, 3), hidden="sine")


def loss_of(params, inputs):
    return (jaxbp.predict(MLP, params, inputs) ** 2).mean()


def reference_loss_of(params, inputs):
    return jnp.sum(jax.nn.log_softmax(jaxbp.reference_predict(MLP, params, inputs)) * 0.3)


def nested(tree):
    return jax.jit(lambda t: jax.checkpoint(jnp.tanh)(t["a"]).sum() * t["b"][0])(tree) + jnp.linalg.norm(tree["b"][1])


X = np.array([0.3, -1.2, 2.0])
CASES = {
    "numbers": (price, (100.0, 2.0, 150.0, 3.0, 1.1)),
    "one node": (lambda x: x, (2.0,)),
    "a value used thrice": (lambda x: x * x * jnp.sin(x), (0.7,)),
    "where and select": (branches, (X,)),
    "custom_vjp": (lambda x: doubled_back(x).sum(), (X,)),
    "custom_jvp": (lambda x: (jax.nn.relu(x) + jax.nn.silu(x) + jax.nn.softplus(x)).sum(), (X,)),
    "scan": (scanned, (0.4, X)),
    "integers": (through_integers, (X,)),
    "predict": (loss_of, (None, X[:2][None])),
    "reference_predict": (reference_loss_of, (None, X[:2][None])),
    "jit, remat, pytrees": (nested, ({"a": X, "b": (2.0, X)},)),
    "an unused argument": (lambda x, y: jnp.sum(x), (X, 1.0)),
    "linear algebra": (lambda a: jnp.linalg.slogdet(a)[1], (np.eye(3) + 0.1 * np.outer(X, X),)),
    "cond": (lambda x: jax.lax.cond(x[0] > 0, jnp.sin, jnp.cos, x).sum(), (X,)),
}


@pytest.mark.parametrize("case", CASES)
def test_values_and_derivatives_are_the_functions(case, x64):
    function, arguments = CASES[case]
    arguments = jax.tree.map(
        jnp.asarray, tuple(jaxbp.init(MLP, jax.random.key(0)) if a is None else a for a in arguments)
    )
    graph = jaxbp.trace_graph(function, *arguments)
    value, expected = jax.value_and_grad(function, tuple(range(len(arguments))))(*arguments)
    np.testing.assert_allclose(graph.nodes[graph.output].value, value, rtol=1e-14)
    inputs = [node for node in graph.nodes if node.operation == "input"]
    for node, gradient in zip(inputs, jax.tree.leaves(expected), strict=True):
        scale = max(1e-300, float(np.abs(gradient).max()))
        np.testing.assert_allclose(node.derivative, gradient, rtol=0, atol=1e-12 * scale, err_msg=node.name)
    assert all(parent < node.index for node in graph.nodes for parent in node.parents)
    for node in graph.nodes:
        assert node.derivative is None or node.derivative.shape == node.shape


def test_apples_and_oranges(x64):
    graph = jaxbp.trace_graph(price, 100.0, 2.0, 150.0, 3.0, 1.1)
    assert [float(graph.nodes[i].value) for i in range(5)] == [100, 2, 150, 3, 1.1]
    derivatives = [float(graph.named(name).derivative) for name in ("apple", "apple_count", "orange", "orange_count")]
    np.testing.assert_allclose(derivatives, [2.2, 110, 3.3, 165], rtol=1e-15)
    assert float(graph.named("tax").derivative) == 650
    np.testing.assert_allclose(graph.nodes[graph.output].value, 715, rtol=1e-15)
    assert [node.operation for node in graph.nodes] == ["input"] * 5 + ["mul", "mul", "add", "mul"]
    with pytest.raises(ValueError, match=r"must be one of the inputs apple, apple_count, .* got 'pear'"):
        graph.named("pear")


def test_every_derivative_is_that_of_the_output_to_the_node(x64):
    """Judged by cutting the function at the node: d f / d (sin x) of f = sin(x)^2 exp(x) is 2 sin(x) exp(x)."""
    graph = jaxbp.trace_graph(lambda x: jnp.sin(x) ** 2 * jnp.exp(x), 0.6)
    by_operation = {node.operation: float(node.derivative) for node in graph.nodes}
    s, e = np.sin(0.6), np.exp(0.6)
    np.testing.assert_allclose(
        [by_operation[name] for name in ("sin", "exp", "mul")], [2 * s * e, s * s, 1.0], rtol=1e-14
    )


def test_rules_of_functions_are_named_and_kept(x64):
    graph = jaxbp.trace_graph(lambda x: doubled_back(x).sum() + jax.nn.relu(x).sum(), jnp.asarray(X))
    operations = [node.operation for node in graph.nodes]
    assert "doubled_back" in operations
    assert "relu" in operations
    assert str(graph).splitlines()[0].startswith("%0 x = [ 0.3, -1.2,  2. ]   d output / d this = ")


def test_random_keys_and_masks_have_a_text():
    key = jax.random.key(0)
    text = str(jaxbp.trace_graph(lambda x: jnp.sum(x * (jax.random.normal(key, (60,)) > 0)), jnp.ones(60)))
    assert "key<fry>" in text
    assert max(map(len, text.splitlines())) < 200


def test_it_works_in_float32():
    graph = jaxbp.trace_graph(lambda x: jnp.sum(x**3), jnp.asarray(X, jnp.float32))
    assert graph.nodes[0].derivative.dtype == jnp.float32


@pytest.mark.parametrize(
    ("function", "argument", "error", "message"),
    [
        (lambda x: jax.lax.while_loop(lambda c: c < 3, lambda c: c + 1, x), 0.0, ValueError, "a while loop"),
        (
            lambda x: jax.pure_callback(np.sin, jax.ShapeDtypeStruct((), np.float32), x),
            np.float32(0.0),
            ValueError,
            "a callback",
        ),
        (lambda x: x, np.ones(3, np.float32), ValueError, r"one scalar to differentiate, got shapes \[\(3,\)\]"),
        (lambda x: (x, x), 1.0, ValueError, r"one scalar to differentiate, got shapes \[\(\), \(\)\]"),
        (lambda x: x * 1j, 1.0, TypeError, "floating dtype, got complex"),
        (lambda x: x, 1, TypeError, "floating dtype, got int"),
        (lambda x: x, "1", TypeError, "arguments must be arrays, numbers or pytrees of them, got str"),
    ],
)
def test_what_it_cannot_follow_it_says(function, argument, error, message):
    with pytest.raises(error, match=message):
        jaxbp.trace_graph(function, argument)
