"""Networks trained by scikit-learn, and by PyTorch and nlls-gram where they are installed."""

import time
import warnings
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxbp
from solvers.problems import Problem
from solvers.rules import Fitted, Solver, best_of, chosen, paced

DEEP = (64, 64, 64)
# Activation, hidden layers, penalty on the weights; cheap ones first.
LBFGS_SETTINGS = (("tanh", (32, 32), 1e-4), ("tanh", (64, 64), 1e-6), ("relu", (64, 64), 1e-4))
TORCH_SETTINGS = (("tanh", (32, 32), 0.0), ("tanh", (64, 64), 1e-4), ("silu", (64, 64), 0.0))
# Hidden layers, steps at most.
NLLS_SETTINGS = (((8, 8), 100), ((16, 16), 30), ((16, 16), 100), ((32, 32), 30))


def surface_networks() -> dict[str, Solver]:
    """For surfaces: each with ReLU and with tanh, of which the better one counts."""

    def both(fit: Any, trial_steps: int) -> Solver:
        return best_of(
            {name: paced(partial(fit, name, DEEP, 0.0), trial_steps) for name in ("relu", "tanh")}
        )

    found = {
        "scikit-learn Adam": both(partial(_sklearn, "adam"), 4),
        "scikit-learn L-BFGS": both(partial(_sklearn, "lbfgs"), 10),
    }
    return found | ({"PyTorch Adam": both(_torch, 30)} if find_spec("torch") else {})


def function_networks() -> dict[str, Solver]:
    """For functions of several inputs: settings chosen by validation error."""
    adam = ("tanh", (64, 64), 1e-6)
    settings = {
        f"L-BFGS, {_words(*some)}": paced(partial(_sklearn, "lbfgs", *some), 20)
        for some in LBFGS_SETTINGS
    }
    settings[f"Adam, {_words(*adam)}"] = paced(partial(_sklearn, "adam", *adam), 20)
    found = {"scikit-learn MLP": chosen(settings)}
    if find_spec("torch"):
        settings = {_words(*some): paced(partial(_torch, *some), 30) for some in TORCH_SETTINGS}
        found["PyTorch Adam"] = chosen(settings)
    if find_spec("nlls_gram"):
        settings = {
            f"tanh {_sizes(some[0])}, {some[1]} steps": partial(_nlls_gram, *some)
            for some in NLLS_SETTINGS
        }
        found["nlls-gram"] = chosen(settings)
    return found


def _words(activation: str, hidden: tuple[int, ...], penalty: float) -> str:
    return f"{activation} {_sizes(hidden)}, penalty {penalty:g}"


def _sizes(hidden: tuple[int, ...]) -> str:
    return "-".join(map(str, hidden))


def _sklearn(
    solver: str,
    activation: str,
    hidden: tuple[int, ...],
    penalty: float,
    problem: Problem,
    steps: int,
) -> Fitted:
    """MLPRegressor, batches of 200, rate 1e-3; a step of Adam is an epoch, without stopping."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    settings: dict[str, Any] = {"activation": activation, "solver": solver, "alpha": penalty}
    endless: dict[str, Any] = {
        "max_iter": steps,
        "tol": 0.0,
        "n_iter_no_change": steps + 1,
        "max_fun": 10**9,
    }
    network = MLPRegressor(
        hidden_layer_sizes=hidden, random_state=problem.seed, **settings, **endless
    )
    dtype = np.float32 if solver == "adam" else np.float64
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        start = time.perf_counter()
        network.fit(problem.train.points.astype(dtype), problem.train.values.astype(dtype))
        seconds = time.perf_counter() - start
    return Fitted(
        lambda points: network.predict(points.astype(dtype)), seconds, steps=int(network.n_iter_)
    )


def _torch(
    activation: str, hidden: tuple[int, ...], penalty: float, problem: Problem, steps: int
) -> Fitted:
    """AdamW on batches of 500, a cosine schedule from 5e-3 to 0, PyTorch's initialization."""
    import torch

    torch.manual_seed(problem.seed)
    unit = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "silu": torch.nn.SiLU}[activation]
    layers: list[Any] = []
    for fan_in, fan_out in pairwise((problem.num_inputs, *hidden, 1)):
        layers += [torch.nn.Linear(fan_in, fan_out), unit()]
    network = torch.nn.Sequential(*layers[:-1])
    inputs, targets = (torch.tensor(array, dtype=torch.float32) for array in problem.train)
    batch_size = min(500, len(inputs))
    optimizer = torch.optim.AdamW(network.parameters(), 5e-3, weight_decay=penalty)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    start = time.perf_counter()
    order, first = torch.randperm(len(inputs)), 0
    for _ in range(steps):
        if first + batch_size > len(inputs):
            order, first = torch.randperm(len(inputs)), 0
        batch = order[first : first + batch_size]
        first += batch_size
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(network(inputs[batch])[:, 0], targets[batch]).backward()
        optimizer.step()
        schedule.step()
    seconds = time.perf_counter() - start

    def predict(points: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.tensor(points, dtype=torch.float32)).numpy()

    return Fitted(predict, seconds, steps=steps)


def _nlls_gram(
    hidden: tuple[int, ...], most_steps: int, problem: Problem, seconds: float
) -> Fitted:
    """Levenberg-Marquardt with geodesic acceleration and QR on all samples, from jaxbp's start."""
    from nlls_gram import QR, LevenbergMarquardt

    mlp = jaxbp.Mlp((problem.num_inputs, *hidden, 1), hidden="tanh")
    params: Any = jaxbp.init(mlp, jax.random.key(problem.seed), "glorot", dtype=jnp.float64)
    data = tuple(map(jnp.asarray, problem.train))

    def residual(params: Any, data: Any) -> Any:
        return jaxbp.reference_predict(mlp, params, data[0])[:, 0] - data[1]

    start = time.perf_counter()
    solver = LevenbergMarquardt(residual, linear_solver=QR())
    state = solver.init(params, data)
    update = jax.jit(solver.update).lower(params, state, data).compile()
    compiled, steps = time.perf_counter(), 0
    while steps < most_steps and (steps == 0 or time.perf_counter() - compiled < seconds):
        params, state, _ = jax.block_until_ready(update(params, state, data))
        steps += 1
    predict = jax.jit(partial(jaxbp.reference_predict, mlp, params))
    return Fitted(predict, time.perf_counter() - compiled, compiled - start, steps)
