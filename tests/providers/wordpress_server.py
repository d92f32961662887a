"""A server that answers as WordPress's REST API does about users, where faults are wanted that a real one does not show on demand."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from tests.providers.http_server import HttpServer


class WordpressServer(HttpServer):
    """`users` are the site's. `behave` as for HttpServer, but `drop` and `silence` come after a write only; `before` runs before each request."""

    def __init__(self) -> None:
        super().__init__()
        self.users: list[dict[str, Any]] = []
        self.writes = 0
        self.prefix = ""  # what a plugin prints before each answer
        self.before: Any = None

    def add(self, email: str, *roles: str) -> dict[str, Any]:
        user = {"id": len(self.users) + 1, "email": email, "roles": list(roles), "login": email}
        self.users.append(user)
        return user

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append({"method": request.method, "path": request.path_qs, "headers": dict(request.headers), "body": await request.read()})
        if self.before is not None:
            self.before(request)
        if isinstance(self.behave, tuple):
            status, headers, text = self.behave
            return web.Response(status=status, headers=headers, text=text)
        if request.method == "GET":
            return self._listed(request.query)
        answer = self._written(request.query["rest_route"].rpartition("/")[2], msgspec.json.decode(await request.read()))
        assert request.transport is not None
        if self.behave == "drop":
            request.transport.abort()
        elif self.behave == "silence":
            await self._closing.wait()
        return answer

    def _listed(self, query: Any) -> web.Response:
        found = [user for user in self.users if query["search"].casefold() in user["email"].casefold()]
        size, page = int(query["per_page"]), int(query["page"])
        shown = [{key: user[key] for key in ("id", "email", "roles")} for user in found[(page - 1) * size : page * size]]
        return self._json(shown, headers={"X-WP-TotalPages": str(-(-len(found) // size))})

    def _written(self, last: str, body: dict[str, Any]) -> web.Response:
        if last != "users":
            self.users[int(last) - 1]["roles"] = body["roles"]
        elif any(user["email"].casefold() == body["email"].casefold() for user in self.users):
            return self._json({"code": "existing_user_email", "message": "taken", "data": None}, 500)
        elif any(user["login"] == body["username"] for user in self.users):
            return self._json({"code": "existing_user_login", "message": "taken", "data": None}, 500)
        else:
            self.add(body["email"], *body["roles"]).update(login=body["username"], body=body)
        self.writes += 1
        return self._json({}, 201)

    def _json(self, body: Any, status: int = 200, headers: Any = None) -> web.Response:
        return web.Response(status=status, headers=headers, text=self.prefix + msgspec.json.encode(body).decode(), content_type="application/json")
