"""Several processes on one machine, as `jax.distributed` joins those of several hosts."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from host_worker import RUNS, fitted

WORKER = Path(__file__).parent / "host_worker.py"


def free_port():
    with socket.socket() as some:
        some.bind(("localhost", 0))
        return some.getsockname()[1]


def started(commands):
    """Processes with the devices that they ask for themselves, without those of these tests."""
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    streams["env"] = environment
    return [subprocess.Popen([sys.executable, "-u", *map(str, one)], **streams) for one in commands]


def workers(num_processes, folder, what):
    port = free_port()
    return started([(WORKER, port, num_processes, i, folder, what) for i in range(num_processes)])


@pytest.mark.slow
@pytest.mark.parametrize("num_processes", [2, 4])
def test_processes_find_the_parameters_that_one_finds(num_processes, tmp_path, x64):
    processes = workers(num_processes, tmp_path, "fit")
    said = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * num_processes, "\n".join(said)
    found = []
    for i in range(num_processes):
        with np.load(tmp_path / f"process_{i}.npz") as file:
            found.append(dict(file))
    for name in RUNS:
        alone = fitted(name)
        right = np.concatenate(
            [np.ravel(leaf) for leaf in jax.tree.leaves((alone.params, alone.state.params))]
        )
        for one in found:
            np.testing.assert_array_equal(one[name], found[0][name])
            np.testing.assert_array_equal(
                one[name][0], one[name][1], "a run that went on from a checkpoint"
            )
            # 50 steps add up the rounding of sums of 96 terms in another order.
            assert np.linalg.norm(one[name] - right, axis=1).max() <= 1e-10 * np.linalg.norm(right)
        assert (
            sorted(path.name for path in (tmp_path / f"{name}_run").glob("step*"))[-1]
            == "step-0000000050.npz"
        )


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_process_that_is_killed_ends_the_others_with_a_message(killed, tmp_path):
    processes = workers(2, tmp_path, "stall")
    try:
        for process in processes:
            while "running" not in process.stdout.readline():
                assert process.poll() is None
        processes[killed].send_signal(signal.SIGKILL)
        start = time.monotonic()
        said = processes[1 - killed].communicate(timeout=60)[0]
        assert time.monotonic() - start < 60
        assert processes[1 - killed].returncode not in (0, None)
        assert said.strip()
    finally:
        for process in processes:
            process.kill()
            process.communicate()
