"""Choosing where to run."""

import jax

from jaxbp._checks import look_up

# What JAX calls them: an NVIDIA GPU is cuda here and gpu elsewhere; None leaves the choice to JAX.
PLATFORMS = {"auto": None, "cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}


def use_platform(name: str = "auto") -> jax.Device:
    """Makes the whole program run on one kind of device; call it before anything else touches a device.

    Args:
        name: cpu, gpu, tpu, or auto for what JAX finds (or the environment's JAX_PLATFORMS asks for).

    Returns:
        The first device.

    Raises:
        ValueError: the name is not known, or there is no such device.
    """
    wanted = look_up("platform", name, PLATFORMS) or jax.config.jax_platforms  # type: ignore[attr-defined]
    jax.config.update("jax_platforms", wanted)
    try:
        return jax.devices()[0]
    except (RuntimeError, AssertionError) as error:  # the latter where the plugin of the platform is not installed
        reason = f" ({str(error).splitlines()[0]})" if str(error) else ""
        raise ValueError(
            f"platform {wanted} must be present, but JAX could not start it{reason}: use the platform cpu, "
            "or unset JAX_PLATFORMS"
        ) from None
