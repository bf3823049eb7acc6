"""Recipes for other libraries give the same outputs, and an exported program needs no jaxbp."""

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

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
DOCUMENT = (
    Path(__file__).parent.parent / "docs" / "en" / "reference" / "interchange.md"
).read_text("utf-8")
THEIRS = {
    "PyTorch": ("torch", "module(torch.tensor(points)).detach().numpy()"),
    "Flax": ("flax.linen", "Network().apply(variables, points)"),
    "Equinox": ("equinox", "jax.vmap(module)(points)"),
}


@pytest.mark.parametrize("library", THEIRS)
def test_the_recipe_for_another_library_gives_the_same_outputs(library):
    module, outputs = THEIRS[library]
    pytest.importorskip(module)
    first, *sections = DOCUMENT.split("\n## ")
    (section,) = (some for some in sections if some.startswith(library))
    blocks = re.findall(r"```python\n(.*?)```", first + section, re.DOTALL)
    names = {"points": POINTS}
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        for block in blocks:
            exec(compile(block, f"docs/en/reference/interchange.md, {library}", "exec"), names)
        theirs = np.asarray(eval(outputs, names))
        for params in (names["params"], names["back"]):
            ours = jaxbp.predict(names["mlp"], params, POINTS)
            np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("platforms", [None, ("cpu", "cuda", "rocm", "tpu")])
def test_an_exported_program_runs_without_jaxbp_gradient_included(tmp_path, platforms):
    pytest.importorskip("flatbuffers")
    function = partial(jaxbp.predict, MLP, PARAMS)
    path = jaxbp.export_program(function, 3, tmp_path / "program.bin", platforms=platforms)
    np.save(tmp_path / "points.npy", POINTS)
    code = (
        "import sys; sys.modules['jaxbp'] = None\n"
        "import jax, numpy as np; from jax import export\n"
        f"program = export.deserialize(bytearray(open({str(path)!r}, 'rb').read()))\n"
        f"points = np.load({str(tmp_path / 'points.npy')!r})\n"
        "gradient = jax.grad(lambda points: program.call(points).sum())(points)\n"
        "found = {'outputs': program.call(points), 'one': program.call(points[:1])}\n"
        "found['gradient'] = gradient\n"
        f"np.savez({str(tmp_path / 'found.npz')!r}, **found)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with np.load(tmp_path / "found.npz") as file:
        found = dict(file)
    gradient = jax.grad(lambda points: jaxbp.predict(MLP, PARAMS, points).sum())(POINTS)
    np.testing.assert_allclose(found["outputs"], OUTPUTS, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found["one"], OUTPUTS[:1], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found["gradient"], gradient, rtol=1e-5, atol=1e-6)


def test_an_unknown_platform_is_refused(tmp_path):
    pytest.importorskip("flatbuffers")
    for num_inputs, argument in ((0, "num_inputs"), (1, r"platforms\[0\]")):
        with pytest.raises(ValueError, match=argument):
            jaxbp.export_program(jnp.sin, num_inputs, tmp_path / "x", platforms=("gpu",))
    with pytest.raises(ValueError, match=r"platforms\[1\] must be one of cpu, .*; got 'gpu'"):
        jaxbp.export_program(
            partial(jaxbp.predict, MLP, PARAMS), 3, tmp_path / "x", platforms=("cuda", "gpu")
        )
