"""A fitted function in the units of its data: networks, their parameters and the scalers around them, as one pytree."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxbp._html import card, number, table
from jaxbp._samples import as_points, padded
from jaxbp.fitting.standardizing import Standardizer, standardizer
from jaxbp.model_file import read_model, write_model
from jaxbp.params import Mlp, Params
from jaxbp.score import Candidate as Candidate
from jaxbp.score import Score as Score
from jaxbp.score import tried_html
from jaxbp.training import Stage
from jaxbp.training.stages import predict_stages

TILE = 16_384  # points that are evaluated at a time on the host, which bounds the memory


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Model:
    """A function of points in the units of the data: sum over the terms of scale *
    network(standardized points).

    It is a pytree: jit, vmap and grad work on it, with respect to points and to parameters, and the
    backward pass is
    the hand-written one. Its leaves are NumPy arrays, so that float64 numbers stay what they are
    while x64 is off.

    Attributes:
        mlps: the network of each term.
        terms: parameters and scale of each term: one for a single network, several for a fit in
            stages, or for an average of networks.
        input_scaler: maps points to standard units.
        output_scaler: maps outputs to standard units.
        flat: whether the outputs are (n,) rather than (n, k).
        average: whether the terms are an average of networks, so that they have a spread.
        history: what was tried, and why the winner won, where `fit_model` made the model.
        names: of the columns of points, then of outputs; empty where none were given.
    """

    mlps: tuple[Mlp, ...] = field(metadata={"static": True})
    terms: tuple[Stage, ...]
    input_scaler: Standardizer
    output_scaler: Standardizer
    flat: bool = field(metadata={"static": True})
    average: bool = field(default=False, metadata={"static": True})
    history: tuple[Candidate, ...] = field(default=(), metadata={"static": True})
    names: tuple[str, ...] = field(default=(), metadata={"static": True})

    @classmethod
    def for_data(
        cls,
        mlp: Mlp,
        params: Params,
        points: np.ndarray,
        outputs: np.ndarray,
        names: Sequence[str] | None = None,
    ) -> "Model":
        """Puts scalers around a network, measured on the samples that it is to be fitted to.

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
        scalers = (
            standardizer(points, tuple(known)),
            standardizer(rows, tuple(known[points.shape[1] :])),
        )
        return cls((mlp,), (), *scalers, outputs.ndim == 1, names=tuple(names or ())).with_params(
            params
        )

    @property
    def params(self) -> Params:
        """The parameters of the first term."""
        return self.terms[0].params

    @property
    def num_params(self) -> int:
        """The number of weights and biases of all terms."""
        return sum(mlp.num_params for mlp in self.mlps)

    def with_params(self, params: Params) -> "Model":
        """This model with one term, the first network with these parameters."""
        return self.with_terms(self.mlps[:1], (Stage(params, np.ones(self.mlps[0].sizes[-1])),))

    def with_terms(
        self, mlps: Sequence[Mlp], terms: Sequence[Stage], *, average: bool = False
    ) -> "Model":
        """This model with these terms: the stages of `fit_stages`, or networks with scales that average them."""
        return replace(
            self, mlps=tuple(mlps), terms=jax.tree.map(np.asarray, tuple(terms)), average=average
        )

    def standardize(self, points: np.ndarray, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Maps samples to inputs (n, d) and targets (n, k) in standard units, of the dtype of the parameters."""
        dtype = self.params[0].weight.dtype
        targets = self.output_scaler.standardize(outputs.reshape(len(outputs), -1))
        return self.input_scaler.standardize(points).astype(dtype), targets.astype(dtype)

    def __call__(self, points: Any) -> Any:
        """Predicts the outputs at points.

        Args:
            points: (n, d) in the units of the data. For a NumPy array or a list the model computes
                in the dtype of its parameters whatever JAX's settings are; a JAX array follows
                those, so that transformations work.

        Returns:
            (n,) or (n, k), a NumPy array of float64 numbers or a JAX array.

        Raises:
            ValueError: points has another shape.
            TypeError: points does not hold real numbers.
        """
        if isinstance(points, Array):
            return self._predict(as_points(points, jnp.result_type(float), self.num_inputs))
        with jax.enable_x64(True):
            array = np.asarray(as_points(points, jnp.float64, self.num_inputs))
            tiles = [array[first : first + TILE] for first in range(0, max(1, len(array)), TILE)]
            plain = replace(
                self, history=(), names=()
            )  # models that differ in words alone share a compiled program
            return np.concatenate(
                [np.asarray(_predict(plain, padded(tile)), float)[: len(tile)] for tile in tiles]
            )

    @property
    def num_inputs(self) -> int:
        """d, the number of columns of points."""
        return self.mlps[0].sizes[0]

    def _predict(self, points: Array) -> Array:
        mean, scale = (
            jnp.asarray(some, points.dtype)[jnp.newaxis, :] for some in self.input_scaler
        )
        terms = jax.tree.map(_as_jax, self.terms)
        inputs = ((points - mean) / scale).astype(terms[0].params[0].weight.dtype)
        outputs = predict_stages(self.mlps, terms, inputs).astype(points.dtype)
        mean, scale = (
            jnp.asarray(some, points.dtype)[jnp.newaxis, :] for some in self.output_scaler
        )
        outputs = outputs * scale + mean
        return outputs[:, 0] if self.flat else outputs

    def spread(self, points: Any) -> np.ndarray:
        """The standard deviation of the averaged networks at points, of the shape and in the units
        of the outputs.

        Raises:
            ValueError: the model is no average of several networks.
        """
        if not (self.average and len(self.terms) > 1):
            raise ValueError(
                f"model must be an average of several networks to have a spread, got {len(self.terms)}"
            )
        pairs = zip(self.mlps, self.terms, strict=True)
        members = [
            self.with_terms([mlp], [term._replace(scale=np.ones_like(term.scale))])
            for mlp, term in pairs
        ]
        return np.std([member(np.asarray(points)) for member in members], axis=0)

    def score(self, points: Any, outputs: Any) -> Score:
        """Compares the predictions at points with the true outputs, (n,) or (n, k) as in the fit."""
        return Score(self(np.asarray(points)), np.asarray(outputs))

    def _repr_html_(self) -> str:
        """Columns and what was tried, as tables."""
        means, scales = (
            np.concatenate(pair) for pair in zip(self.input_scaler, self.output_scaler, strict=True)
        )
        names = self.names or [str(column) for column in range(len(means))]
        rows = [
            (name, number(a), number(b)) for name, a, b in zip(names, means, scales, strict=True)
        ]
        networks = ", ".join("-".join(map(str, mlp.sizes)) for mlp in self.mlps)
        columns = table(("column, outputs last", "mean", "standard deviation"), rows)
        return card(
            f"model: {networks}, {self.num_params} parameters", columns, tried_html(self.history)
        )

    def save(self, path: str | Path) -> None:
        """Writes the model to one file, whole or not at all, for `load` to read: every number,
        scalers, names, history.

        Raises:
            ValueError: path is a directory, or the parameters are neither float32 nor float64.
            OSError: the file cannot be written.
        """
        write_model(
            Path(path).expanduser(),
            **{part.name: getattr(self, part.name) for part in fields(self)},
        )


def load(path: str | Path) -> Model:
    """Reads a model that `Model.save` wrote; it is checked before any of it is used, and nothing in
    it is run.

    Args:
        path: the file.

    Returns:
        The same model: every number bit for bit, whatever JAX's settings are.

    Raises:
        ValueError: the file is missing, damaged or no such model; the message names it and says
            why.
    """
    return Model(**read_model(Path(path).expanduser()))


@jax.jit
def _predict(model: Model, points: Array) -> Array:
    return model._predict(points)


def _as_jax(leaf: Any) -> Array:
    # The dtype is named: what JAX makes of an array that a jitted function closes over, float32
    # while x64 is off, it keeps, and would hand out again for the same array once x64 is on.
    return jnp.asarray(leaf, jax.dtypes.canonicalize_dtype(leaf.dtype))
