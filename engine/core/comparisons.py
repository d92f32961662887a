"""The operators of predicates. Values of unlike type never compare: they fail every test but `ne` and `not_in`. A bool is no number.

A `Check` takes the value on the left, None where it is missing. Where the right side is a literal the check is made once,
with what it needs precomputed; `against` compares with a value that is only known at the time.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from engine.core.names import shown

Check = Callable[[Any], bool]

ORDER: dict[str, Callable[[Any, Any], bool]] = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}
TIMES = ("before", "after", "within_last", "within_next")


def like(left: Any, right: Any) -> bool:
    """Whether two values have the same type: numbers with numbers, text with text, …; nothing is like a missing value."""
    return _family(left) == _family(right) != ""


def equal(left: Any, right: Any) -> bool:
    """Equality of values of like type, through lists and mappings."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return like(left, right) and bool(left == right)


def against(op: str, left: Any, right: Any) -> bool:
    """`left op right`, both only known at the time; for every operator but those of time."""
    if op == "eq":
        return equal(left, right)
    if op == "ne":
        return not equal(left, right)
    if op in ORDER:
        return isinstance(left, int | float | str) and not isinstance(left, bool) and like(left, right) and ORDER[op](left, right)
    if op in ("in", "not_in"):
        return (isinstance(right, list) and any(equal(left, item) for item in right)) == (op == "in")
    if op == "contains" and isinstance(left, list):
        return any(equal(item, right) for item in left)
    if op == "exists":
        return right is (left is not None)
    if not isinstance(left, str) or not isinstance(right, str):
        return False
    if op == "contains":
        return right in left
    return left.startswith(right) if op == "starts_with" else left.endswith(right)


def check(op: str, right: Any) -> Check:
    """The check against a literal."""
    if op in ("eq", "ne") and isinstance(right, str):
        return (lambda value: value == right) if op == "eq" else (lambda value: value != right)
    if op in ORDER and isinstance(right, int | float):
        return _number(op, right)
    if op == "exists":
        return (lambda value: value is not None) if right else (lambda value: value is None)
    if op in ("in", "not_in") and all(isinstance(item, str) for item in right):
        words = frozenset(right)
        return (lambda value: isinstance(value, str) and value in words) if op == "in" else (lambda value: not isinstance(value, str) or value not in words)
    return lambda value: against(op, value, right)


def _number(op: str, right: float) -> Check:
    compare = ORDER[op]

    def checked(value: Any) -> bool:
        kind = value.__class__
        return (kind is float or kind is int) and compare(value, right)

    return checked


def fault(op: str, right: Any) -> str:
    """What is wrong with the literal on the right of an operator, an empty text where nothing is."""
    if op in ORDER and (isinstance(right, bool) or not isinstance(right, int | float | str)):
        return f"`{op}` compares with a number or a text, not {shown(right)}"
    if op in ("in", "not_in") and not isinstance(right, list):
        return f"`{op}` takes a list, not {shown(right)}"
    if op == "exists" and not isinstance(right, bool):
        return f"`exists` takes true or false, not {shown(right)}"
    if op in ("starts_with", "ends_with") and not isinstance(right, str):
        return f"`{op}` takes a text, not {shown(right)}"
    if op in ("eq", "ne", "contains") and right is None:
        return f"`{op}` compares with nothing"
    return ""


def _family(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list):
        return "list"
    return "mapping" if isinstance(value, dict) else ""
