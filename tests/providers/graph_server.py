"""A strict server of our own in the place of Meta's Graph API: no counterpart of it exists, so it follows Meta's documentation by the letter.

It takes `POST` and `DELETE /vN.N/{audience}/users` with a bearer token and a JSON body, checks schema, rows, hashes, session and proof, and keeps
who is in which audience. Anything that the documentation does not allow is a 400 with code 100, and `wrong` has it.
"""

from __future__ import annotations

import hmac
import json
import re
from typing import Any

from aiohttp import web

from tests.providers.http_server import HttpServer

KEYS = {"EXTERN_ID", "EMAIL", "PHONE", "GEN", "DOBY", "DOBM", "DOBD", "LN", "FN", "FI", "CT", "ST", "ZIP", "MADID", "COUNTRY"}
USERS_MAX = 10_000
HASH = re.compile(r"[0-9a-f]{64}")


class GraphServer(HttpServer):
    """`members`: audience → EXTERN_ID → row. `log`: (method, audience, rows) of what was taken. `invalid`: EXTERN_IDs that it flags."""

    def __init__(self, token: str, app_secret: str = "") -> None:
        super().__init__()
        self.token, self.app_secret = token, app_secret
        self.members: dict[str, dict[str, dict[str, str]]] = {}
        self.log: list[tuple[str, str, list[dict[str, str]]]] = []
        self.wrong: list[str] = []
        self.invalid: set[str] = set()

    @property
    def sizes(self) -> list[int]:
        return [len(rows) for _, _, rows in self.log]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        if not isinstance(self.behave, tuple):  # a fault before the request was taken has a status
            fault = self._taken(request, raw)
            if fault is not None:
                return fault
            self._body = self._answer()
        return await super()._handle(request)

    def _taken(self, request: web.Request, raw: bytes) -> web.Response | None:
        try:
            audience, rows = self._read(request, json.loads(raw))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.wrong.append(repr(error))
            return web.json_response({"error": {"message": f"Invalid parameter: {error}", "code": 100}}, status=400)
        self.log.append((request.method, audience, rows))
        members = self.members.setdefault(audience, {})
        for row in rows:
            if row.get("EXTERN_ID", "") in self.invalid:
                continue
            if request.method == "POST":
                members[row.get("EXTERN_ID", "")] = row
            else:
                members.pop(row.get("EXTERN_ID", ""), None)
        return None

    def _read(self, request: web.Request, body: dict[str, Any]) -> tuple[str, list[dict[str, str]]]:
        """(audience, rows); ValueError for what the documentation does not allow."""
        found = re.fullmatch(r"/v\d+\.\d+/(\d+)/users", request.path)
        self._want(found is not None and request.method in {"POST", "DELETE"} and not request.query_string, f"no such edge: {request.path_qs}")
        self._want(request.headers.get("Authorization") == f"Bearer {self.token}", "the token is not in the header")
        self._want(request.content_type == "application/json", "the body is not JSON")
        self._want(set(body) <= {"payload", "session", "appsecret_proof"}, f"unknown parameters: {set(body)}")
        proof = hmac.new(self.app_secret.encode(), self.token.encode(), "sha256").hexdigest() if self.app_secret else None
        self._want(body.get("appsecret_proof") == proof, "the proof is wrong")
        schema, data = body["payload"]["schema"], body["payload"]["data"]
        self._want(body["payload"]["is_raw"] is True, "keys that are not combined are raw")
        self._want(len(set(schema)) == len(schema) and set(schema) <= KEYS, f"not a schema: {schema}")
        self._want(1 <= len(data) <= USERS_MAX, f"{len(data)} users")
        session = body["session"]
        self._want(0 < session["session_id"] < 1 << 63 and session["batch_seq"] == 1 and session["last_batch_flag"] is True, f"not a session: {session}")
        self._want(session["estimated_num_total"] == len(data), "the session counts wrongly")
        assert found is not None
        return found[1], [self._row(schema, row) for row in data]

    def _row(self, schema: list[str], row: list[str]) -> dict[str, str]:
        self._want(len(row) == len(schema), "a row is not as long as the schema")
        for key, value in zip(schema, row, strict=True):
            self._want(isinstance(value, str) and (key == "EXTERN_ID" or value == "" or HASH.fullmatch(value) is not None), f"{key} is not hashed: {value!r}")
        return {key: value for key, value in zip(schema, row, strict=True) if value}

    def _answer(self) -> dict[str, Any]:
        _, audience, rows = self.log[-1]
        flagged = {row["EMAIL"]: "Invalid email hash" for row in rows if row.get("EXTERN_ID", "") in self.invalid}
        return {
            "audience_id": audience,
            "session_id": "9778993",
            "num_received": len(rows),
            "num_invalid_entries": len(flagged),
            "invalid_entry_samples": flagged,
        }

    @staticmethod
    def _want(holds: object, message: str) -> None:
        if not holds:
            raise ValueError(message)


def graph_error(code: int, message: str, **more: Any) -> str:
    """An error as the Graph API words it."""
    return json.dumps({"error": {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "Az8", **more}})
