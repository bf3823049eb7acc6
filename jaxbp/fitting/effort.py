"""How much is tried, and whether there is time for one candidate more."""

import time
from typing import NamedTuple

RATE = 1.5e10  # floating-point operations a second of one core, by which candidates are estimated


class Effort(NamedTuple):
    """How much is tried.

    Attributes:
        seconds: that the candidates are estimated to take on one core of a laptop.
        evaluations: of the evidence, when a spectrum is chosen.
        rows: that the evidence is evaluated on, at most.
        operations: of the last solve for the units of a spectrum, which bounds their number.
        networks: the hidden layers of the networks, and how many starts each gets.
        steps: of Gauss-Newton.
        kriging_rows: that a kriging is solved for, at most.
    """

    seconds: float
    evaluations: int
    rows: int
    operations: float
    networks: tuple[tuple[tuple[int, ...], int], ...]
    steps: int
    kriging_rows: int


EFFORTS = {
    "low": Effort(3.0, 60, 300, 1e10, (((32, 32), 2),), 100, 1000),
    "normal": Effort(15.0, 120, 500, 4e10, (((32, 32), 2), ((32,), 2)), 200, 2000),
    "high": Effort(
        *(60.0, 200, 800, 2e11),
        *((((32, 32), 8), ((32,), 8), ((64,), 8), ((64, 64), 8)), 400, 3000),
    ),
}


class Budget:
    """What may still be started.

    The decision rests on operations counted beforehand, so that a seed gives the same candidates on
    every machine. Only where the caller gives a number of seconds is the clock read, and the
    estimates are scaled by what the candidates before took in truth.
    """

    def __init__(self, seconds: float, *, by_clock: bool = False) -> None:
        """Starts the clock.

        Args:
            seconds: for everything.
            by_clock: whether elapsed time counts beside the estimates.
        """
        self.seconds, self.by_clock = seconds, by_clock
        self.began, self.planned = time.perf_counter(), 0.0

    def allows(self, operations: float, final: float = 0.0, *, overhead: float = 0.0) -> bool:
        """Whether a candidate fits in, and if so counts it.

        Args:
            operations: of the candidate.
            final: operations of its fit to all rows, should it win.
            overhead: seconds beside, for compiling.
        """
        estimate = operations / RATE + overhead
        spent, slowness = self.planned, 1.0
        if self.by_clock:
            spent = time.perf_counter() - self.began
            slowness = min(4.0, max(1.0, spent / self.planned)) if self.planned > 1 else 1.0
        # The last fit takes as many rows as half the budget allows, if all are too many.
        if spent + slowness * (estimate + min(final / RATE, 0.5 * self.seconds)) > self.seconds:
            return False
        self.planned += estimate
        return True

    @property
    def left(self) -> float:
        """Operations that are left, at least half the budget: a winner is fitted once more."""
        spent = time.perf_counter() - self.began if self.by_clock else self.planned
        return RATE * min(1e9, max(self.seconds - spent, 0.5 * self.seconds))
