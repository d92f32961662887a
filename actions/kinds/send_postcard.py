"""`send_postcard`: a postcard to the contact through a print provider. Always promotional: goals withdraw it, caps and quiet hours hold it.

`front` and `back` name templates (HTML with merge fields, rendered in the pool), or say what the printer gets as it is: an https URL of
artwork (which may have merge fields) or the id of a template that the printer keeps. The contact needs a postal address.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, ClassVar, Literal

from actions.action import Action, Rendering
from actions.messages import Postcard
from actions.postal import HOME, postal_address
from actions.rendering import context_of
from engine.core.action_kind import Act, Site, Turn, Value
from engine.core.effects import Effect
from engine.core.templates import TemplateFault

CHANNEL = "postcard"
ABROAD = "4x6"  # the only size that leaves the country

_KEPT = re.compile(r"tmpl_[A-Za-z0-9]+")  # the id of a template at the printer


class SendPostcard(Action, frozen=True, kw_only=True):
    """Decided with the address and with what the templates read; `size` is in inches."""

    kind: ClassVar[str] = "send_postcard"
    channel: ClassVar[str] = CHANNEL

    front: str
    back: str
    size: Literal["4x6", "6x9", "6x11"] = "4x6"

    def prepare(self, site: Site) -> Act:
        front_of, front = _side(site, self.front, "front")
        back_of, back = _side(site, self.back, "back")
        values = site.reads(front, back, key="front")
        countries, size = _countries(site), self.size

        def act(turn: Turn) -> None:
            address, fault = postal_address(turn.contact.fields, countries)
            if not fault and address["country"] != HOME and size != ABROAD:
                fault = f"only {ABROAD} postcards leave the US"
            params = {"to": address, "front": front_of(turn), "back": back_of(turn), "size": size, "values": values(turn)}
            where = "" if fault else f"{address['address1']}, {address.get('zip', address['country'])}"
            turn.emit(CHANNEL, params, transactional=False, to=where, missing=fault)

        return act

    @classmethod
    def render(cls, effect: Effect, workspace: Rendering) -> Postcard:
        params = effect.params
        context = context_of(params.get("values", {}), workspace)

        def side(name: str) -> str:
            if name not in workspace.templates.sources:
                return name
            return workspace.templates.compile(workspace.templates.text(name), html=True)(context)

        return Postcard(to=params["to"], front=side(params["front"]), back=side(params["back"]), size=params["size"])

    @classmethod
    def detail(cls, effect: Effect, workspace: Rendering) -> dict[str, Any]:
        params, card = effect.params, cls.render(effect, workspace)
        rendered = {"front_html": card.front, "back_html": card.back}
        rendered = {name: text for name, text in rendered.items() if text != params[name.removesuffix("_html")]}
        return {"to": card.to, "front": params["front"], "back": params["back"], "size": card.size, **rendered}


def _side(site: Site, name: str, key: str) -> tuple[Value, str]:
    """What a side is when a contact arrives, and the source of its template ("" where it is none). What can't be one is reported."""
    if name in site.templates.sources:
        try:
            source = site.templates.text(name)
            site.templates.compile(source, html=True)
            site.templates.check(source)
        except TemplateFault as fault:
            site.problem(f"the template cannot be used: {fault}", key=key)
            source = ""
        return (lambda _: name), source
    if name.startswith("https://"):
        return site.text(name, key=key), ""
    if name.startswith("http://"):
        site.problem(f'"{name[:100]}" is not an https URL', key=key, remedy="printers fetch artwork from `https://…` only")
    elif not _KEPT.fullmatch(name):
        site.need("templates", name, key=key)
    return (lambda _: name), ""


def _countries(site: Site) -> Collection[str]:
    """The countries that the provider's block allows; only home where it says nothing (its form is checked with the block)."""
    found = (site.provider(CHANNEL) or {}).get("countries")
    return frozenset(str(code).upper() for code in found) if isinstance(found, list) else frozenset({HOME})
