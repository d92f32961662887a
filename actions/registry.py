"""Finds the action kinds: every class in `actions/kinds/` that names a kind. Two of one name are an error at start.

`render` and `detail_of` find the kind that decided an effect and let it say what the effect becomes.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache
from types import ModuleType
from typing import Any

import actions.kinds
from actions.action import Action, Rendering
from actions.messages import Message
from engine.core.action_kind import Registry
from engine.core.effects import Effect
from engine.core.errors import WayfareError
from engine.core.templates import TemplateFault


@cache
def load_registry() -> Registry:
    """Kind → class, of everything in `actions/kinds/`. WayfareError where two files have the same kind."""
    return dict(_kinds(actions.kinds))


def render(effect: Effect, workspace: Rendering) -> Message:
    """The message of an effect. TemplateFault where it cannot be rendered."""
    return _kind_of(effect).render(effect, workspace)


def detail_of(effect: Effect, workspace: Rendering) -> dict[str, Any]:
    """The rendered parameters of an effect, for people; `fault` where they cannot be rendered."""
    try:
        return _kind_of(effect).detail(effect, workspace)
    except TemplateFault as fault:
        return {"fault": str(fault)}


def _kind_of(effect: Effect) -> type[Action]:
    found = load_registry().get(effect.kind)
    if found is None or not issubclass(found, Action):
        raise TemplateFault(f'this version knows no action "{effect.kind}"')
    return found


def _kinds(package: ModuleType) -> dict[str, type[Action]]:
    found: dict[str, type[Action]] = {}
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        loaded = importlib.import_module(module.name)
        for _, kind in inspect.getmembers(loaded, inspect.isclass):
            if not issubclass(kind, Action) or kind.__module__ != module.name or not kind.kind:
                continue
            if kind.kind in found:
                raise WayfareError(f"two action kinds are called {kind.kind}: {found[kind.kind].__module__} and {kind.__module__}")
            found[kind.kind] = kind
    return found
