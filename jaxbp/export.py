"""Programs that run without jaxbp, written by `jax.export`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export
from jax.typing import DTypeLike

from jaxbp._checks import check_count, check_name
from jaxbp._files import as_path, atomic_write

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")  # that a program can be exported for


def export_program(
    function: Callable[[Any], Any],
    num_inputs: int,
    path: str | Path,
    dtype: DTypeLike = np.float32,
    platforms: Sequence[str] | None = None,
) -> Path:
    """Write a fitted function as a program that `jax.export` runs without jaxbp, with its gradient.

    Read it with `jax.export.deserialize(bytearray(path.read_bytes()))`; `.call(points)` takes any
    number of points, and `jax.grad` of it runs the hand-written backward pass. The platforms need
    not be present to write a program for them.

    Args:
        function: points (n, num_inputs) -> outputs: a Model, or a partial of `predict`.
        num_inputs: d.
        path: the file.
        dtype: of the points.
        platforms: any of cpu, cuda, rocm and tpu; by default that of the present device.

    Returns:
        The path.

    Raises:
        ValueError: num_inputs is no positive number, or a platform is not known.
        OSError: the file cannot be written.
        ImportError: flatbuffers, in which JAX writes programs, is not installed (extra `export`).
    """
    try:
        import flatbuffers  # noqa: F401
    except ModuleNotFoundError as error:
        raise ImportError(
            "export_program needs flatbuffers: pip install 'jaxbp[export]'"
        ) from error
    check_count("num_inputs", num_inputs, minimum=1)
    (batch,) = export.symbolic_shape("n", constraints=["n >= 1"])
    for position, platform in enumerate(platforms or ()):
        check_name(f"platforms[{position}]", platform, PLATFORMS)
    lower = export.export(jax.jit(lambda points: function(points)), platforms=platforms)
    program = lower(jax.ShapeDtypeStruct((batch, num_inputs), dtype))
    path = as_path(path)
    with atomic_write(path, durable=True) as partial:
        partial.write_bytes(program.serialize(vjp_order=1))
    return path
