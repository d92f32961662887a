"""One HTTP request to an endpoint of somebody else's, signed as Standard Webhooks 1.0, and what its answer means.

No redirects, a bounded answer. `webhook-id` is the effect's id at every attempt, so a receiver can tell a repetition.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from actions.http_client import bounded_body, is_forbidden, retry_after_ms, stage_of
from actions.messages import Request
from actions.providers.provider import DELIVERED, DEST, MESSAGE, Provider, Result, rejected
from actions.signing import webhook_headers

AGAIN = frozenset({408, 425, 429})


class SignedCalls:
    """Makes the requests of one provider. `kind` says which failures are certain; its `not_accepted` should hold `connect` and `status`."""

    def __init__(self, kind: type[Provider], session: aiohttp.ClientSession, clock: Callable[[], int]) -> None:
        self._kind = kind
        self._session = session
        self._clock = clock

    async def call(self, request: Request, key: bytes, identity: str) -> Result:
        """Send it once. A redirect and a 4xx are rejections whose data has the `status`; a body that is not UTF-8 is sent as far as it is."""
        body = request.body.encode(errors="replace")
        headers = {**_content_type(request), **request.headers, **webhook_headers(key, identity, self._clock() // 1_000, body)}
        try:
            url = URL(request.url)
            async with self._session.request(request.method, url, data=body or None, headers=headers, allow_redirects=False) as response:
                return await self._verdict(response)
        except (ValueError, aiohttp.InvalidURL) as error:
            return rejected(f"not a URL that can be called: {error}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if is_forbidden(error):
                return rejected(f"{urlsplit(request.url).hostname} is not a public address")
            return self._kind.failed(stage_of(error), f"{type(error).__name__}: {error}", blames=DEST)

    async def _verdict(self, response: aiohttp.ClientResponse) -> Result:
        body = await bounded_body(response)
        status = response.status
        if 200 <= status < 300:
            return Result(state=DELIVERED, data={"status": status})
        reason = f"{status} {response.reason or ''}: {body[:200].decode('utf-8', 'replace')}"
        if status in AGAIN or status >= 500:
            wait_ms = retry_after_ms(response.headers.get("Retry-After"), self._clock())
            return self._kind.failed("status", reason, blames=DEST if status != 408 else MESSAGE, retry_after_ms=wait_ms)
        return rejected(f"redirects are not followed: {reason}" if 300 <= status < 400 else reason, status=status)


def _content_type(request: Request) -> dict[str, str]:
    """JSON unless the map says otherwise: what nearly every receiver of webhooks wants."""
    if not request.body or any(name.lower() == "content-type" for name in request.headers):
        return {}
    return {"Content-Type": "application/json"}
