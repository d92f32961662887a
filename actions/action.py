"""The base of every action kind: a struct whose fields are its parameters, read from a document with all their problems.

A kind is one file in `actions/kinds/`: a subclass with a `kind`, its fields, and `prepare`, which checks against the
workspace and gives the closure that runs when a contact arrives. A kind whose `channel` is not empty also says how its
effects are rendered: `render` makes the message for a provider, the same at every attempt; `detail` is what a person is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Protocol, Self, get_args, get_origin

import msgspec

from actions.messages import Message
from engine.core.action_kind import Act, Site
from engine.core.documents import suggest
from engine.core.effects import TRANSACTIONAL, Effect
from engine.core.names import shown
from engine.core.templates import Templates

_WORDS = {
    "`str`": "text",
    "`int`": "a whole number",
    "`float`": "a number",
    "`bool`": "true or false",
    "`array`": "a list",
    "`object`": "a mapping",
    "`null`": "nothing",
}

_SHOWN_AS = {"sender": "from"}  # `from` cannot be the name of a field


class Rendering(Protocol):
    """What rendering asks of a workspace."""

    @property
    def templates(self) -> Templates:
        """Its templates."""

    @property
    def providers(self) -> Mapping[str, Any]:
        """Who carries each channel, as the document has it."""

    @property
    def timezone(self) -> str:
        """The zone of contacts that have none."""


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """An action with its parameters. A field's encoded name is the name of the parameter (`from` is kept as `sender`)."""

    kind: ClassVar[str] = ""
    channel: ClassVar[str] = ""

    @classmethod
    def read(cls, params: Mapping[str, Any], site: Site) -> Self | None:
        """The action of a document's parameters; None where any is missing, unknown or of a wrong type, each reported."""
        fields = {field.encode_name: field for field in msgspec.structs.fields(cls)}
        values: dict[str, Any] = {}
        good = True
        for key, raw in params.items():
            if key not in fields:
                site.problem(f'`{cls.kind}` has no parameter "{key[:100]}"', key=key, remedy=suggest(key, fields) or _has(fields))
                good = False
                continue
            try:
                values[fields[key].name] = raw if fields[key].type is Any else msgspec.convert(raw, fields[key].type)
            except msgspec.ValidationError as error:
                message, remedy = _fault(raw, fields[key].type, str(error))
                site.problem(f"`{key}` {message}", key=key, remedy=remedy)
                good = False
        for key, field in fields.items():
            if field.required and key not in params:
                site.problem(f"`{cls.kind}` needs `{key}`", remedy=f"write `{cls.kind}: {{{key}: …}}`")
                good = False
        return cls(**values) if good else None

    def prepare(self, site: Site) -> Act:
        """Check against the workspace and compile into a closure."""
        raise NotImplementedError

    @classmethod
    def render(cls, effect: Effect, workspace: Rendering) -> Message:
        """The message for a provider. TemplateFault where a template cannot be rendered with these values."""
        raise NotImplementedError

    @classmethod
    def detail(cls, effect: Effect, workspace: Rendering) -> dict[str, Any]:
        """The rendered parameters, as a person is shown them: without secrets, without what is empty."""
        rendered = msgspec.to_builtins(cls.render(effect, workspace))
        detail = {"template": effect.params["template"]} if "template" in effect.params else {}
        if effect.consent and effect.lane == TRANSACTIONAL:
            detail["transactional"] = True
        detail.update({_SHOWN_AS.get(name, name): value for name, value in rendered.items() if value not in ("", {}, ()) and name != "promotional"})
        return detail


def _has(fields: Mapping[str, Any]) -> str:
    return f"it has {', '.join(sorted(fields))}" if fields else "it has no parameters"


def _fault(raw: Any, expected: Any, message: str) -> tuple[str, str]:
    """What is wrong with a parameter, and the remedy, in the words of documents."""
    if get_origin(expected) is Literal:
        choices = [str(choice) for choice in get_args(expected)]
        return f"must be one of {', '.join(choices)}, not {shown(raw)}", suggest(raw, choices) if isinstance(raw, str) else ""
    if get_origin(expected) in {list, dict} and isinstance(raw, get_origin(expected)):
        return _fault_inside(raw, get_args(expected)[-1])
    what = message.partition(" - at ")[0]
    for word, plain in _WORDS.items():
        what = what.replace(word, plain)
    if what.startswith("Expected text, got") and not isinstance(raw, dict | list):
        return f"must be text, not {shown(raw)}", f'quote it: "{raw}"' if isinstance(raw, int | float) else ""
    return f"is wrong: {what[:1].lower()}{what[1:]}", "write a list: `[…]`" if "a list" in what.partition(",")[0] else ""


def _fault_inside(raw: dict[str, Any] | list[Any], expected: Any) -> tuple[str, str]:
    for item in raw.values() if isinstance(raw, dict) else raw:
        try:
            msgspec.convert(item, expected)
        except msgspec.ValidationError as error:
            message, remedy = _fault(item, expected, str(error))
            return f"has an item that {message}", remedy
    return "has a key that is not text", ""
