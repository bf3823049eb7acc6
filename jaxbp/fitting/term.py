"""One term of a model: a network, its parameters and a scale for each output."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxbp.network import predict
from jaxbp.params import Mlp, Params


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Term:
    """scale * network(inputs), a pytree whose network is static.

    Attributes:
        network: what is evaluated.
        params: its parameters.
        scale: (k,) factors of the outputs.
    """

    network: Mlp = field(metadata={"static": True})
    params: Params
    scale: Array | np.ndarray

    def __call__(self, inputs: Array) -> Array:
        """Evaluate the term at inputs (n, d) in standard units."""
        return jnp.asarray(self.scale)[jnp.newaxis] * predict(self.network, self.params, inputs)

    @property
    def dtype(self) -> Any:
        """The dtype that the network computes in."""
        return jax.tree.leaves(self.params)[0].dtype

    def __str__(self) -> str:
        """Sizes and activations."""
        names = dict.fromkeys(self.network.activation_names[:-1]) or {"linear": None}
        return f"{'-'.join(map(str, self.network.sizes))} {', '.join(names)}"
