"""scikit-learn's contract, its tools, and what the estimators learn."""

import pickle
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import jaxbp
from jaxbp.sklearn import Classifier, Regressor
from jaxbp.training import loop

GENERATOR = np.random.default_rng(0)
POINTS = GENERATOR.uniform(-1, 1, (60, 2))
OUTPUTS = 100 + 5 * np.sin(2 * POINTS[:, 0]) * POINTS[:, 1]
PLAIN = {"hidden": (16,), "solver": "gauss_newton", "steps": 30, "random_state": 0}


@pytest.fixture(autouse=True, scope="module")
def _quick_to_compile():
    """Many shapes are compiled and little is computed: LLVM's optimizations would take most of the
    time."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
    jax.clear_caches()


@pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.SkipTestWarning"
)  # where pandas is not installed
@pytest.mark.slow
@pytest.mark.parametrize(
    "estimator",
    [
        Regressor(effort="low", seconds=0),
        Classifier((16,), steps=50),
        Regressor((16,), solver="gauss_newton", steps=20),
        Classifier((16,), solver="gauss_newton", steps=10),
    ],
    ids=str,
)
def test_scikit_learns_own_checks(estimator):
    check_estimator(estimator)


@pytest.mark.parametrize(("solver", "steps"), [("auto", None), ("gauss_newton", 30), ("adam", 500)])
def test_a_smooth_function_is_learned_in_its_units(solver, steps):
    settings = {"effort": "low"} if solver == "auto" else {"hidden": (16,), "steps": steps}
    regressor = Regressor(solver=solver, random_state=0, **settings)
    regressor.fit(POINTS, OUTPUTS)
    assert regressor.score(POINTS, OUTPUTS) > 0.98
    assert regressor.predict(POINTS).shape == (60,)
    assert regressor.predict(POINTS).dtype == np.float64
    assert regressor.n_iter_ == (steps or len(regressor.model_.history))
    assert regressor.loss_curve_[-1] < 0.02
    np.testing.assert_array_equal(regressor.model_(POINTS), regressor.predict(POINTS))


def test_several_outputs_and_constant_columns():
    points = np.column_stack([POINTS, np.full(60, 7.0)])
    outputs = np.column_stack([OUTPUTS, 3 - OUTPUTS, np.full(60, 0.1)])
    predicted = Regressor(**PLAIN).fit(points, outputs).predict(points)
    assert predicted.shape == (60, 3)
    np.testing.assert_allclose(predicted, outputs, rtol=0, atol=1)
    np.testing.assert_allclose(predicted[:, 2], 0.1, rtol=0, atol=1e-3)


def test_classes_and_their_probabilities():
    points, labels = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[labels]
    classifier = Classifier((16,), steps=200, random_state=0).fit(points, names)
    assert classifier.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert classifier.score(points, names) > 0.95
    probabilities = classifier.predict_proba(points)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=0, atol=1e-12)
    log_loss = -np.log(probabilities[np.arange(len(labels)), labels]).mean()
    np.testing.assert_allclose(log_loss, classifier.loss_curve_[-1], rtol=1e-9)
    assert classifier.alpha_ in (0.1, 1.0, 10.0, 100.0)
    assert classifier.validation_loss_curve_ is None


def test_the_rows_of_weights_count_as_often_as_they_say():
    points, labels = load_iris(return_X_y=True)
    points, labels = points[::3], labels[::3]
    weights = np.arange(len(labels)) % 3
    settings = {"hidden": (8,), "solver": "adam", "steps": 40, "alpha": 2.0, "random_state": 0}
    weighted = Classifier(**settings).fit(points, labels, weights)
    repeated = Classifier(**settings).fit(points.repeat(weights, 0), labels.repeat(weights))
    found = weighted.predict_log_proba(points)
    np.testing.assert_allclose(found, repeated.predict_log_proba(points), rtol=1e-7)
    np.testing.assert_allclose(np.exp(found), weighted.predict_proba(points), rtol=1e-12)
    logits = weighted.decision_function(points)
    np.testing.assert_array_equal(weighted.predict(points), logits.argmax(axis=1))
    binary = Classifier(**settings, class_weight={0: 9.0, 1: 1.0}).fit(points, labels == 1)
    np.testing.assert_array_equal(binary.predict(points), binary.decision_function(points) > 0)
    plain = Classifier(**settings).fit(points, labels == 1)
    assert binary.decision_function(points).mean() < plain.decision_function(points).mean()


def test_alpha_shrinks_the_weights_as_the_stationary_point_says():
    """At the minimum without hidden layers n dL/dW + alpha W = 0, by NumPy."""
    points, labels = load_iris(return_X_y=True)
    settings = {"solver": "adam", "steps": 1000, "learning_rate": 0.1, "batch_size": 150}
    classifier = Classifier((), **settings, alpha=5.0, random_state=0)
    classifier.fit(points, labels)
    inputs = classifier.model_.input_scaler.standardize(points)
    weight = classifier.model_.params[0].weight
    gradient = inputs.T @ (classifier.predict_proba(points) - np.eye(3)[labels])
    np.testing.assert_allclose(gradient, -5.0 * weight, rtol=0, atol=1e-9)


@pytest.mark.parametrize("estimator", [Classifier, Regressor])
@pytest.mark.parametrize(
    ("solver", "others"),
    [
        ("adam", [{"learning_rate": 1e-3, "alpha": 1.0}, {"alpha": 0.0}]),
        ("gauss_newton", [{"damping": 0.3}]),
    ],
)
def test_nothing_is_compiled_for_another_setting_or_size_of_a_fold(estimator, solver, others):
    points, labels = load_iris(return_X_y=True)
    settings = {"hidden": (4,), "solver": solver, "steps": 3, "batch_size": 20}

    def fit(rows, **other):
        estimator(**settings, **other, early_stopping=False).fit(
            points[::-1][:rows], labels[::-1][:rows], np.arange(1.0, rows + 1)
        )

    alpha = {"alpha": 1.0} if solver == "adam" else {}
    fit(134, **alpha)
    before = loop.advance._cache_size()
    fit(130, **alpha)
    for other in others:
        fit(134, **other)
    assert loop.advance._cache_size() == before


@pytest.mark.parametrize(
    ("estimator", "solver"),
    [(Classifier, "gauss_newton"), (Regressor, "gauss_newton"), (Regressor, "adam")],
)
def test_a_weight_counts_as_so_many_rows(estimator, solver):
    points, outputs = POINTS[:30], np.round(OUTPUTS[:30])
    targets = outputs > 100 if estimator is Classifier else np.column_stack([outputs, -2 * outputs])
    weights = np.arange(30) % 4
    settings = {"hidden": (5,), "steps": 6, "early_stopping": False, "random_state": 0}
    weighted, repeated, other = (estimator(solver=solver, **settings) for _ in range(3))
    weighted.fit(points[::-1], targets[::-1], weights[::-1])
    repeated.fit(points.repeat(weights, 0), targets.repeat(weights, 0))
    np.testing.assert_allclose(weighted.model_(points), repeated.model_(points), rtol=1e-6)
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-6)
    other.fit(points, targets)
    assert np.abs(other.model_(points) - weighted.model_(points)).max() > 1e-2


def test_fit_model_repeats_rows_of_whole_weights():
    weights = np.arange(60) % 3
    first, second = (Regressor(effort="low", seconds=0, random_state=0) for _ in range(2))
    first.fit(POINTS, OUTPUTS, weights)
    second.fit(POINTS.repeat(weights, 0), OUTPUTS.repeat(weights))
    np.testing.assert_array_equal(first.predict(POINTS), second.predict(POINTS))
    with pytest.raises(ValueError, match=r"whole numbers with solver='auto', .* got 0\.5"):
        first.fit(POINTS, OUTPUTS, weights / 2)
    with pytest.raises(ValueError, match=r"(?i)sample.weights? must"):
        first.fit(POINTS, OUTPUTS, np.zeros(60))


def test_a_warm_start_goes_on_and_verbose_prints(capsys):
    first = Regressor(**PLAIN | {"steps": 3}, warm_start=True, verbose=True, early_stopping=False)
    first.fit(POINTS, OUTPUTS)
    loss = first.loss_curve_[-1]
    assert capsys.readouterr().out.startswith("step 0, loss ")
    assert first.fit(POINTS, OUTPUTS).loss_curve_[0] < loss  # the output layer was solved
    with pytest.raises(ValueError, match="warm_start must meet the network that was fitted"):
        first.set_params(hidden=(3,)).fit(POINTS, OUTPUTS)


def test_bars_and_names_of_the_model_inside():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(POINTS, columns=["u", "v"])
    regressor = Regressor(effort="low", random_state=0).fit(frame, pandas.Series(OUTPUTS, name="w"))
    assert regressor.model_.names == ("u", "v", "w")
    predicted, deviation = regressor.predict(frame, return_std=True)
    np.testing.assert_array_equal(predicted, regressor.predict(frame))
    np.testing.assert_array_equal(deviation, regressor.model_.std(POINTS))
    with pytest.raises(ValueError, match="the model has no error bars"):
        Regressor(**PLAIN).fit(POINTS, OUTPUTS).predict(POINTS, return_std=True)


@pytest.mark.slow
def test_gauss_newton_does_not_follow_the_noise_of_few_rows():
    points, outputs = load_diabetes(return_X_y=True)
    regressor = Regressor(solver="gauss_newton", random_state=0)
    folds = KFold(3, shuffle=True, random_state=0)
    # The mean of the outputs has 0; without early stopping this network is far below.
    assert cross_val_score(regressor, points, outputs, cv=folds).mean() > 0


def test_early_stopping_keeps_the_best_on_rows_held_out():
    noisy = OUTPUTS + GENERATOR.normal(0, 3, 60)
    options = {"early_stopping": True, "validation_fraction": 0.25, "n_iter_no_change": 5}
    regressor = Regressor(**PLAIN | {"steps": 200}, **options).fit(POINTS, noisy)
    curve = regressor.validation_loss_curve_
    assert regressor.n_iter_ < 200
    assert len(curve) == len(regressor.loss_curve_) == int(np.argmin(curve)) + 6
    held_out = np.random.RandomState(0).permutation(60)[:15]
    error = (regressor.predict(POINTS[held_out]) - noisy[held_out]) / noisy.std()
    assert np.mean(error**2) <= min(curve) * (
        1 + 1e-9
    )  # the output layer, solved last, may do better still


def test_the_same_seed_gives_the_same_model():
    first, second = (Regressor(**PLAIN).fit(POINTS, OUTPUTS).predict(POINTS) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    other = Regressor(**PLAIN | {"random_state": 1}).fit(POINTS, OUTPUTS).predict(POINTS)
    assert np.abs(first - other).max() > 1e-6


@pytest.mark.slow
def test_pipeline_search_scores_clone_and_pickle():
    pipeline = make_pipeline(StandardScaler(), Regressor(**PLAIN))
    search = GridSearchCV(pipeline, {"regressor__hidden": [(16,), (4,)]}, cv=2)
    search.fit(POINTS, OUTPUTS)
    assert search.best_score_ > 0.5
    assert cross_val_score(Regressor(**PLAIN), POINTS, OUTPUTS, cv=2).min() > 0.5
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict(POINTS), search.predict(POINTS))
    copy = clone(search.best_estimator_[-1])
    assert copy.get_params() == search.best_estimator_[-1].get_params()
    assert not hasattr(copy, "model_")


def test_the_model_inside_is_saved_and_loaded(tmp_path):
    regressor = Regressor(**PLAIN).fit(POINTS, OUTPUTS)
    regressor.model_.save(tmp_path / "model.npz")
    np.testing.assert_array_equal(
        jaxbp.load(tmp_path / "model.npz")(POINTS), regressor.predict(POINTS)
    )


@pytest.mark.parametrize(
    ("wrong", "pattern"),
    [
        ({"solver": "adma"}, "solver must be one of adam,.*; got 'adma'"),
        ({"activation": "tnah"}, "hidden must be one of tanh,.*; got 'tnah'"),
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"hidden": (16, -1)}, r"sizes\[2\] must be a whole number of at least 1, got -1"),
        ({"batch_size": 2.5}, "batch_size must be a whole number of at least 1, got 2.5"),
        ({"damping": 0.0}, "damping must be positive, got 0.0"),
        (
            {"solver": "adam", "learning_rate": -1.0},
            "learning_rate must be a finite number of at least 0, got -1.0",
        ),
        (
            {"early_stopping": True, "validation_fraction": 1.0},
            "validation_fraction must be .* below 1, got 1.0",
        ),
        (
            {"early_stopping": True, "n_iter_no_change": 0},
            "n_iter_no_change must be a whole number of at least 1",
        ),
    ],
)
def test_wrong_parameters_are_named(wrong, pattern):
    with pytest.raises(ValueError, match=pattern):
        Regressor(**PLAIN | wrong).fit(POINTS, OUTPUTS)


def test_a_parameter_that_the_solver_does_not_read_is_refused():
    with pytest.raises(ValueError, match=r"effort must be one of high,.*; got 'hihg'"):
        Regressor(effort="hihg").fit(POINTS, OUTPUTS)
    for settings in (
        {"hidden": (16,)},
        {"activation": "foo"},
        {"early_stopping": True},
        {"solver": "gauss_newton", "seconds": 1.0},
        {"solver": "adam", "damping": 1.0},
        {"solver": "lbfgs", "learning_rate": 0.1},
        {"solver": "gauss_newton", "alpha": 1.0},
        {"alpha": 1.0},
    ):
        *_, name = settings
        with pytest.raises(ValueError, match=f"{name} must be left at its default with solver="):
            Regressor(**settings).fit(POINTS, OUTPUTS)
    with pytest.raises(ValueError, match=r"damping must be left .* solver='auto'"):
        Classifier(damping=1.0).fit(POINTS, OUTPUTS > 100)


def test_rows_too_few_to_hold_any_out():
    assert Regressor().fit(POINTS[:4], OUTPUTS[:4]).predict(POINTS).shape == (60,)
    with pytest.raises(
        ValueError, match="early_stopping must leave samples to train on, got n_samples = 1"
    ):
        Regressor(**PLAIN, early_stopping=True).fit(POINTS[:1], OUTPUTS[:1])


def test_without_scikit_learn_the_extra_is_named():
    code = "import sys; sys.modules['sklearn'] = None; sys.modules['sklearn.base'] = None; import jaxbp.sklearn"  # noqa: E501
    root = str(Path(jaxbp.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=root
    )
    assert done.stderr.endswith(
        "jaxbp.sklearn needs scikit-learn 1.6 or newer: pip install 'jaxbp[sklearn]'\n"
    )
