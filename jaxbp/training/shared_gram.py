"""K = J J^T on several devices: each computes its rows from the activations and node errors of all.

    K_ij = sum over l of (A_{l-1,i} A_{l-1,j}^T + 1) * (D_{l,i} D_{l,j}^T)        i of this device, j of all

One exchange gathers the factors, (n, sum of the widths), and one the rows, so that every device solves the same system.

Legend: n samples, m seeds a sample; a row of K is (i, c), i = 1..n outer and c = 1..m inner.
"""

from itertools import accumulate

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxbp.dense import matmul
from jaxbp.jacobian import SeededErrors, gram
from jaxbp.network import Residuals
from jaxbp.training.devices import SAMPLES


def gram_on(mesh: Mesh | None, residuals: Residuals, errors: SeededErrors) -> Array:
    """Computes K (n m, n m), whole on every device of the mesh; arguments are those of `gram`."""
    if mesh is None:
        return gram(residuals, errors)
    # The factors of a sample lie next to each other: (n, n_l) for each activation, (n, m n_l) for each node error.
    num_samples, num_layers, num_seeds = errors[0].shape[1], len(errors), errors[0].shape[0]
    node_errors = [node_error.transpose(1, 0, 2).reshape(num_samples, -1) for node_error in errors]
    factors = [*(kept.inputs for kept in residuals), *node_errors]
    ends = list(accumulate(factor.shape[1] for factor in factors))

    def rows(factors: Array) -> Array:
        mine = jnp.split(factors, ends[:-1], axis=1)
        theirs = jnp.split(jax.lax.all_gather(factors, SAMPLES, tiled=True), ends[:-1], axis=1)
        here, total = factors.shape[0], jnp.zeros((), factors.dtype)
        for layer in range(num_layers):
            samples = matmul(mine[layer], theirs[layer].T) + 1
            left, right = (some[num_layers + layer] for some in (mine, theirs))
            pairs = matmul(left.reshape(here * num_seeds, -1), right.reshape(num_samples * num_seeds, -1).T)
            blocks = pairs.reshape(here, num_seeds, num_samples, num_seeds)
            total = total + samples[:, jnp.newaxis, :, jnp.newaxis] * blocks
        return total.reshape(here * num_seeds, num_samples * num_seeds)

    spec = PartitionSpec(SAMPLES)
    kernel = jax.shard_map(rows, mesh=mesh, in_specs=spec, out_specs=spec)(jnp.concatenate(factors, axis=1))
    return jax.lax.with_sharding_constraint(kernel, NamedSharding(mesh, PartitionSpec()))
