"""The samples of a fit, validated."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxbp._checks import check_count, check_finite, warn_if_narrowed
from jaxbp._samples import as_samples
from jaxbp.losses import Loss
from jaxbp.params import Mlp, Params
from jaxbp.training.disk import DiskSamples
from jaxbp.training.solver import Batch


def fitting_samples(
    mlp: Mlp, params: Params, data: Any, validation: Any, loss: Loss
) -> tuple[Batch, Batch | None]:
    """Validates and casts the samples to train on and those held out, and warns once for all of them."""
    train, *held_out = [
        _in_memory(mlp, params, arrays, loss) for arrays in _arrays(data, validation)
    ]
    return train, held_out[0] if held_out else None


def samples_on_disk(
    mlp: Mlp, params: Params, data: Any, validation: Any, loss: Loss
) -> tuple[DiskSamples, Batch | None]:
    """Does what `fitting_samples` does, but leaves the samples to train on where they are."""
    if jax.process_count() > 1:
        raise ValueError(
            "data must be in memory on several hosts: read the rows of this process, see own_rows"
        )
    train, *others = _arrays(data, validation)
    held_out = [_in_memory(mlp, params, arrays, loss) for arrays in others]
    inputs, targets = train.values()
    return DiskSamples(mlp, params, inputs, targets, loss), held_out[0] if held_out else None


def stay_on_disk(data: Any, batch_size: int | None) -> bool:
    """Whether samples are read batch by batch: where they are memory-mapped and no step takes all of them."""
    pair = data if isinstance(data, tuple) else ()
    return batch_size is not None and any(isinstance(array, np.memmap) for array in pair)


def _arrays(data: Any, validation: Any) -> list[dict[str, Any]]:
    """Inputs and targets by their names, of the samples to train on and of those held out if there are any."""
    pairs = {"data": data} if validation is None else {"data": data, "validation": validation}
    arrays: list[dict[str, Any]] = []
    for name, pair in pairs.items():
        if not (isinstance(pair, tuple) and len(pair) == 2):
            raise ValueError(f"{name} must be a pair (inputs, targets), got {type(pair).__name__}")
        prefix = "" if name == "data" else "validation "
        arrays.append({f"{prefix}inputs": pair[0], f"{prefix}targets": pair[1]})
    warn_if_narrowed(5, **{name: array for pair in arrays for name, array in pair.items()})
    return arrays


def _in_memory(mlp: Mlp, params: Params, arrays: dict[str, Any], loss: Loss) -> Batch:
    inputs, targets = (
        _finite(name, array, params[0].weight.dtype) for name, array in arrays.items()
    )
    return Batch(*as_samples(mlp, params, inputs, targets, loss))


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
        raise ValueError(
            f"batch_size must be at most the number of samples, {num_samples}, got {batch_size}"
        )
