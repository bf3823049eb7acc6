"""The graph of a function: its values are the function's, its derivatives at the inputs are
jax.grad's."""

import re
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.textpath import TextPath
from sklearn.isotonic import IsotonicRegression

import jaxbp
from jaxbp.graph.layout import Box, _stack, place

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
    return jax.jit(lambda t: jax.checkpoint(jnp.tanh)(t["a"]).sum() * t["b"][0])(
        tree
    ) + jnp.linalg.norm(tree["b"][1])


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
        jnp.asarray,
        tuple(jaxbp.init(MLP, jax.random.key(0)) if a is None else a for a in arguments),
    )
    graph = jaxbp.trace_graph(function, *arguments)
    value, expected = jax.value_and_grad(function, tuple(range(len(arguments))))(*arguments)
    np.testing.assert_allclose(graph.nodes[graph.output].value, value, rtol=1e-14)
    inputs = [node for node in graph.nodes if node.operation == "input"]
    for node, gradient in zip(inputs, jax.tree.leaves(expected), strict=True):
        scale = max(1e-300, float(np.abs(gradient).max()))
        np.testing.assert_allclose(
            node.derivative, gradient, rtol=0, atol=1e-12 * scale, err_msg=node.name
        )
    assert all(parent < node.index for node in graph.nodes for parent in node.parents)
    for node in graph.nodes:
        assert node.derivative is None or node.derivative.shape == node.shape


def test_apples_and_oranges(x64):
    graph = jaxbp.trace_graph(price, 100.0, 2.0, 150.0, 3.0, 1.1)
    assert [float(graph.nodes[i].value) for i in range(5)] == [100, 2, 150, 3, 1.1]
    derivatives = [
        float(graph.named(name).derivative)
        for name in ("apple", "apple_count", "orange", "orange_count")
    ]
    np.testing.assert_allclose(derivatives, [2.2, 110, 3.3, 165], rtol=1e-15)
    assert float(graph.named("tax").derivative) == 650
    np.testing.assert_allclose(graph.nodes[graph.output].value, 715, rtol=1e-15)
    assert [node.operation for node in graph.nodes] == ["input"] * 5 + ["mul", "mul", "add", "mul"]
    with pytest.raises(
        ValueError, match=r"must be one of the inputs apple, apple_count, .* got 'pear'"
    ):
        graph.named("pear")


def test_every_derivative_is_that_of_the_output_to_the_node(x64):
    """Judged by cutting the function at the node: d f / d (sin x) of f = sin(x)^2 exp(x) is 2
    sin(x) exp(x)."""
    graph = jaxbp.trace_graph(lambda x: jnp.sin(x) ** 2 * jnp.exp(x), 0.6)
    by_operation = {node.operation: float(node.derivative) for node in graph.nodes}
    s, e = np.sin(0.6), np.exp(0.6)
    np.testing.assert_allclose(
        [by_operation[name] for name in ("sin", "exp", "mul")], [2 * s * e, s * s, 1.0], rtol=1e-14
    )


def test_rules_of_functions_are_named_and_kept(x64):
    graph = jaxbp.trace_graph(
        lambda x: doubled_back(x).sum() + jax.nn.relu(x).sum(), jnp.asarray(X)
    )
    operations = [node.operation for node in graph.nodes]
    assert "doubled_back" in operations
    assert "relu" in operations
    assert str(graph).splitlines()[0].startswith("%0 x = 0.3, -1.2, 2   d output / d this = ")


def test_random_keys_and_masks_have_a_text():
    key = jax.random.key(0)
    text = str(
        jaxbp.trace_graph(lambda x: jnp.sum(x * (jax.random.normal(key, (60,)) > 0)), jnp.ones(60))
    )
    assert "key<fry>" in text
    assert max(map(len, text.splitlines())) < 200


def test_few_numbers_are_shown_and_of_many_their_norm():
    six, seven = (
        str(jaxbp.trace_graph(lambda x: x.sum(), jnp.full(count, 2.0, jnp.float32))).splitlines()[0]
        for count in (6, 7)
    )
    assert six.startswith("%0 x = 2, 2, 2, 2, 2, 2 ")
    assert seven.startswith("%0 x = [7], norm 5.2915 ")


def test_it_works_in_float32():
    graph = jaxbp.trace_graph(lambda x: jnp.sum(x**3), jnp.asarray(X, jnp.float32))
    assert graph.nodes[0].derivative.dtype == jnp.float32


@pytest.mark.parametrize(
    ("function", "argument", "error", "message"),
    [
        (
            lambda x: jax.lax.while_loop(lambda c: c < 3, lambda c: c + 1, x),
            0.0,
            ValueError,
            "a while loop",
        ),
        (
            lambda x: jax.pure_callback(np.sin, jax.ShapeDtypeStruct((), np.float32), x),
            np.float32(0.0),
            ValueError,
            "a callback",
        ),
        (
            lambda x: x,
            np.ones(3, np.float32),
            ValueError,
            r"one scalar to differentiate, got shapes \[\(3,\)\]",
        ),
        (
            lambda x: (x, x),
            1.0,
            ValueError,
            r"one scalar to differentiate, got shapes \[\(\), \(\)\]",
        ),
        (lambda x: x * 1j, 1.0, TypeError, "floating dtype, got complex"),
        (lambda x: x, 1, TypeError, "floating dtype, got int"),
        (
            lambda x: x,
            "1",
            TypeError,
            "arguments must be arrays, numbers or pytrees of them, got str",
        ),
    ],
)
def test_what_it_cannot_follow_it_says(function, argument, error, message):
    with pytest.raises(error, match=message):
        jaxbp.trace_graph(function, argument)


def random_boxes(generator, num_nodes):
    """Boxes of all sizes; each node but the first few takes one to three earlier ones, a pair may
    be there twice."""
    boxes = {node: Box(*generator.uniform((0.5, 0.26), (1.6, 0.7))) for node in range(num_nodes)}
    edges = [
        (int(parent), child)
        for child in range(3, num_nodes)
        for parent in generator.integers(max(0, child - 8), child, generator.integers(1, 4))
    ]
    return boxes, edges


def sides(layout, boxes, node):
    (x, y), box = layout.centres[node], boxes[node]
    return x - box.width / 2, x + box.width / 2, y - box.height / 2, y + box.height / 2


@pytest.mark.parametrize(("num_nodes", "max_width"), [(1, 7.0), (12, 1e3), (30, 7.0), (30, 1e3)])
def test_boxes_stand_apart_and_edges_run_from_side_to_side(num_nodes, max_width):
    boxes, edges = random_boxes(np.random.default_rng(num_nodes), num_nodes)
    layout = place(boxes, edges, max_width)
    where = {node: sides(layout, boxes, node) for node in boxes}
    corners = np.array(list(where.values()))
    low, high = corners[:, 0::2].min(axis=0), corners[:, 1::2].max(axis=0)
    assert min(*low, *(np.array(layout[:2]) - high)) > 0.04
    assert layout.height <= 0.1 + sum(box.height + 0.14 for box in boxes.values()) + 0.24 * len(
        edges
    )
    assert layout.width <= max_width
    for node, (left, right, bottom, top) in where.items():
        for other, (a, b, c, d) in list(where.items())[:node]:
            assert right < a or b < left or top + 0.13 < c or d + 0.13 < bottom, (node, other)
    for parent, child in edges:  # to the right, or in a band below
        assert where[parent][1] < where[child][0] or where[child][3] < where[parent][2]
    assert len(layout.routes) == len(edges)
    levels = []
    for (parent, child), route in zip(edges, layout.routes, strict=True):
        for point, node, side in ((route[0], parent, 1), (route[-1], child, 0)):
            assert point[0] == pytest.approx(where[node][side])
            assert where[node][2] < point[1] < where[node][3]
        assert all(0 <= x <= layout.width and 0 <= y <= layout.height for x, y in route)
        for x, y in route[1:-1]:
            assert not any(a < x < b and c < y < d for a, b, c, d in where.values())
        for (x0, y0), (x1, y1) in pairwise(route):
            if x0 > x1:  # back to the left on a level of its own, below all boxes of its band
                assert y0 == y1
                assert not any(c < y0 < d for a, b, c, d in where.values())
                levels.append(y0)
    assert len(set(levels)) == len(levels)
    assert bool(levels) == (max_width == 7.0 and num_nodes > 1)
    assert (
        len({route[0] for route in layout.routes})
        == len({route[-1] for route in layout.routes})
        == len(edges)
    )


def test_edges_leave_a_node_in_the_order_of_their_ends():
    boxes = dict.fromkeys(range(9), Box(0.5, 0.4))
    layout = place(
        boxes,
        [*((0, child) for child in range(1, 8)), *((parent, 8) for parent in range(1, 8))],
        7.0,
    )
    heights = [layout.centres[node][1] for node in range(1, 8)]
    order = np.argsort(heights).tolist()
    assert np.argsort([layout.routes[k][0][1] for k in range(7)]).tolist() == order
    assert np.argsort([layout.routes[k][-1][1] for k in range(7, 14)]).tolist() == order


@pytest.mark.parametrize("first", [0, 1])
def test_operands_enter_from_the_top_in_their_order(first):
    layout = place(dict.fromkeys(range(3), Box(0.5, 0.4)), [(first, 2), (1 - first, 2)], 7.0)
    ends = [route[-1][1] for route in layout.routes]
    assert ends[0] > ends[1]


def test_an_edge_past_columns_has_a_point_in_each():
    boxes = dict.fromkeys(range(5), Box(0.5, 0.4))
    layout = place(boxes, [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4)], 1e3)
    assert [x for x, _ in layout.routes[-1][1:-1]] == [
        layout.centres[node][0] for node in (1, 2, 3)
    ]
    assert layout.height < 0.1 + 0.4 + 2 * 0.14 + 0.1 + 1e-9  # a box, and the edge beside it


def test_long_paths_do_not_cross_each_other():
    """Each column names the two paths in another order; one sweep along them is enough to see that
    they are two."""
    boxes = dict.fromkeys(range(60), Box(0.5, 0.3))
    edges = [(node, (node // 2 + 1) * 2 + (node + (node // 2) % 3 % 2) % 2) for node in range(58)]
    layout = place(boxes, edges, 1e3)
    signs = set()
    first, second = 0, 1
    following = dict(edges)
    while first in following:
        signs.add(layout.centres[first][1] > layout.centres[second][1])
        first, second = following[first], following[second]
    assert len(signs) == 1


def test_a_column_is_the_nearest_one_without_overlaps():
    """Judged by isotonic regression: without overlaps, heights less the sizes above must fall."""
    generator = np.random.default_rng(0)
    for _ in range(20):
        sizes = {
            item: Box(1.0, height) for item, height in enumerate(generator.uniform(0.1, 1.0, 12))
        }
        wanted, heights = dict(enumerate(generator.uniform(-4, 4, 12))), {}
        _stack(range(12), wanted, sizes, heights)
        tall = np.array([box.height for box in sizes.values()])
        offsets = -np.r_[0, np.cumsum((tall[1:] + tall[:-1]) / 2 + 0.14)]
        nearest = IsotonicRegression(increasing=False).fit_transform(
            range(12), np.array(list(wanted.values())) - offsets
        )
        np.testing.assert_allclose(list(heights.values()), nearest + offsets, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "lines", [["params[0].weight"], ["matmul", "[64, 32], norm 12.34", "0.001234, 5.679"]]
)
def test_a_box_is_as_large_as_its_text_needs_and_not_much_larger(lines):
    wide = max(TextPath((0, 0), line, size=8).get_extents().width for line in lines) / 72
    width, height = Box.around(lines)
    assert wide < width < 1.3 * wide + 0.3
    assert len(lines) * 8 / 72 < height < len(lines) * 2 * 8 / 72 + 0.1


def numbers_of(shape):
    return [float(number) for number in re.findall(r"-?[\d.]+", shape)]


def test_a_rule_may_close_over_arrays():
    weights = jnp.arange(3.0)
    ruled = jax.custom_vjp(lambda x: jnp.sum(x * weights))
    ruled.defvjp(lambda x: (jnp.sum(x * weights), None), lambda kept, u: (u * weights,))
    graph = jaxbp.trace_graph(lambda x: 2 * ruled(x), jnp.ones(3))
    np.testing.assert_array_equal(graph.named("x").derivative, 2 * weights)


def test_complex_numbers_are_written_with_both_parts():
    graph = jaxbp.trace_graph(lambda z: jnp.abs(z * z), jnp.asarray(1 + 2j))
    assert "z = 1+2j" in str(graph)
    graph._repr_html_()
