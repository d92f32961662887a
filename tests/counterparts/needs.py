"""Which counterparts are installed here, and the mark of a test that needs some of them: `pytestmark = needs("prism", "maildev")`.

`make counterparts` installs them all. Where one is missing its tests skip and say so; under CI (the variable CI is set) they fail.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".counterparts"  # git-ignored; ops/counterparts.sh fills it
BIN = HOME / "bin"  # has a newer node where the system's is too old
SYSTEM_FOLDERS = "/usr/sbin:/usr/local/sbin:/sbin"  # where Debian puts servers, which an ordinary user's PATH leaves out


def _ours(*parts: str) -> Callable[[], Path | None]:
    path = HOME.joinpath(*parts)
    return lambda: path if path.exists() else None


def _program(name: str) -> Callable[[], Path | None]:
    def find() -> Path | None:
        found = shutil.which(name, path=BIN) or shutil.which(name) or shutil.which(name, path=SYSTEM_FOLDERS)
        return Path(found) if found else None

    return find


def _module(name: str) -> Callable[[], Path | None]:
    return lambda: next(HOME.glob(f"python/lib/python3*/site-packages/{name}/__init__.py"), None)


def _folder(path: str) -> Callable[[], Path | None]:
    return lambda: Path(path) if Path(path).is_dir() else None


TOOLS: dict[str, Callable[[], Path | None]] = {
    "node": _program("node"),
    "prism": _ours("node_modules", ".bin", "prism"),
    "maildev": _ours("node_modules", ".bin", "maildev"),
    "smpp": _ours("node_modules", "smpp"),  # a library for node; NODE_PATH or the working directory makes it found
    "twilio-openapi": _ours("openapi", "twilio.json"),
    "sendgrid-openapi": _ours("openapi", "sendgrid.json"),
    "counterparts-python": _ours("python", "bin", "python"),  # of the environment that localstripe lives in
    "localstripe": _ours("python", "bin", "localstripe"),
    "lob-python": _module("lob_python"),  # Lob's official client
    "facebook-business": _module("facebook_business"),  # Meta's
    "smtp-sink": _program("smtp-sink"),
    "smtp-source": _program("smtp-source"),
    "postfix": _program("postfix"),
    "curl": _program("curl"),
    "mariadbd": _program("mariadbd"),
    "mariadb-install-db": _program("mariadb-install-db"),
    "php": _program("php"),
    "wordpress": _folder("/usr/share/wordpress"),
    "redis-server": _program("redis-server"),
}


def path_of(tool: str) -> Path:
    """Where a tool is; RuntimeError where it is not. KeyError for a name that TOOLS does not have."""
    found = TOOLS[tool]()
    if found is None:
        raise RuntimeError(f"{tool} is not installed: run `make counterparts`")
    return found


def missing(tools: tuple[str, ...]) -> list[str]:
    """Those of the tools that are not installed, in the order given."""
    return [tool for tool in tools if TOOLS[tool]() is None]


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


def needs(*tools: str) -> pytest.MarkDecorator:
    """Mark a test, or with `pytestmark` a file, as needing these tools (names of TOOLS); conftest.py acts on it before any fixture is made."""
    for tool in tools:
        if tool not in TOOLS:
            raise KeyError(f"{tool} is none of {', '.join(TOOLS)}")
    return pytest.mark.needs(*tools)
