"""The benchmark counts what it says, and runs."""

import json

import jax
import pytest

import benchmark
import jaxbp
from speed import rivals, steps, sweeps


@pytest.fixture(autouse=True)
def as_others_write():
    with jax.numpy_rank_promotion("allow"):
        yield


def test_the_known_shapes_cost_what_the_formula_says():
    assert sweeps.Shape((2, 64, 64, 64, 1), "relu", 1).operations == 50_048
    assert all(shape.operations <= 1e6 for shape in sweeps.shapes(1e6))
    assert len(list(sweeps.shapes(1e10))) == len({shape.name for shape in sweeps.shapes(1e10)}) > 50


def test_a_step_of_gauss_newton_costs_mostly_its_kernel():
    """2 n^2 (fan_in + fan_out) a layer for K, n^3 / 3 for its factor."""
    mlp, rows = jaxbp.Mlp((2, 128, 128, 1)), 1000
    kernel = 2 * rows**2 * (2 + 128 + 128 + 128 + 128 + 1) + rows**3 / 3
    assert kernel < steps.operations(mlp, rows) < 1.2 * kernel


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_the_tutorials_step_is_the_same_for_all():
    """Of the entrants that are JAX programs, by what they do to the loss."""
    for run in list(rivals.entrants().values())[:2]:
        params = run()[0]
        assert [leaf.shape for leaf in jax.tree.leaves(params)] == [
            *((2, 64), (64,), (64, 64), (64,), (64, 64), (64,), (64, 1), (1,))
        ]


@pytest.mark.slow
def test_it_times_and_draws_the_sweep(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sweeps, "ROUNDS", 2)
    wide = jax.config.jax_enable_x64
    try:
        benchmark.main(benchmark.Config(parts=("sweeps",), work=3e6, out=str(tmp_path), quiet=True))
    finally:
        jax.config.update("jax_enable_x64", wide)
    assert "geometric mean" in capsys.readouterr().out
    numbers = json.loads((tmp_path / "benchmark.json").read_text())["result"]
    assert all(found["sweep"] > 0 < found["autodiff_bytes"] for found in numbers["sweeps"])
    assert (tmp_path / "benchmark.png").exists()


@pytest.mark.slow
def test_programs_of_their_own_run_on_two_devices():
    assert steps.programs({"two": ("descent", 2, {})}, rounds=1)["two"] > 0
