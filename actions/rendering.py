"""From an effect to its message, for the kinds that send a template or a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from actions.action import Rendering
from actions.messages import Email, Sms
from engine.core.action_kind import Site, Turn, Value
from engine.core.effects import BULK, Effect
from engine.core.templates import TemplateFault, prepared


def email_values(site: Site, template: str) -> Callable[[Turn], dict[str, Any]]:
    """What an email template reads, taken when a contact arrives; a missing or broken template is reported."""
    sources: list[str] = []
    try:
        if _is_there(site, template):
            sources = site.templates.email(template).sources()
        for source in sources:
            site.templates.check(source)
    except TemplateFault as fault:
        site.problem(f"the template cannot be used: {fault}", key="template")
        sources = []
    return site.reads(*sources, key="template")


def _is_there(site: Site, template: str) -> bool:
    site.need("templates", template, key="template")
    return template in site.templates.sources


def sms_params(site: Site, kind: str, text: str, template: str) -> Callable[[Turn], dict[str, Any]]:
    """The parameters of an SMS: the final text where it stands in the map, else the template's name and values."""
    if bool(text) == bool(template):
        site.problem(f"`{kind}` needs either `text` or `template`", remedy=f'write `{kind}: {{text: "…"}}`')
        return lambda _: {}
    if text:
        rendered = site.text(text, key="text")
        return lambda turn: {"text": rendered(turn)}
    source = ""
    try:
        if _is_there(site, template):
            source = site.templates.text(template)
            site.templates.check(source)
    except TemplateFault as fault:
        site.problem(f"the template cannot be used: {fault}", key="template")
        source = ""
    values = site.reads(source, key="template")
    return lambda turn: {"template": template, "values": values(turn)}


def sender_of(site: Site, sender: str) -> Value:
    """The action's own `from`, "" where it has none."""
    return site.text(sender, key="from")


def with_sender(params: dict[str, Any], sender: str) -> dict[str, Any]:
    """The parameters, with `from` where the action names one."""
    return {**params, "from": sender} if sender else params


def context_of(values: Mapping[str, Any], workspace: Rendering) -> dict[str, Any]:
    """What templates see: fields by name, and the spaces `event`, `entry`, `owner`, `workspace`, which no field can shadow."""
    spaces = {name: values.get(name) or {} for name in ("event", "entry", "owner")}
    return {**values.get("fields", {}), **spaces, "workspace": {"timezone": workspace.timezone, **values.get("workspace", {})}}


def one_line(text: str) -> str:
    """A text that goes into a header: no line can be broken."""
    return " ".join(text.split())


def render_email(effect: Effect, workspace: Rendering) -> Email:
    """The email of an effect. Its sender: the action's, else the template's, else the provider's."""
    params = effect.params
    default = str(workspace.providers.get("email", {}).get("from", ""))
    promotional = effect.consent == "email" and effect.lane == BULK
    if "template" not in params:
        return Email(to=params["to"], sender=default, subject=one_line(params["subject"]), text=params["text"])
    template = workspace.templates.email(params["template"])
    context = prepared(context_of(params.get("values", {}), workspace))

    def line(source: str) -> str:
        return one_line(workspace.templates.compile(source, html=False)(context))

    return Email(
        to=params["to"],
        sender=one_line(params.get("from", "")) or line(template.sender) or default,
        subject=line(template.subject),
        html=workspace.templates.compile(template.html, html=True)(context),
        text=workspace.templates.compile(template.text, html=False)(context),
        reply_to=line(template.reply_to),
        headers={name: line(source) for name, source in template.headers.items()},
        promotional=promotional,
    )


def render_sms(effect: Effect, workspace: Rendering) -> Sms:
    """The SMS of an effect."""
    params = effect.params
    text = params.get("text", "")
    if "template" in params:
        source = workspace.templates.text(params["template"])
        text = workspace.templates.compile(source, html=False)(context_of(params.get("values", {}), workspace))
    return Sms(to=params["to"], sender=params.get("from") or str(workspace.providers.get("sms", {}).get("from", "")), text=text)
