"""`/o/{token}` and `/c/{token}`: a mail was opened, a link of it was clicked. A click is answered by where it leads, an open by an image.

The target stands in the signed token, so nobody can make these links lead elsewhere. A HEAD, and what says of itself that it fetches ahead,
is answered and not counted. Within the dedupe window one message's open counts once, and each of its links once.
"""

from __future__ import annotations

from base64 import b64decode
from hashlib import blake2b
from typing import Any

from aiohttp import web
from yarl import URL

from actions.feedback import About, Heard, records_of
from actions.tracking import read_click, read_open
from gateway.pages import page
from gateway.routing import Call, Route

IMAGE = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")  # one transparent pixel
HEADERS = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}

_AHEAD = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")


async def opened(call: Call) -> web.Response:
    """The image of a mail."""
    about = read_open(call.services.signing_secret, call.named("token"))
    if about is None:
        return _unknown()
    await _note(call, about, f"open:{about.effect}", "opened", {})
    return web.Response(body=IMAGE, content_type="image/gif", headers=HEADERS)


async def clicked(call: Call) -> web.Response:
    """On to the target."""
    click = read_click(call.services.signing_secret, call.named("token"))
    if click is None:
        return _unknown()
    link = blake2b(click.url.encode(errors="replace"), digest_size=8).hexdigest()
    await _note(call, click.about, f"click:{click.about.effect}:{link}", "clicked", {"url": click.url})
    target = click.url if click.url.isascii() else str(URL(click.url))
    return web.Response(status=302, headers={**HEADERS, "Location": target})


async def _note(call: Call, about: About, identity: str, status: str, data: dict[str, Any]) -> None:
    request = call.request
    if request.method == "HEAD" or any(word in request.headers.get(name, "").lower() for name in _AHEAD for word in ("prefetch", "preview", "prerender")):
        return
    for record in records_of(Heard(channel="email", status=status, data=data, id=identity), about):
        await call.services.sightings.keep(record)


def _unknown() -> web.Response:
    return page("This link is not valid", "<p>It may have been cut off. Please use the whole link of the message.</p>", status=404)


ROUTES = [
    Route(method="GET", path="/o/{token}", handler=opened, scope=None, summary="The image that says that a mail was opened.", gives="image/gif"),
    Route(method="GET", path="/c/{token}", handler=clicked, scope=None, summary="A link of a mail: on to its target.", status=302, gives="text/html"),
]
