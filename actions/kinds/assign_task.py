"""`assign_task`: a task for a team member. Its outcome is chosen when it is completed, and runs that outcome's actions.

The contact moves on at once. Those who are told by email or SMS are told by effects that belong to this action's line; what they are told
later, before the task is due, when it is overdue or when it goes to somebody else, has a line of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from engine.core.tasks import assignee_of, members_of, roles_of

_WORDS = {"reminder": "Reminder: ", "overdue": "Overdue: ", "assigned": ""}


class AssignTask(Action, frozen=True, kw_only=True):
    """`to` is `owner`, `user:ID` or `role:NAME`; with a role, every member who has it is told and any may complete the task.

    `remind` is how long before `due` they are reminded, one duration or several; then they are also told when it is overdue.
    """

    kind: ClassVar[str] = "assign_task"

    subject: str
    to: str
    due: Any = None
    body: str = ""
    notify: list[Literal["email", "sms"]] = []
    remind: Any = None
    outcomes: Any = None

    def prepare(self, site: Site) -> Act:
        self._check_to(site)
        subject_of, body_of = site.text(self.subject, key="subject"), site.text(self.body, key="body")
        due = 0 if self.due is None else site.duration_ms(self.due, key="due")
        reminders = self._reminders(site)
        outcomes = self._outcomes(site)
        team = site.team

        def act(turn: Turn) -> None:
            subject, body = one_line(subject_of(turn)), body_of(turn)
            due_ms = turn.now_ms + due if self.due is not None else 0
            detail: dict[str, Any] = {"subject": subject, "to": self.to}
            detail.update({key: value for key, value in (("body", body), ("due", iso(due_ms) if due_ms else ""), ("outcomes", outcomes)) if value})
            turn.did(detail)
            row = {"subject": subject, "body": body, "to": self.to, "assignee": assignee_of(turn.contact, self.to), "outcomes": outcomes}
            turn.assign_task(subject, due_ms, row, reminders)
            self._tell(turn, team, self.to, subject, _lines(turn, subject, body, due_ms))

        def tell(turn: Turn, what: str, due_ms: int, to: str) -> None:
            if what == "overdue" and not reminders:
                return
            subject = _WORDS[what] + one_line(subject_of(turn))
            turn.did({"notice": what, "subject": subject, "to": to or self.to})
            self._tell(turn, team, to or self.to, subject, _lines(turn, subject, body_of(turn), due_ms))

        if self.notify and not site.notices(tell) and reminders:
            site.problem("a task within the outcome of another one cannot have reminders", key="remind")
        return act

    def _check_to(self, site: Site) -> None:
        if self.to.startswith("user:"):
            site.need("team", self.to.removeprefix("user:"), key="to")
        elif self.to.startswith("role:"):
            role = self.to.removeprefix("role:")
            if not members_of(site.team, self.to, ""):
                roles = {role for member in site.team.values() for role in roles_of(member)}
                site.problem(f'nobody in team.yaml has the role "{role[:60]}"', key="to", remedy=suggest(role, roles))
        elif self.to != "owner":
            site.problem(f"a task goes to `owner`, `user:ID` or `role:NAME`, not to {shown(self.to)}", key="to")

    def _reminders(self, site: Site) -> list[int]:
        """How long before it is due, ms each."""
        listed = [] if self.remind is None else self.remind if isinstance(self.remind, list) else [self.remind]
        reminders = [site.duration_ms(raw, key="remind") for raw in listed]
        if reminders and self.due is None:
            site.problem("`remind` needs `due`: it says how long before", key="remind", remedy="write `due: 2d`")
        if reminders and not self.notify:
            site.problem("`remind` needs `notify`: it says how", key="remind", remedy="write `notify: [email]`")
        return reminders

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

    def _tell(self, turn: Turn, team: Mapping[str, Any], whom: str, subject: str, text: str) -> None:
        for member in members_of(team, whom, assignee_of(turn.contact, "owner")):
            if "email" in self.notify:
                to = email_address(member.get("email"))
                turn.emit("email", {"to": to, "subject": subject, "text": text}, to=to, missing=NO_EMAIL, quiet=True)
            if "sms" in self.notify:
                to = phone_number(member.get("phone"))
                turn.emit("sms", {"to": to, "text": subject}, to=to, missing=NO_PHONE, quiet=True)

    @classmethod
    def render(cls, effect: Effect, workspace: Rendering) -> Email | Sms:
        return render_email(effect, workspace) if effect.channel == "email" else render_sms(effect, workspace)


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
