"""Exercises as they are set in courses, with own numbers."""

import numpy as np

import jaxbp

# sizes, hidden, output, loss, [weights and biases], inputs, targets
EXERCISES = {
    "one linear unit": (
        ((2, 1), "tanh", "identity", "half_squared_error"),
        [([0.34, 0.56], 0.54)],
        ([[1, 0]], [[0]]),
    ),
    "two sigmoid layers": (
        ((2, 2, 2), "sigmoid", "sigmoid", "half_squared_error"),
        [([[0.1, 0.3], [0.2, 0.4]], [0.25, 0.25]), ([[0.5, 0.7], [0.6, 0.8]], [0.35, 0.35])],
        ([[0.1, 0.5]], [[0.05, 0.95]]),
    ),
    "no biases": (
        ((2, 2, 1), "sigmoid", "sigmoid", "half_squared_error"),
        [([[0.11, -0.4], [0.8, 0.07]], None), ([[0.3], [0.9]], None)],
        ([[0.35, 0.9]], [[0.5]]),
    ),
    "a dead unit": (
        ((2, 2, 1), "relu", "identity", "half_squared_error"),
        [([[0.5, -1.0], [0.25, 1.5]], [0, 0]), ([[1.0], [2.0]], [-1.0])],
        ([[16, -6]], [[3]]),
    ),
    "logistic regression": (
        ((3, 1), "tanh", "identity", "binary_cross_entropy"),
        [([0.2, -0.5, 0.1], -0.3)],
        ([[1.5, 2.0, -1.0], [0.5, -1.0, 3.0]], [[1], [0]]),
    ),
    "three classes": (
        ((2, 3), "tanh", "identity", "softmax_cross_entropy"),
        [([[0.2, -0.1, 0.4], [0.7, 0.3, -0.6]], [0.1, 0, -0.1])],
        ([[1.0, -2.0], [0.5, 0.5]], np.array([2, 0])),
    ),
    "a chain of tanh": (
        ((1, 1, 1, 1), "tanh", "tanh", "mean_squared_error"),
        [([[0.8]], [0.1]), ([[-1.2]], [0.3]), ([[0.6]], [0.0])],
        ([[0.7]], [[0.25]]),
    ),
    "exclusive or": (
        ((2, 3, 1), "tanh", "sigmoid", "mean_squared_error"),
        [([[1.0, -0.5, 0.3], [0.4, 0.9, -1.1]], [0.1, -0.2, 0.0]), ([[0.7], [-0.8], [0.5]], [0.2])],
        ([[0, 0], [0, 1], [1, 0], [1, 1]], [[0], [1], [1], [0]]),
    ),
    "leaky units": (
        ((2, 2, 2), "leaky_relu", "identity", "mean_squared_error"),
        [([[1, -2], [3, 1]], [-1, 0]), ([[2, -1], [0, 1]], [0, 0])],
        ([[1, -1], [0, 2]], [[1, 0], [0, 1]]),
    ),
    "softplus and sine": (
        ((1, 2, 1), ("softplus",), "sine", "half_squared_error"),
        [([[0.4, -0.9]], [0.2, 0.1]), ([[1.1], [-0.3]], [0.05])],
        ([[2.0]], [[0.5]]),
    ),
}


def exercise(name):
    (sizes, hidden, output, loss), params, samples = EXERCISES[name]
    mlp = jaxbp.Mlp(sizes, hidden, output, bias=params[0][1] is not None)
    shaped = [
        (
            np.reshape(np.float64(w), sizes[k : k + 2]),
            None if b is None else np.ravel(np.float64(b)),
        )
        for k, (w, b) in enumerate(params)
    ]
    return mlp, params, shaped, samples, loss
