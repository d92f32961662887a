"""The users of one WordPress site, over its REST API with an application password.

Every request ends well or raises Refused with the result that it means for the effect. WordPress answers with codes (`rest_cannot_edit`), says
with a 500 that an address or a login is taken, and may print warnings before its JSON; firewalls and switched-off APIs answer with pages.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from hashlib import blake2b
from html import unescape
from itertools import islice
from typing import Any, TypeVar

import aiohttp
import msgspec

from actions.http_client import json_body, retry_after_ms, stage_of
from actions.providers.provider import CREDENTIALS, DEST, MESSAGE, Result, clean, rejected
from engine.core.errors import WayfareError

ANSWER_BYTES_MAX = 1024 * 1024
PER_PAGE = 50
PAGES_MAX = 20  # of users whose address contains the one that is looked for
LOGIN_CHARS_MAX = 40  # WordPress takes 60
PASSWORD_BYTES = 32
JSON_BEGINNINGS_MAX = 20  # lines of an answer at which its JSON may begin
BUSY = frozenset({408, 425, 429, 503})
OF_THE_ROLE = "rest_user_invalid_role"
OF_THE_USER = frozenset({"rest_cannot_edit", "rest_cannot_edit_roles"})

_NOT_IN_LOGINS = re.compile(r"[^a-z0-9._-]+")
_JSON_BEGINS = re.compile(rb"(?m)^(?:\xef\xbb\xbf)?(?=[\[{])")  # some plugins print a byte order mark
_T = TypeVar("_T")
Failed = Callable[..., Result]  # Provider.failed


class Refused(WayfareError):
    """A request was not answered as it should be; caught by the provider, which settles with `result`."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.reason)
        self.result = result


class User(msgspec.Struct, frozen=True):
    """A user, as who may edit it sees it. `roles` are those that the site knows."""

    id: int
    email: str
    roles: list[str]


class _Error(msgspec.Struct, frozen=True):
    code: str = ""
    message: str = ""
    data: Any = None

    def is_about(self, parameter: str) -> bool:
        """Whether it is this parameter of the request that WordPress does not take."""
        parameters = self.data.get("params") if isinstance(self.data, dict) else None
        return isinstance(parameters, dict) and parameter in parameters


class _Answer(msgspec.Struct, frozen=True):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def error(self) -> _Error:
        """WordPress's error; an empty one where something else answered."""
        return read_json(self.body, _Error) or _Error()


class WordpressApi:
    """One site. `base_url` is its front page; `rest_path` where its REST API is, "" for the way that works without permalinks.

    `failed` is the provider's: the result of a failure at a stage (connect, busy, role, page, look, answer).
    """

    def __init__(self, base_url: str, rest_path: str, authorization: str, session: aiohttp.ClientSession, clock: Callable[[], int], failed: Failed) -> None:
        self._base = base_url.rstrip("/")
        self._rest_path = rest_path.strip("/")
        self._headers = {"Authorization": authorization, "Content-Type": "application/json"}
        self._session = session
        self._clock = clock
        self._failed = failed

    async def find(self, email: str) -> User | None:
        """The user with this address, in whatever case; of several the oldest. The API searches for parts, so what it finds is compared."""
        searched = email.replace("&", "&amp;")  # as WordPress stores it
        wanted = email.casefold()
        query = {"context": "edit", "_fields": "id,email,roles", "orderby": "id", "per_page": str(PER_PAGE), "search": searched}
        page = pages = 1
        while page <= min(pages, PAGES_MAX):
            answer = await self._ask("GET", "", {**query, "page": str(page)})
            users = read_json(answer.body, list[User]) if answer.status == 200 else None
            if users is None:
                raise Refused(self._refusal(answer, "look"))
            for user in users:
                if unescape(user.email).casefold() == wanted:
                    return user
            total = answer.headers.get("X-WP-TotalPages", "")
            pages = int(total[:9]) if total.isascii() and total.isdigit() else page + bool(users)
            page += 1
        return None

    async def create(self, email: str, role: str, names: Mapping[str, str]) -> bool:
        """Make a user with this one role and a password that nobody knows; False where the site has the address already."""
        for login in logins(email):
            user = {"username": login, "email": email, "password": secrets.token_urlsafe(PASSWORD_BYTES), "roles": [role], **names}
            answer = await self._ask("POST", "", {}, user)
            if answer.status < 300:
                return True
            error = answer.error
            if error.code == "existing_user_email":
                return False
            if error.code != "existing_user_login" and not error.is_about("username"):
                raise Refused(self._refusal(answer, "answer"))
        raise Refused(rejected("the site took none of the logins that were tried"))

    async def write(self, user: User, roles: list[str]) -> None:
        """Give a user exactly these roles of those that the site knows; nothing where the user is gone meanwhile."""
        kept = {"email": unescape(user.email)} if "&" in user.email else {}  # an update would escape what it has stored once more: `&amp;amp`
        answer = await self._ask("POST", f"/{user.id}", {}, {"roles": roles, **kept})
        if answer.status >= 300 and answer.error.code != "rest_user_invalid_id":
            raise Refused(self._refusal(answer, "answer"))

    async def _ask(self, method: str, path: str, query: dict[str, str], body: Any = None) -> _Answer:
        """One request; raises Refused where there is no answer."""
        route = f"/wp/v2/users{path}"
        url = f"{self._base}/{self._rest_path}{route}" if self._rest_path else f"{self._base}/"
        query = query if self._rest_path else {"rest_route": route, **query}
        data = None if body is None else json_body(body)
        try:
            async with self._session.request(method, url, params=query, data=data, headers=self._headers, allow_redirects=False) as response:
                return _Answer(response.status, response.headers, await _whole(response))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            stage = "connect" if stage_of(error) == "connect" else "look" if body is None else "answer"
            raise Refused(self._failed(stage, f"{type(error).__name__}: {error}", blames=DEST)) from None

    def _refusal(self, answer: _Answer, stage: str) -> Result:
        """What an answer means that is not what was asked for."""
        status, error = answer.status, answer.error
        said = f"{status} {error.code} {error.message}" if error.code else f"{status} {answer.body[:200].decode('utf-8', 'replace')}"
        if status in BUSY:
            wait_ms = retry_after_ms(answer.headers.get("Retry-After"), self._clock())
            return self._failed("busy", said, blames=DEST, retry_after_ms=wait_ms, counts=status != 429)
        if error.code == OF_THE_ROLE:  # somebody may define it, or mend providers.yaml; other levels are well
            return self._failed("role", said, blames=MESSAGE)
        if (status == 403 and not error.code) or (stage == "answer" and (status < 400 or status == 404)):
            return self._failed("page", said, blames=DEST)  # perhaps a firewall that dislikes this one name: it must not stop the site
        if status in {401, 403}:
            return rejected(said, code=error.code) if error.code in OF_THE_USER else Result(state=CREDENTIALS, reason=clean(said), blames=DEST)
        if status < 400 or status == 404:
            return Result(state=CREDENTIALS, reason=clean(f"no REST API of WordPress answers here: {said}"), blames=DEST)
        return self._failed(stage, said, blames=DEST) if status >= 500 else rejected(said, code=error.code)


def logins(email: str) -> list[str]:
    """What a new user may be called, best first: the local part, then with a part of the address's digest, the same at every attempt."""
    local = _NOT_IN_LOGINS.sub("-", email.partition("@")[0].lower())[:LOGIN_CHARS_MAX].strip("-._") or "member"
    digest = blake2b(email.casefold().encode(errors="replace"), digest_size=8).hexdigest()
    return [local, f"{local}-{digest[:6]}", f"{local}-{digest}"]


def read_json(body: bytes, kind: type[_T]) -> _T | None:
    """The JSON of an answer, also where a plugin has printed lines before it; None where there is none of this shape."""
    for found in islice(_JSON_BEGINS.finditer(body), JSON_BEGINNINGS_MAX):
        try:
            return msgspec.json.decode(body[found.end() :], type=kind)
        except (msgspec.MsgspecError, RecursionError):
            continue
    return None


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """The body; ValueError where it is longer than ANSWER_BYTES_MAX."""
    octets = bytearray()
    async for chunk in response.content.iter_any():
        octets += chunk
        if len(octets) > ANSWER_BYTES_MAX:
            raise ValueError(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
    return bytes(octets)
