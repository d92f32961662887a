"""Predicates: mappings of the document become closures `p(contact, event, entry, now_ms) -> bool`.

A missing field and a value of unlike type fail every test but `ne`, `not_in` and `exists: false`; nothing raises while a
contact is stepped. What is wrong with the document itself is reported to the scope, once, at publish.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.core.comparisons import TIMES, against, check, fault
from engine.core.contact import Contact
from engine.core.documents import suggest
from engine.core.local_time import instant, zone_of
from engine.core.names import OPERATORS, RESERVED, shown
from engine.core.times import parse_duration
from engine.core.values import Getter, Scope, getter, is_taken, literal_or_taken, taken

Predicate = Callable[[Contact, Mapping[str, Any], Mapping[str, Any], int], bool]
Has = Callable[[Contact, Any], bool]

_SETS = ("any", "all", "not")
_NUMBERS = frozenset((int, float))


def always(contact: Contact, event: Mapping[str, Any], entry: Mapping[str, Any], now: int) -> bool:
    """The predicate of nothing written."""
    return True


def compile_predicate(where: Any, scope: Scope) -> Predicate:
    """The closure of a predicate; several keys mean *and*. Problems go to the scope."""
    if not isinstance(where, dict):
        scope.problem(f"a predicate must be a mapping such as `{{ltv: {{gte: 100}}}}`, not {shown(where)}")
        return always
    return _all([_test(name, raw, scope) for name, raw in where.items()])


def _all(tests: list[Predicate]) -> Predicate:
    if not tests:
        return always
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda contact, event, entry, now: first(contact, event, entry, now) and second(contact, event, entry, now)
    return lambda contact, event, entry, now: all(test(contact, event, entry, now) for test in tests)


def _test(name: str, raw: Any, scope: Scope) -> Predicate:
    special = _WORDS.get(name)
    if special is not None:
        return special(name, raw, scope)
    if name.startswith("consent."):
        return _operators(name, raw, _consent(name.removeprefix("consent."), scope), scope)
    if name in RESERVED:
        scope.problem(f'"{name}" is a word of the predicates and stands here as a name', key=name, remedy="write `{field: {gte: 5}}`")
        return always
    return _operators(name, raw, getter(name, scope), scope)


# -- all, any, not ---------------------------------------------------------------------------------------------------------


def _listed(name: str, raw: Any, scope: Scope) -> list[Predicate]:
    if isinstance(raw, list):
        return [compile_predicate(item, scope) for item in raw]
    scope.problem(f"`{name}` takes a list of predicates, not {shown(raw)}", key=name)
    return []


def _every(name: str, raw: Any, scope: Scope) -> Predicate:
    return _all(_listed(name, raw, scope))


def _some(name: str, raw: Any, scope: Scope) -> Predicate:
    tests = _listed(name, raw, scope)
    return lambda contact, event, entry, now: any(test(contact, event, entry, now) for test in tests)


def _not(name: str, raw: Any, scope: Scope) -> Predicate:
    test = compile_predicate(raw, scope)
    return lambda contact, event, entry, now: not test(contact, event, entry, now)


# -- tests of a value ------------------------------------------------------------------------------------------------------


def _operators(name: str, raw: Any, get: Getter, scope: Scope) -> Predicate:
    """`{field: value}` and `{field: {op: value, …}}`."""
    if not isinstance(raw, dict) or is_taken(raw):
        return _operator(name, "eq", raw, get, scope)
    if not raw:
        scope.problem("the test is empty", key=name, remedy="write `{exists: true}` or a value")
    tests = []
    for op, right in raw.items():
        if op in OPERATORS:
            tests.append(_operator(name, op, right, get, scope))
        else:
            scope.problem(f'"{op}" is no operator', key=name, remedy=suggest(op, OPERATORS) or "operators are " + ", ".join(sorted(OPERATORS)))
    return _all(tests)


def _operator(name: str, op: str, right: Any, get: Getter, scope: Scope) -> Predicate:
    if op in TIMES:
        return _time(name, op, right, get, scope)
    if is_taken(right):
        other = taken(right, scope, name)
        return lambda contact, event, entry, now: against(op, get(contact, event, entry, now), other(contact, event, entry, now))
    if message := fault(op, right):
        scope.problem(message, key=name, remedy="test `exists: false`" if right is None else "")
        return always
    if isinstance(right, list) and any(is_taken(item) for item in right):
        items = [literal_or_taken(item, scope, name) for item in right]
        return lambda contact, event, entry, now: against(op, get(contact, event, entry, now), [item(contact, event, entry, now) for item in items])
    return _checked(name, get, op, right)


def _checked(name: str, get: Getter, op: str, right: Any) -> Predicate:
    """One value against a literal; `event.x` and plain fields, the most frequent, without a call between."""
    test = check(op, right)
    source, _, rest = name.partition(".")
    if source == "event" and "." not in rest:
        return of_event(rest, op, right) or (lambda contact, event, entry, now: test(event.get(rest)))
    if not rest:
        return lambda contact, event, entry, now: test(contact.fields.get(name))
    return lambda contact, event, entry, now: test(get(contact, event, entry, now))


def of_event(key: str, op: str, right: Any) -> Predicate | None:
    """The tests that stand in most triggers, each in one closure; None for the others."""
    if op == "eq" and isinstance(right, str):
        return lambda contact, event, entry, now: event.get(key) == right
    if op == "eq" and isinstance(right, bool):
        return lambda contact, event, entry, now: event.get(key) is right
    if isinstance(right, bool) or not isinstance(right, int | float):
        return None
    number: Any = right
    match op:
        case "eq":
            return lambda contact, event, entry, now: (value := event.get(key)).__class__ in _NUMBERS and value == number
        case "gt":
            return lambda contact, event, entry, now: (value := event.get(key)).__class__ in _NUMBERS and value > number
        case "gte":
            return lambda contact, event, entry, now: (value := event.get(key)).__class__ in _NUMBERS and value >= number
        case "lt":
            return lambda contact, event, entry, now: (value := event.get(key)).__class__ in _NUMBERS and value < number
        case "lte":
            return lambda contact, event, entry, now: (value := event.get(key)).__class__ in _NUMBERS and value <= number
    return None


def _time(name: str, op: str, right: Any, get: Getter, scope: Scope) -> Predicate:
    """before, after: by instants (a text without an offset is local to the contact); within_last, within_next: by a duration from now."""
    zone = scope.zone
    if op in ("before", "after"):
        other = literal_or_taken(right, scope, name)
        if not is_taken(right) and instant(right, zone) is None:
            scope.problem(f"`{op}` compares with a date or a time, not {shown(right)}", key=name)

        def ordered(contact: Contact, event: Mapping[str, Any], entry: Mapping[str, Any], now: int) -> bool:
            local = zone_of(contact.fields, zone)
            left, bound = instant(get(contact, event, entry, now), local), instant(other(contact, event, entry, now), local)
            return left is not None and bound is not None and (left < bound if op == "before" else left > bound)

        return ordered
    try:
        span = parse_duration(right)
    except ValueError as error:
        scope.problem(str(error), key=name)
        return always

    def within(contact: Contact, event: Mapping[str, Any], entry: Mapping[str, Any], now: int) -> bool:
        when = instant(get(contact, event, entry, now), zone_of(contact.fields, zone))
        return when is not None and (now - span <= when <= now if op == "within_last" else now <= when <= now + span)

    return within


def _consent(channel: str, scope: Scope) -> Getter:
    default = scope.default_consent.get(channel)
    return lambda contact, event, entry, now: contact.consent.get(channel, default)


# -- tests of what a contact has -------------------------------------------------------------------------------------------


def _set_of(word: str, raw: Any, has: Has, scope: Scope, known: Callable[[str], None]) -> Predicate:
    """`tag: vip`, `tag: {any: [a, b]}`, `{all: […]}`, `{not: vip}`; `known` checks each name that is written."""
    if isinstance(raw, dict) and not is_taken(raw):
        strange = [key for key in raw if key not in _SETS]
        if strange or not raw:
            scope.problem(f"`{word}` takes a name, or any, all, not", key=word, remedy=suggest(str(strange[0]), _SETS) if strange else "")
        return _all([_set_part(word, key, part, has, scope, known) for key, part in raw.items() if key in _SETS])
    if not is_taken(raw):
        if not isinstance(raw, str) or not raw:
            remedy = "write `{any: […]}` or `{all: […]}`" if isinstance(raw, list) else "write it in quotes" if isinstance(raw, int | float) else ""
            scope.problem(f"`{word}` takes a name, not {shown(raw)}", key=word, remedy=remedy)
            return always
        known(raw)
        return lambda contact, event, entry, now: has(contact, raw)
    name = taken(raw, scope, word)
    return lambda contact, event, entry, now: has(contact, name(contact, event, entry, now))


def _set_part(word: str, key: str, part: Any, has: Has, scope: Scope, known: Callable[[str], None]) -> Predicate:
    if key == "not" and not isinstance(part, list):
        test = _set_of(word, part, has, scope, known)
        return lambda contact, event, entry, now: not test(contact, event, entry, now)
    if not isinstance(part, list):
        scope.problem(f"`{key}` takes a list of names, not {shown(part)}", key=word)
        return always
    tests = [_set_of(word, item, has, scope, known) for item in part]
    if key == "all":
        return _all(tests)
    wanted = key == "any"
    return lambda contact, event, entry, now: any(test(contact, event, entry, now) for test in tests) is wanted


def _tag(word: str, raw: Any, scope: Scope) -> Predicate:
    return _set_of(word, raw, lambda contact, name: name in contact.tags, scope, lambda name: None)


def _purchased(word: str, raw: Any, scope: Scope) -> Predicate:
    return _set_of(word, raw, lambda contact, name: isinstance(name, str) and name in contact.purchases, scope, lambda name: scope.product(name, key=word))


def _in_map(word: str, raw: Any, scope: Scope) -> Predicate:
    def known(name: str) -> None:
        sequence = name.startswith("sequence:")
        scope.need("sequences" if sequence else "maps", name.removeprefix("sequence:"), key=word)

    return _set_of(word, raw, lambda contact, name: any(enrollment.map == name for enrollment in contact.enrollments), scope, known)


def _membership(word: str, raw: Any, scope: Scope) -> Predicate:
    """`membership: {site: level}`: the level is enabled there."""
    if not isinstance(raw, dict) or not raw:
        scope.problem("`membership` takes a mapping such as `{academy: gold}`", key=word)
        return always
    return _all([_set_of(word, level, _enabled_at(site), scope, lambda name: None) for site, level in raw.items()])


def _enabled_at(site: str) -> Has:
    return lambda contact, level: isinstance(level, str) and contact.memberships.get(site, {}).get(level) == "enabled"


_WORDS: dict[str, Callable[[str, Any, Scope], Predicate]] = {
    "all": _every,
    "any": _some,
    "not": _not,
    "tag": _tag,
    "purchased": _purchased,
    "in_map": _in_map,
    "membership": _membership,
}
