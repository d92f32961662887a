"""What an action becomes when it is rendered, ready for a provider: the same bytes at every attempt."""

from __future__ import annotations

import msgspec

from engine.core.fulfillment import Export


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A file that goes with an email. `kind` is its media type, `name` a file name in ASCII without quotes."""

    name: str
    kind: str
    content: bytes


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
    attachments: tuple[Attachment, ...] = ()


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


class Postcard(msgspec.Struct, kw_only=True):
    """One postcard. `to` is an address (see actions/postal.py); `front` and `back` are HTML, an https URL of artwork, or the id of a template
    that the printer keeps; `size` is 4x6, 6x9 or 6x11 inches."""

    to: dict[str, str]
    front: str
    back: str
    size: str = "4x6"


class AudienceChange(msgspec.Struct, kw_only=True):
    """One person to be added to or removed from an audience. `keys` are what they are matched by, normalised and hashed (see actions/audience.py)."""

    audience: str
    action: str
    keys: dict[str, str]


class ListJob(msgspec.Struct, kw_only=True):
    """What the engine itself does about a fulfillment list: `do` is gather or empty."""

    do: str
    export: Export
    columns: list[str] = []


Message = Email | Sms | Request | Access | Membership | Cancellation | Recharge | Postcard | AudienceChange | ListJob
