"""The contest of solvers: its functions, its rules, what it prints and keeps, who competes."""

import json
import math
from functools import partial

import numpy as np
import pytest

import compare_solvers
from contest import entrants, report, rivals, rules
from contest.problems import Problem, function_problem, surface_problem
from contest.rules import Entrant, Fitted, best_of, chosen, paced
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
    trial = problem.hold_out()
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
    """Trains a model whose predictions are off by `error` at alternating signs, at the points where that holds."""

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
    """One setting is perfect where it is judged and bad among the samples, the other the reverse: the other counts."""
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
    """Of a fit that takes 3 s, on a clock of our own, 10 s hold one trial, reserving 6 s for all the samples."""
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


def entrant(name, *errors):
    """Reaches these errors in turn."""
    left = list(errors)
    return Entrant(
        name, lambda problem, seconds: rules.Entry(1, seconds, 0.5, left.pop(0), f"{name}'s")
    )


@pytest.fixture
def contest(monkeypatch, tmp_path):
    """Runs the script in this process with entrants of our own; returns the results that it wrote."""

    def run(own, others, **flags):
        for part in ("surface", "function"):
            monkeypatch.setattr(compare_solvers, f"{part}_entrants", lambda: own)
            monkeypatch.setattr(compare_solvers, f"{part}_rivals", lambda: others)
        monkeypatch.setattr(compare_solvers, "begin", lambda *config, **minima: tmp_path)
        few = {
            "surfaces": (),
            "functions": (),
            "seconds": (2.0, 1.0),
            "samples": 100,
            "function_samples": (100, 200),
        }
        compare_solvers.main(compare_solvers.Config(**few | flags))
        return json.loads((tmp_path / "solver_comparison.json").read_text())["result"]

    return run


def test_tables_say_who_won(contest, capsys, tmp_path):
    ours, theirs = entrant("Gauss-Newton", 1e-6, 1e-3), entrant("Chebyshev", 1e-4, 1e-5)
    found = contest([ours], [theirs, entrant("other", math.nan, 0.5)], surfaces=("franke",))
    assert [entry["nrmse"] for entry in found["surfaces"]["franke"]["Gauss-Newton"]] == [1e-6, 1e-3]
    assert [entry["seconds"] for entry in found["surfaces"]["franke"]["Chebyshev"]] == [1.0, 2.0]
    assert found["surfaces"]["franke"]["other"][0]["nrmse"] is None
    text = capsys.readouterr().out
    assert "franke, 1 s, Gauss-Newton: 1.0e-06 in 1.0 s" in text
    assert [line.split() for line in text.splitlines() if "geometric" in line] == [
        ["geometric", "mean", "0.01", "1e+02"]
    ]
    (defeat,) = [line for line in text.splitlines() if "Chebyshev 1.0e-05" in line]
    assert defeat.split() == ["franke", "2", "s", "Chebyshev", "1.0e-05", "Gauss-Newton", "1.0e-03"]
    assert (tmp_path / "solver_comparison.svg").exists()
    assert not (tmp_path / "surrogate_comparison.svg").exists()


def test_what_does_not_run_is_kept(contest, tmp_path):
    contest(
        [entrant("jaxbp", 1e-3, 1e-4)],
        [entrant("Gaussian process", 0.5, 0.25)],
        functions=("friedman",),
    )
    contest([entrant("jaxbp", 0.1, 0.2)], [], surfaces=("franke",), peers=False)
    found = contest([entrant("jaxbp", 1e-5, 1e-6)], [], functions=("friedman",), solvers=("jaxbp",))
    friedman = found["functions"]["friedman"]
    assert [entry["nrmse"] for entry in friedman["jaxbp"]] == [1e-5, 1e-6]
    assert [entry["nrmse"] for entry in friedman["Gaussian process"]] == [0.5, 0.25]
    assert [entry["nrmse"] for entry in found["surfaces"]["franke"]["jaxbp"]] == [0.1, 0.2]
    assert (tmp_path / "surrogate_comparison.svg").exists()
    # With other flags nothing can be kept.
    with pytest.raises(ValueError, match="solvers must be left out where no earlier run's"):
        contest(
            [entrant("jaxbp", 1, 1)], [], functions=("friedman",), solvers=("jaxbp",), seeds=(1,)
        )


def test_medians_over_seeds(contest):
    found = contest(
        [entrant("jaxbp", 1.0, 3.0, 2.0)],
        [],
        functions=("friedman",),
        seeds=(0, 1, 2),
        function_samples=(100,),
    )
    assert found["functions"]["friedman"]["jaxbp"][0]["nrmse"] == 2.0


def test_flags_are_checked(contest):
    with pytest.raises(ValueError, match="solvers must be one of Gauss-Newton"):
        contest([entrant("Gauss-Newton"), entrant("x")], [], solvers=("GaussNewton",))
    with pytest.raises(ValueError, match="seconds must name at least one, got none"):
        contest([], [], seconds=())


def test_the_picture_highlights_jaxbp(contest, monkeypatch):
    drawn = {}

    def draw_panels(panels, **words):
        drawn.update(words, panels=panels)
        return real(panels, **words)

    real = report.viz.draw_panels
    monkeypatch.setattr(report.viz, "draw_panels", draw_panels)
    contest(
        [entrant("Gauss-Newton", 1, 1), entrant("jaxbp", 1e-3, 1e-4)], [], functions=("friedman",)
    )
    assert drawn["highlight"] == "jaxbp"
    x, y = drawn["panels"]["friedman"]["jaxbp"]
    assert (list(x), list(y)) == ([100, 200], [1e-3, 1e-4])


@pytest.mark.parametrize("rival", rivals.function_rivals(), ids=lambda rival: rival.name)
def test_rivals_run_within_any_budget(rival, x64):
    """The first setting always runs; those without steps have learned something then."""
    entry = rival.compete(function_problem("friedman", 100, 0), 0.01)
    assert entry.settings.startswith(("L-BFGS, tanh", "tanh", "cubic", "exact", "ARD"))
    assert entry.nrmse < (10 if entry.steps else 0.9)


def test_a_gaussian_process_learns_from_few_samples(x64):
    (entrant,) = (rival for rival in rivals.function_rivals() if rival.name == "Gaussian process")
    problem = function_problem("friedman", 150, 0)
    assert entrant.compete(problem, 60.0).nrmse < 0.03


def test_rivals_of_surfaces_are_as_exact_as_they_should(x64):
    himmelblau, franke = surface_problem("himmelblau", 300, 0), surface_problem("franke", 1000, 0)
    polynomial = rivals._chebyshev(4, himmelblau)  # Himmelblau's function is one of degree 4
    assert himmelblau.error(polynomial(himmelblau.test.points)) < 1e-12
    assert franke.error(rivals._rbf("quintic", 1.0, 60, franke)(franke.test.points)) < 1e-3


@pytest.mark.slow
def test_own_solvers_rank_as_they_claim(x64):
    """After steps that take about the same time on a quiet machine."""
    franke = surface_problem("franke", 1000, 0)
    fits = {"descent": (entrants._descend, 200), "Gauss-Newton": (entrants._gauss_newton, 30)}
    fits["Adam"] = (partial(entrants._adam, "tanh"), 200)
    errors = {
        name: franke.error(fit(franke, steps).predict(franke.test.points))
        for name, (fit, steps) in fits.items()
    }
    assert errors["Gauss-Newton"] < errors["Adam"] / 10 < errors["descent"] / 10
    assert {entrant.name for entrant in entrants.surface_entrants()} == set(entrants.OWN)


def test_the_own_model_is_fitted_in_the_time_given(monkeypatch):
    asked = {}

    def fit_model(points, values, **flags):
        asked.update(flags)
        return lambda points: np.zeros(len(points))

    monkeypatch.setattr(entrants.jaxbp, "fit_model", fit_model)
    (own,) = entrants.function_entrants()
    assert own.compete(function_problem("friedman", 100, 2), 7.0).nrmse == pytest.approx(1, rel=0.1)
    assert asked == {"seconds": 7.0, "seed": 2}
