"""The comparison of solvers: problems, the choice of settings, results, baselines."""

import json
import math
from functools import partial
from types import SimpleNamespace

import compare_solvers
import numpy as np
import pytest
import solvers
from solvers import Problem, chosen, function_problem, surface_problem

from data import Samples


@pytest.mark.parametrize(
    "make", [partial(surface_problem, "franke"), partial(function_problem, "friedman")]
)
def test_problems_are_standardized_and_judged_elsewhere(make):
    problem = make(num_samples=200, seed=3)
    assert problem.train.points.mean(axis=0) == pytest.approx(0, abs=1e-12)
    assert problem.train.values.std() == pytest.approx(1)
    assert len(problem.test.values) == 10_000
    assert problem.error(lambda points: problem.test.values[:, None]) == 0
    mean = problem.test.values.mean()
    assert problem.error(lambda points: np.full(10_000, mean)) == pytest.approx(1)
    trial = problem.split()
    assert (len(trial.train.values), len(trial.test.values)) == (160, 40)
    together = np.concatenate([trial.train.points, trial.test.points])
    assert {*map(tuple, together)} == {*map(tuple, problem.train.points)}


@pytest.fixture
def line():
    """A problem whose function is the identity."""
    points = np.linspace(-1, 1, 100)
    return Problem(
        Samples(points[:, None], points), Samples(points[:, None] + 5, points + 5), seed=0
    )


def off_by(error, where=lambda points: True):
    """Fit a model that is off by `error` at alternating signs, at the points where that holds."""

    def predict(points):
        signs = np.where(np.arange(len(points)) % 2, 1.0, -1.0)
        return points[:, 0] + np.where(where(points[:, 0]), error * signs, 0)

    return lambda problem: predict


def singular(problem):
    raise np.linalg.LinAlgError


def test_settings_are_chosen_on_held_out_samples_only(line):
    """One setting is perfect where it is judged and bad among the samples, the other the reverse:
    the other counts."""
    settings = {
        "NaN": off_by(math.nan),
        "perfect where judged": off_by(1.0, where=lambda x: x < 2),
        "perfect on samples": off_by(1.0, where=lambda x: x > 2),
        "singular": singular,
    }
    predict, _, taken = chosen(settings, line, 10.0)
    assert taken == "perfect on samples"
    assert line.error(predict) == pytest.approx(1 / line.test.values.std())
    with pytest.raises(np.linalg.LinAlgError):
        chosen({"singular": singular}, line, 1.0)


def test_trials_end_with_the_time(line, monkeypatch):
    """Of trials that take 3 s, on a clock of our own, 5 s hold two; the last fit comes on top."""
    now, begun = [0.0], []
    monkeypatch.setattr(solvers.time, "perf_counter", lambda: now[0])

    def slow(name, error, problem):
        begun.append((name, len(problem.train.values)))
        now[0] += 3.0
        return off_by(error)(problem)

    names = {"first": 0.2, "second": 0.1, "third": 0.05}
    settings = {name: partial(slow, name, error) for name, error in names.items()}
    _, seconds, taken = chosen(settings, line, 5.0)
    assert begun == [("first", 80), ("second", 80), ("second", 100)]
    assert (seconds, taken) == (9.0, "second")


@pytest.fixture
def comparison(monkeypatch, tmp_path):
    """Runs the script in this process with solvers of our own; returns the results written."""

    def run(own, **flags):
        for part in ("surface", "function"):
            monkeypatch.setattr(compare_solvers, f"{part}_solvers", lambda: own)
        monkeypatch.setattr(compare_solvers, "begin", lambda config: tmp_path)
        few = {"surfaces": (), "functions": (), "seconds": (2.0, 1.0), "samples": 100}
        few |= {"function_samples": (100, 200), "out": str(tmp_path)}
        compare_solvers.main(compare_solvers.Config(**few | flags))
        return json.loads((tmp_path / "solver_comparison.json").read_text())["result"]

    return run


def mean(problem, seconds):
    return lambda points: np.full(len(points), problem.test.values.mean()), seconds, "the mean"


def fails(problem, seconds):
    raise np.linalg.LinAlgError("singular")


def test_errors_and_times_are_written_and_printed(comparison, capsys, tmp_path):
    found = comparison({"mean": mean, "none": fails}, surfaces=("franke",))["surfaces"]["franke"]
    assert list(found["mean"]) == ["1 s", "2 s"]
    assert found["mean"]["2 s"] == {"nrmse": 1.0, "seconds": 2.0, "settings": "the mean"}
    assert found["none"]["1 s"] == {"nrmse": None, "seconds": 1.0, "settings": "singular"}
    assert "franke, 1 s, mean: 1.0e+00 in 1.0 s (the mean)" in capsys.readouterr().out
    assert (tmp_path / "solver_comparison.svg").exists()
    assert not (tmp_path / "surrogate_comparison.svg").exists()


def test_functions_get_every_number_of_samples_and_the_longest_time(comparison, tmp_path):
    found = comparison({"mean": mean}, functions=("friedman",))["functions"]["friedman"]
    times = {column: one["seconds"] for column, one in found["mean"].items()}
    assert times == {"100 samples": 2.0, "200 samples": 2.0}
    assert (tmp_path / "surrogate_comparison.svg").exists()


def test_flags_are_checked(comparison):
    with pytest.raises(ValueError, match="seconds must hold at least one number, got none"):
        comparison({}, seconds=())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scipy RBF", "Gaussian process", "nlls-gram"])
def test_baselines_of_functions_learn_something_within_any_budget(name, x64):
    problem = function_problem("friedman", 150, 0)
    if name not in solvers.function_solvers():
        pytest.skip("nlls-gram is not installed")
    predict, _, _ = solvers.function_solvers()[name](problem, 0.01)
    assert problem.error(predict) < 0.9


@pytest.mark.parametrize("kernel", solvers.SMOOTHNESS)
def test_a_gaussian_process_learns_from_few_samples(kernel, x64):
    problem = function_problem("friedman", 150, 0)
    predict = solvers.gaussian_process(solvers.SMOOTHNESS[kernel], problem)
    assert problem.error(predict) < 0.1


def test_baselines_of_surfaces_are_as_exact_as_they_should(x64):
    himmelblau, franke = surface_problem("himmelblau", 300, 0), surface_problem("franke", 1000, 0)
    # Himmelblau's function is a polynomial of degree 4.
    assert himmelblau.error(solvers.chebyshev(4, himmelblau)) < 1e-12
    assert franke.error(solvers.rbf("quintic", 1.0, 60, franke)) < 1e-3


def test_the_own_model_is_fitted_in_the_time_given(monkeypatch):
    asked = {}

    class Zero(SimpleNamespace):
        def __call__(self, points):
            return np.zeros(len(points))

    def fit_model(points, values, **flags):
        asked.update(flags)
        return Zero(history=[SimpleNamespace(name="zero", chosen=True)])

    monkeypatch.setattr(solvers.jaxbp, "fit_model", fit_model)
    problem = function_problem("friedman", 100, 2)
    predict, _, settings = solvers.fit_model(problem, 7.0)
    assert problem.error(predict) == pytest.approx(1, rel=0.1)
    assert (settings, asked) == ("zero", {"seconds": 7.0, "seed": 2})
