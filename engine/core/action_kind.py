"""What the core asks of an action kind, and what it offers one: the port between the closed elements and the open actions.

`actions/kinds/` has one file per kind. The core never imports them: a registry, kind → class, comes in with the documents.
An action is prepared once, at publish, into a closure over `Turn`; the closure runs when a contact arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

from engine.core.contact import Contact, Enrollment, Position
from engine.core.templates import Templates

Value = Callable[["Turn"], Any]
"""A value of the document, ready to be taken: a literal, `{value_of: …}`, `{now: +30d}`, or a rendered text."""

Act = Callable[["Turn"], None]


Tell = Callable[["Turn", str, int, str], None]
"""Tells team members of a task: what (`reminder`, `overdue`, `assigned`), when it is due (ms, 0: never), and to whom it went since ("": as assigned)."""


class Turn(Protocol):
    """One contact at one element, at one instant: what an action's closure may see and do.

    Every verb is written to the contact at once; what it sets off queues behind the running position.
    """

    contact: Contact
    enrollment: Enrollment
    position: Position
    now_ms: int
    event: Mapping[str, Any]  # the event at hand, {} where there is none
    entry: Mapping[str, Any]

    def change_tags(self, add: list[str], remove: list[str]) -> None:
        """Add and remove tags; fires `tag.added`, `tag.removed` for those that change."""

    def set_fields(self, values: Mapping[str, Any]) -> None:
        """Set fields (None clears); fires `field.changed` for each that changes."""

    def add_purchase(self, product: str, quantity: float, price: float) -> None:
        """Add to the purchase history; fires `purchased`."""

    def set_membership(self, site: str, level: str, status: str) -> None:
        """Set the status of a level at a membership site; fires `membership.changed` where it changes."""

    def call(self, map_id: str) -> None:
        """Enroll by the map's `added` trigger and hold this position until the child lets go (the blocking add)."""

    def remove(self, map_id: str) -> None:
        """End all enrollments of the contact in a map."""

    def pause(self, map_id: str) -> None:
        """Pause the contact's enrollments in a map."""

    def unpause(self, map_id: str) -> None:
        """Unpause them; what was kept is applied in the order of its times."""

    def did(self, detail: Mapping[str, Any]) -> None:
        """Journal the `action` line of an action that only changes the contact; call it before the change."""

    def emit(
        self,
        channel: str,
        params: dict[str, Any],
        *,
        consent: str = "",
        transactional: bool = True,
        to: str = "",
        missing: str = "",
        dest: str = "",
        quiet: bool = False,
    ) -> bool:
        """Decide an effect; False where it was suppressed (journaled with its reason).

        `consent` is the channel whose consent must allow it, "" for none. Promotional effects (not `transactional`) obey caps and
        quiet hours, and are withdrawn by goals. `to` empty suppresses with the reason `missing`. `quiet` writes no `action` line: the
        effect is a part of an action that has its line (`did`) already, such as the notice of a task. Raises nothing.
        """

    def cancel_orders(self, product: str) -> None:
        """Cancel open orders (of a product, "" for all) on record and by one effect; fires `order.cancelled` for each."""

    def recharge(self) -> None:
        """Decide one effect for the transactions in collections."""

    def assign_task(self, task_id_hint: str, due_ms: int, row: Mapping[str, Any], remind_ms: Sequence[int] = ()) -> str:
        """Open a task of this element, kept on the contact and in the table `tasks`; returns its id. `remind_ms`: how long before it is due."""

    def row(self, table: str, field: str, value: Mapping[str, Any] | None) -> None:
        """Write (or delete) a row of one of the partition's tables."""

    def post(self, to: str, kind: str, data: dict[str, Any]) -> None:
        """Post a record to the home partition of an entity, and hold this position until it answers."""


class Site(Protocol):
    """Where an action stands, while the workspace is compiled: resolves names, compiles texts, collects problems."""

    map_id: str
    element: str
    templates: Templates  # of the workspace, for kinds that send one
    team: Mapping[str, Any]  # of the workspace, for kinds that look for a role

    def problem(self, message: str, *, key: str = "", remedy: str = "") -> None:
        """Report a problem at this action (or at one of its keys); compiling goes on, publishing does not."""

    def need(self, what: str, name: str, *, key: str = "") -> Mapping[str, Any]:
        """A named thing of the workspace: what is maps, sequences, templates, products, team, routers or fulfillment.

        A missing one is reported with "did you mean …" and an empty mapping comes back.
        """

    def provider(self, channel: str) -> Mapping[str, Any] | None:
        """The block of a channel in providers.yaml, {} where it has none; None in a simulation, where nothing of it is checked."""

    def text(self, source: str, *, key: str = "") -> Value:
        """A short template, rendered when the contact arrives; a plain text costs nothing."""

    def value(self, raw: Any, *, key: str = "") -> Value:
        """A value as documents write it: literal, `{value_of: NAME}`, `{now: +30d}`."""

    def reads(self, *sources: str, key: str = "") -> Callable[[Turn], dict[str, Any]]:
        """The values that these template sources read, for an effect that is rendered in the pool.

        Gives `{"fields": {…}, "event": {…}, "entry": {…}, "owner": {…}}` with only what is read.
        """

    def duration_ms(self, raw: Any, *, key: str = "") -> int:
        """A duration such as `1d12h`."""

    def act(self, kind: str, params: Mapping[str, Any], *, key: str = "") -> Act:
        """Prepare another action in this place (a task's outcome)."""

    def outcome(self, name: str, act: Act) -> None:
        """Keep what runs when a task of this element is completed with the outcome `name`; the core finds it by element and name."""

    def notices(self, tell: Tell) -> bool:
        """Keep what tells of a task of this element later; False where it stands in an outcome, whose tasks have no notices."""


class ActionKind(Protocol):
    """A class in `actions/kinds/`. Its fields are its parameters; unknown ones are errors."""

    kind: ClassVar[str]
    channel: ClassVar[str]  # "" for an action that only changes the contact

    @classmethod
    def read(cls, params: Mapping[str, Any], site: Site) -> Self | None:
        """The action with the parameters of a document; None where they are wrong, each problem reported to the site."""

    def prepare(self, site: Site) -> Act:
        """Check against the workspace and compile into a closure."""


Registry = Mapping[str, type[ActionKind]]
