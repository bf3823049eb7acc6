"""More devices than one: the same run, by one program, with one exchange a step."""

import dataclasses
import itertools
import re
import shutil

import jax
import numpy as np
import optax
import pytest
from architectures import draw_params
from compiling import compilations
from jax.sharding import Mesh

import jaxbp
from jaxbp.jacobian import seeded_errors
from jaxbp.network import forward
from jaxbp.training import Batch, Problem, TrainState, advance
from jaxbp.training.gauss_newton import by_conjugate_gradients, gram_on
from jaxbp.training.sharding import replicate, share, with_auto_axes

pytestmark = pytest.mark.usefixtures("compiled_quickly")
MLP = jaxbp.Mlp((2, 8, 3, 1), hidden="tanh")
INPUTS = np.random.default_rng(0).standard_normal((48, 2))
DATA = (INPUTS, np.sin(INPUTS[:, :1]) * INPUTS[:, 1:])
HELD_OUT = (INPUTS[:7] + 0.1, DATA[1][:7])  # which neither 2 nor 3 nor 8 devices share equally
MOMENTUM = jaxbp.first_order(optax.sgd(0.1, momentum=0.9))
OPTIONS = {
    "steps": 20,
    "record_every": 5,
    "solver": MOMENTUM,
    "validation": HELD_OUT,
    "key": jax.random.key(1),
}
# Sums of 48 terms in another order differ by 48 units of rounding of numbers of size 1 at most; a
# step moves the parameters by 0.1 of that, and momentum 0.9 sums it up to tenfold: 20 x 0.1 x 10 x
# 48 x 1.1e-16 = 1.1e-13.
ROUNDING = 1.1e-13


def mesh_of(num_devices):
    """The first devices, with axes as `jax.make_mesh` names them unless told otherwise."""
    return None if num_devices is None else jax.make_mesh((num_devices,), ("samples",))


def assert_same_run(one, other, atol):
    left = (
        one.params,
        one.state._replace(key=None),
        one.history._replace(seconds=None),
        one.layers,
    )
    right = (
        other.params,
        other.state._replace(key=None),
        other.history._replace(seconds=None),
        other.layers,
    )
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)
    assert one.outcome == other.outcome


@pytest.fixture(scope="module")
def runs():
    """One run on one device for each set of options, to hold the others against."""
    return {}


def on_one_device(runs, name, **options):
    if name not in runs:
        runs[name] = jaxbp.fit(MLP, draw_params(MLP), DATA, **OPTIONS | options)
    return runs[name]


WAYS = {
    "full batch": {"callbacks": (jaxbp.RecordLayers(),)},
    "batches and dropout": {
        "batch_size": 24,
        "solver": dataclasses.replace(MOMENTUM, dropout=0.2, tile=3),
        "callbacks": (jaxbp.KeepBest(),),
    },
}


def ways_and_counts(quick):
    """Every way on every number of devices, of which all but the named ones are slow."""
    for case in itertools.product(WAYS, (1, 2, 3, 8)):
        yield pytest.param(*case, marks=[] if case in quick else pytest.mark.slow)


@pytest.mark.parametrize(
    ("way", "num_devices"), list(ways_and_counts([("full batch", 8), ("batches and dropout", 2)]))
)
def test_devices_share_a_run(way, num_devices, runs, x64):
    one = on_one_device(runs, way, **WAYS[way])
    with compilations() as compiled:
        shared = jaxbp.fit(
            MLP, draw_params(MLP), DATA, mesh=mesh_of(num_devices), **OPTIONS | WAYS[way]
        )
    assert compiled.count("jit(advance)") == 1, "one compilation serves the whole run"
    assert_same_run(one, shared, ROUNDING)


@pytest.mark.slow
def test_labels_are_shared_too(x64):
    mlp, labels = jaxbp.Mlp((2, 4, 3)), np.arange(48) % 3
    options = {"steps": 5, "loss": "softmax_cross_entropy", "solver": MOMENTUM, "batch_size": 16}
    one, other = (
        jaxbp.fit(
            mlp,
            draw_params(mlp),
            (INPUTS, labels),
            key=jax.random.key(0),
            mesh=mesh,
            **options,
        )
        for mesh in (None, Mesh(np.reshape(jax.devices()[2:6], (2, 2)), ("a", "b")))
    )
    assert_same_run(one, other, ROUNDING)


def compiled_step(solver, batch_size, num_devices=4, mlp=MLP, data=DATA):
    mesh = with_auto_axes(mesh_of(num_devices))
    problem = Problem(mlp, batch_size=batch_size, mesh=mesh, num_steps=3)
    state = replicate(mesh, TrainState.start(draw_params(mlp), solver))
    train = share(mesh, Batch(*data))
    return advance.lower(problem, solver, state, train, 3, state).compile()


def exchanges(*arguments):
    """What the devices send each other in the compiled loop of steps: operations and shapes."""
    text = compiled_step(*arguments).as_text()
    found = re.findall(r"= (.+?) (all-\w+|collective-permute|reduce-scatter)(?:-start)?\(", text)
    return [(operation, re.sub(r"\{[\d,]*\}|/\*.*?\*/", "", shape)) for shape, operation in found]


def test_a_step_exchanges_its_gradient_once(x64):
    """Loss and gradient together, and before it the rows of a batch and their indices."""
    num_numbers = 1 + sum(leaf.size for leaf in jax.tree.leaves(draw_params(MLP)))
    gradient = ("all-reduce", f"f64[{num_numbers}]")
    assert exchanges(MOMENTUM, None) == [gradient]
    batch = {
        ("all-gather", "s32[24,1]"),
        ("all-reduce", "f64[24,2]"),
        ("all-reduce", "f64[24,1]"),
        ("all-reduce", "(f64[24,1], f64[24,2])"),
        ("all-reduce", "(f64[24,2], f64[24,1])"),
    }
    assert [one for one in exchanges(MOMENTUM, 24) if one not in batch] == [gradient]


def test_each_device_computes_its_share_of_a_batch(x64):
    """Of 24 rows each of 4 devices has 6; samples are columns in narrow layers."""
    text = compiled_step(MOMENTUM, 24).as_text()
    assert "f64[8,6]" in text
    assert "f64[8,24]" not in text


def test_cpu_devices_sweep_tiles_that_fit_a_core(x64):
    """Both passes over 5,000 samples of 2-64-64-1 keep 5.2 MB at once, in tiles 1 MB."""
    data = np.ones((10_000, 2)), np.ones((10_000, 1))
    program = compiled_step(MOMENTUM, None, 2, jaxbp.Mlp((2, 64, 64, 1)), data)
    assert program.memory_analysis().temp_size_in_bytes < 2.5 * 2**20


def test_a_run_on_devices_is_resumed(tmp_path, x64):
    whole = jaxbp.fit(MLP, draw_params(MLP), DATA, mesh=mesh_of(2), **OPTIONS)

    def stop(record, params):
        if record.step == 10:
            raise InterruptedError

    saving = (jaxbp.Checkpoint(tmp_path), stop)
    with pytest.raises(InterruptedError):
        jaxbp.fit(MLP, draw_params(MLP), DATA, mesh=mesh_of(2), callbacks=saving, **OPTIONS)
    shutil.copytree(tmp_path, tmp_path / "copy")
    resumed, alone = (
        jaxbp.fit(
            MLP,
            draw_params(MLP),
            DATA,
            mesh=mesh,
            callbacks=(jaxbp.Checkpoint(folder, resume=True),),
            **OPTIONS,
        )
        for folder, mesh in ((tmp_path, mesh_of(2)), (tmp_path / "copy", None))
    )
    assert_same_run(whole, resumed, 0)
    assert_same_run(whole, alone, ROUNDING)


def test_the_result_goes_with_arrays_of_any_device(x64):
    result = jaxbp.fit(MLP, draw_params(MLP), DATA, mesh=mesh_of(2), **OPTIONS)
    outputs = [
        jaxbp.predict(MLP, result.params, jax.device_put(INPUTS, jax.devices()[i])) for i in (0, 5)
    ]
    assert [output.devices() for output in outputs] == [{jax.devices()[0]}, {jax.devices()[5]}]
    assert all(
        leaf.devices() == {jax.devices()[0]}
        for leaf in jax.tree.leaves(result.state._replace(key=None))
    )
    goes_on = jaxbp.fit(MLP, result, DATA, mesh=mesh_of(2), **OPTIONS)
    assert goes_on.history.step[-1] == 40


@pytest.mark.slow
def test_a_run_that_diverges_on_devices_says_where(x64):
    far = jaxbp.first_order(optax.sgd(1e300))
    kinds = []
    for devices in (None, 2):
        with pytest.warns(RuntimeWarning, match="diverged"):
            kinds.append(
                jaxbp.fit(
                    MLP, draw_params(MLP), DATA, mesh=mesh_of(devices), **OPTIONS | {"solver": far}
                ).outcome
            )
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize(
    ("num_devices", "options", "message"),
    [
        (5, {}, "data must be a number of samples that the 5 devices of the mesh share .* got 48"),
        (3, {"batch_size": 20}, "batch_size must be a number of samples that the 3 devices .* 20"),
    ],
)
def test_what_devices_cannot_share_is_refused(num_devices, options, message, x64):
    with pytest.raises(ValueError, match=message):
        jaxbp.fit(MLP, draw_params(MLP), DATA, mesh=mesh_of(num_devices), **OPTIONS | options)


def test_a_mesh_of_another_kind_is_refused(x64):
    with pytest.raises(TypeError, match=r"mesh must be a jax.sharding.Mesh, .*, got int"):
        jaxbp.fit(MLP, draw_params(MLP), DATA, mesh=2, **OPTIONS)


NOISY = (INPUTS, DATA[1] + 0.1 * np.random.default_rng(1).standard_normal((48, 1)))
# With noise the condition number of K + lambda I is some 1e4, by which each of 20 steps may enlarge
# a rounding.
SOLVED = 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("num_devices", [1, 2, 3, 8])
@pytest.mark.parametrize("batch_size", [None, 24])
def test_devices_share_a_gauss_newton_step(batch_size, num_devices, x64):
    mlp, options = (
        jaxbp.Mlp((2, 4, 1)),
        OPTIONS | {"solver": jaxbp.gauss_newton(), "batch_size": batch_size},
    )
    one, shared = (
        jaxbp.fit(mlp, draw_params(mlp), NOISY, mesh=mesh_of(some), **options)
        for some in (None, num_devices)
    )
    assert_same_run(one, shared, SOLVED)


@pytest.mark.slow
def test_devices_share_conjugate_gradients(x64):
    mlp, mesh, damping = jaxbp.Mlp((2, 4, 1)), with_auto_axes(mesh_of(4)), 0.1

    @jax.jit
    def solve(inputs, wanted):
        residuals = forward(mlp, draw_params(mlp), inputs)[1]
        errors = seeded_errors(mlp, draw_params(mlp), residuals, np.ones((1, 48, 1)))
        return by_conjugate_gradients(
            residuals, errors, damping, wanted, iterations=100, tolerance=1e-13
        )

    alone, shared = solve(*NOISY), solve(*share(mesh, NOISY))
    for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(shared), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)


@pytest.mark.parametrize("num_seeds", [1, 3])
def test_each_device_computes_its_rows_of_the_gram_matrix(num_seeds, x64):
    mlp, mesh = jaxbp.Mlp((2, 4, 3)), with_auto_axes(mesh_of(4))
    seeds = np.random.default_rng(0).standard_normal((num_seeds, 48, 3))

    def kernel(mesh, inputs, seeds):
        residuals = forward(mlp, draw_params(mlp), inputs)[1]
        return gram_on(mesh, residuals, seeded_errors(mlp, draw_params(mlp), residuals, seeds))

    right = jax.jit(kernel, static_argnums=0)(None, INPUTS, seeds)
    shared = jax.jit(kernel, static_argnums=0).lower(mesh, share(mesh, INPUTS), seeds).compile()
    found = np.tril(shared(share(mesh, INPUTS), seeds))
    np.testing.assert_allclose(found, np.tril(right), rtol=1e-13, atol=1e-13)
    rows = 48 * num_seeds
    assert f"f64[{rows // 4},{rows}]" in shared.as_text(), "a device computes a quarter of the rows"
