"""Which lines of the package each test executes."""

import gc
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import _lru_cache_wrapper
from pathlib import Path
from typing import Any


class Watch:
    """A pytest plugin that tells coverage which test runs; what prepares a test is told of its file."""

    def __init__(self, coverage: Any):
        self.coverage, self.seconds, self.failed = coverage, Counter(), []

    def pytest_collection_finish(self, session: Any) -> None:
        cached = [one for one in gc.get_objects() if isinstance(one, _lru_cache_wrapper)]
        self.cached = [one for one in cached if one.__module__.startswith(("test_", "jaxbp"))]

    def pytest_runtest_setup(self, item: Any) -> None:
        """Forgets what earlier tests left behind, so that this one executes what it needs."""
        import jax

        jax.clear_caches()
        for one in self.cached:
            one.cache_clear()
        self.coverage.switch_context(item.nodeid.split("::")[0])

    def pytest_runtest_call(self, item: Any) -> None:
        self.coverage.switch_context(item.nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.failed.append(report.nodeid)

    def lines(self) -> dict[str, dict[str, list[str]]]:
        """The tests of each line, by module and by the line's text, and "" where an import executes
        it.

        What prepares a test is counted for all tests of its file.
        """
        data, found = self.coverage.get_data(), {}
        for path in data.measured_files():
            texts = Path(path).read_text(encoding="utf-8").splitlines()
            tests = defaultdict(set)
            for line, contexts in data.contexts_by_lineno(path).items():
                for context in contexts:
                    of_file = {test for test in self.seconds if test.split("::")[0] == context}
                    tests[texts[line - 1].strip()] |= (
                        {context} if "::" in context or not context else of_file
                    )
            found[os.path.relpath(path)] = {text: sorted(names) for text, names in tests.items()}
        return found


def run_tests(folder: Path, tests: Sequence[str], marker: str, seen: Path | None) -> None:
    """Runs tests of a copy of the package in this process, silently; what they execute goes to a
    file, if any.

    Ends the process with pytest's status.
    """
    import pytest

    os.chdir(folder)
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = str(folder)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    arguments = ["-q", "-n", "0", "-p", "no:cacheprovider", "-m", marker, *tests]
    if seen is None:
        os._exit(pytest.main(["-x", *arguments]))
    from coverage import Coverage

    coverage = Coverage(data_file=None, include=[f"{folder}/jaxbp/*"])
    coverage.set_option(
        "run:core", "ctrace"
    )  # the other one sees a line once, whatever the context
    watch = Watch(coverage)
    coverage.start()
    status = pytest.main(arguments, plugins=[watch])
    coverage.stop()
    seen.write_text(
        json.dumps({"seconds": watch.seconds, "failed": watch.failed, "lines": watch.lines()}),
        encoding="utf-8",
    )
    os._exit(status)
