"""Where messages go: a contact's own address or number, and what `to` of a notice means (owner, user:ID, an address).

What cannot be reached gives an empty text, and the effect is then suppressed with a reason, never an error.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.core.action_kind import Site, Turn
from engine.core.addresses import email_address, phone_number

__all__ = ["NO_EMAIL", "NO_PHONE", "To", "email_address", "email_of_contact", "notice_to", "phone_number", "phone_of_contact"]

NO_EMAIL = "no email address"
NO_PHONE = "no valid phone number"

To = Callable[[Turn], str]


def email_of_contact(turn: Turn) -> str:
    """The contact's own address."""
    return email_address(turn.contact.fields.get("email"))


def phone_of_contact(turn: Turn) -> str:
    """The contact's own number."""
    fields = turn.contact.fields
    return phone_number(fields.get("phone"), fields.get("country"))


def notice_to(site: Site, to: str, what: str) -> To:
    """Who is told: `what` is email or phone, `to` the owner, `user:ID`, or an address or number (which may hold merge fields)."""
    read = email_address if what == "email" else phone_number
    if to == "owner":
        address = site.text(f"{{{{ owner.{what} }}}}", key="to")
        return lambda turn: read(address(turn))
    if to.startswith("user:"):
        member = site.need("team", to.removeprefix("user:"), key="to")
        found = read(member.get(what))
        if member and not found:
            site.problem(f'"{to}" has no {what} that can be used in team.yaml', key="to", remedy=f"write `{what}:` beside the name")
        return lambda _: found
    if "{{" not in to and not read(to):
        site.problem(f'"{to[:60]}" is neither owner, nor user:ID, nor {"an address" if what == "email" else "a number such as +12025550123"}', key="to")
    text = site.text(to, key="to")
    return lambda turn: read(text(turn))
