"""Opens and clicks: a small image and rewritten links in the HTML of an email, each a signed token that names the effect.

Only the `href` of an `<a>` is rewritten, and only one that leads to http or https; a click's token carries its target, so the gateway never
leads anywhere that we did not sign. What can't be carried (a target too long for a token) stays as it is, as do links of our own
gateway, such as the one to unsubscribe. Pure, and the same bytes at every attempt.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape, unescape

import msgspec

from actions.feedback import About, about_of
from actions.tokens import TOKEN_CHARS_MAX, sign, verify
from engine.core.effects import Effect

OPEN, CLICK = "open", "click"  # the purposes of the tokens

# Neither part can reach over a `<`, so a page of tags that never end is still read once.
_LINK = re.compile(r"""(<a\s(?:[^<>]*?\s)?href\s*=\s*)("[^"<>]*"|'[^'<>]*')""", re.IGNORECASE)
_BODY_END = re.compile(r"</body\s*>", re.IGNORECASE)
_TARGET = re.compile(r"https?://[^\s\x00-\x20\x7f\\]+", re.IGNORECASE)


class Track(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is tracked; nothing unless it is switched on."""

    opens: bool = False
    clicks: bool = False


class Click(msgspec.Struct, frozen=True, array_like=True):
    """A link of one message."""

    about: About
    url: str


_encode = msgspec.msgpack.Encoder().encode
_about = msgspec.msgpack.Decoder(About)
_click = msgspec.msgpack.Decoder(Click)


def tracked(html: str, track: Track, effect: Effect, public_url: str, secret: str) -> str:
    """The HTML with its links and its image. `public_url` has no slash at the end."""
    about = about_of(effect)
    if track.clicks:
        html = _LINK.sub(_rewriting(about, public_url, secret), html)
    if track.opens:
        image = f'<img src="{escape(public_url)}/o/{sign(secret, OPEN, _encode(about))}" width="1" height="1" alt="" style="border:0">'
        ends = [found.start() for found in _BODY_END.finditer(html)]
        at = ends[-1] if ends else len(html)
        html = f"{html[:at]}{image}{html[at:]}"
    return html


def _rewriting(about: About, public_url: str, secret: str) -> Callable[[re.Match[str]], str]:
    def rewritten(found: re.Match[str]) -> str:
        url = unescape(found[2][1:-1]).strip()
        if not _TARGET.fullmatch(url) or url.startswith(f"{public_url}/"):
            return found[0]
        token = sign(secret, CLICK, _encode(Click(about, url)))
        return f'{found[1]}"{escape(public_url)}/c/{token}"' if len(token) <= TOKEN_CHARS_MAX else found[0]

    return rewritten


def read_open(secret: str, token: str) -> About | None:
    """The effect whose message was opened; None for what `secret` did not sign."""
    payload = verify(secret, OPEN, token)
    try:
        return None if payload is None else _about.decode(payload)
    except msgspec.MsgspecError:
        return None


def read_click(secret: str, token: str) -> Click | None:
    """The effect and the target of a link; None for what `secret` did not sign."""
    payload = verify(secret, CLICK, token)
    try:
        return None if payload is None else _click.decode(payload)
    except msgspec.MsgspecError:
        return None
