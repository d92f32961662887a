"""The few pages that people see: small, self-contained, and allowed to load nothing."""

from __future__ import annotations

from aiohttp import web

STYLE = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:3rem auto;padding:0 1rem;color:#222}button{font:inherit;padding:.5em 1.5em}"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def page(title: str, body: str, status: int = 200, style: str = "") -> web.Response:
    """A whole page; `title` and `body` are HTML already."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title><style>{STYLE}{style}</style>'
    text = f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{title}</h1>{body}</body></html>'
    return web.Response(status=status, text=text, content_type="text/html", headers=HEADERS)
