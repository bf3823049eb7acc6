"""The limit on BLAS threads belongs to the whole process and is counted."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import optax
import pytest
from architectures import draw_params
from threadpoolctl import threadpool_info, threadpool_limits

import jaxbp
from jaxbp._threads import one_blas_thread


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.fixture
def two_threads():
    with threadpool_limits(2, "blas"):
        assert max(blas_threads()) == 2
        yield blas_threads()


def test_the_limit_ends_with_its_last_holder(two_threads):
    first, second = one_blas_thread(), one_blas_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert max(blas_threads()) == 1
    second.__exit__(None, None, None)
    assert blas_threads() == two_threads


def test_concurrent_fits_are_bit_identical_and_restore_the_threads(two_threads):
    mlp, inputs = jaxbp.Mlp((2, 6, 1)), np.random.default_rng(0).standard_normal((30, 2))
    data = inputs.astype(np.float32), np.sin(inputs[:, :1]).astype(np.float32)
    solver = jaxbp.first_order(optax.adam, learning_rate=1e-2)

    def fit(_):
        params = draw_params(mlp, dtype=np.float32)
        return jaxbp.fit(mlp, params, data, steps=50, record_every=5, solver=solver).params

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(fit, range(8)))
    for params in found:
        np.testing.assert_array_equal(params[0].weight, found[0][0].weight)
    assert blas_threads() == two_threads
