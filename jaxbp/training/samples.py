"""Samples of a run, validated, cast to the dtype of the parameters and put on their devices."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.typing import DTypeLike

from jaxbp._checks import check_count, check_finite, warn_if_narrowed
from jaxbp._samples import as_samples
from jaxbp.losses import Loss
from jaxbp.params import Mlp, Params
from jaxbp.training.disk import DiskSamples
from jaxbp.training.evaluation import Evaluation, evaluate
from jaxbp.training.sharding import check_divided, gather, replicate, share
from jaxbp.training.solver import Batch, Problem
from jaxbp.training.state import TrainState


class MemorySamples(NamedTuple):
    """Samples in memory; the methods are those of `DiskSamples`."""

    batch: Batch

    @property
    def num_samples(self) -> int:
        """n, of all processes."""
        return self.batch.inputs.shape[0]

    def pieces(
        self, problem: Problem, state: TrainState, stop: int, most_steps: int
    ) -> Iterator[tuple[Batch, int]]:
        """Yield all samples, for the steps until `stop`."""
        yield self.batch, stop

    def evaluate(self, problem: Problem, params: Params) -> Evaluation:
        """Evaluate parameters over all samples."""
        return evaluate(problem, params, self.batch)

    def first(self, num_rows: int) -> Batch:
        """Return the samples, of which the first rows are read."""
        return self.batch

    def all_rows(self, problem: Problem) -> Batch:
        """Return all rows, of all processes."""
        return gather(problem.mesh, self.batch)


Samples = MemorySamples | DiskSamples


def fitting_samples(
    mlp: Mlp,
    params: Params,
    data: Any,
    validation: Any,
    loss: Loss,
    batch_size: int | None = None,
    mesh: Mesh | None = None,
) -> tuple[Samples, MemorySamples | None]:
    """Validate and place the samples to train on and to validate with.

    Memory-mapped samples stay on disk if the steps take batches. On a mesh each process gives its
    own share of the training samples, and all validation samples.
    """
    arrays = _arrays(data, validation)
    held_out = None
    if validation is not None:
        rows = _in_memory(mlp, params, arrays[1], loss)
        shared = mesh is not None and len(rows.inputs) % mesh.size == 0 == jax.process_index()
        shared = shared and jax.process_count() == 1
        held_out = MemorySamples(share(mesh, rows) if shared else replicate(mesh, rows))
    on_disk = any(isinstance(array, np.memmap) for array in arrays[0].values())
    train: Samples
    if batch_size is not None and on_disk:
        if jax.process_count() > 1:
            raise ValueError(
                "data must be in memory on several hosts: read the rows of this process"
            )
        inputs, targets = arrays[0].values()
        train = DiskSamples(mlp, params, inputs, targets, loss)
    else:
        rows = _in_memory(mlp, params, arrays[0], loss)
        if mesh is not None:
            check_divided("data", mesh, len(rows.inputs) * jax.process_count())
        train = MemorySamples(share(mesh, rows))
    _check_batch_size(batch_size, train.num_samples, mesh)
    return train, held_out


def _arrays(data: Any, validation: Any) -> list[dict[str, Any]]:
    """Return inputs and targets by name, of the training samples and of the validation samples."""
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
    dtype = params[0].weight.dtype
    inputs, targets = (_finite(name, array, dtype) for name, array in arrays.items())
    return Batch(*as_samples(mlp, params, inputs, targets, loss))


def _finite(name: str, array: Any, dtype: DTypeLike) -> Any:
    """Cast numbers to a dtype, or name the first that is not finite in it; labels stay."""
    array = np.asarray(array)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        return array
    check_finite(name, array)
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    if not np.isfinite(cast).all():
        raise ValueError(f"{name} must fit into {dtype}, got {np.abs(array).max():g}")
    return cast


def _check_batch_size(batch_size: int | None, num_samples: int, mesh: Mesh | None) -> None:
    if batch_size is None:
        return
    if check_count("batch_size", batch_size, minimum=1) > num_samples:
        raise ValueError(
            f"batch_size must be at most the number of samples, {num_samples}, got {batch_size}"
        )
    check_divided("batch_size", mesh, batch_size)
