"""The samples of a fit, validated."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxbp._checks import check_count, check_finite, look_up, warn_if_narrowed
from jaxbp._samples import as_samples
from jaxbp.losses import LOSSES
from jaxbp.params import Mlp, Params
from jaxbp.training.solver import Batch


def fitting_samples(mlp: Mlp, params: Params, data: Any, validation: Any, loss: str) -> tuple[Batch, Batch | None]:
    """Validates and casts the samples to train on and those held out, and warns once for all of them."""
    pairs = {"data": data} if validation is None else {"data": data, "validation": validation}
    arrays: dict[str, Any] = {}
    for name, pair in pairs.items():
        if not (isinstance(pair, tuple) and len(pair) == 2):
            raise ValueError(f"{name} must be a pair (inputs, targets), got {type(pair).__name__}")
        prefix = "" if name == "data" else "validation "
        arrays |= {f"{prefix}inputs": pair[0], f"{prefix}targets": pair[1]}
    warn_if_narrowed(4, **arrays)
    cast = [_finite(name, array, params[0].weight.dtype) for name, array in arrays.items()]
    row = look_up("loss", loss, LOSSES)
    train = Batch(*as_samples(mlp, params, cast[0], cast[1], row))
    return train, None if validation is None else Batch(*as_samples(mlp, params, cast[2], cast[3], row))


def _finite(name: str, array: Any, dtype: DTypeLike) -> Any:
    """Casts numbers to the dtype of the parameters, or names the first that is not finite in it; labels stay."""
    array = np.asarray(array)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        return array
    check_finite(name, array)
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    if not np.isfinite(cast).all():
        raise ValueError(f"{name} must fit into {dtype}, got {np.abs(array).max():g}")
    return cast


def check_batch_size(batch_size: int | None, num_samples: int) -> None:
    """Raises a ValueError unless the batches are no larger than all the samples."""
    if batch_size is not None and check_count("batch_size", batch_size, minimum=1) > num_samples:
        raise ValueError(f"batch_size must be at most the number of samples, {num_samples}, got {batch_size}")
