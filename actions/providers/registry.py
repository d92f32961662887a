"""Every provider, by channel and name, found by scanning this folder; and their settings, read from providers.yaml.

Two providers of one name in one channel are an error at start. `env:NAME` is resolved here, when a provider is made: its value is
never stored, logged or repeated in a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Any

import msgspec

import actions.providers
from actions.providers.provider import House, Provider, Settings
from engine.core.errors import InvalidConfig, Problem

Providers = Mapping[tuple[str, str], type[Provider]]


@cache
def load_providers() -> Providers:
    """(channel, name) → class."""
    found: dict[tuple[str, str], type[Provider]] = {}
    for module in iter_modules(actions.providers.__path__, "actions.providers."):
        for value in vars(import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, Provider) and value.__module__ == module.name and "name" in vars(value):
                key = value.channel, value.name
                if key in found:
                    raise InvalidConfig(f"two providers are called {value.name} for {value.channel}: {found[key].__module__} and {module.name}")
                found[key] = value
    return MappingProxyType(found)


def make_provider(channel: str, block: Mapping[str, Any], house: House, environ: Mapping[str, str]) -> Provider:
    """The provider that providers.yaml names for a channel. Raises InvalidConfig that says what is wrong, never a secret."""
    secrets: list[str] = []
    try:
        kind = _class_of(channel, block)
        return kind(_settings(kind, _resolved(block, environ, secrets)), house)
    except InvalidConfig as error:
        raise InvalidConfig(f"providers.yaml: {channel}: {_without(str(error), secrets)}") from None


def receiver_of(name: str, blocks: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[type[Provider], Any] | None:
    """The class and settings of the provider of this name that providers.yaml uses and that takes callbacks; None where there is none.

    Raises InvalidConfig where its block can't be read.
    """
    for (channel, known), kind in load_providers().items():
        block = blocks.get(channel)
        if known != name or not isinstance(block, Mapping) or kind.receive.__func__ is Provider.receive.__func__:  # type: ignore[attr-defined]
            continue
        if block.get("provider", channel) == name:
            secrets: list[str] = []
            try:
                return kind, _settings(kind, _resolved(block, environ, secrets))
            except InvalidConfig as error:
                raise InvalidConfig(f"providers.yaml: {channel}: {_without(str(error), secrets)}") from None
    return None


def provider_problems(blocks: Any, file: str = "providers.yaml") -> list[Problem]:
    """What is wrong with the blocks of the channels that have providers here, as far as can be told without the environment."""
    if not isinstance(blocks, Mapping):
        return []  # that it is no mapping is told where the sections are read
    problems = []
    channels = {channel for channel, _ in load_providers()}
    for channel, block in blocks.items():
        if channel not in channels:
            continue
        line = getattr(blocks, "lines", {}).get(channel, 0)
        try:
            if not isinstance(block, Mapping):
                raise InvalidConfig("must be a mapping")
            _settings(_class_of(channel, block), block)
        except InvalidConfig as error:
            problems.append(Problem(file=file, line=line, place=channel, message=str(error)))
    return problems


def _class_of(channel: str, block: Mapping[str, Any]) -> type[Provider]:
    """The class for a block; where it names no provider, the one called like the channel (a webhook needs no name)."""
    name = channel if any(kept == channel and kind.by_site for (kept, _), kind in load_providers().items()) else block.get("provider", channel)
    kind = load_providers().get((channel, name)) if isinstance(name, str) else None
    if kind is None:
        names = sorted(known for kept, known in load_providers() if kept == channel)
        raise InvalidConfig(f"no provider {name!r} for {channel}{_meant(str(name), names) or ': there is ' + (', '.join(names) or 'none')}")
    return kind


def _settings(kind: type[Provider], block: Mapping[str, Any]) -> Settings | dict[str, Settings]:
    """The settings of a block; of a provider with sites, those of each by its name."""
    if not kind.by_site:
        return _of_one(kind, block)
    found = {}
    for site, inner in block.items():
        if not isinstance(inner, Mapping):
            raise InvalidConfig(f"{site}: must be a mapping")
        try:
            found[str(site)] = _of_one(kind, inner)
        except InvalidConfig as error:
            raise InvalidConfig(f"{site}: {error}") from None
    return found


def _of_one(kind: type[Provider], block: Mapping[str, Any]) -> Settings:
    names = [field.encode_name for field in msgspec.structs.fields(kind.Settings)]
    for key in block:
        if key not in names:
            raise InvalidConfig(f"unknown setting {key!r}{_meant(str(key), names)}")
    try:
        return msgspec.convert(dict(block), kind.Settings, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidConfig(str(error)) from None


def _resolved(value: Any, environ: Mapping[str, str], secrets: list[str]) -> Any:
    """`value` with each `env:NAME` replaced; what was put in is also listed in `secrets`."""
    if isinstance(value, Mapping):
        return {key: _resolved(item, environ, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, environ, secrets) for item in value]
    if not isinstance(value, str) or not value.startswith("env:"):
        return value
    found = environ.get(value[4:])
    if not found:
        raise InvalidConfig(f"the environment variable {value[4:]} is not set")
    secrets.append(found)
    return found


def _without(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "********")
    return text


def _meant(name: str, names: list[str]) -> str:
    close = get_close_matches(name, names, 1)
    return f' (did you mean "{close[0]}"?)' if close else ""
