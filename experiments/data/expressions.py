"""Formulas from the command line, parsed and never evaluated as Python."""

import ast
import difflib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

MAX_LENGTH = 1000  # characters, so that no formula exhausts the parser

_NAMES = """sin cos tan arcsin arccos arctan arctan2 hypot sinh cosh tanh exp log log2 log10 sqrt
    abs sign floor minimum maximum"""
_FUNCTIONS: dict[str, np.ufunc] = {name: getattr(np, name) for name in _NAMES.split()}
_CONSTANTS = {"pi": math.pi, "e": math.e}
_OPERATORS: dict[type[ast.AST], np.ufunc] = {
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
        with np.errstate(all="ignore"):  # the caller reports where a value is not finite
            return np.broadcast_to(evaluate(np.float64(x), np.float64(y)), np.shape(x)).astype(
                float
            )

    return function


def _compile(node: ast.AST, source: str) -> Callable[[Any, Any], Any]:
    """Return (x, y) -> the value of a node."""
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return lambda x, y: np.float64(number)
        case ast.Name(id="x"):
            return lambda x, y: x
        case ast.Name(id="y"):
            return lambda x, y: y
        case ast.Name(id=name) if name in _CONSTANTS:
            return lambda x, y: np.float64(_CONSTANTS[name])
        case ast.Name(id=name):
            raise ValueError(f"{name!r} is not known{_nearest(name)}")
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            function, operands = _OPERATORS[type(op)], [operand]
        case ast.BinOp(op=op, left=left, right=right) if type(op) in _OPERATORS:
            function, operands = _OPERATORS[type(op)], [left, right]
        case ast.Call(func=ast.Name(id=name), args=operands, keywords=[]) if name in _FUNCTIONS:
            function = _FUNCTIONS[name]
            if len(operands) != (wanted := function.nin):
                words = f"{wanted} argument{'s' * (wanted > 1)}"
                raise ValueError(f"{name} takes {words}, got {len(operands)}")
        case ast.Call(func=ast.Name(id=name)) if name not in _FUNCTIONS:
            raise ValueError(f"{name!r} is not a function{_nearest(name)}")
        case _:
            text = ast.get_source_segment(source, node)
            raise ValueError(f"{text!r} is not allowed in a formula")
    arguments = [_compile(operand, source) for operand in operands]
    return lambda x, y: function(*(argument(x, y) for argument in arguments))


def _nearest(name: str) -> str:
    known = ["x", "y", *_CONSTANTS, *_FUNCTIONS]
    return f" (nearest: {', '.join(difflib.get_close_matches(name, known, n=4, cutoff=0))})"
