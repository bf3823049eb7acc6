"""Choosing where to run: the kind of device, and how many of them share the samples."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from jaxbp._checks import check_count, look_up

SAMPLES = "samples"  # the axis of the mesh

# What JAX calls them: an NVIDIA GPU is cuda here and gpu elsewhere; None leaves the choice to JAX.
PLATFORMS = {"auto": None, "cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}


def use_platform(name: str = "auto") -> jax.Device:
    """Makes the whole program run on one kind of device; call it before anything else touches a
    device.

    Args:
        name: cpu, gpu, tpu, or auto for what JAX finds (or the environment's JAX_PLATFORMS asks
            for).

    Returns:
        The first device.

    Raises:
        ValueError: the name is not known, or there is no such device.
    """
    wanted = look_up("platform", name, PLATFORMS) or jax.config.jax_platforms  # type: ignore[attr-defined]
    jax.config.update("jax_platforms", wanted)
    try:
        return jax.devices()[0]
    # The latter two where the plugin of the platform is not installed: under -O no assertion of JAX
    # says so first.
    except (RuntimeError, AssertionError, AttributeError) as error:
        reason = (
            f" ({str(error).splitlines()[0]})"
            if isinstance(error, RuntimeError) and str(error)
            else ""
        )
        raise ValueError(
            f"platform {wanted} must be present, but JAX could not start it{reason}: use the platform cpu, "
            "or unset JAX_PLATFORMS"
        ) from None


def mesh_of(devices: int | str | Sequence[Any] | None) -> Mesh | None:
    """The mesh of the devices that share the samples of a run; None for a run on one device, as JAX
    chooses it.

    Args:
        devices: how many of each process, a sequence of JAX devices, "all" of every process, or
            None.

    Raises:
        ValueError: devices is none of these, or there are not so many.
    """
    if devices is None:
        return None
    if isinstance(devices, str):
        look_up("devices", devices, {"all": None})
        chosen = jax.devices()
    elif isinstance(devices, Sequence):
        chosen = list(devices)
        if (
            not chosen
            or len(set(chosen)) < len(chosen)
            or not all(isinstance(one, jax.Device) for one in chosen)
        ):
            raise ValueError(
                f"devices must be JAX devices, each once and at least one, got {devices}"
            )
    else:
        count, there = check_count("devices", devices, minimum=1), jax.local_device_count()
        if count > there:
            raise ValueError(
                f"devices must be at most {there}, the {jax.default_backend()} devices of this process, got {count}; "
                "jax_num_cpu_devices, set before the first use of a device, sets how many the CPU is"
            )
        chosen = [
            one
            for process in range(jax.process_count())
            for one in jax.local_devices(process)[:count]
        ]
    # The samples of a process lie next to each other. `jax.make_mesh` would order by the wires of a
    # TPU, and its axes are Explicit, where the product of two sharded arrays is an error.
    ordered = sorted(chosen, key=lambda one: one.process_index)
    return Mesh(np.array(ordered), (SAMPLES,), axis_types=(AxisType.Auto,))
