"""The flags of `fit_surface`, and the presets that their defaults come from. It imports no JAX."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from jaxbp.names import ActivationName, PlatformName, ScheduleName, SchemeName, SolverName, SurfaceName

from support.command_line import split_flags


@dataclass(frozen=True)
class Config:
    """Flags of fit_surface."""

    preset: Literal["surface", "tutorial", "tutorial-random"] = "surface"
    """Where the defaults of the other flags come from: the main job, or the tutorial's runs on its grid and on its
    1,000 and 10,000 random points."""
    surface: SurfaceName = "target"
    """A known surface."""
    expression: str | None = None
    """A formula of x and y instead, such as "sin(x)*cos(y)"."""
    domain: tuple[float, float, float, float] = (-10.0, 10.0, -10.0, 10.0)
    """x_min x_max y_min y_max of the formula."""
    data: str | None = None
    """A .csv or .npz file instead."""
    columns: tuple[str, str, str] | None = None
    """Its columns for x, y and z; the first three unless given."""
    samples: int = 10_000
    """Samples to train on."""
    sampling: Literal["uniform", "grid"] = "uniform"
    """Random samples, or a square grid of them."""
    hidden: tuple[int, ...] = (128, 128)
    """Units of each hidden layer."""
    activation: ActivationName = "sine"
    """Of the hidden layers."""
    scheme: SchemeName | Literal["tutorial"] = "sine"
    """How the weights are drawn; tutorial: NumPy, seed 99, uniform in [-1, 1]."""
    scale: float | None = None
    """Of the schemes uniform, normal and sine."""
    solver: SolverName = "gauss_newton"
    """Gauss-Newton from node errors, or an optax optimizer (Adam wants some 20,000 steps here)."""
    damping: float = 0.1
    """Of Gauss-Newton; less for the last digits of a smooth surface, more for rough or noisy data."""
    learning_rate: float = 5e-3
    """Of an optax optimizer, at the start."""
    schedule: ScheduleName = "cosine"
    """How the learning rate of an optax optimizer changes over the steps."""
    steps: int = 330
    """Steps to take."""
    stages: int = 1
    """Networks to fit one after the other, each to what is left, each for all the steps."""
    batch_size: int | None = 512
    """Samples a step; None for all."""
    weight_decay: float = 0.0
    """Factor of the L2 penalty on the weights."""
    clip_norm: float | None = None
    """Largest norm that a gradient keeps."""
    dropout: float = 0.0
    """Probability with which a hidden unit is dropped."""
    patience: int | None = None
    """Stop after so many records without a better held-out loss."""
    tile: int | None = None
    """Samples that a gradient holds in memory at a time."""
    record_every: int | None = None
    """Steps from one record of the loss to the next; about 50 records unless given."""
    seed: int = 0
    """Of the samples, the weights and the batches."""
    x64: bool = True
    """Compute in float64; --no-x64 for float32."""
    platform: PlatformName = "auto"
    """Where to run."""
    out: str = "figures"
    """Folder of the pictures."""
    details: bool = False
    """Also draw folds, units, weights and layers."""
    film: bool = False
    """Also write the film of the surface as it is learned, as GIF and as a page."""
    show: bool = False
    """Also open the pictures in windows."""
    quiet: bool = False
    """Print the final table only."""

    @property
    def stem(self) -> str:
        """What the names of the files start with, `surface` for the main job."""
        if self.is_tutorial:
            return self.preset.replace("-", "_") + (f"_{self.samples}_{self.steps}" if "random" in self.preset else "")
        if self.data is not None or self.expression is not None:
            return "data" if self.data is not None else "expression"
        return "surface" if self.surface == "target" else self.surface

    @property
    def is_tutorial(self) -> bool:
        """Whether it is one of the tutorial's runs, which print as the tutorial does."""
        return self.preset != "surface"


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


def preset_in(arguments: Sequence[str]) -> Config:
    """Finds the preset among the flags, before they are read: the other flags' defaults come from it."""
    for flag, name in itertools.pairwise(split_flags(arguments)):
        if flag == "--preset" and name in PRESETS:
            return PRESETS[name]
    return PRESETS["surface"]


def check(config: Config) -> None:
    """Raises a ValueError for a flag that is out of range, or that the run would not read."""
    for name, minimum in (
        ("samples", 1),
        ("steps", 0),
        ("stages", 1),
        ("batch_size", 1),
        ("tile", 1),
        ("record_every", 1),
    ):
        value = getattr(config, name)
        if value is not None and value < minimum:
            raise ValueError(f"{name} must be a whole number of at least {minimum}, got {value}")
    unread: list[tuple[str, str]] = []
    if config.solver == "gauss_newton":
        unread += [(name, "--solver gauss_newton") for name in ("weight_decay", "clip_norm", "dropout", "tile")]
        unread += [(name, "--solver gauss_newton") for name in ("learning_rate", "schedule")]
    else:
        unread += [("damping", f"--solver {config.solver}")]
    if config.data is None:
        unread += [("columns", "no --data")]
    else:
        unread += [(name, "--data") for name in ("expression", "sampling", "surface")]
    if config.expression is None:
        unread += [("domain", "no --expression")]
    else:
        unread += [("surface", "--expression")]
    if config.surface == "terrain":
        unread += [("sampling", "--surface terrain")]
    if config.is_tutorial:
        unread += [("stages", f"--preset {config.preset}")]
    if config.stages > 1:
        unread += [(name, "--stages above 1") for name in ("tile", "dropout", "patience", "details", "film")]
    for name, reason in unread:
        if getattr(config, name) != getattr(PRESETS[config.preset], name):
            raise ValueError(f"--{name.replace('_', '-')} must be left out with {reason}, which does not read it")


def runs_of(config: Config) -> list[Config]:
    """The runs that the flags ask for: one, or the tutorial's three on random points."""
    preset = PRESETS[config.preset]
    if config.preset != "tutorial-random" or (config.samples, config.steps) != (preset.samples, preset.steps):
        return [config]
    return [replace(config, samples=samples, steps=steps) for samples, steps in RANDOM_RUNS]
