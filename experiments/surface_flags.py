"""The flags of `fit_surface`, and the presets that their defaults come from."""

import math
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from common import Common, choice
from data import SURFACES
from jaxbp.activations import ACTIVATIONS
from jaxbp.params import SCHEMES
from jaxbp.training import OPTIMIZERS, SCHEDULES


@dataclass(frozen=True)
class Config(Common):
    """Flags of fit_surface."""

    preset: Literal["surface", "tutorial", "tutorial-random"] = "surface"
    """Where the defaults of the other flags come from: the main job, or the tutorial's runs on its
    grid and on its 1,000 and 10,000 random points."""
    surface: Annotated[str, choice(SURFACES)] = "target"
    """Surface to fit."""
    expression: str | None = None
    """Formula of x and y to fit instead, such as "sin(x)*cos(y)"."""
    domain: tuple[float, float, float, float] = (-10.0, 10.0, -10.0, 10.0)
    """x_min x_max y_min y_max of the formula."""
    data: str | None = None
    """Table to fit instead, a .csv or .npz file."""
    columns: tuple[str, ...] | None = None
    """Names of its columns, the one to predict last; the first three unless given."""
    samples: int = 10_000
    """Number of training samples."""
    sampling: Literal["uniform", "grid"] = "uniform"
    """Random samples, or a square grid of them."""
    hidden: tuple[int, ...] | None = None
    """Units of each hidden layer; unless given, as many sine units, with such frequencies, as the
    held-out samples prefer."""
    activation: Annotated[str, choice(ACTIVATIONS)] = "sine"
    """Activation of the hidden layers."""
    scheme: Annotated[str, choice([*SCHEMES, "tutorial"])] = "sine"
    """Initialization of the weights; tutorial: NumPy, seed 99, uniform in [-1, 1]."""
    scale: float | None = None
    """Scale of the schemes uniform, normal and sine."""
    solver: Annotated[str, choice(["gauss_newton", *OPTIMIZERS])] = "gauss_newton"
    """Gauss-Newton from node errors, or an optax optimizer (Adam wants some 20,000 steps here)."""
    damping: float = 0.1
    """Damping of Gauss-Newton: less for the last digits of a smooth surface, more for rough or noisy data."""
    learning_rate: float = 5e-3
    """Learning rate of an optax optimizer, at the start."""
    schedule: Annotated[str, choice(SCHEDULES)] = "cosine"
    """How the learning rate changes over the steps."""
    steps: int | None = None
    """Number of training steps; unless given 30 for one hidden layer of 512, fewer for a wider one,
    none above 1,536, 330 for two."""
    stages: int = 1
    """Number of networks to fit one after the other, each to what is left, each for all the steps."""
    batch_size: int | None = 512
    """Samples a step, or all where there are fewer; None for all."""
    weight_decay: float = 0.0
    """Factor of the L2 penalty on the weights."""
    clip_norm: float | None = None
    """Largest norm of a gradient; longer ones are scaled down to it."""
    dropout: float = 0.0
    """Probability with which a hidden unit is dropped."""
    patience: int | None = None
    """Stop after this many records without a smaller held-out loss."""
    tile: int | None = None
    """Samples that a gradient holds in memory at a time."""
    record_every: int | None = None
    """Steps from one record of the loss to the next; about 10 records unless given."""
    checkpoint: str | None = None
    """Folder to save the run in while it trains, so that it can go on."""
    checkpoint_every: int | None = None
    """Steps from one checkpoint to the next; every record unless given."""
    resume: bool = False
    """Go on from the newest checkpoint, if there is one."""
    devices: int | None = None
    """Devices of each process that share the samples, on the CPU as many as cores; unless given
    one, and all of them with a coordinator."""
    coordinator: str | None = None
    """host:port of process 0 of a run on several hosts, or auto under SLURM, Open MPI, Kubernetes or on a TPU pod."""
    num_processes: int | None = None
    """Number of its processes; left out with auto."""
    process_id: int | None = None
    """Which of them this is, from 0; left out with auto."""
    x64: bool = True
    """Compute in float64; --no-x64 for float32."""
    details: bool = False
    """Also draw kink lines, units, weights and layers."""
    film: bool = False
    """Also write a film of the surface as it is learned, as GIF and as a page."""
    contrast: bool = False
    """Also fit as the tutorial does, and draw both fits beside the true surface."""
    page: bool = False
    """Also write a page that replays the tutorial's descent and Gauss-Newton on a small network, side by side."""

    @property
    def stem(self) -> str:
        """What the names of the files start with, empty for the main job."""
        if self.is_tutorial:
            runs = f"{self.samples}_{self.steps}_" if "random" in self.preset else ""
            return f"{self.preset.replace('-', '_')}_{runs}"
        if (self.data or self.expression) is not None:
            return "data_" if self.data is not None else "expression_"
        return "" if self.surface == "target" else f"{self.surface}_"

    @property
    def is_tutorial(self) -> bool:
        """Whether it is one of the tutorial's runs, which print as the tutorial does."""
        return self.preset != "surface"

    @property
    def chooses(self) -> bool:
        """Whether held-out samples choose the network."""
        sine = (self.activation, self.scheme, self.solver) == ("sine", "sine", "gauss_newton")
        return sine and self.hidden is None and self.scale is None and self.stages == 1

    @property
    def loss(self) -> str:
        """The tutorial follows the gradient of half the error that it prints."""
        return "half_squared_error" if self.is_tutorial else "mean_squared_error"


TUTORIAL = Config(
    preset="tutorial",
    sampling="grid",
    hidden=(64, 64, 64),
    activation="relu",
    scheme="tutorial",
    solver="sgd",
    learning_rate=1e-3,
    schedule="constant",
    steps=2000,
    batch_size=None,
    record_every=20,
)
PRESETS = {
    "surface": Config(),
    "tutorial": TUTORIAL,
    "tutorial-random": replace(TUTORIAL, preset="tutorial-random", sampling="uniform", steps=4000),
}
RANDOM_RUNS = ((1_000, 2000), (10_000, 2000), (10_000, 4000))  # the tutorial's samples and epochs
MINIMA = {
    "samples": 2,
    "stages": 1,
    "batch_size": 1,
    "tile": 1,
    "record_every": 1,
    "checkpoint_every": 1,
    "domain": -math.inf,
}


def check(config: Config) -> None:
    """Raises a ValueError for a flag that the run would not read."""
    first_order = ("weight_decay", "clip_norm", "dropout", "tile", "learning_rate", "schedule")
    unread: list[tuple[str, tuple[str, ...]]] = [
        (
            f"--solver {config.solver}",
            first_order if config.solver == "gauss_newton" else ("damping",),
        ),
        ("no --data", ("columns",))
        if config.data is None
        else ("--data", ("expression", "sampling", "surface")),
        ("no --expression", ("domain",))
        if config.expression is None
        else ("--expression", ("surface",)),
    ]
    if config.surface == "terrain":
        unread.append(("--surface terrain", ("sampling",)))
    if config.is_tutorial:
        unread.append((f"--preset {config.preset}", ("stages", "contrast", "page")))
    if config.stages > 1:
        unread.append(
            ("--stages above 1", ("tile", "dropout", "patience", "details", "film", "coordinator"))
        )
    if config.coordinator is None:
        unread.append(("no --coordinator", ("num_processes", "process_id")))
    for reason, names in unread:
        for name in names:
            if getattr(config, name) != getattr(PRESETS[config.preset], name):
                raise ValueError(
                    f"--{name.replace('_', '-')} must be left out with {reason}, which does not read it"
                )


def runs_of(config: Config) -> list[Config]:
    """The runs that the flags ask for: one, or the tutorial's three on random points."""
    preset = PRESETS[config.preset]
    if config.preset != "tutorial-random" or (config.samples, config.steps) != (
        preset.samples,
        preset.steps,
    ):
        return [config]
    return [replace(config, samples=samples, steps=steps) for samples, steps in RANDOM_RUNS]
