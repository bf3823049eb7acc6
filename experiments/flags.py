"""Flags from a dataclass: read from the command line, grouped in the help, checked with the nearest known name."""

import ast
import dataclasses
import inspect
import itertools
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

try:
    import tyro
except ModuleNotFoundError:
    sys.exit("the experiments need tyro: pip install 'jaxbp[experiments]'")

from jaxbp._checks import nearest_first

Config = TypeVar("Config")

# Where the help lists a flag; what is not named here belongs to the training.
GROUPS = {
    "data": "preset surface expression domain data columns samples sampling mnist seed only",
    "network": "sizes hidden output activation scheme scale",
    "training": "",
    "output": "out lang show quiet check details film contrast page",
}


def choice(table: Iterable[str]) -> Any:
    """Makes a flag take the keys of a table, read when the flags are: `name: Annotated[str, choice(TABLE)]`."""
    return tyro.conf.arg(
        constructor_factory=lambda: tyro.extras.literal_type_from_choices(list(table)),
        help_behavior_hint=lambda default: "(default: " + re.sub(r"[^\w ]", "", default) + ")",
    )


def parse(
    config_type: type[Config],
    arguments: Sequence[str],
    presets: Mapping[str, Config] | None = None,
    about: str | None = None,
) -> Config:
    """Reads flags into a frozen dataclass; exits with status 2 and the nearest known name where one
    is wrong.

    The flag --preset, where there are presets, decides on the defaults of the others. `about`
    stands above the help.
    """
    pairs = (
        argument.split("=", 1) if argument.startswith("--") else [argument]
        for argument in arguments
    )
    arguments = list(itertools.chain.from_iterable(pairs))
    hints, flag, default = get_type_hints(config_type, include_extras=True), "", config_type()
    for argument in arguments:
        flag = argument if argument.startswith("--") else flag
        names = _names(hints.get(flag.removeprefix("--").replace("-", "_")))
        if names and argument not in (flag, *names):
            known = ", ".join(nearest_first(argument, names))
            print(f"{flag} must be one of {known}; got {argument!r}", file=sys.stderr)
            raise SystemExit(2)
        default = (presets or {}).get(argument, default) if flag == "--preset" else default
    if {"-h", "--help"} & set(
        arguments
    ):  # tyro would write each paragraph into one line, however long
        about = about or sys.modules[config_type.__module__].__doc__ or ""
        width = shutil.get_terminal_size().columns
        print(
            "\n\n".join(
                textwrap.fill(" ".join(part.split()), width) for part in about.strip().split("\n\n")
            )
            + "\n"
        )
    groups = tyro.cli(_grouped(default), args=arguments, description="")
    found = {name: value for group in vars(groups).values() for name, value in vars(group).items()}
    return dataclasses.replace(default, **found)  # type: ignore[type-var]


def _grouped(default: Any) -> Any:
    """A dataclass of a dataclass for each group, with these defaults: flags of one name each, and no prefix."""
    hints, texts = get_type_hints(type(default), include_extras=True), _texts(type(default))
    of_group: dict[str, list[Any]] = {}
    for field in dataclasses.fields(default):
        group = next(
            (name for name, flags in GROUPS.items() if field.name in flags.split()), "training"
        )
        help_text = tyro.conf.arg(help=texts.get(field.name))
        hint = Annotated[hints[field.name], help_text]  # type: ignore[valid-type, name-defined]
        value = dataclasses.field(default=getattr(default, field.name))
        of_group.setdefault(group, []).append((field.name, hint, value))
    classes = {
        group: dataclasses.make_dataclass(group, fields) for group, fields in of_group.items()
    }
    parts: Any = [
        (group, classes[group], dataclasses.field(default_factory=classes[group]))
        for group in GROUPS
        if group in classes
    ]
    return tyro.conf.OmitArgPrefixes[dataclasses.make_dataclass("Flags", parts)]  # type: ignore[misc]


def _texts(config_type: type) -> dict[str, str]:
    """The text under each field of a dataclass and of those that it extends, as one line."""
    found = {}
    for owner in reversed(config_type.__mro__[:-1]):
        (body,) = (node.body for node in ast.parse(textwrap.dedent(inspect.getsource(owner))).body)  # type: ignore
        for field, text in itertools.pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                found[ast.unparse(field.target)] = " ".join(ast.literal_eval(text.value).split())
    return found


def _names(hint: Any) -> tuple[str, ...]:
    """The names that a flag of this type takes, none where it is open."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    choices = [
        mark.constructor_factory()
        for mark in get_args(hint)
        if getattr(mark, "constructor_factory", None)
    ]
    return next(filter(None, map(_names, choices or get_args(hint))), ())
