"""`assign_task`: a task for a team member. Its outcome is chosen when it is completed, and runs that outcome's actions.

The contact moves on at once. Those who are told by email or SMS are told by effects that belong to this action's line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from actions.action import Action, Rendering
from actions.addresses import NO_EMAIL, NO_PHONE, email_address, phone_number
from actions.messages import Email, Sms
from actions.rendering import one_line, render_email, render_sms
from engine.core.action_kind import Act, Site, Turn
from engine.core.documents import suggest
from engine.core.effects import Effect
from engine.core.local_time import iso
from engine.core.names import name_fault, shown

Members = Callable[[Turn], list[Mapping[str, Any]]]


class AssignTask(Action, frozen=True, kw_only=True):
    """`to` is `owner`, `user:ID` or `role:NAME`; with a role, every member who has it is told and any may complete the task."""

    kind: ClassVar[str] = "assign_task"

    subject: str
    to: str
    due: Any = None
    body: str = ""
    notify: list[Literal["email", "sms"]] = []
    outcomes: Any = None

    def prepare(self, site: Site) -> Act:
        members = self._members(site)
        subject_of, body_of = site.text(self.subject, key="subject"), site.text(self.body, key="body")
        due = 0 if self.due is None else site.duration_ms(self.due, key="due")
        outcomes = self._outcomes(site)

        def act(turn: Turn) -> None:
            subject, body = one_line(subject_of(turn)), body_of(turn)
            due_ms = turn.now_ms + due if self.due is not None else 0
            detail: dict[str, Any] = {"subject": subject, "to": self.to}
            detail.update({key: value for key, value in (("body", body), ("due", iso(due_ms) if due_ms else ""), ("outcomes", outcomes)) if value})
            turn.did(detail)
            owner = turn.contact.fields.get("owner") if self.to == "owner" else self.to.removeprefix("user:")
            turn.assign_task(
                subject, due_ms, {"subject": subject, "body": body, "to": self.to, "assignee": owner or "", "due_ms": due_ms, "outcomes": outcomes}
            )
            for member in members(turn):
                self._tell(turn, member, subject, _lines(turn, subject, body, due_ms))

        return act

    def _members(self, site: Site) -> Members:
        team = site.team
        if self.to == "owner":
            return lambda turn: [member] if (member := team.get(str(turn.contact.fields.get("owner", "")))) else []
        if self.to.startswith("user:"):
            one = [site.need("team", self.to.removeprefix("user:"), key="to")]
            return lambda _: one
        if not self.to.startswith("role:"):
            site.problem(f"a task goes to `owner`, `user:ID` or `role:NAME`, not to {shown(self.to)}", key="to")
        role = self.to.removeprefix("role:")
        having: list[Mapping[str, Any]] = [member for member in team.values() if role in _roles(member)]
        if self.to.startswith("role:") and not having:
            roles = {role for member in team.values() for role in _roles(member)}
            site.problem(f'nobody in team.yaml has the role "{role[:60]}"', key="to", remedy=suggest(role, roles))
        return lambda _: having

    def _outcomes(self, site: Site) -> list[str]:
        """Prepare the actions of each outcome; the outcomes that can be chosen."""
        if self.outcomes is None:
            return []
        if not isinstance(self.outcomes, dict):
            site.problem(f"`outcomes` must be a mapping such as `{{won: [actions]}}`, not {shown(self.outcomes)}", key="outcomes")
            return []
        for name, raw in self.outcomes.items():
            if fault := name_fault(name):
                site.problem(f"an outcome's name {fault}", key="outcomes")
            if raw is not None and not isinstance(raw, list):
                site.problem(f'the outcome "{name}" must have a list of actions, not {shown(raw)}', key="outcomes", remedy="begin each action with `- `")
                continue
            site.outcome(str(name), _all([act for item in raw or [] if (act := _one(site, item))]))
        return [str(name) for name in self.outcomes]

    def _tell(self, turn: Turn, member: Mapping[str, Any], subject: str, text: str) -> None:
        if "email" in self.notify:
            to = email_address(member.get("email"))
            turn.emit("email", {"to": to, "subject": subject, "text": text}, to=to, missing=NO_EMAIL, quiet=True)
        if "sms" in self.notify:
            to = phone_number(member.get("phone"))
            turn.emit("sms", {"to": to, "text": subject}, to=to, missing=NO_PHONE, quiet=True)

    @classmethod
    def render(cls, effect: Effect, workspace: Rendering) -> Email | Sms:
        return render_email(effect, workspace) if effect.channel == "email" else render_sms(effect, workspace)


def _roles(member: Any) -> list[str]:
    roles = member.get("roles") if isinstance(member, dict) else None
    return [role for role in roles if isinstance(role, str)] if isinstance(roles, list) else []


def _one(site: Site, raw: Any) -> Act | None:
    """One action of an outcome: a bare word, or a mapping with one key."""
    if isinstance(raw, str):
        return site.act(raw, {}, key="outcomes")
    if not isinstance(raw, dict) or len(raw) != 1:
        site.problem("an outcome's action must be a mapping with one key, such as `change_tags: {add: [won]}`", key="outcomes")
        return None
    kind, params = next(iter(raw.items()))
    if params is not None and params is not True and not isinstance(params, dict):
        site.problem(f"`{kind}` takes a mapping of parameters, not {shown(params)}", key="outcomes")
        return None
    return site.act(kind, params if isinstance(params, dict) else {}, key="outcomes")


def _all(acts: list[Act]) -> Act:
    def run(turn: Turn) -> None:
        for act in acts:
            act(turn)

    return run


def _lines(turn: Turn, subject: str, body: str, due_ms: int) -> str:
    parts = [subject, body, f"Contact: {turn.contact.id}", f"Due: {iso(due_ms)}" if due_ms else ""]
    return "\n\n".join(part for part in parts if part) + "\n"
