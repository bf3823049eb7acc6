"""Networks as scikit-learn's estimators, `Regressor` and `Classifier`; needs the extra `sklearn`.

Legend: n samples, d inputs, k outputs or classes.
"""

from dataclasses import KW_ONLY, dataclass
from functools import partial
from inspect import signature
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import log_softmax

from jaxbp._checks import check_count, check_name, check_number
from jaxbp.fitting import fit_model
from jaxbp.fitting.frames import column_names
from jaxbp.fitting.model import Model, Term, ranges_of
from jaxbp.fitting.standardizing import Standardizer, standardizer
from jaxbp.losses import LOSSES, Loss, weighted
from jaxbp.params import Mlp, init
from jaxbp.training import OPTIMIZERS, EarlyStopping, first_order, fit, fit_many, gauss_newton

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
    from sklearn.utils import check_random_state, compute_class_weight
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise ModuleNotFoundError(
        "jaxbp.sklearn needs scikit-learn 1.6 or newer: pip install 'jaxbp[sklearn]'"
    ) from error

GAUSS_NEWTON_ROWS, FIRST_ORDER_ROWS = 512, 200  # of a step, unless `batch_size` says otherwise
FEWEST_ROWS = 5  # that `fit_model` takes
FOLDS, ALPHAS = 3, (0.1, 1.0, 10.0, 100.0)  # that a classifier's alpha is chosen by and from
FEW_ROWS, SAFE_ALPHA = 100, 1.0  # of fewer rows alpha is not chosen
STOPPING_ROWS = 40  # of Gauss-Newton: fewer are too few to hold any out
# Parameters that solvers read besides those of ALL; other optimizers: learning_rate and alpha.
ALL = {"solver", "random_state", "verbose"}
READ_BY_NETWORKS = {
    "warm_start",
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


def _falling(name: str, learning_rate: Any, steps: Any) -> Any:
    """An optimizer whose rate falls to 0 along a cosine; both numbers may be traced."""

    def rate(count: Any) -> Any:
        return learning_rate * (1 + jnp.cos(jnp.pi * jnp.minimum(count / steps, 1.0))) / 2

    return OPTIMIZERS[name](rate)


@dataclass(eq=False, repr=False)
class _Network(BaseEstimator):
    """Parameters and training of both estimators."""

    _loss: ClassVar[Loss]
    hidden: tuple[int, ...] = (32, 32)
    _: KW_ONLY
    activation: str = "tanh"
    solver: str = "auto"
    steps: int | None = None
    batch_size: int | None = None
    learning_rate: float = 1e-2
    damping: float = 0.1
    alpha: float | None = None
    class_weight: Any = None
    effort: str = "normal"
    seconds: float | None = None
    early_stopping: bool | str = "auto"
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    warm_start: bool = False
    verbose: bool = False
    random_state: Any = None

    def _check_solver(self, auto: str) -> str:
        """Return the solver, `auto` for "auto"; raise for parameters that it does not read."""
        check_name("solver", self.solver, ["auto", "gauss_newton", *OPTIMIZERS])
        solver = auto if self.solver == "auto" else self.solver
        read = READ.get(solver, {"learning_rate", "alpha", *READ_BY_NETWORKS}) | ALL
        read |= {"class_weight"} if isinstance(self, Classifier) else set()
        for name, parameter in signature(type(self)).parameters.items():
            if name not in read and (value := getattr(self, name)) != parameter.default:
                raise ValueError(
                    f"{name} must be left at its default with solver={self.solver!r}, "
                    f"which does not read it; got {value!r}"
                )
        return solver

    def _rows(self, X: Any, y: Any, sample_weight: Any, **checks: Any) -> Any:  # noqa: N803
        """Points, targets and weights, validated, without the rows of weight 0."""
        points, targets = validate_data(self, X, y, dtype=np.float64, **checks)
        weights = _check_sample_weight(
            sample_weight, points, dtype=np.float64, ensure_non_negative=True
        )
        counted = weights > 0
        if not counted.any():
            raise ValueError("sample_weight must have a positive number, got zeros only")
        return points[counted], targets[counted], weights[counted]

    def _solver(self, solver: str, steps: int, penalty: Any) -> Any:
        """The solver with a penalty of penalty / 2 || W ||^2 beside the mean loss."""
        if solver == "gauss_newton":
            return gauss_newton(damping=self.damping)
        if solver == "lbfgs":
            return first_order(OPTIMIZERS["lbfgs"](None))
        rate = check_number("learning_rate", self.learning_rate, minimum=0)
        # As arrays, so that no other number compiles anything.
        settings: Any = {"learning_rate": rate, "steps": float(steps)}
        return first_order(
            partial(_falling, solver), weight_decay=np.asarray(penalty, np.float64), **settings
        )

    def _warm_model(self) -> Model | None:
        """The fitted model that training starts from, if that is wanted."""
        return getattr(self, "model_", None) if self.warm_start else None

    def _train(
        self,
        solver: str,
        points: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray,
        scalers: tuple[Standardizer, Standardizer],
        flat: bool,
        names: tuple[str, ...],
    ) -> None:
        """Fit a network to points in their units and targets in standard ones."""
        newton, generator = solver == "gauss_newton", check_random_state(self.random_state)
        hidden = [self.hidden] if isinstance(self.hidden, (int, np.integer)) else self.hidden
        mlp = Mlp((points.shape[1], *hidden, targets.shape[1]), self.activation)
        warm = self._warm_model()
        if warm is not None and warm.mlp != mlp:
            raise ValueError(f"warm_start must meet the network that was fitted, {warm.mlp.sizes}")
        if warm is not None:
            scalers = warm.input_scaler, warm.output_scaler
        inputs = scalers[0].standardize(points)
        default = 100 if newton else 1000
        steps = check_count("steps", default if self.steps is None else self.steps, minimum=1)
        rows = max(1, GAUSS_NEWTON_ROWS // mlp.sizes[-1]) if newton else FIRST_ORDER_ROWS
        size = rows if self.batch_size is None else self.batch_size
        batch_size = check_count("batch_size", size, minimum=1)
        held_out, callbacks = self._held_out(newton, len(points), generator)
        kept = inputs[~held_out], targets[~held_out], weights[~held_out]
        train = _samples(*kept, unit_mean=not newton)
        validation = None
        if held_out.any():
            validation = _samples(inputs[held_out], targets[held_out], weights[held_out])
        if self.verbose:
            callbacks.append(lambda record, _: print(f"step {record.step}, loss {record.loss:.4g}"))
        options: Any = {
            "steps": steps,
            "batch_size": batch_size if batch_size < len(kept[0]) else None,
            "loss": self._loss,
        }
        with jax.enable_x64(True):
            start, key = jax.random.split(jax.random.key(generator.randint(2**31)))
            params = init(mlp, start, SCHEMES.get(self.activation, "glorot"))
            self.alpha_ = self._alpha(solver)
            if self.alpha_ is None:
                self.alpha_ = self._choose_alpha(solver, mlp, params, kept, key, options)
            result = fit(
                mlp,
                params if warm is None else warm.params,
                train,
                solver=self._solver(solver, steps, self.alpha_ / kept[2].sum()),
                validation=validation,
                key=key,
                record_every=max(1, steps // 50),
                callbacks=tuple(callbacks),
                **options,
            )
            term = Term(mlp, jax.tree.map(np.asarray, result.params), np.ones(mlp.sizes[-1]))
            known: Any = {"ranges": ranges_of(points), "names": names}
            self.model_ = Model((term,), *scalers, flat, **known)
        history = result.history
        self.n_iter_ = int(history.step[-1])
        self.loss_curve_ = history.loss.tolist()
        self.validation_loss_curve_ = history.validation_loss.tolist() if validation else None

    def _held_out(self, newton: bool, count: int, generator: Any) -> tuple[np.ndarray, list[Any]]:
        """Which rows are held out, and the callback that stops by them."""
        held_out = np.zeros(count, bool)
        # Gauss-Newton would follow the noise of few rows to the end.
        if not (
            newton and count >= STOPPING_ROWS
            if self.early_stopping == "auto"
            else self.early_stopping
        ):
            return held_out, []
        fraction = self.validation_fraction
        share = check_number("validation_fraction", fraction, minimum=0, below=1)
        patience = check_count("n_iter_no_change", self.n_iter_no_change, minimum=1)
        held_out[generator.permutation(count)[: max(1, round(share * count))]] = True
        if held_out.all():
            raise ValueError(
                f"early_stopping must leave samples to train on, got n_samples = {count}"
            )
        return held_out, [EarlyStopping(patience)]

    def _choose_alpha(
        self, solver: str, mlp: Mlp, params: Any, rows: Any, key: Any, options: Any
    ) -> float:
        """The alpha whose networks have the least loss on rows that they were not fitted to."""
        inputs, targets, weights = rows
        if len(inputs) < FEW_ROWS:
            return SAFE_ALPHA
        folds = np.random.RandomState(0).permutation(len(inputs)) % FOLDS
        starts = jax.tree.map(lambda leaf: np.stack([leaf] * len(ALPHAS)), params)
        losses = np.zeros(len(ALPHAS))
        for fold in range(FOLDS):
            kept = weights * (folds != fold)
            fits = fit_many(
                mlp,
                starts,
                _samples(inputs, targets, kept),
                validation=_samples(inputs, targets, weights - kept),
                solver=self._solver(solver, options["steps"], np.array(ALPHAS) / kept.sum()),
                key=key,
                record_every=options["steps"],
                **options,
            )
            losses += fits.validation_loss[-1]
        return ALPHAS[int(np.nanargmin(losses))]

    def _names(self, outputs: tuple[str, ...]) -> tuple[str, ...]:
        """The names of a data frame's columns and of outputs, empty where there are none."""
        inputs = tuple(getattr(self, "feature_names_in_", ()))
        return (*inputs, *outputs) if inputs else ()

    def _outputs(self, points: Any) -> np.ndarray:
        check_is_fitted(self)
        return self.model_._on_host(validate_data(self, points, dtype=np.float64, reset=False))


def _samples(
    inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray, unit_mean: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets with a column of weights, filled up with rows of weight 0.

    Folds of about one size then share a program. With a mean weight of 1 over all these rows a mean
    over them is one by weight.
    """
    step = 1 << max(0, len(inputs).bit_length() - 4)
    extra = ((0, -len(inputs) % step), (0, 0))
    scale = (len(inputs) + extra[0][1]) / weights.sum() if unit_mean else 1.0
    columns = np.column_stack([targets, weights * scale])
    return np.pad(inputs, extra), np.pad(columns, extra)


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
        alpha: strength of a penalty alpha / (2 n) || W ||^2 beside the mean loss of n rows, of
            optimizers but lbfgs. None for no penalty; of a classifier without early stopping for
            the best of 0.1, 1, 10 and 100 by three folds, and 1 with fewer than 100 rows.
        class_weight: of a classifier, as in scikit-learn: None, "balanced" or a dict; relative
            to each other, the sum of all weights stays.
        effort: of `fit_model`.
        seconds: of `fit_model`; None for the operations that `effort` allows, not by the clock.
        early_stopping: holds rows out, stops where their loss no longer falls, and keeps the best
            parameters; "auto" for Gauss-Newton alone, which would follow the noise of few rows.
        validation_fraction: the share of the rows that is held out with early_stopping.
        n_iter_no_change: entries of the loss curve without a smaller held-out loss before the stop.
        warm_start: training starts from the last fit, in its standard units.
        verbose: prints the loss as it falls, or the candidates of `fit_model`.
        random_state: of the start, the batches and the rows held out.

    Attributes:
        model_: the fitted `jaxbp.Model`.
        alpha_: the strength of the penalty, chosen or given; not of `fit_model`.
        n_iter_: number of steps, or of candidates of `fit_model`.
        loss_curve_: the training loss at the start and after every fiftieth of the steps, in
            standard units; of `fit_model` that of the result.
        validation_loss_curve_: the same of the rows held out, None without any; of `fit_model` that
            of each candidate.
        n_features_in_: d.
        feature_names_in_: the names of the columns, where they are strings.
    """

    _loss = weighted(LOSSES["mean_squared_error"])
    # None are tried: scikit-learn's checks give an alpha to regressors that do not choose it.
    alphas = ()

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "Regressor":  # noqa: N803
        """Fit to points X (n, d) and outputs y (n,) or (n, k), in their own units.

        A row counts as often as its weight says; `fit_model` repeats it.

        Raises:
            ValueError: a weight is negative, or with the solver "auto" not a whole number.
        """
        checks: Any = {"multi_output": True, "y_numeric": True}
        points, outputs, weights = self._rows(X, y, sample_weight, **checks)
        solver, num_outputs = self._check_solver("fit_model"), np.size(outputs[0])
        default = tuple(f"output_{i}" for i in range(num_outputs))
        names = self._names(column_names(y) or default)
        if solver == "fit_model":
            if (part := weights % 1).any():
                raise ValueError(
                    "sample_weight must be whole numbers with solver='auto', which repeats rows, "
                    f"got {weights[part > 0][0]}; solver='gauss_newton' takes others"
                )
            # Sorted, so that the same rows in another order, or repeated, give the same model.
            order = np.lexsort(np.column_stack([points, outputs]).T)
            order = order.repeat(weights[order].astype(int))
            points, outputs, weights = points[order], outputs[order], weights[order] * 0 + 1
        if solver == "fit_model" and len(points) >= FEWEST_ROWS:
            seed = check_random_state(self.random_state).randint(2**31)
            options: Any = {"seconds": self.seconds, "effort": self.effort, "seed": seed}
            if self.verbose:
                options["on_candidate"] = lambda one: print(f"{one.name}: {one.held_out:.3g}")
            model = self.model_ = fit_model(points, outputs, names=names, **options)
            self.n_iter_ = len(model.history)
            self.loss_curve_ = [model.score(points, outputs).nrmse ** 2]
            self.validation_loss_curve_ = [one.held_out**2 for one in model.history]
            return self
        rows = np.asarray(outputs, np.float64).reshape(len(points), -1)
        scalers = standardizer(points, weights=weights), standardizer(rows, weights=weights)
        warm = self._warm_model()
        targets = (scalers[1] if warm is None else warm.output_scaler).standardize(rows)
        solver = "gauss_newton" if solver == "fit_model" else solver
        self._train(solver, points, targets, weights, scalers, outputs.ndim == 1, names)
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:  # noqa: N803
        """Predict the outputs (n,) or (n, k) at points X (n, d); with return_std also `Model.std`.

        Raises:
            ValueError: return_std is asked for of another solver than "auto", which has no bars.
        """
        if not return_std:
            return self._outputs(X)
        check_is_fitted(self)
        return self.model_.with_std(validate_data(self, X, dtype=np.float64, reset=False))

    def _alpha(self, solver: str) -> float | None:
        return 0.0 if self.alpha is None else check_number("alpha", self.alpha, minimum=0)


class Classifier(ClassifierMixin, _Network):
    """Two or more classes by softmax and cross-entropy; `model_` returns the logits (n, k).

    Args and attributes are those of `Regressor`, and `classes_` (k,), sorted; the solver "auto" is
    adam.
    """

    _loss = weighted(LOSSES["softmax_cross_entropy"])

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "Classifier":  # noqa: N803
        """Fit to points X (n, d) and classes y (n,); a row counts as often as its weight says.

        Raises:
            ValueError: a weight is negative, or none is positive.
        """
        points, classes, weights = self._rows(X, y, sample_weight)
        check_classification_targets(classes)
        solver = self._check_solver("adam")
        self.classes_, labels = np.unique(classes, return_inverse=True)
        zeros = np.zeros(len(self.classes_))
        scalers = standardizer(points, weights=weights), Standardizer(zeros, zeros + 1, zeros)
        balance = compute_class_weight(self.class_weight, classes=self.classes_, y=classes)[labels]
        balance *= weights.sum() / (balance @ weights)  # a penalty or damping stays what it is
        targets, names = np.eye(len(zeros))[labels], self._names(tuple(map(str, self.classes_)))
        self._train(solver, points, targets, weights * balance, scalers, False, names)
        return self

    def _alpha(self, solver: str) -> float | None:
        """None where it is to be chosen: early stopping bounds a network by itself."""
        if self.alpha is not None:
            return check_number("alpha", self.alpha, minimum=0)
        chosen = solver not in ("gauss_newton", "lbfgs") and self.early_stopping in (False, "auto")
        return None if chosen else 0.0

    def decision_function(self, X: Any) -> np.ndarray:  # noqa: N803
        """Predict the logits (n, k), or of two classes the difference of both (n,)."""
        logits = self._outputs(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_log_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Predict the logarithms (n, k) of the probabilities."""
        return log_softmax(self._outputs(X), axis=1)

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Predict the probabilities (n, k) of the classes, in the order of `classes_`."""
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Predict the most probable class (n,) at points X (n, d)."""
        places = self._outputs(X).argmax(axis=1)
        return self.classes_[places]
