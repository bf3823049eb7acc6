"""Networks in stages: each is fitted to what those before it leave, and their sum is the prediction.

The error that a fitted network leaves is a function of its own, small and quick to change sign. Scaled to size 1 it
can be fitted like the first, and so the error goes on falling where one network alone stalls:

    r_1 = targets,  s_1 = 1,  s_k = root mean square of r_k
    network k fits r_k / s_k with its outputs o_k,  r_{k+1} = r_k - s_k o_k
    prediction = sum over k of s_k o_k(inputs)

Legend: n samples, k stages.

References:
    Wang and Lai 2024, Journal of Computational Physics 504; arXiv 2307.08934.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxbp.names import LossName, check_name
from jaxbp.network import predict
from jaxbp.params import Mlp, Params
from jaxbp.training.loop import fit
from jaxbp.training.solver import Solver
from jaxbp.training.state import FitResult, Record

SQUARED_LOSSES = ("mean_squared_error", "half_squared_error")  # errors of other losses do not add up


class Stage(NamedTuple):
    """One term of the sum.

    Attributes:
        params: of the stage's network.
        scale: (n_L,) what its outputs are multiplied by.
    """

    params: Params
    scale: Array


class StagesResult(NamedTuple):
    """What `fit_stages` returns.

    Attributes:
        predict: (stages, inputs (n, n_0)) -> (n, n_L), the sum of the stages; differentiable in both, works under jit.
        params: the stages, a pytree, to give to `predict`.
        results: what `fit` returned for each stage, those left out included; losses in the stage's own scale.
    """

    predict: Callable[[tuple[Stage, ...], Any], Array]
    params: tuple[Stage, ...]
    results: tuple[FitResult, ...]


def predict_stages(mlps: tuple[Mlp, ...], stages: tuple[Stage, ...], inputs: Any) -> Array:
    """Computes the sum over the stages of scale * outputs.

    Args:
        mlps: the network of each stage (static under jit).
        stages: parameters and scale of each.
        inputs: (n, n_0) real numbers.

    Returns:
        The sum (n, n_L).
    """
    terms = [
        stage.scale[jnp.newaxis, :] * predict(mlp, stage.params, inputs)
        for mlp, stage in zip(mlps, stages, strict=True)
    ]
    return jnp.sum(jnp.stack(terms), axis=0)


def fit_stages(
    mlps: Sequence[Mlp],
    params: Sequence[Params],
    data: tuple[Any, Any],
    *,
    steps: int | Sequence[int],
    solver: Solver | None = None,
    batch_size: int | None = None,
    loss: LossName = "mean_squared_error",
    validation: tuple[Any, Any] | None = None,
    key: Array | None = None,
    record_every: int = 100,
    on_record: Callable[[Record], None] | None = None,
) -> StagesResult:
    """Fits networks one after the other, each to the scaled error of the sum of those before it.

    In float32 a second stage finds little more than rounding; use float64. The first layer of a later stage wants
    higher frequencies than that of the first: with `scheme="sine"` a larger `scale`.

    Args:
        mlps: the network of each stage, all with the same input and output sizes.
        params: where each starts.
        data: inputs (n, n_0) and targets (n, n_L).
        steps: how many steps each stage takes, one number for all or one for each.
        solver: as in `fit`.
        batch_size: as in `fit`.
        loss: a squared one, mean_squared_error or half_squared_error.
        validation: as in `fit`.
        key: as in `fit`; the stages draw from splits of it.
        record_every: as in `fit`.
        on_record: called with each record of each stage.

    Returns:
        The sum as one function, its parameters, and the result of each stage. A stage that does not lower the squared
        error over all samples is left out of the sum, and none is tried after it.

    Raises:
        ValueError: networks, parameters and steps do not belong together, the loss is not a squared one, or `fit`
            refuses an argument.
    """
    check_name("loss", loss, SQUARED_LOSSES)
    mlps, params = tuple(mlps), tuple(params)
    counts = list(steps) if isinstance(steps, Sequence) else [steps] * len(mlps)
    if not mlps or len(params) != len(mlps) or len(counts) != len(mlps):
        raise ValueError(
            f"mlps, params and steps must have one entry for each stage, at least one; "
            f"got {len(mlps)}, {len(params)} and {len(counts)}"
        )
    for position, mlp in enumerate(mlps):
        if (mlp.sizes[0], mlp.sizes[-1]) != (mlps[0].sizes[0], mlps[0].sizes[-1]):
            raise ValueError(
                f"mlps[{position}] must have {mlps[0].sizes[0]} inputs and {mlps[0].sizes[-1]} outputs like mlps[0], "
                f"got sizes {mlp.sizes}"
            )
    keys = [None] * len(mlps) if key is None else list(jax.random.split(key, len(mlps)))
    train, held_out = data, validation
    scale = np.ones(mlps[0].sizes[-1])
    stages: list[Stage] = []
    results: list[FitResult] = []
    for mlp, start, count, stage_key in zip(mlps, params, counts, keys, strict=True):
        result = fit(
            mlp,
            start,
            train,
            steps=count,
            solver=solver,
            batch_size=batch_size,
            loss=loss,
            validation=held_out,
            key=stage_key,
            record_every=record_every,
            on_record=on_record,
        )
        results.append(result)
        left = _left(mlp, result.params, train)
        size = np.sqrt(np.mean(np.square(left[1]), axis=0))
        if stages and not np.mean(np.square(scale * size)) < np.mean(np.square(scale)):
            break
        stages.append(Stage(result.params, jnp.asarray(scale, result.params[0].weight.dtype)))
        if not size.any():  # nothing is left to fit
            break
        size = np.where(size > 0, size, 1.0)  # an output that is exact already has no error to scale up
        train = (left[0], left[1] / size)
        if held_out is not None:
            inputs, targets = _left(mlp, result.params, held_out)
            held_out = (inputs, targets / size)
        scale = scale * size
    return StagesResult(partial(predict_stages, tuple(mlps[: len(stages)])), tuple(stages), tuple(results))


def _left(mlp: Mlp, params: Params, samples: tuple[Any, Any]) -> tuple[Any, np.ndarray]:
    """The inputs, and what the network leaves of the targets, in the dtype of the parameters."""
    inputs, targets = map(np.asarray, samples)
    outputs = np.asarray(jax.jit(predict, static_argnums=0)(mlp, params, inputs))
    return inputs, targets.astype(outputs.dtype) - outputs
