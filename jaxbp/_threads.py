"""Number of BLAS threads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import scipy.linalg  # noqa: F401  loads the BLAS of jaxlib's factorizations, so that it is found
from threadpoolctl import threadpool_limits


class _OneThread:
    """Limit of the whole process, held while anyone needs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._limit: threadpool_limits | None = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Run a block with BLAS on one thread.

        BLAS threads wait in busy loops and take the cores from XLA's: Gauss-Newton steps took 2.5
        times as long with them on two cores. `experiments/benchmarks/speed.py --parts gauss_newton`
        measures it. The limit is counted, because fits in several threads would otherwise restore
        each other's.
        """
        with self._lock:
            if self._holders == 0:
                self._limit = threadpool_limits(1, "blas")
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if self._holders == 0 and self._limit is not None:
                    self._limit.restore_original_limits()


one_blas_thread = _OneThread().__call__
