"""One term of a model: a network, its parameters and a scale for each output."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxbp.fitting.distance import Distance
from jaxbp.fitting.polynomials import Polynomial
from jaxbp.network import predict
from jaxbp.params import Mlp


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Term:
    """scale * network(inputs), a pytree whose network is static.

    Attributes:
        network: an `Mlp`, distance units (`Distance`), `Boxes` of units or a `Polynomial`.
        params: its parameters.
        scale: (k,) factors of the outputs.
    """

    network: Any = field(metadata={"static": True})
    params: Any
    scale: Array | np.ndarray

    def __call__(self, inputs: Array) -> Array:
        """Evaluate the term at inputs (n, d) in standard units.

        All but an `Mlp` compute in the dtype of their parameters while x64 is off, too.
        """
        if not isinstance(self.network, Mlp):
            with jax.enable_x64(True):
                params = jax.tree.map(as_jax, self.params)
            outputs = self.network(params, inputs)
        else:
            params = jax.tree.map(as_jax, self.params)
            outputs = predict(self.network, params, inputs.astype(params[0].weight.dtype))
        return as_jax(self.scale)[jnp.newaxis] * outputs

    def padded(self) -> "Term":
        """The same function, of a size that it shares with others."""
        if not isinstance(self.network, Distance):
            return self
        return Term(*self.network.padded(self.params), self.scale)

    def growth(self, inputs: np.ndarray) -> Any:
        """How much larger errors of a polynomial are at inputs (n, d) than between the rows."""
        if not isinstance(self.network, Polynomial):
            return 1.0
        return self.network.growth(self.params, inputs)

    @property
    def dtype(self) -> Any:
        """The dtype that the network computes in."""
        return jax.tree.leaves(self.params)[0].dtype

    def __str__(self) -> str:
        """Sizes and activations, or number and kernel of the units."""
        if not isinstance(self.network, Mlp):
            return str(self.network)
        names = dict.fromkeys(self.network.activation_names[:-1]) or {"linear": None}
        return f"{'-'.join(map(str, self.network.sizes))} {', '.join(names)}"


def as_jax(leaf: Any) -> Array:
    """The leaf as a JAX array.

    The dtype is named: what JAX makes of an array that a jitted function closes over, float32
    while x64 is off, it keeps, and would hand out again for the same array once x64 is on.
    """
    return jnp.asarray(leaf, jax.dtypes.canonicalize_dtype(leaf.dtype))
