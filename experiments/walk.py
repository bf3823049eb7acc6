"""Walk through both passes of a small network: a picture, a film, a page to step through, a ledger of every number.

The ledger has a row for each value, node error and gradient with its formula and with what jax.grad has for it. Another
text puts the hand-written gradient and JAX's own side by side as programs.
"""

import sys
from dataclasses import dataclass

from jaxbp.names import ActivationName
from support.command_line import Common, parse, print_table, run


@dataclass(frozen=True)
class Config(Common):
    """Flags of walk."""

    sizes: tuple[int, ...] = (3, 4, 2)
    """Inputs, hidden units, outputs."""
    hidden: ActivationName = "sigmoid"
    """Of the hidden layers."""
    output: ActivationName = "sigmoid"
    """Of the last layer."""
    lang: str = "en"
    """Language of the pictures: en, or zh where a Chinese font is installed."""


def main(config: Config) -> None:
    """Runs both passes, writes them out and draws them."""
    import jaxbp
    from jaxbp import viz
    from support.outputs import begin, finish, write_text
    from systems.walk import count_products, gradient_programs, trace_of

    mlp = jaxbp.Mlp(config.sizes, hidden=config.hidden, output=config.output)
    folder = begin(config)
    trace = trace_of(mlp, config.seed)
    ledger = trace.ledger()
    name = ("" if max(config.sizes) < 10 else "_").join(map(str, config.sizes))
    stem = f"walk_{name}"
    if not config.quiet:
        print(ledger.to_text())
    hand, auto = gradient_programs(trace)
    rows = {
        "loss": f"{float(trace.loss):.10g} (half squared error)",
        "numbers": f"{len(ledger.entries)}",
        "largest difference from jax.grad": f"{ledger.largest_difference:.1e}",
        "matrix products, hand-written": f"{count_products(hand)}",
        "matrix products, JAX's own": f"{count_products(auto)}",
    }
    print_table(rows, "-".join(map(str, config.sizes)))
    title = f"{'-'.join(map(str, config.sizes))} network, {config.hidden} and {config.output}"
    walk = viz.draw_walk(trace, title=title, lang=config.lang)
    film = viz.animate_walk(trace, title=title, lang=config.lang)
    programs = f"Hand-written:\n\n```\n{hand}\n```\n\nJAX's own:\n\n```\n{auto}\n```\n"
    texts = {
        f"{stem}.md": f"# Every number of both passes: {title}\n\n{ledger.to_markdown()}\n",
        f"{stem}_programs.md": f"# The gradient to parameters and inputs, as programs\n\n{programs}",
    }
    written = [viz.save_film(film, folder / f"{stem}{kind}", dpi=dpi) for kind, dpi in ((".gif", 64), (".html", 80))]
    written += [write_text(folder / name, text) for name, text in texts.items()]
    print(f"\nwrote {', '.join(map(str, written))}")
    numbers = {"loss": trace.loss, "values": {entry.name: entry.value for entry in ledger.entries}}
    finish(config, stem, {f"{stem}.svg": walk.figure}, numbers, folder)


if __name__ == "__main__":
    run(main, parse(Config, sys.argv[1:], default=Config()))
