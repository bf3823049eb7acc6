"""The benchmark of speed counts operations as it says, and runs."""

import json

import jax
import pytest
import speed
import speed_baselines

import jaxbp


@pytest.fixture(autouse=True)
def as_others_write():
    with jax.numpy_rank_promotion("allow"):
        yield


def test_the_known_shapes_cost_what_the_formula_says():
    assert speed.Shape((2, 64, 64, 64, 1), "relu", 1).operations == 50_048
    assert all(shape.operations <= 1e6 for shape in speed.shapes(1e6))
    assert len(list(speed.shapes(1e10))) == len({shape.name for shape in speed.shapes(1e10)}) > 50


def test_a_step_of_gauss_newton_costs_mostly_its_kernel():
    """2 n^2 (fan_in + fan_out) a layer for K, n^3 / 3 for its factor."""
    mlp, rows = jaxbp.Mlp((2, 128, 128, 1)), 1000
    kernel = 2 * rows**2 * (2 + 128 + 128 + 128 + 128 + 1) + rows**3 / 3
    assert kernel < speed.operations(mlp, rows) < 1.2 * kernel


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_the_tutorials_step_is_the_same_for_all():
    """Of those that are JAX programs, by what they do to the loss."""
    for run in list(speed_baselines.one_step_of_each().values())[:2]:
        params = run()[0]
        assert [leaf.shape for leaf in jax.tree.leaves(params)] == [
            *((2, 64), (64,), (64, 64), (64,), (64, 64), (64,), (64, 1), (1,))
        ]


@pytest.mark.slow
def test_it_times_and_draws_the_sweep(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(speed, "ROUNDS", 1)
    wide = jax.config.jax_enable_x64
    try:
        speed.main(speed.Config(parts=("passes",), work=3e5, out=str(tmp_path), quiet=True))
    finally:
        jax.config.update("jax_enable_x64", wide)
    assert "geometric mean" in capsys.readouterr().out
    numbers = json.loads((tmp_path / "speed.json").read_text())["result"]
    assert all(found["hand"] > 0 < found["autodiff_bytes"] for found in numbers["passes"])
    assert (tmp_path / "speed.png").exists()


@pytest.mark.slow
def test_two_devices_are_timed_in_programs_of_their_own():
    assert speed.time_devices(rounds=1)["two"] > 0
