"""`update_contact`: set, clear and increase the contact's own fields; those that change fire `field_changed`."""

from __future__ import annotations

from math import isfinite
from typing import Any, ClassVar

from actions.action import Action
from engine.core.action_kind import Act, Site, Turn, Value
from engine.core.names import field_fault


class UpdateContact(Action, frozen=True, kw_only=True):
    """Values are taken before anything is written. `increase` starts from 0; it leaves alone what is no number."""

    kind: ClassVar[str] = "update_contact"

    set: dict[str, Any] = {}
    clear: list[str] = []
    increase: dict[str, Any] = {}

    def prepare(self, site: Site) -> Act:
        self._check(site)
        sets = {name: _value(site, raw, "set") for name, raw in self.set.items()}
        increases = {name: _value(site, raw, "increase") for name, raw in self.increase.items()}
        cleared: dict[str, Any] = dict.fromkeys(self.clear)

        if not increases and not cleared:
            return _setting(sets)

        def act(turn: Turn) -> None:
            fields = turn.contact.fields
            done = {name: value(turn) for name, value in sets.items()}
            raised = {name: total for name, value in increases.items() if (total := _sum(fields.get(name), value(turn))) is not None}
            turn.did({key: found for key, found in (("set", done), ("clear", list(cleared)), ("increase", raised)) if found})
            turn.set_fields({**cleared, **done, **raised})

        return act

    def _check(self, site: Site) -> None:
        if not self.set and not self.clear and not self.increase:
            site.problem("`update_contact` changes nothing", remedy="write `update_contact: {set: {plan: pro}}`")
        named: dict[str, str] = {}
        for key, names in (("set", self.set), ("clear", self.clear), ("increase", self.increase)):
            for name in names:
                if fault := field_fault(name):
                    site.problem(fault, key=key, remedy="give the field another name")
                if name in named:
                    site.problem(f'the field "{name}" stands in `{named[name]}` and in `{key}`', key=key)
                named[name] = key
        for name, raw in self.increase.items():
            if not isinstance(raw, dict) and (isinstance(raw, bool) or not isinstance(raw, int | float)):
                site.problem(f'"{name}" is increased by something that is no number', key="increase", remedy="write a number or `{value_of: event.total}`")


def _setting(sets: dict[str, Value]) -> Act:
    """The act of an update that only sets, which most are."""
    pairs = list(sets.items())

    def act(turn: Turn) -> None:
        done = {}
        for name, value in pairs:  # a comprehension would be a call more
            done[name] = value(turn)
        turn.did({"set": done})
        turn.set_fields(done)

    return act


def _value(site: Site, raw: Any, key: str) -> Value:
    return site.text(raw, key=key) if isinstance(raw, str) else site.value(raw, key=key)


def _sum(before: Any, by: Any) -> int | float | None:
    """The increased number; None where either is no number or the sum cannot be stored."""
    before = 0 if before is None else before
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in (before, by)):
        return None
    total: int | float = before + by
    if isinstance(total, int) and abs(total) >= 2**63:
        total = float(total)
    return total if isfinite(total) else None
