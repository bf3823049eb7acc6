"""JAX's transformations of `predict` against the same transformations of `reference_predict`."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from architectures import QUICKLY, draw_params
from jax.sharding import AxisType, PartitionSpec

import jaxbp
from jaxbp._layout import MANY, SHORT, sum_over_samples

NETWORKS = [
    jaxbp.Mlp((2, 5, 4, 3), hidden=("tanh", "gelu")),
    jaxbp.Mlp((3, 3, 3), hidden="sine", output="sigmoid"),
    jaxbp.Mlp((1, 1), output="softplus"),
    jaxbp.Mlp((4, 6, 6, 2), hidden=("leaky_relu", "silu"), output="tanh"),
]


@pytest.fixture(params=NETWORKS, ids=lambda mlp: "-".join(map(str, mlp.sizes)))
def problem(request, x64):
    return problem_of(request.param)


@cache
def problem_of(mlp):
    generator = np.random.default_rng(1)
    params, inputs = draw_params(mlp), jnp.asarray(generator.standard_normal((8, mlp.sizes[0])))
    weights = jnp.asarray(generator.standard_normal((8, mlp.sizes[-1])))

    def loss(predict, params, inputs):
        return jnp.sum(weights * predict(mlp, params, inputs) ** 2)

    return mlp, params, inputs, loss


def assert_close(left, right):
    """Equal up to rounding: 1e-12 of the largest number, hundreds of units for sums of hundreds of
    terms."""
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * max(1.0, np.abs(b).max()))


TRANSFORMATIONS = {
    "jit": lambda f, p, x: jax.jit(f)(p, x),
    "grad": lambda f, p, x: jax.grad(f, argnums=(0, 1))(p, x),
    "jit of grad": lambda f, p, x: jax.jit(jax.grad(f))(p, x),
    "hessian": lambda f, p, x: jax.hessian(f)(p, x),
    "hessian in the inputs": lambda f, p, x: jax.hessian(f, argnums=1)(p, x),
    "jvp of grad": lambda f, p, x: jax.jvp(
        lambda q: jax.grad(f)(q, x), (p,), (jax.tree.map(jnp.cos, p),)
    ),
    "mixed second derivative": lambda f, p, x: jax.jacfwd(lambda y: jax.grad(f)(p, y))(x),
    "jacrev of jacrev": lambda f, p, x: jax.jacrev(jax.jacrev(f))(p, x),
    "vmap": lambda f, p, x: jax.vmap(lambda s: f(jax.tree.map(lambda leaf: s * leaf, p), x))(
        jnp.arange(1.0, 4.0)
    ),
    "vmap of grad": lambda f, p, x: jax.vmap(jax.grad(f), in_axes=(None, 0))(
        p, jnp.stack([x, 2 * x])
    ),
    "remat": lambda f, p, x: jax.grad(jax.checkpoint(f))(p, x),
    "scan": lambda f, p, x: jax.lax.scan(
        lambda q, _: (jax.tree.map(lambda a, g: a - 1e-3 * g, q, jax.grad(f)(q, x)), f(q, x)),
        p,
        None,
        length=3,
    ),
    "grad of scan": lambda f, p, x: jax.grad(
        lambda q: jax.lax.scan(lambda s, _: (s * 0.5 + f(q, x), None), 0.0, None, length=3)[0]
    )(p),
    "vjp": lambda f, p, x: jax.vjp(f, p, x)[1](2.0),
}


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_transformation_agrees_with_the_reference(name, problem):
    _, params, inputs, loss = problem

    def both(params, inputs):
        functions = [partial(loss, predict) for predict in (jaxbp.predict, jaxbp.reference_predict)]
        return [TRANSFORMATIONS[name](function, params, inputs) for function in functions]

    assert_close(*jax.jit(both, compiler_options=QUICKLY)(params, inputs))


@pytest.mark.parametrize("check_vma", [True, False])
@pytest.mark.parametrize("num_devices", [1, 8])
def test_shard_map_agrees_with_the_reference(num_devices, check_vma, problem):
    _, params, inputs, loss = problem
    mesh = jax.make_mesh(
        (num_devices,), ("batch",), axis_types=(AxisType.Auto,), devices=jax.devices()[:num_devices]
    )
    spec = PartitionSpec("batch")

    def gradient_of(loss):
        return jax.jit(jax.grad(loss, argnums=(0, 1)), compiler_options=QUICKLY)(params, inputs)

    def sharded(predict):
        def by_shard(mlp, params, inputs):
            return jax.shard_map(
                lambda p, x: predict(mlp, p, x),
                mesh=mesh,
                in_specs=(PartitionSpec(), spec),
                out_specs=spec,
                check_vma=check_vma,
            )(params, inputs)

        return gradient_of(partial(loss, by_shard))

    assert_close(sharded(jaxbp.predict), gradient_of(partial(loss, jaxbp.reference_predict)))


@pytest.mark.parametrize("num_devices", [2, 8])
def test_gradients_of_shards_average_to_that_of_the_batch(num_devices, problem):
    """Both ways to train on several devices: by autodiff of predict inside the shards, and by the
    sweep."""
    mlp, params, inputs, _ = problem
    targets = jnp.ones((8, mlp.sizes[-1]))
    mesh = jax.make_mesh(
        (num_devices,), ("batch",), axis_types=(AxisType.Auto,), devices=jax.devices()[:num_devices]
    )

    def mean_loss(params, inputs, targets):
        return jax.lax.pmean(jnp.mean((jaxbp.predict(mlp, params, inputs) - targets) ** 2), "batch")

    def swept(params, inputs, targets):
        return jax.lax.pmean(
            jaxbp.loss_and_gradient(mlp, params, inputs, targets, tile=2)[1], "batch"
        )

    def both(params, inputs, targets):
        return jax.grad(mean_loss)(params, inputs, targets), swept(params, inputs, targets)

    specs = {
        "in_specs": (PartitionSpec(), PartitionSpec("batch"), PartitionSpec("batch")),
        "out_specs": PartitionSpec(),
    }
    _, right = jax.jit(jaxbp.loss_and_gradient, static_argnums=0, compiler_options=QUICKLY)(
        mlp, params, inputs, targets
    )
    for answer in jax.jit(jax.shard_map(both, mesh=mesh, **specs), compiler_options=QUICKLY)(
        params, inputs, targets
    ):
        assert_close(answer, right)


@pytest.mark.parametrize("check_vma", [True, False])
def test_a_shard_of_a_wide_layer_is_summed_by_a_product(check_vma):
    """A sum of n terms in any order is off by at most (n - 1) u times the sum of their sizes."""
    terms = np.random.default_rng(0).standard_normal((2 * SHORT, MANY // SHORT)).astype(np.float32)
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])
    specs = {"in_specs": PartitionSpec("batch"), "out_specs": PartitionSpec()}
    summed = jax.shard_map(
        lambda some: jax.lax.psum(sum_over_samples(some, 0), "batch"),
        mesh=mesh,
        check_vma=check_vma,
        **specs,
    )
    allowed = (len(terms) - 1) * 2.0**-24 * np.abs(terms.astype(float)).sum(axis=0)
    assert (np.abs(jax.jit(summed)(terms) - terms.astype(float).sum(axis=0)) <= allowed).all()


@pytest.mark.parametrize(
    "transform",
    [
        lambda f, p: jax.jvp(f, (p,), (p,)),
        lambda f, p: jax.jacfwd(f)(p),
        lambda f, p: jax.vmap(
            lambda s: jax.jvp(f, (p,), (jax.tree.map(lambda leaf: s * leaf, p),))[1]
        )(jnp.ones(2)),
    ],
)
def test_forward_mode_names_the_reference(transform, problem):
    mlp, params, inputs, _ = problem
    with pytest.raises(TypeError, match="reference_predict"):
        transform(lambda p: jaxbp.predict(mlp, p, inputs), params)
    jax.eval_shape(
        lambda p: transform(lambda q: jaxbp.reference_predict(mlp, q, inputs), p), params
    )


def test_an_array_used_in_two_layers_gets_the_sum_of_both_gradients(x64):
    mlp = jaxbp.Mlp((3, 3, 3), hidden="tanh", output="tanh")
    inputs = jax.random.normal(jax.random.key(1), (5, 3))

    def tied(predict):
        return lambda w, b: jnp.sum(
            predict(mlp, (jaxbp.Layer(w, b), jaxbp.Layer(w, b)), inputs) ** 2
        )

    weight, bias = jax.random.normal(jax.random.key(0), (3, 3)), jnp.full((3,), 0.1)
    functions = [
        jax.jit(jax.grad(tied(predict), (0, 1)), compiler_options=QUICKLY)
        for predict in (jaxbp.predict, jaxbp.reference_predict)
    ]
    assert_close(*(function(weight, bias) for function in functions))


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_outputs_keep_the_dtype_of_the_parameters(dtype, x64):
    mlp = jaxbp.Mlp((2, 3, 1))
    params = jaxbp.init(mlp, jax.random.key(0), dtype=dtype)
    for inputs in (
        [[1, 2], [3, 4]],
        np.ones((2, 2), bool),
        jnp.ones((2, 2), jnp.int32),
        np.ones((2, 2)),
    ):
        outputs = jaxbp.predict(mlp, params, inputs)
        assert outputs.dtype == dtype
        floats = jnp.asarray(np.asarray(inputs), dtype)
        np.testing.assert_array_equal(outputs, jaxbp.predict(mlp, params, floats))
        _, gradient = jaxbp.loss_and_gradient(mlp, params, inputs, [[1], [0]])
        same = jaxbp.loss_and_gradient(mlp, params, floats, jnp.asarray([[1], [0]], dtype))[1]
        assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(gradient))
        assert jax.tree.all(jax.tree.map(jnp.array_equal, gradient, same))
