"""What shard_map asks of a function that differentiates."""

import jax
from jax import Array

from jaxbp.params import Params


def vary_together(params: Params, inputs: Array) -> tuple[Params, Array]:
    """Marks all arrays as varying over the same shard_map axes; outside of shard_map it does
    nothing.

    Over a sharded batch the gradient of a replicated parameter differs from device to device, which
    is not the type of the parameter. The transpose of the mark is the sum over the devices that
    makes it so.
    """
    axes = frozenset[str]().union(
        *(jax.typeof(leaf).mat.varying for leaf in jax.tree.leaves((params, inputs)))
    )

    def vary(leaf: Array) -> Array:
        return jax.lax.pcast(leaf, tuple(axes - jax.typeof(leaf).mat.varying), to="varying")

    return jax.tree.map(vary, (params, inputs)) if axes else (params, inputs)
