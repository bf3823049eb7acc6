"""Runs on several hosts: the processes find each other, each holds its share of the samples, the first one writes."""

from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from jaxbp._checks import check_count


def join_hosts(
    coordinator: str,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    heartbeat_seconds: int = 30,
) -> None:
    """Joins this process to the others of the run; call it before anything else touches a device.

    From then on `fit(..., devices="all")` takes the share of the samples that this process holds. A
    process that dies ends the others with a message: at the next exchange, or when its heartbeat is
    missed.

    Args:
        coordinator: host:port of process 0, the same for all; or "auto", where what started the
            processes tells: SLURM, Open MPI, Kubernetes, a TPU pod, as `jax.distributed.initialize`
                finds it.
        num_processes: how many there are; left out with "auto".
        process_id: which of them this is, from 0; left out with "auto".
        heartbeat_seconds: how long a process may give no sign of life before the others end.

    Raises:
        ValueError: the arguments do not belong together, or nothing is found with "auto".
        RuntimeError: a device was touched before, or the processes do not find each other within 5
            minutes.
    """
    if coordinator == "auto":
        if num_processes is not None or process_id is not None:
            raise ValueError(
                "num_processes and process_id must be left out with the coordinator auto"
            )
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        try:
            jax.distributed.initialize(heartbeat_timeout_seconds=heartbeat_seconds)
        except ValueError as error:
            raise ValueError(
                f"coordinator must be host:port where nothing tells of the other processes, got auto ({error})"
            ) from None
        return
    if ":" not in coordinator:
        raise ValueError(f"coordinator must be auto or host:port, got {coordinator!r}")
    if num_processes is None or process_id is None:
        raise ValueError(
            f"num_processes and process_id must be given with the coordinator {coordinator}"
        )
    check_count("num_processes", num_processes, minimum=1)
    if check_count("process_id", process_id, minimum=0) >= num_processes:
        raise ValueError(
            f"process_id must be below num_processes, {num_processes}, got {process_id}"
        )
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(
        coordinator, num_processes, process_id, heartbeat_timeout_seconds=heartbeat_seconds
    )


def own_rows(num_samples: int) -> slice:
    """The rows that this process holds of so many samples: equal shares, in the order of the
    processes.

    Raises:
        ValueError: the processes cannot share them equally.
    """
    count, process = jax.process_count(), jax.process_index()
    if num_samples % count:
        raise ValueError(
            f"samples must be a number that the {count} processes share equally, got {num_samples}"
        )
    return slice(process * num_samples // count, (process + 1) * num_samples // count)


def writes(mesh: Mesh | None) -> bool:
    """Whether this process writes the files of a run on a mesh: the first one does."""
    return mesh is None or jax.process_index() == 0


def every_process(mesh: Mesh | None, number: int) -> list[int]:
    """The number that each process of a mesh has, in their order."""
    alone = mesh is None or jax.process_count() == 1
    return [number] if alone else multihost_utils.process_allgather(np.int32(number)).tolist()


def from_first(array: Any) -> Any:
    """The array of process 0 in every process: one bit of difference would never be noticed later."""
    return array if jax.process_count() == 1 else multihost_utils.broadcast_one_to_all(array)
