"""Sites: what the kinds share whose channel has a site of its own for each name in providers.yaml (`wordpress`, `membership`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actions.rendering import one_line
from engine.core.action_kind import Site, Turn
from engine.core.documents import suggest

NAME_CHARS_MAX = 100

_NAMES = ("first_name", "last_name", "name")


def check_site(site: Site, channel: str, name: str) -> Mapping[str, Any]:
    """The block of a site; an empty one where it is missing, which is reported, and in a simulation, where nothing is checked."""
    block = site.provider(channel)
    found = None if block is None else _named(site, "site", name, block, f"providers.yaml has no site under `{channel}`")
    return found if isinstance(found, Mapping) else {}


def check_level(site: Site, channel: str, name: str, level: str) -> None:
    """Report a site, and a level of it, that providers.yaml does not have."""
    levels = check_site(site, channel, name).get("levels")
    if isinstance(levels, Mapping):
        _named(site, "level", level, levels, f'the site "{name[:NAME_CHARS_MAX]}" has no level')


def names_of(turn: Turn) -> dict[str, str]:
    """The contact's names, where they are known: each one printable line, of at most 100 characters."""
    names = {key: _name(value) for key in _NAMES if isinstance(value := turn.contact.fields.get(key), str)}
    return {key: value for key, value in names.items() if value}


def _name(raw: str) -> str:
    return "".join(char for char in one_line(raw)[:NAME_CHARS_MAX] if char.isprintable()).strip()


def _named(site: Site, key: str, name: str, things: Mapping[str, Any], missing: str) -> Any:
    if name in things:
        return things[name]
    there = f"there are {', '.join(sorted(map(str, things)))}" if things else f"write `{name[:NAME_CHARS_MAX]}:` there"
    site.problem(f'{missing} "{name[:NAME_CHARS_MAX]}"', key=key, remedy=suggest(name, things) or there)
    return None
