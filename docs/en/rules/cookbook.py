"""Backward rules written by hand, each with its derivation and its two best-known mistakes.

A recipe is a function, its backward pass, the same function without a rule, a point, and wrong
backward passes. `recipe.rule()` is the right rule and `recipe.rule("name")` a wrong one; the tests
of jaxbp check that the right ones pass and that every wrong one is found.

In the derivations u is the cotangent of the result, and dx the change of x.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

PRECISE = partial(jnp.einsum, precision="highest")


@dataclass(frozen=True)
class Recipe:
    """A function with its backward pass.

    Attributes:
        function: of arrays.
        backward: (arguments, cotangent) -> the cotangents of the arguments, None for integers.
        draw: a generator of random numbers -> arguments in float64.
        reference: the function without a rule, if it is not `function` itself.
        mistakes: wrong backward passes.
        rtol: the relative error of the method itself, None if it has none.
    """

    function: Callable[..., Any]
    backward: Callable[..., tuple[Any, ...]]
    draw: Callable[[np.random.Generator], tuple[Any, ...]]
    reference: Callable[..., Any] | None = None
    mistakes: dict[str, Callable[..., tuple[Any, ...]]] = field(default_factory=dict)
    rtol: float | None = None

    def rule(self, mistake: str | None = None) -> Callable[..., Any]:
        """Return the function with its backward pass, or with a wrong one, as its rule."""
        backward = self.backward if mistake is None else self.mistakes[mistake]
        ruled = jax.custom_vjp(lambda *arguments: self.function(*arguments))
        ruled.defvjp(lambda *arguments: (self.function(*arguments), arguments), backward)
        return ruled


# Softmax with cross-entropy: l = log sum_j exp(z_j) - z_t, so dl/dz = softmax(z) - onehot(t).


def cross_entropy(logits, labels):
    """(n, k) logits and (n,) labels to (n,) losses."""
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, jnp.newaxis], axis=1)[:, 0]


def cross_entropy_backward(residuals, u):
    """u (p - onehot)."""
    logits, labels = residuals
    one_hot = jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype)
    return u[:, jnp.newaxis] * (jax.nn.softmax(logits) - one_hot), None


def cross_entropy_without_target(residuals, u):
    """The target is forgotten."""
    return u[:, jnp.newaxis] * jax.nn.softmax(residuals[0]), None


def cross_entropy_diagonal(residuals, u):
    """Only the diagonal p (1 - p) of the Jacobian of softmax, times -1/p at the label."""
    logits, labels = residuals
    p = jax.nn.softmax(logits)
    one_hot = jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype)
    return -u[:, jnp.newaxis] * one_hot * (1 - p), None


# Layer norm: h = (x - mean) r, r = 1/sqrt(var + e), y = g h + b. With d = u g,
# dx = r (d - mean(d) - h mean(d h)): the two means are what mean and variance pass back.


def layer_norm(x, gain, bias, axis=-1):
    """Normalize each row; gain and bias have the shape of a row."""
    return gain * normalized(x, axis)[0] + bias


def normalized(x, axis):
    """Return h and r."""
    centred = x - x.mean(axis, keepdims=True)
    r = jax.lax.rsqrt((centred**2).mean(axis, keepdims=True) + 1e-5)
    return centred * r, r


def norm_backward(residuals, u, axis=-1, mean=1.0, variance=1.0):
    """See above; `mean` and `variance` leave a term out when they are 0."""
    x, gain, _ = residuals
    h, r = normalized(x, axis)
    d = u * gain
    dx = d - mean * d.mean(axis, keepdims=True) - variance * h * (d * h).mean(axis, keepdims=True)
    return r * dx, (u * h).sum(0, keepdims=True), u.sum(0, keepdims=True)


# RMS norm: h = x r, r = 1/sqrt(mean(x^2) + e), y = g h. dx = r (d - h mean(d h)), d = u g.


def rms_norm(x, gain):
    """(n, k) and (1, k)."""
    return gain * x * jax.lax.rsqrt((x**2).mean(-1, keepdims=True) + 1e-6)


def rms_norm_backward(residuals, u, projection=1.0):
    """See above."""
    x, gain = residuals
    r = jax.lax.rsqrt((x**2).mean(-1, keepdims=True) + 1e-6)
    h, d = x * r, u * gain
    dx = r * (d - projection * h * (d * h).mean(-1, keepdims=True))
    return dx, (u * h).sum(0, keepdims=True)


# Attention: S = Q K^T / sqrt(d), P = softmax(S), O = P V. dV = P^T u, dP = u V^T and
# dS = P (dP - rowsum(P dP)), rowsum(P dP) = rowsum(u O). dQ = dS K / sqrt(d), and dK the same with
# dS^T Q.


def attention(q, k, v):
    """(n, d), (m, d) and (m, e) to (n, e)."""
    return jax.nn.softmax(q @ k.T / q.shape[1] ** 0.5) @ v


def online_attention(q, k, v):
    """The same key by key with a running maximum, so that P is never held."""
    scale = q.shape[1] ** -0.5

    def step(carry, key_value):
        top, total, out = carry
        key, value = key_value
        score = q @ key * scale
        new = jnp.maximum(top, score)
        old, now = jnp.exp(top - new), jnp.exp(score - new)
        out = out * old[:, jnp.newaxis] + now[:, jnp.newaxis] * value[jnp.newaxis]
        return (new, total * old + now, out), None

    first = q @ k[0] * scale
    start = first, jnp.ones_like(first), jnp.ones_like(first)[:, jnp.newaxis] * v[:1]
    (_, total, out), _ = jax.lax.scan(step, start, (k[1:], v[1:]))
    return out / total[:, jnp.newaxis]


def attention_backward(residuals, u, scaled=True, rowsum=1.0):
    """See above."""
    q, k, v = residuals
    scale = q.shape[1] ** -0.5
    p = jax.nn.softmax(q @ k.T * scale)
    out = p @ v
    ds = p * (u @ v.T - rowsum * (u * out).sum(1, keepdims=True))
    ds = ds * scale if scaled else ds
    return ds @ k, ds.T @ q, p.T @ u


def unnormalized_attention_backward(residuals, u):
    """P is computed again without dividing by its sum."""
    q, k, v = residuals
    scores = q @ k.T * q.shape[1] ** -0.5
    p = jnp.exp(scores - scores.max(1, keepdims=True))
    out = attention(q, k, v)
    ds = p * (u @ v.T - (u * out).sum(1, keepdims=True)) * q.shape[1] ** -0.5
    return ds @ k, ds.T @ q, p.T @ u


# Convolution: y_t = sum_k x_{t+k} W_k, (T, c) and (K, c, o). dW_k = sum_t x_{t+k} u_t,
# dx_s = sum_k W_k u_{s-k}: a full convolution with the kernel the other way round.


def convolution(x, w):
    """(T, c) and (K, c, o) to (T - K + 1, o)."""
    size = x.shape[0] - w.shape[0] + 1
    return sum(x[k : k + size] @ w[k] for k in range(w.shape[0]))


def convolution_backward(residuals, u, flipped=True, shift=0):
    """See above."""
    x, w = residuals
    taps, size = w.shape[0], u.shape[0]
    kernel = w if flipped else w[::-1]
    dx = jnp.zeros_like(x)
    for k in range(taps):
        dx = dx.at[k : k + size].add(u @ kernel[k].T)
    dw = jnp.stack([jnp.roll(x, shift, 0)[k : k + size].T @ u for k in range(taps)])
    return dx, dw


# Max-pooling: the cotangent goes to the element that was largest.


def max_pool(x):
    """(n, 2 k) to (n, k), over pairs."""
    return x.reshape(x.shape[0], -1, 2).max(2)


def max_pool_backward(residuals, u, to="largest"):
    """See above."""
    (x,) = residuals
    pairs = x.reshape(x.shape[0], -1, 2)
    chosen = {
        "largest": jax.nn.one_hot(pairs.argmax(2), 2, dtype=x.dtype),
        "both": jnp.ones_like(pairs),
        "first": jnp.zeros_like(pairs).at[..., 0].set(1),
    }[to]
    return ((chosen * u[..., jnp.newaxis]).reshape(x.shape),)


# Embedding: y_i = T_{t_i}. A row that is read twice gets both cotangents.


def embedding(table, tokens):
    """(m, d) and (n,) integers to (n, d)."""
    return table[tokens]


def embedding_backward(residuals, u):
    """Scatter and add."""
    table, tokens = residuals
    return jnp.zeros_like(table).at[tokens].add(u), None


def embedding_overwritten(residuals, u):
    """The last cotangent of a row wins."""
    table, tokens = residuals
    return jnp.zeros_like(table).at[tokens].set(u), None


def embedding_averaged(residuals, u):
    """The mean of the cotangents of a row."""
    table, tokens = residuals
    counts = jnp.zeros(table.shape[0], table.dtype).at[tokens].add(1)
    total = jnp.zeros_like(table).at[tokens].add(u)
    return total / jnp.maximum(counts, 1)[:, jnp.newaxis], None


# A GRU through time: z = s(a), r = s(b), c = tanh(x C + (r h) R), h' = (1 - z) h + z c, with
# [a b] = x A + h B. Going back, the carry dh collects (1 - z) u, r dq and the gates' share.


def gates(weights, h, x):
    """The gates and the candidate of one step."""
    a, b, c, r = weights
    z, reset = jnp.split(jax.nn.sigmoid(x @ a + h @ b), 2)
    return z, reset, jnp.tanh(x @ c + (reset * h) @ r)


def gru(xs, a, b, c, r):
    """(T, i) inputs and weights (i, 2 n), (n, 2 n), (i, n), (n, n) to states (T, n)."""

    def step(h, x):
        z, _, candidate = gates((a, b, c, r), h, x)
        new = (1 - z) * h + z * candidate
        return new, new

    return jax.lax.scan(step, jnp.zeros(b.shape[0], xs.dtype), xs)[1]


def gru_backward(residuals, us, carry=1.0, through_reset=1.0):
    """See above."""
    xs, *weights = residuals
    a, b, c, r = weights
    states = gru(xs, *weights)
    before = jnp.concatenate([jnp.zeros_like(states[:1]), states[:-1]])

    def step(dh, now):
        x, h, u = now
        z, reset, candidate = gates(weights, h, x)
        d = u + carry * dh
        dc = d * z * (1 - candidate**2)
        dq = dc @ r.T
        da = jnp.concatenate([d * (candidate - h) * z * (1 - z),
                              through_reset * dq * h * reset * (1 - reset)])  # fmt: skip
        dh = d * (1 - z) + dq * reset + da @ b.T
        parts = jnp.outer(x, da), jnp.outer(h, da), jnp.outer(x, dc), jnp.outer(reset * h, dc)
        return dh, (da @ a.T + dc @ c.T, parts)

    start = jnp.zeros(b.shape[0], xs.dtype)
    dx, parts = jax.lax.scan(step, start, (xs, before, us), reverse=True)[1]
    return dx, *(part.sum(0) for part in parts)


# Linear solve: A x = b gives A dx = db - dA x. With A^T w = u: db = w and dA = -w x^T.


def solve(a, b):
    """(n, n) and (n,)."""
    return jnp.linalg.solve(a, b)


def solve_backward(residuals, u, transposed=True, sign=-1.0):
    """See above."""
    a, b = residuals
    w = jnp.linalg.solve(a.T if transposed else a, u)
    return sign * jnp.outer(w, jnp.linalg.solve(a, b)), w


# Cholesky: A = L L^T gives dL = L phi(L^-1 dA L^-T), phi the lower triangle with half of the
# diagonal. Its adjoint: S = L^-T phi(L^T u) L^-1, and dA is the symmetric part of S.


def cholesky(a):
    """The factor of the symmetric part."""
    return jnp.linalg.cholesky((a + a.T) / 2)


def cholesky_backward(residuals, u, half=0.5, symmetric=True):
    """See above."""
    (a,) = residuals
    factor = cholesky(a)
    phi = jnp.tril(factor.T @ jnp.tril(u))
    phi = phi - (1 - half) * jnp.diag(jnp.diag(phi))
    left = jax.scipy.linalg.solve_triangular(factor, phi, trans=1, lower=True)
    s = jax.scipy.linalg.solve_triangular(factor, left.T, trans=1, lower=True).T
    return ((s + s.T) / 2 if symmetric else s,)


# Symmetric eigenvalues: dw_i = v_i^T dA v_i, so dA = V diag(u) V^T.


def eigenvalues(a):
    """Those of the symmetric part, in ascending order."""
    return jnp.linalg.eigvalsh((a + a.T) / 2)


def eigenvalues_backward(residuals, u, order="iu,u,ju->ij"):
    """See above."""
    (a,) = residuals
    _, v = jnp.linalg.eigh((a + a.T) / 2)
    return (PRECISE(order, v, u, v),)


# Euclidean norm without overflow: n = m sqrt(sum (x/m)^2), m = max |x|. dx = u x / n, and 0 at 0,
# where no derivative exists: any vector of length 1 at most is a subgradient.


def stable_norm(x):
    """(n,) to a scalar."""
    m = jnp.max(jnp.abs(x))
    safe = jnp.where(m > 0, m, 1)
    return m * jnp.sqrt(jnp.sum((x / safe) ** 2))


def stable_norm_backward(residuals, u, power=1):
    """See above."""
    (x,) = residuals
    n = stable_norm(x)
    return (jnp.where(n > 0, u * x / jnp.where(n > 0, n, 1) ** power, 0),)


# Linear interpolation in a table on 0, 1, 2, ...: y = (1 - f) T_i + f T_{i+1}, i = floor(x),
# f = x - i. dx = u (T_{i+1} - T_i); the table's elements get (1 - f) u and f u.


def interpolation(table, x):
    """(m,) values and (n,) places to (n,)."""
    i = jnp.clip(jnp.floor(x).astype(int), 0, table.size - 2)
    f = x - i
    return (1 - f) * table[i] + f * table[i + 1]


def interpolation_backward(residuals, u, shift=0, both=True):
    """See above."""
    table, x = residuals
    i = jnp.clip(jnp.floor(x).astype(int), 0, table.size - 2)
    f = x - i
    of_table = jnp.zeros_like(table).at[i].add((1 - f) * u)
    if both:
        of_table = of_table.at[i + 1].add(f * u)
    j = jnp.clip(i + shift, 0, table.size - 2)
    return of_table, u * (table[j + 1] - table[j])


# Fixed point x = tanh(W x + b): dx = D (dW x + W dx + db), D = diag(1 - x^2), so with
# (I - D W)^T v = u: db = D v and dW = D v x^T. No iteration is held for the way back.

STEPS = 60


def fixed_point(w, b):
    """(n, n), contracting, and (n,)."""
    return jax.lax.fori_loop(0, STEPS, lambda _, x: jnp.tanh(w @ x + b), jnp.zeros_like(b))


def fixed_point_unrolled(w, b):
    """The same, for JAX to differentiate."""
    step = lambda x, _: (jnp.tanh(w @ x + b), None)  # noqa: E731
    return jax.lax.scan(step, jnp.zeros_like(b), None, STEPS)[0]


def fixed_point_backward(residuals, u, implicit=True, transposed=True):
    """See above."""
    w, b = residuals
    x = fixed_point_unrolled(w, b)
    d = 1 - x**2
    matrix = jnp.eye(b.size, dtype=b.dtype) - d[:, jnp.newaxis] * w
    v = jnp.linalg.solve(matrix.T if transposed else matrix, u) if implicit else u
    return jnp.outer(d * v, x), d * v


# ODE adjoint: y' = tanh(A y) from 0 to 1. The adjoint p' = -A^T (1 - tanh^2(A y)) p starts at
# p(1) = u and runs back; dy0 = p(0), dA = integral of (1 - tanh^2) p y^T. Both by Runge-Kutta, the
# error of which is the rule's: 1e-8 with 40 steps.


def slope(a, y):
    """y'."""
    return jnp.tanh(a @ y)


def runge_kutta(field, state, steps, h):
    """Take steps of length h."""

    def step(state, _):
        k1 = field(state)
        k2 = field(jax.tree.map(lambda s, k: s + h / 2 * k, state, k1))
        k3 = field(jax.tree.map(lambda s, k: s + h / 2 * k, state, k2))
        k4 = field(jax.tree.map(lambda s, k: s + h * k, state, k3))
        return jax.tree.map(
            lambda s, a, b, c, d: s + h / 6 * (a + 2 * b + 2 * c + d), state, k1, k2, k3, k4
        ), None

    return jax.lax.scan(step, state, None, steps)[0]


def ode(a, y0):
    """(n, n) and (n,) to y(1)."""
    return runge_kutta(partial(slope, a), y0, 40, 1 / 40)


def ode_backward(residuals, u, sign=1.0, along=True):
    """See above."""
    a, y0 = residuals

    def field(state):
        y, p, _ = state
        f = slope(a, y)
        q = (1 - f**2) * p
        return f, -sign * (a.T @ q), -jnp.outer(q, y)

    y1 = ode(a, y0)
    _, p, of_a = runge_kutta(field, (y1, u, jnp.zeros_like(a)), 40, -1 / 40)
    last = jnp.outer((1 - slope(a, y1) ** 2) * u, y1)
    return of_a if along else last, p


def normal(*shapes):
    """A function that draws arrays of these shapes."""
    return lambda generator: tuple(generator.standard_normal(shape) for shape in shapes)


def positive_definite(generator):
    """A well-conditioned symmetric matrix."""
    a = generator.standard_normal((4, 4))
    return (a @ a.T + 4 * np.eye(4),)


ATTENTION = {
    "scale dropped": partial(attention_backward, scaled=False),
    "row sum left out": partial(attention_backward, rowsum=0.0),
}
RECIPES = {
    "softmax with cross-entropy": Recipe(
        cross_entropy,
        cross_entropy_backward,
        lambda g: (g.standard_normal((4, 5)), g.integers(0, 5, 4)),
        mistakes={
            "target forgotten": cross_entropy_without_target,
            "diagonal only": cross_entropy_diagonal,
        },
    ),
    "layer norm": Recipe(
        layer_norm,
        norm_backward,
        normal((3, 8), (1, 8), (1, 8)),
        mistakes={
            "mean held constant": partial(norm_backward, mean=0.0),
            "variance held constant": partial(norm_backward, variance=0.0),
        },
    ),
    "batch norm": Recipe(
        partial(layer_norm, axis=0),
        partial(norm_backward, axis=0),
        normal((6, 3), (1, 3), (1, 3)),
        mistakes={
            "statistics held constant": partial(norm_backward, axis=0, mean=0.0, variance=0.0),
            "sums over the features": partial(norm_backward, axis=-1),
        },
    ),
    "RMS norm": Recipe(
        rms_norm,
        rms_norm_backward,
        normal((3, 6), (1, 6)),
        mistakes={
            "norm held constant": partial(rms_norm_backward, projection=0.0),
            "projection added": partial(rms_norm_backward, projection=-1.0),
        },
    ),
    "attention": Recipe(
        attention, attention_backward, normal((3, 4), (5, 4), (5, 2)), mistakes=ATTENTION
    ),
    "attention with a running maximum": Recipe(
        online_attention,
        attention_backward,
        normal((3, 4), (5, 4), (5, 2)),
        reference=attention,
        mistakes={
            "probabilities not normalized": unnormalized_attention_backward,
            "row sum left out": ATTENTION["row sum left out"],
        },
    ),
    "convolution": Recipe(
        convolution,
        convolution_backward,
        normal((7, 2), (3, 2, 2)),
        mistakes={
            "kernel not turned": partial(convolution_backward, flipped=False),
            "one sample late": partial(convolution_backward, shift=1),
        },
    ),
    "max-pooling": Recipe(
        max_pool,
        max_pool_backward,
        normal((3, 6)),
        mistakes={
            "to all of the window": partial(max_pool_backward, to="both"),
            "to the first": partial(max_pool_backward, to="first"),
        },
    ),
    "embedding": Recipe(
        embedding,
        embedding_backward,
        lambda g: (g.standard_normal((6, 3)), np.array([1, 4, 1, 0])),
        mistakes={"overwritten": embedding_overwritten, "averaged": embedding_averaged},
    ),
    "GRU through time": Recipe(
        gru,
        gru_backward,
        normal((4, 2), (2, 6), (3, 6), (2, 3), (3, 3)),
        mistakes={
            "not carried through time": partial(gru_backward, carry=0.0),
            "reset gate forgotten": partial(gru_backward, through_reset=0.0),
        },
    ),
    "linear solve": Recipe(
        solve,
        solve_backward,
        lambda g: (g.standard_normal((4, 4)) + 3 * np.eye(4), g.standard_normal(4)),
        mistakes={
            "not transposed": partial(solve_backward, transposed=False),
            "sign": partial(solve_backward, sign=1.0),
        },
    ),
    "Cholesky": Recipe(
        cholesky,
        cholesky_backward,
        positive_definite,
        mistakes={
            "diagonal not halved": partial(cholesky_backward, half=1.0),
            "not symmetric": partial(cholesky_backward, symmetric=False),
        },
    ),
    "symmetric eigenvalues": Recipe(
        eigenvalues,
        eigenvalues_backward,
        positive_definite,
        mistakes={
            "vectors in rows": partial(eigenvalues_backward, order="ui,u,uj->ij"),
            "outer product of one vector": partial(eigenvalues_backward, order="iu,j,ju->ij"),
        },
    ),
    "stable norm": Recipe(
        stable_norm,
        stable_norm_backward,
        normal((5,)),
        reference=lambda x: jnp.sqrt(jnp.sum(x**2)),
        mistakes={
            "not divided": partial(stable_norm_backward, power=0),
            "divided twice": partial(stable_norm_backward, power=2),
        },
    ),
    "interpolation in a table": Recipe(
        interpolation,
        interpolation_backward,
        lambda g: (g.standard_normal(6), g.uniform(0.1, 4.9, 4)),
        mistakes={
            "neighbouring slope": partial(interpolation_backward, shift=1),
            "left value only": partial(interpolation_backward, both=False),
        },
    ),
    "fixed point": Recipe(
        fixed_point,
        fixed_point_backward,
        lambda g: (0.2 * g.standard_normal((3, 3)), g.standard_normal(3)),
        reference=fixed_point_unrolled,
        mistakes={
            "last step only": partial(fixed_point_backward, implicit=False),
            "not transposed": partial(fixed_point_backward, transposed=False),
        },
    ),
    "ODE adjoint": Recipe(
        ode,
        ode_backward,
        lambda g: (0.5 * g.standard_normal((3, 3)), g.standard_normal(3)),
        mistakes={
            "sign of time": partial(ode_backward, sign=-1.0),
            "not integrated": partial(ode_backward, along=False),
        },
        rtol=1e-4,
    ),
}
