"""How many threads BLAS may take."""

from contextlib import AbstractContextManager

import scipy.linalg  # noqa: F401  loads the BLAS that jaxlib's factorizations call, so that its threads can be bounded
from threadpoolctl import threadpool_limits


def one_blas_thread() -> AbstractContextManager[object]:
    """A context in which BLAS works on one thread.

    Its threads wait in busy loops and take the cores from XLA's: Gauss-Newton steps took 2.5 times
    as long with them on two cores. `experiments/benchmark.py --parts gauss_newton` compares with a
    program whose environment bounds them.
    """
    return threadpool_limits(1, "blas")
