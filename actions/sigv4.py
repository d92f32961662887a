"""Signatures of Amazon's Signature Version 4 for one request, as headers. Pure: the time comes in.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html; what is signed here is what the caller
gives: `host`, the date, and the headers named.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote, urlsplit

import msgspec

ALGORITHM = "AWS4-HMAC-SHA256"


class AwsKey(msgspec.Struct, frozen=True, kw_only=True):
    """Who signs, and for which region and service. `token` belongs to temporary keys."""

    access_key: str
    secret_key: str
    region: str
    service: str
    token: str = ""

    def __repr__(self) -> str:
        return f"AwsKey({self.region}/{self.service})"


def signed_headers(key: AwsKey, method: str, url: str, headers: Mapping[str, str], body: bytes, now_ms: int) -> dict[str, str]:
    """`headers` with X-Amz-Date, Authorization and, for temporary keys, X-Amz-Security-Token. The URL's path is sent as it stands in `url`."""
    parts = urlsplit(url)
    stamp = datetime.fromtimestamp(now_ms // 1_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    day = stamp[:8]
    sent = {**headers, "X-Amz-Date": stamp, **({"X-Amz-Security-Token": key.token} if key.token else {})}
    fields = {name.lower(): " ".join(value.split()) for name, value in {**sent, "Host": parts.netloc}.items()}
    names = ";".join(sorted(fields))
    canonical = "\n".join(
        [
            method,
            quote(parts.path or "/", safe="/-_.~"),
            _query(parts.query),
            *(f"{name}:{fields[name]}" for name in sorted(fields)),
            "",
            names,
            sha256(body).hexdigest(),
        ]
    )
    scope = f"{day}/{key.region}/{key.service}/aws4_request"
    to_sign = f"{ALGORITHM}\n{stamp}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(_signing_key(key, day), to_sign.encode(), "sha256").hexdigest()
    return {**sent, "Authorization": f"{ALGORITHM} Credential={key.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"}


def _signing_key(key: AwsKey, day: str) -> bytes:
    """The key of one day, region and service."""
    made = f"AWS4{key.secret_key}".encode()
    for part in (day, key.region, key.service, "aws4_request"):
        made = hmac.digest(made, part.encode(), "sha256")
    return made


def _query(query: str) -> str:
    """Parameters in the order of their names; they are encoded already."""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return "&".join(sorted(f"{name}={value}" for name, _, value in pairs))
