"""A forward and a backward pass in NumPy float64, written without a look at the library: loops over
layers, no JAX."""

import numpy as np
from scipy.special import erf, expit, log_softmax, logsumexp, softmax


def _gelu_slope(z):
    return 0.5 * (1 + erf(z / np.sqrt(2))) + z * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)


ACTIVATIONS = {
    "identity": (lambda z: z, lambda z: np.ones_like(z)),
    "relu": (lambda z: np.maximum(z, 0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "leaky_relu": (lambda z: np.where(z < 0, 0.01 * z, z), lambda z: np.where(z < 0, 0.01, 1.0)),
    "sigmoid": (expit, lambda z: expit(z) * expit(-z)),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "softplus": (lambda z: np.logaddexp(0, z), expit),
    "silu": (lambda z: z * expit(z), lambda z: expit(z) * (1 + z * expit(-z))),
    "gelu": (lambda z: 0.5 * z * (1 + erf(z / np.sqrt(2))), _gelu_slope),
    "sine": (np.sin, np.cos),
}


def loss_and_error(name, outputs, targets):
    """The mean loss of a batch and its derivative with respect to the outputs."""
    n, k = outputs.shape
    if name == "mean_squared_error":
        return np.mean((outputs - targets) ** 2), 2 * (outputs - targets) / (n * k)
    if name == "half_squared_error":
        return 0.5 * np.sum((outputs - targets) ** 2) / n, (outputs - targets) / n
    if name == "binary_cross_entropy":
        value = np.mean(np.logaddexp(0, outputs) - targets * outputs)
        return value, (expit(outputs) - targets) / (n * k)
    if targets.ndim == 1:
        value = np.mean(logsumexp(outputs, axis=1) - outputs[np.arange(n), targets])
        return value, (softmax(outputs, axis=1) - np.eye(k)[targets]) / n
    return -np.sum(targets * log_softmax(outputs, axis=1)) / n, (
        softmax(outputs, axis=1) * targets.sum(1, keepdims=True) - targets
    ) / n


def backprop(names, params, inputs, targets, loss):
    """Returns the loss, [(dW, db), ...] and the derivative with respect to the inputs."""
    params = [
        (np.asarray(w, np.float64), np.float64(0) if b is None else np.asarray(b, np.float64))
        for w, b in params
    ]
    kept, a = [], np.asarray(inputs, np.float64)
    for (w, b), name in zip(params, names, strict=True):
        z = np.einsum("ni,ij->nj", a, w, optimize=True) + b
        kept.append((a, z))
        a = ACTIVATIONS[name][0](z)
    targets = np.asarray(targets)
    value, bar = loss_and_error(
        loss, a, targets if targets.ndim == 1 else targets.astype(np.float64)
    )
    gradients = []
    for (w, _), (a, z), name in zip(params[::-1], kept[::-1], names[::-1], strict=True):
        delta = bar * ACTIVATIONS[name][1](z)
        gradients.append((np.einsum("ni,nj->ij", a, delta, optimize=True), delta.sum(0)))
        bar = delta @ w.T
    return value, gradients[::-1], bar
