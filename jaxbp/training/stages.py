"""Networks in stages: each is fitted to what those before it leave, and their sum is the
prediction.

The error that a fitted network leaves is a function of its own, small and quick to change sign.
Scaled to size 1 it can be fitted like the first, and so the error goes on falling where one network
alone stalls:

    r_1 = targets,  s_1 = 1,  s_k = root mean square of r_k
    network k fits r_k / s_k with its outputs o_k,  r_{k+1} = r_k - s_k o_k
    prediction = sum over k of s_k o_k(inputs)

Legend: n samples, k stages.

References:
    Wang and Lai 2024, Journal of Computational Physics 504; arXiv 2307.08934.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxbp._checks import check_name
from jaxbp.losses import LOSSES
from jaxbp.network import predict
from jaxbp.params import Mlp, Params
from jaxbp.training.loop import fit
from jaxbp.training.state import FitResult, History, Outcome


class Stage(NamedTuple):
    """One term of the sum.

    Attributes:
        params: of the stage's network.
        scale: (n_L,) what its outputs are multiplied by.
    """

    params: Params
    scale: Array | np.ndarray


class StagesResult(NamedTuple):
    """What `fit_stages` returns.

    Attributes:
        predict: (stages, inputs (n, n_0)) -> (n, n_L), the sum of the stages; differentiable in
            both, works under jit.
        stages: the terms of the sum, a pytree, to give to `predict`.
        history: the records of all stages as one run, losses in the units of the targets; with
            several outputs those of later stages as if the errors of all outputs were of one size.
        outcome: of the last stage.
        compile_seconds: of all stages.
        run_seconds: of all stages.
        results: what `fit` returned for each stage, those left out included; losses in the stage's
            own scale.
    """

    predict: Callable[[tuple[Stage, ...], Any], Array]
    stages: tuple[Stage, ...]
    history: History
    outcome: Outcome
    compile_seconds: float
    run_seconds: float
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
    loss: str = "mean_squared_error",
    validation: tuple[Any, Any] | None = None,
    key: Array | None = None,
    **options: Any,
) -> StagesResult:
    """Fits networks one after the other, each to the scaled error of the sum of those before it.

    In float32 a second stage finds little more than rounding; use float64. The first layer of a
    later stage wants higher frequencies than that of the first: with `scheme="sine"` a larger
    `scale`.

    Args:
        mlps: the network of each stage, all with the same input and output sizes.
        params: where each starts.
        data: inputs (n, n_0) and targets (n, n_L).
        steps: how many steps each stage takes, one number for all or one for each.
        loss: a squared one, mean_squared_error or half_squared_error.
        validation: as in `fit`.
        key: as in `fit`; the stages draw from splits of it.
        **options: solver, batch_size, record_every and the others of `fit`, the same for each
            stage.

    Returns:
        The sum as one function, its parameters, and the result of each stage. A stage that does not
        lower the squared error over all samples is left out of the sum, and none is tried after it.

    Raises:
        ValueError: networks, parameters and steps do not belong together, the loss is not a squared
            one, or `fit` refuses an argument.
    """
    check_name("loss", loss, [name for name, row in LOSSES.items() if row.quadratic])
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
    histories: list[History] = []
    folder = options.get("checkpoint")
    for mlp, start, count, stage_key in zip(mlps, params, counts, keys, strict=True):
        if folder is not None:
            options["checkpoint"] = Path(folder) / f"stage-{len(results) + 1}"
        result = fit(
            mlp, start, train, steps=count, loss=loss, validation=held_out, key=stage_key, **options
        )
        results.append(result)
        histories.append(_rescaled(result.history, float(np.mean(np.square(scale))), histories))
        left = _left(mlp, result.params, train)
        size = np.sqrt(np.mean(np.square(left[1]), axis=0))
        if stages and not np.mean(np.square(scale * size)) < np.mean(np.square(scale)):
            break
        stages.append(Stage(result.params, jnp.asarray(scale, result.params[0].weight.dtype)))
        if not size.any():  # nothing is left to fit
            break
        size = np.where(
            size > 0, size, 1.0
        )  # an output that is exact already has no error to scale up
        train = (left[0], left[1] / size)
        if held_out is not None:
            inputs, targets = _left(mlp, result.params, held_out)
            held_out = (inputs, targets / size)
        scale = scale * size
    return StagesResult(
        predict=partial(predict_stages, mlps[: len(stages)]),
        stages=tuple(stages),
        history=History(*(np.concatenate(column) for column in zip(*histories, strict=True))),
        outcome=results[-1].outcome,
        compile_seconds=sum(result.compile_seconds for result in results),
        run_seconds=sum(result.run_seconds for result in results),
        results=tuple(results),
    )


def _rescaled(history: History, square: float, earlier: Sequence[History]) -> History:
    """A stage's records in the units of the targets, `square` times its own, after those of the earlier stages."""
    return History(
        step=history.step + (int(earlier[-1].step[-1]) if earlier else 0),
        loss=square * history.loss,
        validation_loss=square * history.validation_loss,
        seconds=history.seconds + (earlier[-1].seconds[-1] if earlier else 0.0),
    )


def _left(mlp: Mlp, params: Params, samples: tuple[Any, Any]) -> tuple[Any, np.ndarray]:
    """The inputs, and what the network leaves of the targets, in the dtype of the parameters."""
    inputs, targets = map(np.asarray, samples)
    outputs = np.asarray(jax.jit(predict, static_argnums=0)(mlp, params, inputs))
    return inputs, targets.astype(outputs.dtype) - outputs
