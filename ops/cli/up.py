"""`wayfare up`: a deployment on this machine, from nothing to `ready on http://…`, kept running until it is told to stop."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from actors.deployment import Deployment, Interrupted
from actors.folders import write_private
from engine.config import Config, load_config
from engine.core.errors import WayfareError
from engine.logs import set_up_logs
from ops.cli.client import Client
from ops.cli.options import url_of

READY_S_MAX = 120.0
FIREWALL = "ops/firewall.md"


@click.command(help="Start a deployment on this machine and keep it running; SIGTERM (Ctrl-C) drains and stops it, a second one stops it at once.")
@click.option("--workspace", type=click.Path(exists=True, file_okay=False), help="Publish this folder when it is up.")
@click.option("--data", type=click.Path(file_okay=False), help="Where everything is kept.  [default: .wayfare]")
@click.option("--host", help="The address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="The port to listen on; 0 takes a free one.  [default: 8080]")
@click.option("--redis", metavar="URL", help="A Redis or Valkey to use in place of the embedded one.")
@click.option("--ray", metavar="ADDRESS", help="A Ray cluster to join in place of a local one.")
@click.option("--shards", type=int, help="Active shards; a standby is added.  [default: 1]")
@click.option("--gateways", type=int, help="Gateways on the same port.  [default: 1]")
@click.option("--durability", type=click.Choice(["fsync", "replicated", "relaxed"]), help="What `accepted` means.  [default: fsync]")
def up(**flags: Any) -> None:
    """Start, tend, stop."""
    config, _ = load_config(flags)
    documents = _documents(config)
    set_up_logs(config.log_level, "up")
    wishes = _count_signals()
    deployment = Deployment(config, click.echo, wishes)
    deployment.prepare()
    url_file = deployment.folders.data / "url"
    click.echo(f"wayfare {version('wayfare')}: data in {deployment.folders.data}, durability {config.durability}")
    try:
        deployment.start()
        key = _admin_key(deployment)
        _wait_until_serving(deployment)
        url = url_of(deployment.config)
        if documents is not None:
            _publish(url, key, documents)
        _tell_ports(deployment)
        url_file.write_text(url)
        deployment.ready = True
        click.echo(f"ready on {url}")
        deployment.until(lambda: False)
    except Interrupted:
        click.echo("stopping: gateways, shards, pools, Ray, Valkey")
    finally:
        url_file.unlink(missing_ok=True)
        deployment.stop()


def _documents(config: Config) -> dict[str, Any] | None:
    """The workspace to publish, checked before anything is started."""
    if not config.workspace:
        return None
    from ops.cli.documents import checked_folder

    return checked_folder(Path(config.workspace), config)


def _count_signals() -> Any:
    """Count the signals that ask to stop; the function gives how many came."""
    came = 0

    def hear(_number: int, _frame: object) -> None:
        nonlocal came
        came += 1

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, hear)
    return lambda: came


def _admin_key(deployment: Deployment) -> str:
    """The key that may do everything: as configured, as kept, or made now, shown once and kept for its owner alone."""
    from engine.storage.redis_store import AsyncRedisStore
    from gateway.auth import digest_of, ensure_admin_key

    config, file = deployment.config, deployment.folders.admin_key

    async def ensure() -> tuple[str | None, bool]:
        store = await AsyncRedisStore.connect(deployment.url, config)
        try:
            made = await ensure_admin_key(store.directory, config.admin_key)
            return made, kept_digest in await store.directory.keys()
        finally:
            await store.close()

    kept = file.read_text().strip() if file.exists() else ""
    kept_digest = digest_of(kept)
    made, kept_is_known = asyncio.run(ensure())
    if made:
        write_private(file, made + "\n")
        click.echo(f"admin key, shown this once and kept in {file}: {made}")
        return made
    if config.admin_key:
        write_private(file, config.admin_key + "\n")
        return config.admin_key
    if not kept_is_known:
        click.echo(f"the admin key in {file} is missing or no longer known: make one with WAYFARE_ADMIN_KEY=… wayfare up", err=True)
    return kept


def _wait_until_serving(deployment: Deployment) -> None:
    """Until a gateway says that it is ready and every partition has its shard."""
    said = ""

    def serving() -> bool:
        nonlocal said
        status, said = _ask_ready(deployment.config)
        return status == http.client.OK and deployment.partitions_owned()

    if not deployment.until(serving, READY_S_MAX):
        raise WayfareError(f"not ready after {READY_S_MAX:.0f} s{f' ({said})' if said else ''}: see the logs in {deployment.folders.logs}")


def _ask_ready(config: Config) -> tuple[int, str]:
    connection = http.client.HTTPConnection(url_of(config).partition("://")[2], timeout=1)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)
    finally:
        connection.close()


def _publish(url: str, key: str, documents: dict[str, Any]) -> None:
    with closing(Client(url, key)) as client:
        done = client.put("PUT", "/v1/workspace", documents)
    click.echo(f"workspace: snapshot {done['number']}, {len(done['changes'])} changes")


def _tell_ports(deployment: Deployment) -> None:
    """Ray listens on all interfaces whatever it is told, so whoever runs it should know where."""
    ports = deployment.ray.open_ports()
    if ports:
        auth = "its token is on" if os.environ.get("RAY_AUTH_MODE", "token") == "token" else "WITHOUT A TOKEN, as RAY_AUTH_MODE says"
        click.echo(f"Ray listens on all interfaces ({auth}; to close them see {FIREWALL}): {', '.join(ports)}")
