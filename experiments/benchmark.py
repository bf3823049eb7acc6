"""Time the hand-written sweep, the Gauss-Newton step, many fits at once, several devices and
samples on disk.

Everything that is compared runs in turn within one run; compiling is apart. Equinox, Flax and
PyTorch join where they are installed (the extra `peers`). The sweep is a full-batch step of
gradient descent in float32; autodiff is jax.value_and_grad of the same network as one would write
it. It takes nine minutes on two cores.
"""

import os
import platform
from dataclasses import dataclass
from typing import Annotated, Any

import jax
import numpy as np
import optax

from common import begin, choice, finish, print_columns, run
from jaxbp import viz
from jaxbp._checks import check_name
from jaxbp._layout import NARROW
from jaxbp.training import PLATFORMS
from speed import disk, rivals, steps, sweeps
from speed.timing import geometric_mean, interleaved, matmul_peak

PARTS = ("sweeps", "rivals", "gauss_newton", "many", "devices", "disk")


@dataclass(frozen=True)
class Config:
    """Flags of benchmark."""

    parts: tuple[Annotated[str, choice(dict.fromkeys(PARTS))], ...] = PARTS
    """What to time."""
    work: float = 1e10
    """Largest number of operations of a step in the grid of the sweep."""
    out: str = "pictures"
    """Folder of the picture and the JSON."""
    platform: Annotated[str, choice(PLATFORMS)] = "auto"
    """Device to run on."""
    show: bool = False
    """Open the picture afterwards."""
    quiet: bool = False
    """Print the tables only."""


def main(config: Config) -> None:
    """Times, prints, draws."""
    folder = begin(config, work=1)
    jax.config.update("jax_enable_x64", False)  # as in a plain program
    for part in config.parts:
        check_name("parts", part, dict.fromkeys(PARTS))
    machine = {"cores": os.cpu_count(), "processor": platform.machine(), "optax": optax.__version__}
    numbers: dict[str, Any] = {"machine": machine, "peak_float32": matmul_peak(np.float32)}
    files: dict[str, Any] = {}
    if "sweeps" in config.parts:
        found = time_sweeps(config)
        numbers["sweeps"] = found
        files["benchmark.png"] = draw(found, numbers["peak_float32"])
    if "rivals" in config.parts:
        numbers["rivals"] = time_rivals()
    if "gauss_newton" in config.parts:
        numbers["gauss_newton"] = time_gauss_newton()
    if "many" in config.parts:
        numbers["many"] = time_many()
    if "devices" in config.parts:
        numbers["devices"] = time_devices()
    if "disk" in config.parts:
        numbers["disk"] = time_disk()
    finish(config, folder, "benchmark", numbers, files)


def time_sweeps(config: Config) -> list[sweeps.Found]:
    """The sweep beside autodiff."""
    found, rows = [], []
    for shape in sweeps.shapes(config.work):
        one = sweeps.measure(shape)
        found.append(one)
        numbers = (
            one.sweep * 1e3,
            one.autodiff * 1e3,
            one.sweep / one.autodiff,
            one.sweep_bytes / one.autodiff_bytes,
        )
        rows.append((shape.name, *(f"{number:.3g}" for number in numbers)))
        if not config.quiet:
            print("  ".join(rows[-1]))
    print_columns(
        ("", "sweep, ms", "autodiff, ms", "ratio", "memory"), rows, "A step of gradient descent"
    )
    ratios = [one.sweep / one.autodiff for one in found]
    narrow = [one.sweep / one.autodiff for one in found if max(one.shape.sizes) <= NARROW]
    memory = max(one.sweep_bytes / one.autodiff_bytes for one in found)
    print(
        f"\nsweep / autodiff over {len(ratios)} shapes: geometric mean {geometric_mean(ratios):.2f}, largest "
        f"{max(ratios):.2f}; widths up to {NARROW}: {geometric_mean(narrow):.2f}; memory at most {memory:.2f}"
    )
    return found


def time_rivals() -> dict[str, float]:
    """Seconds a step of the tutorial's job."""
    times = interleaved(rivals.entrants(), pause=0.3)
    rows = [
        (name, *(f"{seconds / rivals.STEPS * 1e3:.2f}" for seconds in taken))
        for name, taken in times.items()
    ]
    print_columns(
        ("", "median, ms", "least, ms"),
        rows,
        "2-64-64-64-1 ReLU, 10,000 samples, a step of descent",
    )
    return {name: taken.median / rivals.STEPS for name, taken in times.items()}


def time_gauss_newton() -> dict[str, Any]:
    """The step beside its arithmetic, and a plain program beside one with the variable."""
    found = steps.gauss_newton_steps()
    rows = [(f"{rows} rows", f"{took * 1e3:.1f}", f"{least * 1e3:.1f}", f"{took / least:.2f}")
            for rows, took, least in found]  # fmt: skip
    print_columns(
        ("", "step, ms", "arithmetic, ms", "ratio"),
        rows,
        "Gauss-Newton, 2-128-128-1, at the peak of float64",
    )
    plain = steps.programs(
        {
            "plain": ("gauss_newton", 1, {}),
            "one thread": ("gauss_newton", 1, {"OPENBLAS_NUM_THREADS": "1"}),
        }
    )
    print(
        f"\na plain program / with OPENBLAS_NUM_THREADS=1: {plain['plain'] / plain['one thread']:.2f}"
    )
    return {"steps": found, "programs": plain}


def time_many() -> dict[str, Any]:
    """Eight fits at once and under vmap, beside one after the other."""
    found = steps.many_fits()
    medians = {name: [taken.median for taken in times.values()] for name, times in found.items()}
    rows = [
        (name, *(f"{some:.2f}" for some in (once, vmapped, turn, once / turn, vmapped / turn)))
        for name, (once, vmapped, turn) in medians.items()
    ]
    print_columns(
        ("", *(f"{how}, s" for how in steps.WAYS), "ratio", "of vmap"), rows, "Eight fits"
    )
    return found


def time_devices() -> dict[str, float]:
    """Two CPU devices beside one."""
    found = steps.programs({"one": ("descent", 1, {}), "two": ("descent", 2, {})})
    print(
        f"\n2-64-64-64-1 ReLU, 10,000 samples, 300 steps: two CPU devices / one: {found['two'] / found['one']:.2f}"
    )
    return found


def time_disk() -> dict[str, float]:
    """Samples on disk beside samples in memory."""
    found = disk.measure()
    rows = [(name, f"{seconds * 1e3:.2f}") for name, seconds in found.items()]
    print_columns(("", "ms"), rows, f"Adam, 2-64-64-64-1, a step on a batch of {disk.BATCH:,}")
    return found


def draw(found: list[sweeps.Found], peak: float) -> Any:
    """Seconds a step against samples, for a network a panel, with the limit of the machine."""
    panels: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for width in (8, 32, 64, 256):
        some = [
            one
            for one in found
            if one.shape.sizes == (2, width, width, width, 1) and one.shape.hidden == "tanh"
        ]
        some.sort(key=lambda one: one.shape.samples)
        if len(some) > 1:
            samples = np.array([one.shape.samples for one in some])
            least = np.array([one.shape.operations / peak for one in some])
            panels["-".join(map(str, some[0].shape.sizes))] = {
                "by hand": (samples, np.array([one.sweep for one in some])),
                "autodiff": (samples, np.array([one.autodiff for one in some])),
                "matrix products' peak": (samples, least),
            }
    title = f"A step of gradient descent, float32, jax {jax.__version__}"
    return viz.draw_panels(
        panels, xlabel="samples", ylabel="seconds", xscale="log", title=title, highlight="by hand"
    ).figure


if __name__ == "__main__":
    run(main, Config)
