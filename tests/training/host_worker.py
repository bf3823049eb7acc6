"""One process of a run on several hosts: `python host_worker.py port num_processes process_id
folder what`.

It writes the parameters after 50 steps of each solver to the folder, of the whole run and of one
that goes on from step 40; or with `stall` it runs until it is ended.
"""

import sys
from pathlib import Path

import jax
import numpy as np
import optax
from jax.experimental import multihost_utils
from jax.sharding import Mesh

import jaxbp

MLP = jaxbp.Mlp((2, 5, 1), hidden="tanh")
INPUTS = np.random.default_rng(0).standard_normal((96, 2))
# The noise keeps the loss, and with it the damping, far from the rounding of the Gram matrix.
TARGETS = np.sin(INPUTS[:, :1]) + 0.1 * np.random.default_rng(1).standard_normal((96, 1))
HELD_OUT = (INPUTS[:7] + 0.1, TARGETS[:7])
RUNS = {
    "first_order": {"solver": jaxbp.first_order(optax.adam(1e-2)), "batch_size": 24},
    "gauss_newton": {"solver": jaxbp.gauss_newton(), "batch_size": None},
}


def fitted(name, rows=slice(None), mesh=None, callbacks=()):
    """The result of one of the runs on these rows."""
    params = jaxbp.init(MLP, jax.random.key(0), dtype=np.float64)
    options = {"steps": 50, "record_every": 10, "validation": HELD_OUT, "key": jax.random.key(1)}
    if callbacks and not isinstance(callbacks[0], jaxbp.Checkpoint):
        options |= {"steps": 2**30, "record_every": 1000}
    data, options = (INPUTS[rows], TARGETS[rows]), options | RUNS[name]
    return jaxbp.fit(MLP, params, data, mesh=mesh, callbacks=callbacks, **options)


def main(port, num_processes, process_id, folder, what):
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_num_cpu_devices", 2 if num_processes == "2" else 1)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # On a machine with fewer cores than processes one may wait for long, and be well.
    heartbeat = 20 if what == "stall" else 100
    jax.distributed.initialize(
        f"localhost:{port}",
        int(num_processes),
        int(process_id),
        heartbeat_timeout_seconds=heartbeat,
    )
    share = len(INPUTS) // int(num_processes)
    rows = slice(share * int(process_id), share * (int(process_id) + 1))
    mesh = Mesh(jax.devices(), ("samples",))
    if what == "stall":
        fitted("first_order", rows, mesh, (lambda *_: print("running", flush=True),))
    saved = {}
    for name in RUNS:
        checkpoint = Path(folder) / f"{name}_run"
        first = fitted(name, rows, mesh, (jaxbp.Checkpoint(checkpoint, every=20),))
        if process_id == "0":
            (checkpoint / "step-0000000050.npz").unlink()
        multihost_utils.sync_global_devices("the last checkpoint is away")
        again = fitted(name, rows, mesh, (jaxbp.Checkpoint(checkpoint, every=20, resume=True),))
        for result in (first, again):
            flat = np.concatenate(
                [np.ravel(leaf) for leaf in jax.tree.leaves((result.params, result.state.params))]
            )
            saved.setdefault(name, []).append(flat)
    np.savez(
        Path(folder) / f"process_{process_id}.npz",
        **{name: np.stack(rows) for name, rows in saved.items()},
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
