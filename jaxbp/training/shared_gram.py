"""K = J J^T on several devices: each computes its rows from the activations and node errors of all.

    K_ij = sum over l of (A_{l-1,i} A_{l-1,j}^T + 1) * (D_{l,i} D_{l,j}^T)        i of this device, j of all

One exchange gathers the factors, (n, sum of the widths), and one the rows, so that every device
solves the same system.

Legend: n samples, m seeds a sample; a row of K is (i, c), i = 1..n outer and c = 1..m inner.
"""

from itertools import accumulate

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxbp.jacobian import Factors, SeededErrors, gram, gram_block
from jaxbp.network import Residuals
from jaxbp.training.devices import SAMPLES


def gram_on(mesh: Mesh | None, residuals: Residuals, errors: SeededErrors) -> Array:
    """Computes the lower triangle of K (n m, n m), on every device of the mesh; arguments are those of `gram`."""
    if mesh is None:
        return gram(residuals, errors)
    # The factors of a sample lie next to each other: (n, n_l) for each activation, (n, m n_l) for
    # each node error.
    num_samples, num_layers, num_seeds = errors[0].shape[1], len(errors), errors[0].shape[0]
    node_errors = [node_error.transpose(1, 0, 2).reshape(num_samples, -1) for node_error in errors]
    factors = [*(kept.inputs for kept in residuals), *node_errors]
    ends = list(accumulate(factor.shape[1] for factor in factors))

    def rows(factors: Array) -> Array:
        everyone = jax.lax.all_gather(factors, SAMPLES, tiled=True)
        return gram_block(by_layer(factors), by_layer(everyone), num_seeds)

    def by_layer(factors: Array) -> list[Factors]:
        parts = jnp.split(factors, ends[:-1], axis=1)
        errors = [part.reshape(factors.shape[0] * num_seeds, -1) for part in parts[num_layers:]]
        return list(zip(parts[:num_layers], errors, strict=True))

    spec = PartitionSpec(SAMPLES)
    kernel = jax.shard_map(rows, mesh=mesh, in_specs=spec, out_specs=spec)(
        jnp.concatenate(factors, axis=1)
    )
    return jax.lax.with_sharding_constraint(kernel, NamedSharding(mesh, PartitionSpec()))
