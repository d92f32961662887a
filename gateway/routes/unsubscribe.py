"""`/u/{token}`: one-click unsubscribe (RFC 8058). A GET only shows a page, because scanners of mail follow links; a POST acts at once.

The guard's mark is written in the same script as the record, so what was decided before and is not yet sent stays unsent. Who gets
nothing at all stays so, even by a STOP that nobody has read yet: storage never lets this link loosen.
"""

from __future__ import annotations

from aiohttp import web

from actions.unsubscribe import read_token
from gateway.pages import page
from gateway.routing import Call, Route

STATUS = "transactional_only"


async def ask(call: Call) -> web.Response:
    """A page with a button; changes nothing."""
    if _who(call) is None:
        return _unknown()
    button = '<form method="post"><button type="submit">Unsubscribe</button></form>'
    return page("Unsubscribe", f"<p>Stop receiving these messages?</p>{button}")


async def act(call: Call) -> web.Response:
    """Unsubscribe."""
    who = _who(call)
    if who is None:
        return _unknown()
    contact, channel = who
    await call.services.intake.unsubscribe(contact, channel, STATUS)
    return page("Unsubscribed", "<p>You are unsubscribed. You may still get messages that belong to an order or an account.</p>")


def _who(call: Call) -> tuple[str, str] | None:
    return read_token(call.services.signing_secret, call.named("token"))


def _unknown() -> web.Response:
    return page("This link is not valid", "<p>It may have been cut off. Please use the whole link of the message.</p>", status=404)


ROUTES = [
    Route(method="GET", path="/u/{token}", handler=ask, scope=None, summary="The page of an unsubscribe link; changes nothing.", gives="text/html"),
    Route(method="POST", path="/u/{token}", handler=act, scope=None, summary="Unsubscribe at once.", gives="text/html"),
]
