"""Fit a surface z = f(x, y) from samples and draw it beside the fit.

By default sin(x) + x cos(y) + y + 3^(x/3) over [-10, 10]^2 from 10,000 random samples. Other surfaces, a formula, the
measured terrain that ships with matplotlib, or a table of your own are fitted the same way. The pictures and a JSON
file with every number go to --out.
"""

import sys

from support.command_line import parse, run
from support.config import Config, check, preset_in, runs_of


def main(config: Config) -> None:
    """Samples, fits, measures, draws."""
    import jax

    from jaxbp.training import use_platform
    from support.fitting import fit_task
    from support.outputs import output_folder
    from support.report import report
    from support.tasks import make_task

    check(config)
    folder = output_folder(config.out)
    jax.config.update("jax_enable_x64", config.x64)
    use_platform(config.platform)
    fitted = None
    for one in runs_of(config):
        task = make_task(one)
        fitted = fit_task(one, task, start=fitted if fitted and fitted.num_samples == one.samples else None)
        report(one, task, fitted, folder)
        if fitted.result.status.startswith("diverged"):
            raise ValueError(f"the fit {fitted.result.status}; the pictures show the last good parameters")
    if config.show:
        import matplotlib.pyplot as plt

        plt.show()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    run(main, parse(Config, arguments, default=preset_in(arguments)))
