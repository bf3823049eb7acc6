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

from jaxbp.training import hosts, join_hosts, own_rows
from jaxbp.training.devices import mesh_of
from jaxbp.training.hosts import every_process

WORKER = Path(__file__).parent / "host_worker.py"


def free_port():
    with socket.socket() as some:
        some.bind(("localhost", 0))
        return some.getsockname()[1]


def started(commands, stderr=subprocess.STDOUT, variables=()):
    """Processes with the devices that they ask for themselves, without those of these tests."""
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"} | dict(
        variables
    )
    streams = {"stdout": subprocess.PIPE, "stderr": stderr, "text": True, "env": environment}
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
    found = [np.load(tmp_path / f"process_{i}.npz") for i in range(num_processes)]
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


BY_SLURM = """
import sys, jax, numpy as np, jaxbp
from jaxbp.training import join_hosts, own_rows
join_hosts("auto")
rows, mlp = own_rows(8), jaxbp.Mlp((1, 2, 1))
inputs = np.linspace(-1, 1, 8, dtype=np.float32)[:, None]
params = jaxbp.init(mlp, jax.random.key(jax.process_index()), dtype=np.float32)  # that of process 0 counts
result = jaxbp.fit(mlp, params, (inputs[rows], inputs[rows] ** 2), steps=5, devices="all")
print(jax.process_count(), rows.start, rows.stop, *result.history.loss)
"""


@pytest.mark.slow
def test_what_slurm_started_finds_itself():
    """Two tasks of a job on one node, as SLURM's environment tells them."""
    job = {
        "SLURM_JOB_ID": str(free_port()),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": "2",
    }
    tasks = [job | {"SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)} for i in range(2)]
    processes = [started([("-c", BY_SLURM)], variables=task)[0] for task in tasks]
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    first, second = (text.splitlines()[-1].split() for text in said)
    assert (first[:3], second[:3]) == (["2", "0", "4"], ["2", "4", "8"])
    assert first[3:] == second[3:]


@pytest.mark.slow
def test_where_nothing_started_the_processes_auto_says_so():
    (process,) = started([("-c", "from jaxbp.training import join_hosts; join_hosts('auto')")])
    said = process.communicate(timeout=300)[0]
    assert process.returncode != 0
    assert (
        "ValueError: coordinator must be host:port where nothing tells of the other processes"
        in said
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(
            (
                ("auto", *wrong),
                "num_processes and process_id must be left out with the coordinator auto",
            )
            for wrong in ((2, 0), (2, None), (None, 0))
        ),
        (("localhost", 2, 0), "coordinator must be auto or host:port, got 'localhost'"),
        (
            ("localhost:1", 2, None),
            "num_processes and process_id must be given with the coordinator localhost:1",
        ),
        (("localhost:1", 2, 2), "process_id must be below num_processes, 2, got 2"),
        (("localhost:1", 0, 0), "num_processes must be a whole number of at least 1, got 0"),
    ],
)
def test_what_says_no_place_in_the_run_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        join_hosts(*arguments)


def test_each_process_says_its_place_or_leaves_it_to_what_started_it(monkeypatch):
    asked = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *place, **_: asked.append(place))
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    for arguments in (("node:1234", 2, 0), ("node:1234", 2, 1), ("auto",)):
        join_hosts(*arguments)
    assert asked == [("node:1234", 2, 0), ("node:1234", 2, 1), ()]
    with pytest.raises(ValueError, match="process_id must be a whole number of at least 0, got -1"):
        join_hosts("node:1234", 2, -1)


def test_processes_of_a_mesh_exchange_their_numbers(monkeypatch):
    monkeypatch.setattr(
        hosts.multihost_utils, "process_allgather", lambda number: np.array([number, number + 1])
    )
    mesh = mesh_of(1)
    assert every_process(mesh, 3) == every_process(None, 3) == [3]
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert every_process(mesh, 3) == [3, 4]
    assert every_process(None, 3) == [3]


def test_one_process_holds_all_rows():
    assert own_rows(7) == slice(0, 7)
