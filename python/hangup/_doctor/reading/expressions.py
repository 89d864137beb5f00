"""What an expression of Python is, without running it: literals, arithmetic, names that are bound to such.

Not guessed: what depends on anything else is :data:`UNKNOWN`. Two things are taken for granted, and said: a variable of
the environment that is read with a default, and that we do not know of, is not set; a machine has at least one CPU.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from ..values import UNKNOWN


class Evaluated(NamedTuple):
    """A value, and what was taken for granted for it."""

    value: Any
    assumed: str = ""


_NOTHING = Evaluated(UNKNOWN)
_DEEPEST = 40
_LONGEST = 10_000

_ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_CONVERSIONS = {
    "int": int, "float": float, "str": str, "bool": bool, "max": max, "min": min,
    "list": list, "tuple": tuple, "dict": dict, "timedelta": None,
}  # fmt: skip
_CPUS = ("cpu_count", "multiprocessing.cpu_count", "os.cpu_count", "mp.cpu_count")


def parse(source: str) -> ast.Module:
    """A module.

    Raises:
        SyntaxError: it is none, or deeper than Python allows.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about their escapes and comparisons
        try:
            return ast.parse(source)
        except (ValueError, RecursionError, MemoryError) as error:
            raise SyntaxError(str(error) or type(error).__name__) from error


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of a name or an attribute; else an empty string."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)])


def evaluate(
    node: Optional[ast.AST], names: Mapping[str, Evaluated], environment: Mapping[str, str], depth: int = 0
) -> Evaluated:
    """The value of an expression, with what its names are bound to."""
    if node is None or depth > _DEEPEST:
        return _NOTHING

    def inner(part: Optional[ast.AST]) -> Evaluated:
        return evaluate(part, names, environment, depth + 1)

    if isinstance(node, ast.Constant):
        return Evaluated(node.value)
    if isinstance(node, ast.Name):
        return names.get(node.id, _NOTHING)
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return _sequence(node, inner)
    if isinstance(node, ast.Dict):
        return _mapping(node, inner)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
        found = inner(node.operand)
        function = operator.neg if isinstance(node.op, ast.USub) else operator.not_
        return _apply(function, [found])
    if isinstance(node, ast.BinOp):
        operation = _ARITHMETIC.get(type(node.op))
        return _apply(operation, [inner(node.left), inner(node.right)]) if operation else _NOTHING
    if isinstance(node, ast.JoinedStr):
        return _apply(lambda *parts: "".join(map(str, parts)), [inner(part) for part in node.values])
    if isinstance(node, ast.FormattedValue):
        return inner(node.value) if node.format_spec is None and node.conversion == -1 else _NOTHING
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
        return _first_true([inner(part) for part in node.values])
    if isinstance(node, ast.Subscript) and dotted(node.value) == "os.environ":
        name = inner(node.slice).value
        return Evaluated(environment[name]) if isinstance(name, str) and name in environment else _NOTHING
    if isinstance(node, ast.Call):
        return _call(node, inner, environment)
    return _NOTHING


def _sequence(node: Any, inner: Any) -> Evaluated:
    found = [inner(part) for part in node.elts]
    # A list with something computed in it is still a list of so many: only that element is unknown.
    if any(isinstance(part, ast.Starred) for part in node.elts):
        return _NOTHING
    assumed = "; ".join(dict.fromkeys(part.assumed for part in found if part.assumed))
    return Evaluated([part.value for part in found], assumed)


def _mapping(node: ast.Dict, inner: Any) -> Evaluated:
    result = {}
    for key, part in zip(node.keys, node.values):
        name = inner(key).value if key is not None else UNKNOWN
        if not isinstance(name, (str, int, float, bool, type(None))):
            return _NOTHING
        result[name] = inner(part).value
    return Evaluated(result)


def _apply(function: Any, parts: list[Evaluated]) -> Evaluated:
    if any(part.value is UNKNOWN or _is_large(part.value) for part in parts):
        return _NOTHING
    try:
        value = function(*(part.value for part in parts))
    except (TypeError, ValueError, ArithmeticError, LookupError):
        return _NOTHING
    assumed = "; ".join(dict.fromkeys(part.assumed for part in parts if part.assumed))
    return _NOTHING if _is_large(value) else Evaluated(value, assumed)


def _is_large(value: Any) -> bool:
    """Arithmetic goes on with small things only: ``"x" * 10**9`` is not ours to compute."""
    if isinstance(value, (str, bytes, list, tuple)):
        return len(value) > _LONGEST
    return isinstance(value, int) and not -(_LONGEST**3) < value < _LONGEST**3


def _first_true(parts: list[Evaluated]) -> Evaluated:
    for part in parts:
        if part.value is UNKNOWN or part.value:
            return part
    return parts[-1]


def _call(node: ast.Call, inner: Any, environment: Mapping[str, str]) -> Evaluated:
    name = dotted(node.func)
    if name in ("os.environ.get", "os.getenv", "environ.get", "getenv"):
        return _from_environment(node, inner, environment)
    if name in _CPUS and not node.args:
        return Evaluated(1, "one CPU; it is more with more")
    if name == "len" and "sched_getaffinity" in ast.dump(node)[:200]:
        return Evaluated(1, "one CPU; it is more with more")
    function = _CONVERSIONS.get(name)
    if function is None or node.keywords or (not node.args and name not in ("list", "tuple", "dict")):
        return _NOTHING
    return _apply(function, [inner(argument) for argument in node.args])


def _from_environment(node: ast.Call, inner: Any, environment: Mapping[str, str]) -> Evaluated:
    arguments = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "default")]
    name = inner(arguments[0]).value if arguments else UNKNOWN
    if not isinstance(name, str):
        return _NOTHING
    if name in environment:
        return Evaluated(environment[name])
    default = inner(arguments[1]) if len(arguments) > 1 else Evaluated(None)
    return Evaluated(default.value, "; ".join(filter(None, [f"{name} is not set", default.assumed])))
