"""Compare solvers by the error that they reach in the same time: the tutorial's descent, Adam, L-BFGS, Gauss-Newton.

scikit-learn's MLPRegressor and PyTorch join where they are installed (the extra `peers`). All get the same samples and
are judged at the same other points. For each number of --seconds a solver starts anew, with a schedule that ends there;
compile time is shown apart. With all six surfaces and seven solvers it takes some twenty minutes.
"""

import sys
from dataclasses import dataclass

from jaxbp.names import SurfaceName
from support.command_line import parse, run


@dataclass(frozen=True)
class Config:
    """Flags of compare_solvers."""

    surfaces: tuple[SurfaceName, ...] = ("target", "franke", "peaks", "himmelblau", "ripple", "terrain")
    """The surfaces to fit."""
    seconds: tuple[float, ...] = (2.0, 5.0, 10.0)
    """Training times."""
    samples: int = 10_000
    """Samples of each surface."""
    seeds: tuple[int, ...] = (0,)
    """Of samples, weights and batches; medians over them are shown."""
    solvers: tuple[str, ...] = ()
    """Solvers to run, such as Gauss-Newton; the others keep what the JSON in --out says. All of them unless given."""
    peers: bool = True
    """Let scikit-learn and PyTorch join where they are installed."""
    out: str = "figures"
    """Folder of the figure and the JSON."""
    show: bool = False
    """Also open the figure in a window."""
    quiet: bool = False
    """Print the tables only."""


def main(config: Config) -> None:
    """Lets every solver fit every surface, prints and draws error against seconds."""
    import jax

    from support.comparison import check, compare, draw, earlier_results, print_tables, write
    from support.outputs import output_folder

    check(config)
    folder = output_folder(config.out)
    jax.config.update("jax_enable_x64", True)
    results = compare(config, earlier_results(config, folder))
    print_tables(config, results)
    figure = draw(config, results)
    write(config, results, figure, folder)
    if config.show:
        import matplotlib.pyplot as plt

        plt.show()


if __name__ == "__main__":
    run(main, parse(Config, sys.argv[1:], default=Config()))
