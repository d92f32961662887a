"""What an action becomes when it is rendered, ready for a provider: the same bytes at every attempt."""

from __future__ import annotations

import msgspec


class Email(msgspec.Struct, kw_only=True):
    """One email. `html` or `text` may be empty, not both. `sender` and `to` may be `Name <address>`."""

    to: str
    sender: str
    subject: str
    html: str = ""
    text: str = ""
    reply_to: str = ""
    headers: dict[str, str] = {}
    promotional: bool = False  # then the provider adds List-Unsubscribe


class Sms(msgspec.Struct, kw_only=True):
    """One SMS; `to` and `sender` are E.164 numbers (a sender may be a short code or a name)."""

    to: str
    sender: str
    text: str


class Request(msgspec.Struct, kw_only=True):
    """One webhook call."""

    method: str
    url: str
    headers: dict[str, str] = {}
    body: str = ""


class Access(msgspec.Struct, kw_only=True):
    """A level of access at a site, to be given to the person with this address or taken from them; names where they are known."""

    site: str
    level: str
    email: str
    give: bool
    first_name: str = ""
    last_name: str = ""
    name: str = ""


class Membership(msgspec.Struct, kw_only=True):
    """What a membership site is told, as the JSON that it gets: `status` is enabled, suspended or disabled, `email` may be empty."""

    contact: str
    email: str
    site: str
    level: str
    status: str
    decided_ms: int  # epoch; a later one about the same level is the one that counts
    first_name: str = ""
    last_name: str = ""
    name: str = ""


class Cancellation(msgspec.Struct, kw_only=True):
    """Orders to cancel at the payment provider: order → its id of the subscription, "" for those that it does not know."""

    orders: dict[str, str]


class Charge(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One transaction to be charged again. `amount` is in the currency's main unit; `invoice` and `customer` are the provider's ids."""

    transaction: str
    order: str = ""
    product: str = ""
    invoice: str = ""
    customer: str = ""
    currency: str = ""
    amount: float = 0


class Recharge(msgspec.Struct, kw_only=True):
    """Transactions in collections that are to be charged again, each for itself."""

    transactions: list[Charge]


Message = Email | Sms | Request | Access | Membership | Cancellation | Recharge
