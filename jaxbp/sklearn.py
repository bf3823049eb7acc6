"""Networks as scikit-learn's estimators, `Regressor` and `Classifier`; needs the extra `sklearn`.

Legend: n samples, d inputs, k outputs or classes.
"""

from inspect import signature
from typing import Any

import jax
import numpy as np

from jaxbp._checks import check_count, check_name, check_number
from jaxbp.fitting import fit_model
from jaxbp.fitting.model import Model, Term
from jaxbp.fitting.standardizing import Standardizer, standardizer
from jaxbp.params import Mlp, init
from jaxbp.training import (
    OPTIMIZERS,
    EarlyStopping,
    first_order,
    fit,
    gauss_newton,
    named_optimizer,
)

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ModuleNotFoundError(
        "jaxbp.sklearn needs scikit-learn 1.6 or newer: pip install 'jaxbp[sklearn]'"
    ) from error

GAUSS_NEWTON_ROWS, FIRST_ORDER_ROWS = 512, 200  # of a step, unless `batch_size` says otherwise
FEWEST_ROWS = 5  # that `fit_model` takes
# Parameters that solvers read besides solver and random_state; other optimizers: learning_rate.
READ_BY_NETWORKS = {
    "hidden",
    "activation",
    "steps",
    "batch_size",
    "early_stopping",
    "validation_fraction",
    "n_iter_no_change",
}
READ = {
    "fit_model": {"effort", "seconds"},
    "gauss_newton": {"damping", *READ_BY_NETWORKS},
    "lbfgs": READ_BY_NETWORKS,
}
SCHEMES = {"relu": "he", "leaky_relu": "he", "silu": "lecun", "gelu": "lecun", "sine": "sine"}


class _Network(BaseEstimator):
    """Parameters and training of both estimators."""

    def __init__(  # noqa: PLR0913
        self,
        hidden: tuple[int, ...] = (32, 32),
        *,
        activation: str = "tanh",
        solver: str = "auto",
        steps: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 1e-2,
        damping: float = 0.1,
        effort: str = "normal",
        seconds: float | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        random_state: Any = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.solver = solver
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.damping = damping
        self.effort = effort
        self.seconds = seconds
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state

    def _check_solver(self, auto: str) -> str:
        """Return the solver, `auto` for "auto"; raise for parameters that it does not read."""
        check_name("solver", self.solver, ["auto", "gauss_newton", *OPTIMIZERS])
        solver = auto if self.solver == "auto" else self.solver
        read = READ.get(solver, {"learning_rate", *READ_BY_NETWORKS}) | {"solver", "random_state"}
        for name, parameter in signature(type(self)).parameters.items():
            if name not in read and (value := getattr(self, name)) != parameter.default:
                raise ValueError(
                    f"{name} must be left at its default with solver={self.solver!r}, "
                    f"which does not read it; got {value!r}"
                )
        return solver

    def _train(
        self,
        solver: str,
        points: np.ndarray,
        targets: np.ndarray,
        scaler: Standardizer,
        flat: bool,
        loss: str,
    ) -> None:
        """Fit a network to points in their units and targets in standard ones."""
        newton, generator = solver == "gauss_newton", check_random_state(self.random_state)
        hidden = [self.hidden] if isinstance(self.hidden, (int, np.integer)) else self.hidden
        mlp = Mlp((points.shape[1], *hidden, len(scaler.mean)), self.activation)
        input_scaler = standardizer(points)
        inputs = input_scaler.standardize(points)
        default = 100 if newton else 1000
        steps = check_count("steps", default if self.steps is None else self.steps, minimum=1)
        rows = max(1, GAUSS_NEWTON_ROWS // mlp.sizes[-1]) if newton else FIRST_ORDER_ROWS
        size = rows if self.batch_size is None else self.batch_size
        batch_size = check_count("batch_size", size, minimum=1)
        train, validation, callbacks = np.arange(len(points)), None, []
        if self.early_stopping:
            fraction = self.validation_fraction
            share = check_number("validation_fraction", fraction, minimum=0, below=1)
            patience = check_count("n_iter_no_change", self.n_iter_no_change, minimum=1)
            callbacks.append(EarlyStopping(patience))
            order = generator.permutation(len(points))
            held_out, train = np.split(order, [max(1, round(share * len(points)))])
            validation = (inputs[held_out], targets[held_out])
            if not len(train):
                raise ValueError(
                    f"early_stopping must leave samples to train on, got n_samples = {len(points)}"
                )
        with jax.enable_x64(True):
            start, key = jax.random.split(jax.random.key(generator.randint(2**31)))
            result = fit(
                mlp,
                init(mlp, start, SCHEMES.get(self.activation, "glorot")),
                (inputs[train], targets[train]),
                steps=steps,
                solver=gauss_newton(damping=self.damping)
                if newton
                else first_order(named_optimizer(solver, self.learning_rate, "cosine", steps)),
                batch_size=batch_size if batch_size < len(train) else None,
                loss=loss,
                validation=validation,
                key=key,
                record_every=max(1, steps // 50),
                callbacks=tuple(callbacks),
            )
            term = Term(mlp, jax.tree.map(np.asarray, result.params), np.ones(mlp.sizes[-1]))
            self.model_ = Model((term,), input_scaler, scaler, flat)
        history = result.history
        self.n_iter_ = int(history.step[-1])
        self.loss_curve_ = history.loss.tolist()
        self.validation_loss_curve_ = history.validation_loss.tolist() if validation else None

    def _outputs(self, points: Any) -> np.ndarray:
        check_is_fitted(self)
        return self.model_(validate_data(self, points, dtype=np.float64, reset=False))


class Regressor(MultiOutputMixin, RegressorMixin, _Network):
    """Least squares on one or several outputs.

    Args:
        hidden: the number of units of each hidden layer.
        activation: of the hidden layers, a key of `jaxbp.activations.ACTIVATIONS`.
        solver: "auto" for `jaxbp.fit_model`, which chooses network, solver and strength on held-out
            rows and reads effort, seconds and random_state; "gauss_newton"; or a key of
            `jaxbp.training.OPTIMIZERS`, whose learning rate falls to 0 along a cosine. A parameter
            that the solver does not read must keep its default.
        steps: of the solver; None for 100 of Gauss-Newton and 1,000 of an optimizer.
        batch_size: samples of a step; None for 512 over the number of outputs with Gauss-Newton and
            200 otherwise.
        learning_rate: of an optimizer, at the start.
        damping: of Gauss-Newton.
        effort: of `fit_model`.
        seconds: of `fit_model`; None for the operations that `effort` allows, not by the clock.
        early_stopping: holds rows out, stops where their loss no longer falls, and keeps the best
            parameters.
        validation_fraction: the share of the rows that is held out with early_stopping.
        n_iter_no_change: entries of the loss curve without a smaller held-out loss before the stop.
        random_state: of the start, the batches and the rows held out.

    Attributes:
        model_: the fitted `jaxbp.Model`.
        n_iter_: number of steps, or of candidates of `fit_model`.
        loss_curve_: the training loss at the start and after every fiftieth of the steps, in
            standard units; of `fit_model` that of the result.
        validation_loss_curve_: the same of the rows held out, None without any; of `fit_model` that
            of each candidate.
        n_features_in_: d.
        feature_names_in_: the names of the columns, where they are strings.
    """

    def fit(self, X: Any, y: Any) -> "Regressor":  # noqa: N803
        """Fit to points X (n, d) and outputs y (n,) or (n, k), in their own units."""
        checks: Any = {"dtype": np.float64, "multi_output": True, "y_numeric": True}
        points, outputs = validate_data(self, X, y, **checks)
        solver = self._check_solver("fit_model")
        if solver == "fit_model" and len(points) >= FEWEST_ROWS:
            seed = check_random_state(self.random_state).randint(2**31)
            options: Any = {"seconds": self.seconds, "effort": self.effort, "seed": seed}
            model = self.model_ = fit_model(points, outputs, **options)
            self.n_iter_ = len(model.history)
            self.loss_curve_ = [model.score(points, outputs).nrmse ** 2]
            self.validation_loss_curve_ = [one.held_out**2 for one in model.history]
            return self
        rows = np.asarray(outputs, np.float64).reshape(len(points), -1)
        scaler = standardizer(rows)
        targets, flat = scaler.standardize(rows), outputs.ndim == 1
        solver = "gauss_newton" if solver == "fit_model" else solver
        self._train(solver, points, targets, scaler, flat, "mean_squared_error")
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Predict the outputs (n,) or (n, k) at points X (n, d)."""
        return self._outputs(X)


class Classifier(ClassifierMixin, _Network):
    """Two or more classes by softmax and cross-entropy; `model_` returns the logits (n, k).

    Args and attributes are those of `Regressor`, and `classes_` (k,), sorted; the solver "auto" is
    adam.
    """

    def fit(self, X: Any, y: Any) -> "Classifier":  # noqa: N803
        """Fit to points X (n, d) and classes y (n,)."""
        points, classes = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(classes)
        self.classes_, labels = np.unique(classes, return_inverse=True)
        zeros = np.zeros(len(self.classes_))
        scaler = Standardizer(zeros, zeros + 1, zeros)
        solver, targets = self._check_solver("adam"), labels.astype(np.int32)
        self._train(solver, points, targets, scaler, False, "softmax_cross_entropy")
        return self

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Predict the probabilities (n, k) of the classes, in the order of `classes_`."""
        logits = self._outputs(X)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Predict the most probable class (n,) at points X (n, d)."""
        places = self._outputs(X).argmax(axis=1)
        return self.classes_[places]
