"""Formulas from the command line, parsed and never evaluated as Python."""

import ast
import difflib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

MAX_LENGTH = 1000  # characters, so that no formula exhausts the parser

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(np, name)
    for name in (
        *("sin", "cos", "tan", "arcsin", "arccos", "arctan", "arctan2", "hypot"),
        *(
            "sinh",
            "cosh",
            "tanh",
            "exp",
            "log",
            "log2",
            "log10",
            "sqrt",
            "abs",
            "sign",
            "floor",
            "minimum",
            "maximum",
        ),
    )
}
_CONSTANTS = {"pi": math.pi, "e": math.e}
_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.Pow: np.power,
    ast.BitXor: np.power,
    ast.Mod: np.mod,
    ast.UAdd: np.positive,
    ast.USub: np.negative,
}


def parse_expression(text: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return a function of x and y from a formula such as `sin(x)*cos(y) + 3^(x/3)`.

    It may hold numbers, x, y, pi, e, parentheses, + - * / % and ** or ^ for powers, and the
    elementary functions sin, cos, tan, arcsin, arccos, arctan, arctan2, hypot, sinh, cosh, tanh,
    exp, log, log2, log10, sqrt, abs, sign, floor, minimum and maximum. Nothing else is run.

    Args:
        text: the formula.

    Returns:
        (x, y) -> z in float64, of the shape of x.

    Raises:
        ValueError: the text is not such a formula; the message names the part that is not.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"expression must have at most {MAX_LENGTH} characters, got {len(text)}")
    # In Python ^ binds more loosely than +, in every other notation for formulas it is the power.
    source = text.replace("^", "**").strip()
    try:
        tree = ast.parse(source, mode="eval").body
        evaluate = _compile(tree, source)
    except (SyntaxError, RecursionError, MemoryError, OverflowError, ValueError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise ValueError(
            f"expression must be a formula of x and y, got {text!r}: {reason}"
        ) from None

    def function(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        with np.errstate(
            all="ignore"
        ):  # a value that is not finite is reported with its place by the caller
            return np.broadcast_to(evaluate({"x": x, "y": y}), x.shape).astype(np.float64)

    return function


def _compile(node: ast.AST, source: str) -> Callable[[dict[str, Any]], Any]:
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as number):
            value = np.float64(number)
            return lambda names: value
        case ast.Name(id="x" | "y" as name):
            return lambda names: names[name]
        case ast.Name(id=name) if name in _CONSTANTS:
            constant = np.float64(_CONSTANTS[name])
            return lambda names: constant
        case ast.Name(id=name):
            raise ValueError(f"{name!r} is not known{_nearest(name)}")
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _apply(_OPERATORS[type(op)], [operand], source)
        case ast.BinOp(op=op, left=left, right=right) if type(op) in _OPERATORS:
            return _apply(_OPERATORS[type(op)], [left, right], source)
        case ast.Call(func=ast.Name(id=name), args=operands, keywords=[]) if name in _FUNCTIONS:
            function = _FUNCTIONS[name]
            wanted = getattr(function, "nin", 1)
            if len(operands) != wanted:
                raise ValueError(
                    f"{name} takes {wanted} argument{'s' * (wanted > 1)}, got {len(operands)}"
                )
            return _apply(function, operands, source)
        case ast.Call(func=ast.Name(id=name)) if name not in _FUNCTIONS:
            raise ValueError(f"{name!r} is not a function{_nearest(name)}")
    raise ValueError(f"{ast.get_source_segment(source, node)!r} is not allowed in a formula")


def _apply(
    function: Callable[..., Any], operands: list[Any], source: str
) -> Callable[[dict[str, Any]], Any]:
    arguments = [_compile(operand, source) for operand in operands]
    return lambda names: function(*(argument(names) for argument in arguments))


def _nearest(name: str) -> str:
    known = ["x", "y", *_CONSTANTS, *_FUNCTIONS]
    return f" (nearest: {', '.join(difflib.get_close_matches(name, known, n=4, cutoff=0))})"
