"""Reads a workspace folder into one dict of documents, the shape that is published, simulated and kept in snapshots.

    {"maps": [doc, …], "sequences": [doc, …], "templates": {name: text}, "products": {}, "team": {}, "routers": {},
     "fulfillment": {}, "limits": {}, "providers": {}}

Files are read in the order of their names. A template's name is its file's stem. Lists too long for limits.yaml lie in `suppression/CHANNEL.txt`
(or `suppression/CHANNEL/*.txt`), an address a line, and become a part of `limits`. What cannot be read is an error that names
the file; what is no part of a workspace is a warning, so that a README may lie beside the maps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine.core.documents import read_document, suggest
from engine.core.errors import InvalidDocument, Problem
from engine.core.names import name_fault

FOLDERS = ("maps", "sequences", "templates", "suppression")
TABLES = ("products", "team", "routers", "fulfillment", "limits", "providers")
FILE_BYTES_MAX = 2 * 1024 * 1024
FILES_MAX = 10_000

_DOCUMENTS = (".yaml", ".yml", ".json")
_TEMPLATES = (".html", ".txt")
_LISTS = (".txt",)
_IGNORED = ("readme", "license", "changelog")


def read_workspace(folder: Path | str, problems: list[Problem] | None = None) -> dict[str, Any]:
    """The documents of a folder; warnings are added to `problems`. InvalidDocument with everything that cannot be read."""
    root = Path(folder)
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise InvalidDocument([Problem(file=str(root), message=f"the workspace folder {what}", remedy="give the folder that holds maps/")])
    reader = _Folder(root)
    documents: dict[str, Any] = {
        "maps": [*reader.documents("maps")],
        "sequences": [*reader.documents("sequences")],
        "templates": dict(reader.templates()),
        **{table: reader.table(table) for table in TABLES},
    }
    reader.suppress(documents["limits"])
    reader.strangers()
    errors = [problem for problem in reader.problems if not problem.warning]
    if errors:
        raise InvalidDocument(errors)
    if problems is not None:
        problems.extend(reader.problems)
    return documents


class _Folder:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[Problem] = []

    def problem(self, path: Path, message: str, remedy: str = "", *, warning: bool = False) -> None:
        self.problems.append(Problem(file=self.name(path), message=message, remedy=remedy, warning=warning))

    def name(self, path: Path) -> str:
        """A file as messages name it: inside the workspace."""
        return path.relative_to(self.root).as_posix()

    def documents(self, kind: str) -> Iterator[Any]:
        """The documents of `maps/` or `sequences/`."""
        for path in self.files(kind, _DOCUMENTS):
            found = self.read(path, read_document)
            if isinstance(found, dict):
                yield found
            elif found is not None:
                self.problem(path, f"the document is a list, and one file holds one {kind[:-1]}", f"begin it with `{kind[:-1]}: ID`")

    def templates(self) -> Iterator[tuple[str, str]]:
        """The templates by name."""
        found: dict[str, Path] = {}
        for path in self.files("templates", _TEMPLATES):
            if fault := name_fault(path.stem):
                self.problem(path, f"the template's name {fault}")
            elif path.stem in found:
                self.problem(path, f'the template "{path.stem}" is also in {self.name(found[path.stem])}', "rename one of them")
            else:
                found[path.stem] = path
                text = self.read(path, lambda text, _: text)
                if text is not None:
                    yield path.stem, text

    def table(self, table: str) -> Any:
        """One of the files beside the folders, an empty mapping where it is missing."""
        paths = [path for ending in _DOCUMENTS if (path := self.root / f"{table}{ending}").exists()]
        for path in paths[1:]:
            self.problem(path, f"{self.name(paths[0])} is there too", "keep one of them")
        found = self.read(paths[0], read_document) if paths else {}
        if isinstance(found, list):
            self.problem(paths[0], "the document must be a mapping of names", "write `name: {…}`")
        return found if isinstance(found, dict) else {}

    def suppress(self, limits: dict[str, Any]) -> None:
        """Add the lists of `suppression/` to those of limits.yaml; one that is no list there is told where it is read."""
        for path in self.files("suppression", _LISTS):
            lines = self.read(path, lambda text, _: [line.strip() for line in text.splitlines()]) or []
            by_channel = limits["suppression"] = limits.get("suppression") or {}
            channel = path.relative_to(self.root / "suppression").parts[0].removesuffix(path.suffix)
            if isinstance(by_channel, dict) and isinstance(by_channel.get(channel) or [], list):
                by_channel[channel] = [*(by_channel.get(channel) or []), *(line for line in lines if line and not line.startswith("#"))]

    def files(self, folder: str, endings: tuple[str, ...]) -> list[Path]:
        """The files of a subfolder, and of folders inside it, whose names end as they should."""
        inside = self.root / folder
        if not inside.is_dir():
            return []
        paths = sorted(path for path in inside.rglob("*") if path.is_file() and not _hidden(path, inside))
        if len(paths) > FILES_MAX:
            self.problem(inside, f"holds more than {FILES_MAX} files")
            return []
        for path in paths:
            if path.suffix not in endings and not path.stem.lower().startswith(_IGNORED):
                self.problem(path, "is left out", f"files here end in {', '.join(endings)}", warning=True)
        return [path for path in paths if path.suffix in endings]

    def read(self, path: Path, take: Callable[[str, str], Any]) -> Any:
        """What `take` makes of a file's text and name; None with a problem where that fails."""
        try:
            if path.stat().st_size > FILE_BYTES_MAX:
                self.problem(path, f"is larger than {FILE_BYTES_MAX} bytes")
                return None
            return take(path.read_bytes().decode(), self.name(path))
        except OSError as error:
            self.problem(path, f"cannot be read: {error.strerror or error}")
        except UnicodeDecodeError as error:
            self.problem(path, f"is not UTF-8 (byte {error.start})", "save it as UTF-8")
        except InvalidDocument as error:
            self.problems.extend(error.problems)
        return None

    def strangers(self) -> None:
        """Warn of what is no part of a workspace: most likely a misspelt name."""
        known = [*TABLES, *FOLDERS]
        for path in sorted(self.root.iterdir()):
            expected = path.name in FOLDERS if path.is_dir() else path.stem in TABLES and path.suffix in _DOCUMENTS
            if not expected and not path.name.startswith(".") and not path.stem.lower().startswith(_IGNORED):
                self.problem(path, "is no part of a workspace and is left out", suggest(path.stem, known), warning=True)


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)
