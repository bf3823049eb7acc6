"""The comparison of solvers: problems, the choice of settings, results, baselines."""

import json
import math
from functools import partial

import compare_solvers
import numpy as np
import pytest
from solvers import baselines, own, rules
from solvers.problems import Problem, function_problem, surface_problem
from solvers.rules import Fitted, Result, best_of, chosen, paced

from data import Samples


@pytest.mark.parametrize(
    "make", [partial(surface_problem, "franke"), partial(function_problem, "friedman")]
)
def test_problems_are_standardized_and_judged_elsewhere(make):
    problem = make(num_samples=200, seed=3)
    assert problem.train.points.mean(axis=0) == pytest.approx(0, abs=1e-12)
    assert problem.train.values.std() == pytest.approx(1)
    assert len(problem.test.values) == 10_000
    assert problem.error(problem.test.values[:, None]) == 0
    assert problem.error(np.full(10_000, problem.test.values.mean())) == pytest.approx(1)
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


def off_by(error, *, seconds=0.0, steps=0, where=lambda points: True):
    """Trains a model whose predictions are off by `error` at alternating signs, at the points where
    that holds."""

    def train(problem, budget):
        def predict(points):
            signs = np.where(np.arange(len(points)) % 2, 1.0, -1.0)
            return points[:, 0] + np.where(where(points[:, 0]), error * signs, 0)

        return Fitted(predict, seconds, 0.0, steps)

    return train


def singular(problem, seconds):
    raise np.linalg.LinAlgError


def test_steps_fill_the_time(line):
    asked = []

    def fit(problem, steps):
        asked.append(steps)
        return Fitted(None, 0.01 * steps, 0.0, steps)

    train = paced(fit, 5)
    assert train(line, 1.0).steps == 100
    assert train(line, 2.0).steps == 200
    assert asked == [5, 100, 200]


def test_of_settings_with_the_whole_budget_the_best_counts(line):
    entry = best_of(
        {"NaN": off_by(math.nan), "good": off_by(0.1, seconds=3.0, steps=7), "bad": off_by(0.2)}
    )(line, 1.0)
    assert (entry.settings, entry.steps, entry.seconds) == ("good", 7, 3.0)
    assert entry.nrmse == pytest.approx(0.1 / line.test.values.std())
    assert math.isnan(best_of({"NaN": off_by(math.nan)})(line, 1.0).nrmse)


def test_settings_are_chosen_on_held_out_samples_only(line):
    """One setting is perfect where it is judged and bad among the samples, the other the reverse:
    the other counts."""
    settings = {
        "perfect where judged": off_by(1.0, where=lambda x: x < 2),
        "perfect on samples": off_by(1.0, where=lambda x: x > 2),
        "singular": singular,
    }
    entry = chosen(settings)(line, 10.0)
    assert entry.settings == "perfect on samples"
    assert entry.nrmse == pytest.approx(1 / line.test.values.std())
    assert math.isnan(chosen({"singular": singular})(line, 1.0).nrmse)


def test_trials_end_in_time(line, monkeypatch):
    """Of a fit that takes 3 s, on a clock of our own, 10 s hold one trial, reserving 6 s for all
    the samples."""
    now, begun = [0.0], []
    monkeypatch.setattr(rules.time, "perf_counter", lambda: now[0])

    def slow(name, error):
        def train(problem, seconds):
            begun.append((name, len(problem.train.values)))
            now[0] += 3.0
            return off_by(error)(problem, seconds)

        return train

    entry = chosen({"first": slow("first", 0.2), "second": slow("second", 0.1)})(line, 10.0)
    assert begun == [("first", 80), ("first", 100)]
    assert (entry.settings, entry.seconds) == ("first", 6.0)
    begun.clear()
    assert (
        chosen({"first": slow("first", 0.2), "second": slow("second", 0.1)})(line, 20.0).settings
        == "second"
    )
    assert begun == [("first", 80), ("second", 80), ("second", 100)]


def solver(*errors):
    """Return a solver that reaches these errors in turn."""
    left = list(errors)
    return lambda problem, seconds: Result(1, seconds, 0.5, left.pop(0), "settings")


@pytest.fixture
def comparison(monkeypatch, tmp_path):
    """Runs the script in this process with solvers of our own; returns the results written."""

    def run(own, others, **flags):
        for part in ("surface", "function"):
            monkeypatch.setattr(compare_solvers, f"{part}_solvers", lambda: own)
            monkeypatch.setattr(compare_solvers, f"{part}_baselines", lambda: others)
        monkeypatch.setattr(compare_solvers, "begin", lambda config: tmp_path)
        few = {
            "surfaces": (),
            "functions": (),
            "seconds": (2.0, 1.0),
            "samples": 100,
            "function_samples": (100, 200),
            "out": str(tmp_path),
        }
        compare_solvers.main(compare_solvers.Config(**few | flags))
        return json.loads((tmp_path / "solver_comparison.json").read_text())["result"]

    return run


def test_errors_and_times_are_written_and_printed(comparison, capsys, tmp_path):
    others = {"Chebyshev": solver(1e-4, 1e-5), "other": solver(math.nan, 0.5)}
    found = comparison({"Gauss-Newton": solver(1e-6, 1e-3)}, others, surfaces=("franke",))
    assert [one["nrmse"] for one in found["surfaces"]["franke"]["Gauss-Newton"]] == [1e-6, 1e-3]
    assert [one["seconds"] for one in found["surfaces"]["franke"]["Chebyshev"]] == [1.0, 2.0]
    assert found["surfaces"]["franke"]["other"][0]["nrmse"] is None
    assert "franke, 1 s, Gauss-Newton: 1.0e-06 in 1.0 s" in capsys.readouterr().out
    assert (tmp_path / "solver_comparison.svg").exists()
    assert not (tmp_path / "surrogate_comparison.svg").exists()


def test_problems_that_do_not_run_are_kept(comparison):
    comparison({"jaxbp": solver(1e-3, 1e-4)}, {"x": solver(0.5, math.nan)}, functions=("friedman",))
    found = comparison({"jaxbp": solver(0.1, 0.2)}, {}, surfaces=("franke",))
    friedman = found["functions"]["friedman"]
    assert [one["nrmse"] for one in friedman["jaxbp"]] == [1e-3, 1e-4]
    assert [one["nrmse"] for one in friedman["x"]] == [0.5, None]
    assert [one["nrmse"] for one in found["surfaces"]["franke"]["jaxbp"]] == [0.1, 0.2]


def test_medians_over_seeds(comparison):
    flags = {"functions": ("friedman",), "seeds": (0, 1, 2), "function_samples": (100,)}
    found = comparison({"jaxbp": solver(1.0, 3.0, 2.0)}, {}, **flags)
    assert found["functions"]["friedman"]["jaxbp"][0]["nrmse"] == 2.0


def test_flags_are_checked(comparison):
    with pytest.raises(ValueError, match="seconds must hold at least one number, got none"):
        comparison({}, {}, seconds=())


@pytest.mark.parametrize("name", baselines.function_baselines())
def test_baselines_run_within_any_budget(name, x64):
    """The first setting always runs; methods without steps have learned something then."""
    baseline = baselines.function_baselines()[name]
    result = baseline(function_problem("friedman", 100, 0), 0.01)
    assert result.nrmse < (10 if result.steps else 0.9)


@pytest.mark.parametrize("kernel", baselines.SMOOTHNESS)
def test_a_gaussian_process_learns_from_few_samples(kernel, x64):
    problem = function_problem("friedman", 150, 0)
    fitted = baselines._gaussian_process(baselines.SMOOTHNESS[kernel], problem, 60.0)
    assert problem.error(fitted.predict(problem.test.points)) < 0.1


def test_baselines_of_surfaces_are_as_exact_as_they_should(x64):
    himmelblau, franke = surface_problem("himmelblau", 300, 0), surface_problem("franke", 1000, 0)
    polynomial = baselines._chebyshev(4, himmelblau)  # Himmelblau's function is one of degree 4
    assert himmelblau.error(polynomial(himmelblau.test.points)) < 1e-12
    assert franke.error(baselines._rbf("quintic", 1.0, 60, franke)(franke.test.points)) < 1e-3


@pytest.mark.slow
def test_own_solvers_rank_as_they_claim(x64):
    """After steps that take about the same time on a quiet machine."""
    franke = surface_problem("franke", 1000, 0)
    fits = {"descent": (own._descend, 200), "Gauss-Newton": (own._gauss_newton, 30)}
    fits["Adam"] = (partial(own._adam, "tanh"), 200)
    errors = {
        name: franke.error(fit(franke, steps).predict(franke.test.points))
        for name, (fit, steps) in fits.items()
    }
    assert errors["Gauss-Newton"] < errors["Adam"] / 10 < errors["descent"] / 10


def test_the_own_model_is_fitted_in_the_time_given(monkeypatch):
    asked = {}

    def fit_model(points, values, **flags):
        asked.update(flags)
        return lambda points: np.zeros(len(points))

    monkeypatch.setattr(own.jaxbp, "fit_model", fit_model)
    (solver,) = own.function_solvers().values()
    assert solver(function_problem("friedman", 100, 2), 7.0).nrmse == pytest.approx(1, rel=0.1)
    assert asked == {"seconds": 7.0, "seed": 2}
