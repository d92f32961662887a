"""A place in a document while it is read: the value there, its file, line and path, and where its problems go.

Reading goes on after a problem, so that an author sees all of them at once; a place that is wrong gives its empty value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from engine.core.documents import file_of, line_of, suggest
from engine.core.errors import Problem
from engine.core.names import name_fault, shown


class Place:
    """One value of a document. `path` reads like `maps/welcome: path[2].wait`."""

    __slots__ = ("file", "line", "path", "problems", "raw")

    def __init__(self, raw: Any, problems: list[Problem], *, path: str, file: str = "", line: int = 0) -> None:
        self.raw = raw
        self.problems = problems
        self.path = path
        self.file = file or file_of(raw) or path.rstrip(":")
        self.line = line or line_of(raw)

    def problem(self, message: str, remedy: str = "", *, warning: bool = False) -> None:
        """Report a problem here."""
        self.problems.append(
            Problem(
                file=self.file, line=self.line, place=self.path if self.path.rstrip(":") != self.file else "", message=message, remedy=remedy, warning=warning
            )
        )

    def at(self, key: str | int) -> Place:
        """The place of a key or index of this value; nothing is there where it is missing."""
        step = f"[{key}]" if isinstance(key, int) else str(key)
        joint = "" if isinstance(key, int) else (" " if self.path.endswith(":") else ".")
        raw = self.raw.get(key) if isinstance(self.raw, dict) else self.raw[key]
        # The key's own line comes first: what an alias repeats is reported where it is used.
        line = line_of(self.raw, key) or line_of(raw) or self.line
        return Place(raw, self.problems, path=f"{self.path}{joint}{step}", file=file_of(raw) or self.file, line=line)

    def has(self, key: str) -> bool:
        """Whether a mapping has this key (even with nothing behind it)."""
        return isinstance(self.raw, dict) and key in self.raw

    def known(self, keys: Collection[str], what: str) -> bool:
        """Check that this is a mapping and has no keys but `keys`; whether it is a mapping."""
        if not isinstance(self.raw, dict):
            self.problem(f"{what} must be a mapping, not {shown(self.raw)}")
            return False
        for key in self.raw:
            if key not in keys:
                self.unknown(str(key), keys, what)
        return True

    def unknown(self, key: str, keys: Collection[str], what: str) -> None:
        """Report a key that means nothing here."""
        near = suggest(key, keys)
        self.at(key).problem(f'{what} has no key "{key[:100]}"', near or f"it has {', '.join(sorted(keys))}")

    def items(self, what: str) -> Iterator[Place]:
        """The items of a list; nothing and a missing key are empty lists."""
        if self.raw is None:
            return
        if not isinstance(self.raw, list):
            self.problem(f"{what} must be a list, not {shown(self.raw)}", "begin each item with `- `")
            return
        for index in range(len(self.raw)):
            yield self.at(index)

    def name(self, what: str) -> str:
        """An id or name; "" with a problem where it is none."""
        fault = name_fault(self.raw)
        if fault:
            quote = f'write "{shown(self.raw)}" in quotes' if isinstance(self.raw, bool | int | float) else ""
            self.problem(f"{what} {fault}", quote)
            return ""
        return str(self.raw)

    def text(self, what: str) -> str:
        """Any text that is not empty; "" with a problem where it is none."""
        if not isinstance(self.raw, str) or not self.raw.strip():
            quote = f'write "{shown(self.raw)}" in quotes' if isinstance(self.raw, bool | int | float) else ""
            self.problem(f"{what} must be text, not {shown(self.raw)}", quote)
            return ""
        return self.raw

    def one_of(self, words: Collection[str], what: str) -> str:
        """One of a few words; "" with a problem where it is none."""
        if isinstance(self.raw, str) and self.raw in words:
            return self.raw
        near = suggest(self.raw, words) if isinstance(self.raw, str) else ""
        self.problem(f"{what} must be one of {', '.join(words)}, not {shown(self.raw)}", near)
        return ""

    def flag(self, what: str) -> bool:
        """A truth value."""
        if isinstance(self.raw, bool):
            return self.raw
        self.problem(f"{what} must be true or false, not {shown(self.raw)}")
        return False

    def number(self, what: str) -> float:
        """A number that is not negative."""
        if isinstance(self.raw, int | float) and not isinstance(self.raw, bool) and 0 <= self.raw < float("inf"):
            return self.raw
        self.problem(f"{what} must be a number of at least 0, not {shown(self.raw)}")
        return 0

    def taken(self, read: Callable[[Any], int], default: int = 0) -> int:
        """What `read` makes of the value, or `default` with the ValueError's text as the problem."""
        try:
            return read(self.raw)
        except ValueError as error:
            self.problem(str(error))
            return default
