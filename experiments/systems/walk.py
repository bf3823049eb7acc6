"""A network with numbers to walk through, and its gradient as two programs."""

import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import jaxbp
from jaxbp.losses import loss_named
from systems import three_layers_of_nodes


def trace_of(mlp: jaxbp.Mlp, seed: int) -> jaxbp.Trace:
    """Both passes of one sample: of the document's network its own numbers, of others random ones with two digits."""
    if mlp == three_layers_of_nodes.MLP:
        return three_layers_of_nodes.trace_of_the_walk()
    generator = np.random.RandomState(seed)
    layers = []
    for fan_in, fan_out in zip(mlp.sizes[:-1], mlp.sizes[1:], strict=True):
        weight, bias = generator.randn(fan_in, fan_out), 0.2 * generator.randn(fan_out)
        layers.append(jaxbp.Layer(*(jnp.asarray(np.round(leaf, 2)) for leaf in (weight / fan_in**0.5, bias))))
    inputs, targets = generator.randn(1, mlp.sizes[0]), generator.rand(1, mlp.sizes[-1])
    return jaxbp.backprop(mlp, tuple(layers), np.round(inputs, 2), np.round(targets, 2), "half_squared_error")


def gradient_programs(trace: jaxbp.Trace) -> tuple[str, str]:
    """The jaxprs of the gradient to parameters and inputs: by the hand-written rule, and by JAX's own."""

    def program(predict: Callable[..., Array]) -> str:
        def loss(params: jaxbp.Params, inputs: Array) -> Array:
            return loss_named(trace.loss_name).values(predict(trace.mlp, params, inputs), trace.targets).mean()

        return str(jax.make_jaxpr(jax.grad(loss, (0, 1)))(trace.params, trace.inputs))

    return program(jaxbp.predict), program(jaxbp.reference_predict)


def count_products(program: str) -> int:
    """How many matrix products a program has."""
    return len(re.findall(r"= dot_general\[", program))
