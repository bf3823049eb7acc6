"""The benchmark of speed counts operations as it says, and runs."""

import json

import jax
import numpy as np
import pytest
import speed

import jaxbp


@pytest.fixture(autouse=True)
def as_others_write():
    with jax.numpy_rank_promotion("allow"):
        yield


def test_the_known_shapes_cost_what_the_formula_says():
    assert speed.Shape((2, 64, 64, 64, 1), "relu", 1).operations == 50_048
    shapes = speed.shapes()
    assert all(shape.operations <= 1e10 for shape in shapes)
    assert len(shapes) == len(set(shapes)) == 57


def test_a_step_of_gauss_newton_costs_mostly_its_kernel():
    """2 n^2 (fan_in + fan_out) a layer for K, n^3 / 3 for its factor."""
    mlp, rows = jaxbp.Mlp((2, 128, 128, 1)), 1000
    kernel = 2 * rows**2 * (2 + 128 + 128 + 128 + 128 + 1) + rows**3 / 3
    assert kernel < speed.operations(mlp, rows) < 1.2 * kernel


def test_the_programs_that_are_compared_take_the_same_steps():
    mlp = jaxbp.Mlp((2, 4, 1), "tanh")
    params, samples = jaxbp.init(mlp, jax.random.key(0)), speed.samples_of(10)
    by_hand, by_autodiff = (
        speed.descent(gradient, params, samples, 3)()[0]
        for gradient in speed.gradients(mlp).values()
    )
    assert jax.tree.all(
        jax.tree.map(lambda a, b: np.allclose(a, b, rtol=1e-5, atol=1e-6), by_hand, by_autodiff)
    )
    assert not np.array_equal(by_hand[0].weight, params[0].weight)


@pytest.mark.slow
def test_it_times_and_draws_the_sweep(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(speed, "ROUNDS", 1)
    monkeypatch.setattr(speed, "MOST_OPERATIONS", 3e5)
    wide = jax.config.jax_enable_x64
    try:
        speed.main(speed.Config(parts=("passes",), out=str(tmp_path), quiet=True))
    finally:
        jax.config.update("jax_enable_x64", wide)
    assert "geometric mean" in capsys.readouterr().out
    numbers = json.loads((tmp_path / "speed.json").read_text())["result"]
    assert all(row["ratio"] > 0 < row["memory"] for _, row in numbers["passes"])
    assert (tmp_path / "speed.png").exists()


@pytest.mark.slow
def test_two_devices_are_timed_in_programs_of_their_own():
    assert speed.time_devices(rounds=1)["two"] > 0
