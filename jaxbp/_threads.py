"""How many threads BLAS may take."""

from contextlib import AbstractContextManager

import scipy.linalg  # noqa: F401  loads the BLAS that jaxlib's factorizations call, so that its threads can be bounded
from threadpoolctl import threadpool_limits


def one_blas_thread() -> AbstractContextManager[object]:
    """A context in which BLAS works on one thread.

    Its threads wait in busy loops and take the cores from XLA's: a Gauss-Newton step on 512 samples of 2-128-128-1 took
    66 to 92 ms on two cores with them, and 26 to 31 ms without.
    """
    return threadpool_limits(1, "blas")
