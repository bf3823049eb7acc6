"""Settings for every test: broadcasts must be visible, and so must a change of dtype."""

import os

os.environ.setdefault("MPLBACKEND", "agg")
# Two processes of tests share the cores: see jaxbp/_threads.py.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# One device more than a laptop's, so that sharded programs run as they do on several.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def x64():
    """Runs a test in float64."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def compiled_quickly():
    """Leaves the optimizer out, for tests whose claim is not about what it makes of a program."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    import sys

    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


MISSING = {
    "NO CHROMIUM": "tests of the pages in a browser were SKIPPED",
    "NO AXE": "tests that everybody can use the pages were SKIPPED",
    "NO MOUNT": "tests on a full and a read-only disk were SKIPPED",
}


def pytest_terminal_summary(terminalreporter):
    """Says in capitals how many tests did not run because a program that they need is not there."""
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    for missing, what in MISSING.items():
        if count := sum(missing in reason for reason in reasons):
            terminalreporter.write_sep("!", f"{missing}: {count} {what}", red=True, bold=True)


@pytest.fixture(autouse=True)
def _drop_programs(request):
    """Drop the compiled programs of a long test: XLA fails when a process holds thousands."""
    yield
    if request.node.get_closest_marker("slow"):
        jax.clear_caches()
