"""What an outcome means to maps: the event that it fires, and the consent that it ends. Delivery fires nothing.

Every refusal of mail fires `email.bounced` with its `class`; only one that says that the address itself is bad ends consent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.core.guard import lasting
from engine.core.records import Outcome

# (action, status) → (event, consent status of the channel's own name or "").
_EVENTS: dict[tuple[str, str], tuple[str, str]] = {
    ("send_sms", "rejected"): ("sms.failed", ""),
    ("send_sms", "dead"): ("sms.failed", ""),
    ("send_email", "rejected"): ("email.bounced", ""),
    ("send_email", "bounced"): ("email.bounced", "bounced"),
    ("send_email", "complained"): ("email.complained", "complained"),
    ("send_email", "opened"): ("email.opened", ""),
    ("send_email", "clicked"): ("email.clicked", ""),
    ("send_postcard", "rejected"): ("postcard.failed", ""),
    ("send_postcard", "dead"): ("postcard.failed", ""),
}

STATUSES = ("delivered", "deferred", "rejected", "dead", "unknown", "bounced", "complained", "opened", "clicked")
"""Everything that a provider may say of an effect, at once or later."""

Found = tuple[str, dict[str, Any], dict[str, str]]
Fact = tuple[str, Mapping[str, Any]]


def apply_outcome(record: Outcome) -> Found | None:
    """(event, its data, consent by channel), None where the outcome is no news to maps."""
    found = _EVENTS.get((record.action, record.status))
    if found is None:
        return None
    event, consent = found
    if event == "email.bounced":
        consent = "bounced" if lasting(record.data, otherwise=record.status == "bounced") else ""
    said = {name: value for name, value in record.data.items() if name != "events"}
    return event, {"action": record.action, "element": record.element, "reason": record.reason, **said}, {"email": consent} if consent else {}


def facts_of(record: Outcome) -> list[Fact]:
    """The facts about the contact that came with an outcome, such as a charge for each transaction."""
    given = record.data.get("events")
    facts = given if isinstance(given, list) else []
    return [(str(fact[0]), fact[1]) for fact in facts if isinstance(fact, list | tuple) and len(fact) == 2 and isinstance(fact[1], dict)]
