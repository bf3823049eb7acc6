"""Kill a run with SIGKILL at random moments, let it go on each time, and compare its end with the
uninterrupted one.

python tests/kill_runs.py 200
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUN = """
import sys, time, jax, numpy as np, optax, jaxbp
mlp = jaxbp.Mlp((2, 8, 1))
inputs = np.random.default_rng(0).standard_normal((64, 2)).astype(np.float32)
params = jaxbp.init(mlp, jax.random.key(0))
checkpoint = (jaxbp.Checkpoint(sys.argv[1], resume=True),) if len(sys.argv) > 2 else ()
print("ready", flush=True)
result = jaxbp.fit(
    mlp, params, (inputs, np.sin(inputs[:, :1])), steps=int(sys.argv[-1]),
    solver=jaxbp.first_order(optax.adam, learning_rate=1e-2, dropout=0.1),
    batch_size=10, key=jax.random.key(1), record_every=5,
    callbacks=checkpoint)
state = result.state._replace(key=jax.random.key_data(result.state.key))
leaves = jax.tree.leaves((result.params, state, result.history[:2]))
sys.stdout.buffer.write(b"".join(np.asarray(leaf).tobytes() for leaf in leaves))
sys.stdout.flush()
"""


def start(*arguments: object) -> subprocess.Popen[bytes]:
    """Starts the run; returns when it has imported what it needs."""
    command = [sys.executable, "-c", RUN, *map(str, arguments)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, env=os.environ | {"JAX_PLATFORMS": "cpu"}
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def end_of(process: subprocess.Popen[bytes]) -> bytes:
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"the run ended with status {process.returncode}")
    return output


def kill_and_compare(folder: Path, kills: int, seed: int = 0) -> int:
    """Kill runs so often, resume each until it ends, and count the kills before an end."""
    generator, done, steps = random.Random(seed), 0, 4000
    whole = end_of(start(steps))
    run = 0
    while done < kills:
        run += 1
        while True:
            process = start(folder / str(run), steps)
            time.sleep(generator.uniform(0.0, 3.0))
            if done < kills and process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                done += 1
            elif end_of(process) == whole:
                break
            else:
                raise SystemExit(f"run {run} ended with other numbers")
        assert not list((folder / str(run)).glob(".step-*"))
    return done


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kills", type=int, nargs="?", default=200)
    wanted = parser.parse_args().kills
    with tempfile.TemporaryDirectory() as temporary:
        print(
            f"{kill_and_compare(Path(temporary), wanted)} kills: the end of every run is "
            "bit-identical to that of an uninterrupted one"
        )
