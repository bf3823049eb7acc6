"""Measure what the documents' wrong formulas do: each quantity as printed and as corrected."""

import sys
from dataclasses import dataclass

from support.command_line import Common, parse, print_columns, run


@dataclass(frozen=True)
class Config(Common):
    """Flags of errata."""

    seeds: int = 500
    """Starts of exclusive or."""
    epochs: int = 2000
    """Of the surface's fits."""


def main(config: Config) -> None:
    """Measures, prints, draws."""
    from jaxbp import viz
    from support.outputs import begin, finish
    from systems.errata import all_errata

    for name in ("seeds", "epochs"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {getattr(config, name)}")
    folder = begin(config)
    found = all_errata(config.seed, config.seeds, config.epochs)
    rows = [(one.mistake, one.quantity, f"{one.printed:.4g}", f"{one.corrected:.4g}") for one in found]
    print_columns(["mistake", "quantity", "as printed", "corrected"], rows, "what is printed wrong, measured")
    if not config.quiet:
        print("\n" + "\n".join(dict.fromkeys(f"{one.mistake}: {one.note}" for one in found)))
    dots = viz.draw_dots(
        {f"{one.mistake}: {one.quantity}": {"as printed": one.printed, "corrected": one.corrected} for one in found},
        xlabel="the quantity named at the left (open: 0)",
        title="Wrong formulas, as printed and as corrected",
    )
    numbers = {"errata": [one._asdict() for one in found]}
    finish(config, "errata", {"errata.svg": dots.ax.figure}, numbers, folder)


if __name__ == "__main__":
    run(main, parse(Config, sys.argv[1:], default=Config()))
