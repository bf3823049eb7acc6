"""Contestants from elsewhere, each where it is installed: scikit-learn's MLPRegressor, PyTorch."""

import importlib.util
import os
import time
import warnings
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from support.contest import Contestant, Run, Samples

HIDDEN = (64, 64, 64)


def peer_contestants() -> list[Contestant]:
    """Makes those whose packages are installed; each is tried with two activations, of which the better one counts."""
    peers: list[Contestant] = []
    for activation in ("relu", "tanh"):
        if importlib.util.find_spec("sklearn") is not None:
            peers += [
                Contestant("scikit-learn Adam", activation, 4, partial(_sklearn, "adam", activation)),
                Contestant("scikit-learn L-BFGS", activation, 10, partial(_sklearn, "lbfgs", activation)),
            ]
        if importlib.util.find_spec("torch") is not None:
            peers.append(Contestant("PyTorch Adam", activation, 200, partial(_torch, activation)))
    return peers


def _sklearn(solver: str, activation: str, samples: Samples, seed: int, steps: int) -> Run:
    """MLPRegressor with its default batches of 200 and rate of 1e-3; a step of Adam is an epoch, nothing stops it."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor
    from threadpoolctl import threadpool_limits  # scikit-learn brings it

    endless: dict[str, Any] = {"max_iter": steps, "tol": 0.0, "n_iter_no_change": steps + 1, "max_fun": 10**9}
    network = MLPRegressor(
        hidden_layer_sizes=HIDDEN, activation=activation, solver=solver, alpha=0.0, random_state=seed, **endless
    )
    dtype = np.float32 if solver == "adam" else np.float64
    # The experiments run NumPy on one thread for Gauss-Newton's sake; here it gets every core.
    with warnings.catch_warnings(), threadpool_limits(os.cpu_count()):
        warnings.simplefilter("ignore", ConvergenceWarning)
        start = time.perf_counter()
        network.fit(samples.inputs.astype(dtype), samples.targets[:, 0].astype(dtype))
        seconds = time.perf_counter() - start
    return Run(int(network.n_iter_), seconds, 0.0, samples.nrmse(network.predict(samples.test_inputs.astype(dtype))))


def _torch(activation: str, samples: Samples, seed: int, steps: int) -> Run:
    """Adam on batches of 500, a rate of 5e-3 that a cosine takes to 0, PyTorch's own initialization."""
    import torch

    torch.manual_seed(seed)
    unit = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[activation]
    layers: list[Any] = []
    for fan_in, fan_out in pairwise((2, *HIDDEN, 1)):
        layers += [torch.nn.Linear(fan_in, fan_out), unit()]
    network = torch.nn.Sequential(*layers[:-1])
    inputs, targets, test = (
        torch.tensor(array, dtype=torch.float32) for array in (samples.inputs, samples.targets, samples.test_inputs)
    )
    batch_size = min(500, len(inputs))
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    start = time.perf_counter()
    order, first = torch.randperm(len(inputs)), 0
    for _ in range(steps):
        if first + batch_size > len(inputs):
            order, first = torch.randperm(len(inputs)), 0
        batch = order[first : first + batch_size]
        first += batch_size
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(network(inputs[batch]), targets[batch]).backward()
        optimizer.step()
        schedule.step()
    seconds = time.perf_counter() - start
    with torch.no_grad():
        return Run(steps, seconds, 0.0, samples.nrmse(network(test).numpy()))
