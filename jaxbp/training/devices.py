"""Choosing where to run."""

import jax

from jaxbp.names import PLATFORM_NAMES, PlatformName, check_name


def use_platform(name: PlatformName = "auto") -> jax.Device:
    """Makes the whole program run on one kind of device; call it before anything else touches a device.

    Args:
        name: cpu, gpu, tpu, or auto for what JAX finds (or the environment's JAX_PLATFORMS asks for).

    Returns:
        The first device.

    Raises:
        ValueError: the name is not known, or there is no such device.
    """
    check_name("platform", name, PLATFORM_NAMES)
    # JAX calls an NVIDIA GPU cuda here and gpu elsewhere.
    wanted = {"auto": jax.config.jax_platforms, "gpu": "cuda"}.get(name, name)  # type: ignore[attr-defined]
    jax.config.update("jax_platforms", wanted)
    try:
        return jax.devices()[0]
    except (RuntimeError, AssertionError) as error:  # the latter where the plugin of the platform is not installed
        reason = f" ({str(error).splitlines()[0]})" if str(error) else ""
        raise ValueError(
            f"platform {wanted} must be present, but JAX could not start it{reason}: use the platform cpu, "
            "or unset JAX_PLATFORMS"
        ) from None
