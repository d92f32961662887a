"""Options that verbs share: where the deployment is, whose key is used, and whether data is printed as JSON."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import msgspec

from engine.config import Config, load_config
from ops.cli.client import Client

Verb = Callable[..., Any]


def connected(verb: Verb) -> Verb:
    """Give the verb a `client` for the deployment that the options name."""

    @click.option("--url", envvar="WAYFARE_URL", help="Where the deployment answers.  [default: the one of the data folder]")
    @click.option("--key", envvar="WAYFARE_KEY", help="An API key.  [default: the one in DATA/admin.key]")
    @click.option("--data", type=click.Path(file_okay=False), help="The data folder of a deployment on this machine.")
    @functools.wraps(verb)
    def with_client(*args: Any, url: str | None, key: str | None, data: str | None, **options: Any) -> Any:
        config, _ = load_config({"data": data})
        with closing(
            Client(url or _read(Path(config.data) / "url") or url_of(config), key or config.admin_key or _read(Path(config.data) / "admin.key"))
        ) as client:
            return verb(*args, client=client, **options)

    return with_client


def printing(verb: Verb) -> Verb:
    """Give the verb `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print data as JSON.")(verb)


def print_json(data: Any) -> None:
    """Data on standard output, indented."""
    click.echo(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())


def url_of(config: Config) -> str:
    """Where this machine reaches a gateway of these settings."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{config.port}" if ":" in host else f"http://{host}:{config.port}"


def _read(file: Path) -> str:
    return file.read_text().strip() if os.access(file, os.R_OK) else ""
