"""Moving on: other libraries compute the same outputs from the parameters, and an exported program needs no jaxbp."""

import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from architectures import draw_params

import jaxbp

MLP = jaxbp.Mlp((3, 5, 4, 2), hidden="tanh")
PARAMS = draw_params(MLP, dtype=np.float32)
POINTS = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
OUTPUTS = np.asarray(jaxbp.predict(MLP, PARAMS, POINTS))
PAIRS = {
    "torch": (jaxbp.interchange.to_torch_state_dict, jaxbp.interchange.from_torch_state_dict),
    "flax": (jaxbp.interchange.to_flax_variables, jaxbp.interchange.from_flax_variables),
    "equinox": (jaxbp.interchange.to_equinox_leaves, jaxbp.interchange.from_equinox_leaves),
}


@pytest.mark.parametrize("layout", PAIRS)
def test_what_was_laid_out_comes_back(layout):
    there, back = PAIRS[layout]
    for a, b in zip(jax.tree.leaves(back(there(PARAMS))), jax.tree.leaves(PARAMS), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(TypeError, match="params must be a tuple of Layers, got list"):
        there(list(PARAMS))


def test_pytorch_computes_the_same():
    torch = pytest.importorskip("torch")
    linear = [torch.nn.Linear(i, o) for i, o in zip(MLP.sizes[:-1], MLP.sizes[1:], strict=True)]
    module = torch.nn.Sequential(linear[0], torch.nn.Tanh(), linear[1], torch.nn.Tanh(), linear[2])
    module.load_state_dict(
        {k: torch.tensor(v) for k, v in jaxbp.interchange.to_torch_state_dict(PARAMS).items()}
    )
    np.testing.assert_allclose(
        module(torch.tensor(POINTS)).detach().numpy(), OUTPUTS, rtol=1e-5, atol=1e-6
    )
    back = jaxbp.interchange.from_torch_state_dict(module.state_dict())
    np.testing.assert_array_equal(jaxbp.predict(MLP, back, POINTS), OUTPUTS)


def test_flax_computes_the_same():
    linen = pytest.importorskip("flax.linen")

    class Network(linen.Module):
        @linen.compact
        def __call__(self, x):
            for size in MLP.sizes[1:-1]:
                x = jnp.tanh(linen.Dense(size)(x))
            return linen.Dense(MLP.sizes[-1])(x)

    with jax.numpy_rank_promotion("allow"):
        variables = Network().init(jax.random.key(0), POINTS)
        outputs = Network().apply(jaxbp.interchange.to_flax_variables(PARAMS), POINTS)
        other = Network().apply(variables, POINTS)
    np.testing.assert_allclose(outputs, OUTPUTS, rtol=1e-5, atol=1e-6)
    back = jaxbp.interchange.from_flax_variables(variables)
    np.testing.assert_allclose(jaxbp.predict(MLP, back, POINTS), other, rtol=1e-5, atol=1e-6)


def test_equinox_computes_the_same():
    equinox = pytest.importorskip("equinox")
    mlp = jaxbp.Mlp((3, 5, 5, 2), hidden="tanh")
    params = draw_params(mlp, dtype=np.float32)
    other = equinox.nn.MLP(3, 2, 5, 2, activation=jnp.tanh, key=jax.random.key(0))
    leaves = jaxbp.interchange.to_equinox_leaves(params)
    moved = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaves.get(jax.tree_util.keystr(path), leaf), other
    )
    np.testing.assert_allclose(
        jax.vmap(moved)(POINTS), jaxbp.predict(mlp, params, POINTS), rtol=1e-5, atol=1e-6
    )
    listed = {
        jax.tree_util.keystr(path): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(other)
    }
    back = jaxbp.interchange.from_equinox_leaves(listed)
    np.testing.assert_allclose(
        jaxbp.predict(mlp, back, POINTS), jax.vmap(other)(POINTS), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("state_dict", "message"),
    [
        ({}, "each layer must have a weight and a bias, got 0 arrays"),
        ({"0.weight": np.ones((2, 3))}, "each layer must have a weight and a bias, got 1 arrays"),
        (
            {"0.bias": np.ones(2), "0.weight": np.ones((2, 3))},
            r"array 0 must be a weight .*, got 0.bias \(2,\)",
        ),
        (
            {"0.weight": np.ones((2, 3, 1)), "0.bias": np.ones(2)},
            "array 0 must be a weight of a linear layer",
        ),
        (
            {
                "0.weight": np.ones((2, 3)),
                "0.bias": np.ones(2),
                "2.weight": np.ones((1, 4)),
                "2.bias": np.ones(1),
            },
            r"2.weight must belong to a layer that takes 2 inputs, got a weight \(4, 1\) and a bias \(1,\)",
        ),
    ],
)
def test_what_is_no_chain_of_linear_layers_is_refused(state_dict, message):
    with pytest.raises(ValueError, match=message):
        jaxbp.interchange.from_torch_state_dict(state_dict)
    with pytest.raises(
        ValueError, match=r"variables must hold params of Dense_0, Dense_1, \.\.\., got Conv_0"
    ):
        jaxbp.interchange.from_flax_variables({"params": {"Conv_0": {}}})


@pytest.mark.parametrize("platforms", [None, ("cpu", "cuda", "rocm", "tpu")])
def test_an_exported_program_runs_without_jaxbp_gradient_included(tmp_path, platforms):
    pytest.importorskip("flatbuffers")
    function = partial(jaxbp.predict, MLP, PARAMS)
    path = jaxbp.interchange.export_program(
        function, 3, tmp_path / "program.bin", platforms=platforms
    )
    np.save(tmp_path / "points.npy", POINTS)
    code = (
        "import sys; sys.modules['jaxbp'] = None\n"
        "import jax, numpy as np; from jax import export\n"
        f"program = export.deserialize(bytearray(open({str(path)!r}, 'rb').read()))\n"
        f"points = np.load({str(tmp_path / 'points.npy')!r})\n"
        "gradient = jax.grad(lambda points: program.call(points).sum())(points)\n"
        "found = {'outputs': program.call(points), 'one': program.call(points[:1]), 'gradient': gradient}\n"
        f"np.savez({str(tmp_path / 'found.npz')!r}, **found)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    found = np.load(tmp_path / "found.npz")
    gradient = jax.grad(lambda points: jaxbp.predict(MLP, PARAMS, points).sum())(POINTS)
    np.testing.assert_allclose(found["outputs"], OUTPUTS, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found["one"], OUTPUTS[:1], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found["gradient"], gradient, rtol=1e-5, atol=1e-6)


def test_leaves_are_named_as_equinox_names_them():
    wanted = [f".layers[{i}].{part}" for i in range(len(PARAMS)) for part in ("weight", "bias")]
    assert list(jaxbp.interchange.to_equinox_leaves(PARAMS)) == wanted


def test_an_unknown_platform_is_refused(tmp_path):
    for num_inputs, argument in ((0, "num_inputs"), (1, r"platforms\[0\]")):
        with pytest.raises(ValueError, match=argument):
            jaxbp.interchange.export_program(
                jnp.sin, num_inputs, tmp_path / "x", platforms=("gpu",)
            )
    with pytest.raises(ValueError, match=r"platforms\[1\] must be one of cpu, .*; got 'gpu'"):
        jaxbp.interchange.export_program(
            partial(jaxbp.predict, MLP, PARAMS), 3, tmp_path / "x", platforms=("cuda", "gpu")
        )
