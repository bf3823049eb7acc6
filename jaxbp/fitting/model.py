"""A fitted function in the units of its data: networks and the scalers around them, as one pytree.

Legend: n points, d inputs, k outputs.
"""

import functools
import operator
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxbp._checks import check_number
from jaxbp._files import as_path
from jaxbp._html import card, number, table
from jaxbp._samples import as_points, padded
from jaxbp.fitting.bars import ErrorBars
from jaxbp.fitting.frames import frame_values
from jaxbp.fitting.model_file import read_model, write_model
from jaxbp.fitting.score import Candidate as Candidate
from jaxbp.fitting.score import Score as Score
from jaxbp.fitting.score import tried_html
from jaxbp.fitting.standardizing import Standardizer, standardizer
from jaxbp.fitting.term import Term as Term
from jaxbp.params import Mlp, Params

FAR = 0.5  # of a column's width outside its range
ROUNDING = 1e-6  # of numbers that went through float32
TILE = 16_384  # points evaluated at a time on the host, to bound memory


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A function of points in the units of the data: the sum of its terms between two scalers.

        model(points) = restore(sum over terms of scale * network(standardize(points)))

    A model is a pytree: jit, vmap and grad work on it, with respect to points and parameters, and
    the backward pass is the hand-written one. Its leaves are NumPy arrays, so that float64 numbers
    keep their precision while x64 is off.

    Attributes:
        terms: at least one network with its parameters and scale.
        input_scaler: maps points to standard units.
        output_scaler: maps outputs to standard units.
        flat: whether the outputs are (n,) rather than (n, k).
        bars: read by `std`, `interval` and `error`; None where nothing calibrates them.
        ranges: (2, d) the least and the largest of each column of points; None if not known.
        history: the candidates that `fit_model` tried.
        names: of the columns of points, then of outputs; may be empty.
    """

    terms: tuple[Term, ...]
    input_scaler: Standardizer
    output_scaler: Standardizer
    flat: bool = field(metadata={"static": True})
    bars: ErrorBars | None = None
    ranges: Any = None
    history: tuple[Candidate, ...] = field(default=(), metadata={"static": True})
    names: tuple[str, ...] = field(default=(), metadata={"static": True})

    def __post_init__(self) -> None:
        """Checks that there is something to evaluate."""
        if isinstance(self.terms, tuple) and not self.terms:
            raise ValueError("terms must hold at least one network, got none")

    @classmethod
    def for_data(
        cls,
        mlp: Mlp,
        params: Params,
        points: np.ndarray,
        outputs: np.ndarray,
        names: Sequence[str] | None = None,
    ) -> "Model":
        """Return a model of one network, with scalers measured on samples.

        Args:
            mlp: the network.
            params: its parameters, in standard units.
            points: (n, d).
            outputs: (n,) or (n, k).
            names: of the columns of points, then of outputs.

        Raises:
            ValueError: a column is constant.
        """
        rows = outputs.reshape(len(outputs), -1)
        known = [f"{i}" for i in range(points.shape[1] + rows.shape[1])] if names is None else names
        return cls(
            (Term(mlp, jax.tree.map(np.asarray, params), np.ones(rows.shape[1])),),
            standardizer(points, tuple(known)),
            standardizer(rows, tuple(known[points.shape[1] :])),
            outputs.ndim == 1,
            ranges=ranges_of(points),
            names=tuple(names or ()),
        )

    @property
    def mlp(self) -> Any:
        """The network of the first term."""
        return self.terms[0].network

    @property
    def params(self) -> Params:
        """The parameters of the first term."""
        return self.terms[0].params

    @property
    def num_inputs(self) -> int:
        """d, the number of columns of points."""
        return len(self.input_scaler.mean)

    @property
    def num_outputs(self) -> int:
        """k, the number of outputs."""
        return len(self.output_scaler.mean)

    @property
    def num_params(self) -> int:
        """The number of parameters of all terms."""
        return sum(leaf.size for term in self.terms for leaf in jax.tree.leaves(term.params))

    def with_params(self, params: Params) -> "Model":
        """Return this model with the first network alone, with these parameters."""
        return self.with_terms([Term(self.mlp, params, np.ones(self.num_outputs))])

    def with_terms(self, terms: Sequence[Term]) -> "Model":
        """Return this model with other terms."""
        return replace(self, terms=jax.tree.map(np.asarray, tuple(terms)))

    def standardize(self, points: np.ndarray, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Map samples to inputs (n, d) and targets (n, k) in standard units."""
        dtype = self.terms[0].dtype
        targets = self.output_scaler.standardize(outputs.reshape(len(outputs), -1))
        return self.input_scaler.standardize(points).astype(dtype), targets.astype(dtype)

    def __call__(self, points: Any) -> Any:
        """Predicts the outputs at points.

        Args:
            points: (n, d), or (n,) of one input, in the units of the data. For a NumPy array or
                a list the model computes in the dtype of its parameters whatever JAX's settings
                are; a JAX array follows those, so that transformations work. A data frame of pandas
                or polars is read by the names of the model, whatever the order of its columns.

        Returns:
            (n,) or (n, k), a NumPy array of float64 numbers or a JAX array.

        Raises:
            ValueError: points has another shape, or a data frame lacks a column.
            TypeError: points does not hold real numbers.

        Warns:
            UserWarning: points that are no JAX array lie outside `ranges` by more than half of
                their width; see `outside`.
        """
        if isinstance(points, Array):
            return self._predict(as_points(points, jnp.result_type(float), self.num_inputs))
        array = self._points(points)
        self._warn_far_outside(array)
        return self._on_host(array)

    def _on_host(self, array: np.ndarray) -> np.ndarray:
        with jax.enable_x64(True):
            tiles = [array[first : first + TILE] for first in range(0, max(1, len(array)), TILE)]
            # Models that differ in words or the number of rows share a compiled program.
            terms = tuple(term.padded() for term in self.terms)
            plain = replace(self, terms=terms, bars=None, ranges=None, history=(), names=())
            return np.concatenate(
                [np.asarray(_predict(plain, padded(tile)), float)[: len(tile)] for tile in tiles]
            )

    def _points(self, points: Any) -> np.ndarray:
        """Points or a data frame as an array (n, d) of float64."""
        frame = frame_values("points", points, self.names[: self.num_inputs])
        with jax.enable_x64(True):
            return np.asarray(as_points(frame, jnp.float64, self.num_inputs))

    def outside(self, points: Any, margin: float = 0.0) -> np.ndarray:
        """Return which numbers of points (n, d) lie outside `ranges`, (n, d).

        Args:
            points: (n, d) in the units of the data.
            margin: how far outside, as a share of the width of the range.
        """
        return self._beyond(self._points(points), margin)

    def _beyond(self, array: np.ndarray, margin: float) -> np.ndarray:
        if self.ranges is None:
            return np.zeros(array.shape, bool)
        low, high = self.ranges
        reach = margin * (high - low) + ROUNDING * np.maximum(np.abs(low), np.abs(high))
        return np.asarray((array < low - reach) | (array > high + reach))

    def _warn_far_outside(self, array: np.ndarray) -> None:
        far = self._beyond(array, FAR)
        if far.any():
            column = int(far.sum(axis=0).argmax())
            low, high = self.ranges[:, column]
            warnings.warn(
                f"{far.any(axis=1).sum()} of {len(array)} points lie far outside the data, most in "
                f"{self.names[column] if self.names else f'column {column}'}, which was fitted "
                f"from {low:.6g} to {high:.6g}",
                stacklevel=3,
            )

    def _predict(self, points: Array) -> Array:
        scalers = [
            Standardizer(*(jnp.asarray(part, points.dtype) for part in scaler))
            for scaler in (self.input_scaler, self.output_scaler)
        ]
        inputs = scalers[0].standardize(points, jnp)
        outputs = functools.reduce(operator.add, (term(inputs) for term in self.terms))
        outputs = scalers[1].restore(outputs.astype(points.dtype), jnp)
        return outputs[:, 0] if self.flat else outputs

    def std(self, points: Any) -> np.ndarray:
        """Return the standard deviation of new observations at points, shaped as the prediction.

        It grows away from the samples and in their gaps.

        Args:
            points: (n, d) in the units of the data.

        Raises:
            ValueError: the model has no error bars, or points has another shape.
        """
        return self.with_std(points)[1]

    def interval(self, points: Any, coverage: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Return the bounds (lower, upper) that new observations at points lie between.

        Args:
            points: (n, d) in the units of the data.
            coverage: the share of observations between the bounds.

        Raises:
            ValueError: the model has no error bars, or coverage is not in [0, 1).
        """
        check_number("coverage", coverage, minimum=0, below=1)
        predicted, deviation = self.with_std(points)
        reach = self._error_bars().factor(coverage) * deviation
        logs = self.output_scaler.floor > 0
        if self.flat:
            logs = logs[0]
        # Where the logarithm was fitted, the interval is symmetric there, and stays positive.
        ratio = np.exp(np.minimum(reach / np.where(logs, predicted, 1.0), 700.0))
        lower = np.where(logs, predicted / ratio, predicted - reach)
        return lower, np.where(logs, predicted * ratio, predicted + reach)

    @property
    def error(self) -> Any:
        """The root mean square error expected of new observations, for each output in its units."""
        error = np.asarray(self._error_bars().error)
        return float(error[0]) if self.flat else error

    def _error_bars(self) -> ErrorBars:
        if self.bars is None:
            raise ValueError("the model has no error bars: fit_model makes them")
        return self.bars

    def with_std(self, points: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the prediction at points (n, d) and `std`, for the work of one."""
        bars, array = self._error_bars(), self._points(points)
        predicted = self._on_host(array)
        restored = predicted.reshape(len(array), -1)
        deviation = bars.std(array) * self.output_scaler.slope(restored)
        inputs = self.input_scaler.standardize(array)
        growth = np.max([term.growth(inputs) for term in self.terms], axis=0)
        deviation = np.hypot(deviation, (growth - 1) * np.asarray(bars.error))
        return predicted, deviation.reshape(predicted.shape)

    def score(self, points: Any, outputs: Any) -> Score:
        """Compare the predictions at points with the true outputs, (n,) or (n, k)."""
        return Score(self._on_host(self._points(points)), np.asarray(outputs))

    def _repr_html_(self) -> str:
        """Columns and what was tried, as tables."""
        means, scales = (
            np.concatenate(pair)
            for pair in zip(self.input_scaler[:2], self.output_scaler[:2], strict=True)
        )
        names = self.names or [str(column) for column in range(len(means))]
        rows = [
            (name, number(a), number(b)) for name, a, b in zip(names, means, scales, strict=True)
        ]
        columns = table(("column, outputs last", "mean", "standard deviation"), rows)
        return card(str(self).splitlines()[0], columns, tried_html(self.history))

    def __repr__(self) -> str:
        """A summary of few lines: networks, columns, and the chosen candidate with its error."""
        names = self.names or tuple(
            f"column {i}" for i in range(self.num_inputs + self.num_outputs)
        )
        inputs, outputs = names[: self.num_inputs], names[self.num_inputs :]
        lines = [
            f"model: {' + '.join(map(str, self.terms))}, {self.num_params} parameters",
            f"{', '.join(outputs)} as a function of {', '.join(inputs)}",
        ]
        lines += [
            f"chosen of {len(self.history)} candidates: {one.name}, validation error "
            f"{one.held_out:.2g} of the standard deviation"
            for one in self.history
            if one.chosen
        ]
        if self.bars is not None:
            errors = np.atleast_1d(self.error)
            parts = (f"{error:.3g} in {name}" for error, name in zip(errors, outputs, strict=True))
            lines.append(f"expected error: {', '.join(parts)}")
        return "\n".join(lines)

    def save(self, path: str | Path) -> None:
        """Write the model to one file, whole or not at all, for `load` to read.

        Raises:
            ValueError: path is a directory, or the parameters are neither float32 nor float64.
            OSError: the file cannot be written.
        """
        write_model(
            as_path(path),
            **{part.name: getattr(self, part.name) for part in fields(self)},
        )


def load(path: str | Path) -> Model:
    """Read a model that `Model.save` wrote; it is checked first, and nothing in it is run.

    Args:
        path: the file.

    Returns:
        The same model: every number bit for bit, whatever JAX's settings are.

    Raises:
        ValueError: the file is missing, damaged or no such model; the message names it and says
            why.

    Examples:
        >>> import numpy as np
        >>> import jaxbp
        >>> model = jaxbp.fit_model(np.arange(8.0), np.arange(8.0) ** 2)
        >>> model.save("model.npz")
        >>> bool(jaxbp.load("model.npz")([2.5]) == model([2.5]))
        True
    """
    return Model(**read_model(as_path(path)))


def ranges_of(points: np.ndarray) -> np.ndarray:
    """The least and the largest number of each column, (2, d)."""
    return np.stack([points.min(axis=0), points.max(axis=0)]).astype(np.float64)


@jax.jit
def _predict(model: Model, points: Array) -> Array:
    return model._predict(points)
