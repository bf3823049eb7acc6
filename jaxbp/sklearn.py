"""Networks as scikit-learn's estimators, `Regressor` and `Classifier`; it needs the extra
`sklearn`.

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
    from sklearn.utils.validation import check_is_fitted
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "jaxbp.sklearn needs scikit-learn: pip install 'jaxbp[sklearn]'"
    ) from error
try:
    from sklearn.utils.validation import validate_data
except ImportError:  # before scikit-learn 1.6

    def validate_data(estimator: Any, *arrays: Any, **options: Any) -> Any:
        """Checks inputs, and targets if given, and counts the columns."""
        return estimator._validate_data(*arrays, **options)


GAUSS_NEWTON_ROWS, FIRST_ORDER_ROWS = 512, 200  # of a step, unless `batch_size` says otherwise
FEWEST_ROWS = 5  # that `fit_model` takes
UNREAD = {  # parameters that a solver does not read; of other optimizers damping, effort, seconds
    "fit_model": (
        *("hidden", "activation", "steps", "batch_size", "learning_rate", "damping"),
        *("early_stopping", "validation_fraction", "n_iter_no_change"),
    ),
    "gauss_newton": ("learning_rate", "effort", "seconds"),
    "lbfgs": ("learning_rate", "damping", "effort", "seconds"),
}
SCHEMES_FOR = {
    "relu": "he",
    "leaky_relu": "he",
    "silu": "lecun",
    "gelu": "lecun",
    "sine": "sine",
}  # others glorot


class _Network(BaseEstimator):
    """What both estimators share."""

    def __init__(
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
        """Return the solver, `auto` in the place of "auto"; raise for parameters it does not read."""
        check_name("solver", self.solver, ["auto", "gauss_newton", *OPTIMIZERS])
        solver = auto if self.solver == "auto" else self.solver
        unread = UNREAD.get(solver, ("damping", "effort", "seconds"))
        for name, parameter in signature(type(self)).parameters.items():
            if name in unread and (value := getattr(self, name)) != parameter.default:
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
        """Fits a network to points in their units and targets in standard ones; sets the attributes."""
        newton, generator = solver == "gauss_newton", check_random_state(self.random_state)
        hidden = (
            (self.hidden,) if isinstance(self.hidden, (int, np.integer)) else tuple(self.hidden)
        )
        mlp = Mlp((points.shape[1], *hidden, len(scaler.mean)), self.activation)
        input_scaler = standardizer(points)
        steps = check_count(
            "steps", (100 if newton else 1000) if self.steps is None else self.steps, minimum=1
        )
        train, held_out = np.arange(len(points)), None
        callbacks: tuple[EarlyStopping, ...] = ()
        if self.early_stopping:
            share = check_number(
                "validation_fraction", self.validation_fraction, minimum=0, below=1
            )
            patience = check_count("n_iter_no_change", self.n_iter_no_change, minimum=1)
            callbacks = (EarlyStopping(patience),)
            held_out, train = np.split(
                generator.permutation(len(points)), [max(1, round(share * len(points)))]
            )
            if not len(train):
                raise ValueError(
                    f"early_stopping must leave samples to train on, got n_samples = {len(points)}"
                )
        rows = max(1, GAUSS_NEWTON_ROWS // mlp.sizes[-1]) if newton else FIRST_ORDER_ROWS
        batch_size = (
            rows
            if self.batch_size is None
            else check_count("batch_size", self.batch_size, minimum=1)
        )
        with jax.enable_x64(True):
            start, key = jax.random.split(jax.random.key(generator.randint(2**31)))
            inputs = input_scaler.standardize(points)
            result = fit(
                mlp,
                init(mlp, start, SCHEMES_FOR.get(self.activation, "glorot")),
                (inputs[train], targets[train]),
                steps=steps,
                solver=gauss_newton(damping=self.damping)
                if newton
                else first_order(named_optimizer(solver, self.learning_rate, "cosine", steps)),
                batch_size=batch_size if batch_size < len(train) else None,
                loss=loss,
                validation=None if held_out is None else (inputs[held_out], targets[held_out]),
                key=key,
                record_every=max(1, steps // 50),
                callbacks=callbacks,
            )
            term = Term(mlp, result.params, np.ones(mlp.sizes[-1]))
            terms = jax.tree.map(np.asarray, (term,))
            self.model_ = Model(terms, input_scaler, scaler, flat)
        self.n_iter_ = int(result.history.step[-1])
        self.loss_curve_ = result.history.loss.tolist()
        self.validation_loss_curve_ = (
            None if held_out is None else result.history.validation_loss.tolist()
        )

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
        steps: how many steps the solver takes; None for 100 of Gauss-Newton and 1,000 of an
            optimizer.
        batch_size: samples of a step; None for 512 over the number of outputs with Gauss-Newton and
            200 otherwise.
        learning_rate: of an optimizer, at the start.
        damping: of Gauss-Newton.
        effort: of `fit_model`.
        seconds: of `fit_model`; None for what effort says, by operations counted beforehand and not
            by the clock.
        early_stopping: holds rows out, stops where their loss no longer falls, and keeps the best
            parameters.
        validation_fraction: the share of the rows that is held out with early_stopping.
        n_iter_no_change: how many entries of the loss curve may come without a smaller held-out
            loss.
        random_state: of the start, the batches and the rows held out.

    Attributes:
        model_: the fitted `jaxbp.Model`.
        n_iter_: how many steps were taken, or candidates tried by `fit_model`.
        loss_curve_: the training loss at the start and after every fiftieth of the steps, in
            standard units; of `fit_model` that of the result.
        validation_loss_curve_: the same of the rows held out, None without any; of `fit_model` that
            of each candidate.
        n_features_in_: d.
        feature_names_in_: the names of the columns, where they are strings.
    """

    def fit(self, X: Any, y: Any) -> "Regressor":  # noqa: N803
        """Fits to points X (n, d) and outputs y (n,) or (n, k), in their own units."""
        points, outputs = validate_data(
            self, X, y, dtype=np.float64, multi_output=True, y_numeric=True
        )
        solver = self._check_solver("fit_model")
        few = len(points) < FEWEST_ROWS
        if solver != "fit_model" or few:
            rows = np.asarray(outputs, np.float64).reshape(len(points), -1)
            scaler = standardizer(rows)
            targets, flat = scaler.standardize(rows), outputs.ndim == 1
            used = "gauss_newton" if solver == "fit_model" else solver
            self._train(used, points, targets, scaler, flat, "mean_squared_error")
            return self
        seed = check_random_state(self.random_state).randint(2**31)
        self.model_ = fit_model(
            points, outputs, seconds=self.seconds, effort=self.effort, seed=seed
        )
        self.n_iter_ = len(self.model_.history)
        self.loss_curve_ = [self.model_.score(points, outputs).nrmse ** 2]
        self.validation_loss_curve_ = [candidate.held_out**2 for candidate in self.model_.history]
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Predicts the outputs (n,) or (n, k) at points X (n, d)."""
        return self._outputs(X)


class Classifier(ClassifierMixin, _Network):
    """Two or more classes by softmax and its cross-entropy; the outputs of `model_` are the logits
    (n, k).

    Args and attributes are those of `Regressor`, and `classes_` (k,), sorted; the solver "auto" is
    adam.
    """

    def fit(self, X: Any, y: Any) -> "Classifier":  # noqa: N803
        """Fits to points X (n, d) and classes y (n,)."""
        points, classes = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(classes)
        self.classes_, labels = np.unique(classes, return_inverse=True)
        zeros = np.zeros(len(self.classes_))
        scaler = Standardizer(zeros, zeros + 1, zeros)
        targets = labels.astype(np.int32)
        solver = self._check_solver("adam")
        self._train(solver, points, targets, scaler, False, "softmax_cross_entropy")
        return self

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Predicts the probabilities (n, k) of the classes, in the order of `classes_`, at points X (n, d)."""
        logits = self._outputs(X)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Predicts the most probable class (n,) at points X (n, d)."""
        logits = self._outputs(X)
        return self.classes_[logits.argmax(axis=1)]
