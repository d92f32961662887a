"""Reading documents: YAML 1.2 core, and JSON as the part of YAML that it is, into plain dicts and lists that know their lines.

The words of YAML 1.1 are no traps here: `on`, `yes` and `no` are words, `09:00` and `2026-01-05` are text. What would make
a document mean something else than it shows is an error: duplicate keys, tags, keys that are not text, a second document.
Size, depth and the copies that aliases make are bounded, so that a hostile document costs no more than its length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, DocumentEndEvent, DocumentStartEvent, MappingStartEvent, ScalarEvent, SequenceStartEvent, StreamEndEvent

from engine.core.errors import InvalidDocument, Problem

DOCUMENT_CHARS_MAX = 2 * 1024 * 1024  # the parser reads about 100 KB a second
DEPTH_MAX = 64
NODES_MAX = 500_000  # counting what aliases repeat

_NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")
_INT = re.compile(r"[-+]?[0-9]{1,300}\Z")
_OCTAL = re.compile(r"0o[0-7]{1,100}\Z")
_HEX = re.compile(r"0x[0-9a-fA-F]{1,100}\Z")
_NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")


class LocatedDict(dict[str, Any]):
    """A mapping that knows its file, its first line, and the line of each key."""

    def __init__(
        self, values: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), *, file: str = "", line: int = 0, lines: dict[str, int] | None = None
    ) -> None:
        super().__init__(values)
        self.file = file
        self.line = line
        self.lines: dict[str, int] = lines if lines is not None else {}


class LocatedList(list[Any]):
    """A list that knows its file, its first line, and the line of each item."""

    def __init__(self, values: Iterable[Any] = (), *, file: str = "", line: int = 0, lines: dict[int, int] | None = None) -> None:
        super().__init__(values)
        self.file = file
        self.line = line
        self.lines: dict[int, int] = lines if lines is not None else {}


Located = LocatedDict | LocatedList


def line_of(node: Any, key: str | int | None = None) -> int:
    """The line, from 1, of a mapping or list or of one of its keys; 0 where it is not known (a JSON body)."""
    if not isinstance(node, LocatedDict | LocatedList):
        return 0
    if key is None:
        return node.line
    return node.lines.get(key, node.line)  # type: ignore[arg-type]  # keys of the one kind are str, of the other int


def file_of(node: Any) -> str:
    """The file that a node was read from, "" where it is not known."""
    return node.file if isinstance(node, LocatedDict | LocatedList) else ""


def suggest(name: str, names: Iterable[str]) -> str:
    """`did you mean "x"?` with the name most alike, or an empty text."""
    near = get_close_matches(name.lower()[:100], [*names], n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else ""


def read_document(text: str, file: str) -> Located:
    """The one document of a text, a mapping or a list (an empty text is an empty mapping). Raises InvalidDocument."""
    if len(text) > DOCUMENT_CHARS_MAX:
        raise InvalidDocument(
            [Problem(file=file, message=f"the document is longer than {DOCUMENT_CHARS_MAX} characters", remedy="divide it into several files")]
        )
    reader = _Reader(file)
    try:
        root = reader.read(text.removeprefix("\ufeff"))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.problem, error.context) if part) or "unreadable"
        raise InvalidDocument([Problem(file=file, line=mark.line + 1 if mark else 0, message=what, remedy=_remedy(what))]) from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise InvalidDocument([Problem(file=file, message=str(error).strip().splitlines()[0] or "unreadable")]) from error
    if not isinstance(root, LocatedDict | LocatedList):
        raise InvalidDocument([Problem(file=file, line=1, message="the document is a single value", remedy="write a mapping such as `map: welcome`")])
    return root


def _remedy(what: str) -> str:
    if "simple key" in what or "could not find expected ':'" in what:
        return "write `key: value`, with a space after the colon"
    if "mapping values are not allowed" in what:
        return 'quote a text that holds ": "'
    if "'\\t'" in what:
        return "indent with spaces"
    return ""


class _Reader:
    """Builds the tree from the parser's events, which are cheap and carry every position; no tag ever makes an object."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.anchors: dict[str, tuple[Any, int]] = {}  # name → (value, nodes in it)
        self.nodes = 0

    def read(self, text: str) -> Any:
        yaml = YAML(typ="safe", pure=True)
        events: Iterator[Any] = iter(yaml.parse(text))
        root: Any = None
        documents = 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.fail(event, "a second document begins here", "write one document a file")
                if event.version not in (None, (1, 2)):
                    self.fail(event, "another version of YAML than 1.2 is asked for", "leave the %YAML line out")
            elif isinstance(event, DocumentEndEvent | StreamEndEvent):
                continue
            elif documents:
                root = self.node(event, events, 1)
        return LocatedDict(file=self.file, line=1) if root is None else root

    def fail(self, event: Any, message: str, remedy: str = "") -> NoReturn:
        raise InvalidDocument([Problem(file=self.file, line=event.start_mark.line + 1, message=message, remedy=remedy)])

    def node(self, event: Any, events: Iterator[Any], depth: int) -> Any:
        """The value that begins with `event`."""
        if depth > DEPTH_MAX:
            self.fail(event, f"nested deeper than {DEPTH_MAX} levels")
        if isinstance(event, AliasEvent):
            if event.anchor not in self.anchors:
                self.fail(event, f"there is no anchor &{event.anchor} above (or it holds this very place)")
            value, size = self.anchors[event.anchor]
            self.spend(event, size)
            return value
        if event.tag is not None:
            self.fail(event, f"tags such as {event.tag} are not allowed", "write the plain value, quoted where it is text")
        before = self.nodes
        self.spend(event, 1)
        value = self.value(event, events, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, self.nodes - before)
        return value

    def spend(self, event: Any, nodes: int) -> None:
        """Count nodes, each as often as aliases repeat it: what is read is walked later as often."""
        self.nodes += nodes
        if self.nodes > NODES_MAX:
            self.fail(event, f"the document holds more than {NODES_MAX} values, counting what aliases repeat")

    def value(self, event: Any, events: Iterator[Any], depth: int) -> Any:
        if isinstance(event, MappingStartEvent):
            return self.mapping(event, events, depth)
        if isinstance(event, SequenceStartEvent):
            found = LocatedList(file=self.file, line=event.start_mark.line + 1)
            while type(item := next(events)).__name__ != "SequenceEndEvent":
                found.lines[len(found)] = item.start_mark.line + 1
                found.append(self.node(item, events, depth + 1))
            return found
        assert isinstance(event, ScalarEvent)
        try:
            return _scalar(event.value, plain=bool(event.implicit[0]))
        except ValueError as error:
            self.fail(event, str(error))

    def mapping(self, event: Any, events: Iterator[Any], depth: int) -> LocatedDict:
        found = LocatedDict(file=self.file, line=event.start_mark.line + 1)
        while type(start := next(events)).__name__ != "MappingEndEvent":
            key = self.node(start, events, depth + 1)
            if not isinstance(key, str):
                shown = "a list or mapping" if isinstance(key, list | dict) else _shown(start)
                self.fail(
                    start,
                    f"a key must be text, not {shown}",
                    f'quote it: "{shown}"' if not isinstance(key, list | dict) else "did you mean to quote a `{{ … }}`?",
                )
            if key == "<<" and start.implicit[0]:
                self.fail(start, "merge keys (<<) are not part of YAML 1.2 core", "write the keys out, or use an alias for a whole value")
            if key in found:
                self.fail(start, f'the key "{key[:100]}" stands twice (first in line {found.lines[key]})', "remove one of them")
            found.lines[key] = start.start_mark.line + 1
            found[key] = self.node(next(events), events, depth + 1)
        return found


def _shown(event: Any) -> str:
    return str(getattr(event, "value", ""))[:100] or "nothing"


def _scalar(text: str, *, plain: bool) -> Any:
    """A scalar by the core schema; quoted text stays text. JSON's pairs of escapes are joined into one character."""
    if not plain:
        return _joined(text)
    if _NULL.match(text):
        return None
    if _BOOL.match(text):
        return text[0] in "tT"
    for pattern, base in ((_INT, 10), (_OCTAL, 8), (_HEX, 16)):
        if pattern.match(text):
            return _whole(text, base)
    if _NOT_FINITE.match(text):
        raise ValueError(f"{text} is no number to count with (quote it where it is text)")
    if _FLOAT.match(text):
        return _finite(text)
    return _joined(text)


def _whole(text: str, base: int) -> int:
    number = int(text if base == 10 else text[2:], base)
    if not -(2**63) <= number < 2**64:  # what checkpoints can hold
        raise ValueError(f"the number {text[:40]} is too large (quote it where it is text)")
    return number


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:40]} is too large (quote it where it is text)")
    return number


def _joined(text: str) -> str:
    if not any("\ud800" <= char <= "\udfff" for char in text):
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise ValueError("half of a pair of \\u escapes stands alone") from error
