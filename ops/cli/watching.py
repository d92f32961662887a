"""Looking at a running deployment: `status`, `top` (the same, live) and `contact`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from ops.cli.client import Client, Refused, Unreachable
from ops.cli.options import connected, print_json, printing

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

NOT_FOUND = 404
MEBIBYTE = 1024 * 1024


@click.command(help="Processes, partitions, lag, rates, lanes, conservation; exit status 1 where conservation does not hold.")
@printing
@connected
def status(*, as_json: bool, client: Client) -> None:
    """Print the state once."""
    found = client.get("/v1/status")
    if as_json:
        print_json(found)
    else:
        from rich.console import Console

        Console().print(shown(found))
    sys.exit(0 if found["conservation"]["holds"] else 1)


@click.command(help="The status, live; ends with Ctrl-C.")
@click.option("--every", type=click.FloatRange(min=0.2), default=1.0, show_default=True, help="Seconds between two looks.")
@connected
def top(*, every: float, client: Client) -> None:
    """Show the state again and again; a deployment that is away for a moment is waited for."""
    from rich.live import Live

    with Live(shown(client.get("/v1/status")), auto_refresh=False, screen=sys.stdout.isatty()) as live:
        while True:
            try:
                live.update(shown(client.get("/v1/status")), refresh=True)
            except Unreachable as error:
                live.update(str(error), refresh=True)
            except KeyboardInterrupt:
                return
            time.sleep(every)


@click.command(help="One contact's record: fields, tags, consent, enrollments with their positions.")
@click.argument("contact_id", metavar="ID")
@printing
@connected
def contact(*, contact_id: str, as_json: bool, client: Client) -> None:
    """Print a contact; exit status 1 where there is none."""
    try:
        found = client.get(f"/v1/contacts/{quote(contact_id, safe='')}")
    except Refused as refused:
        if refused.status != NOT_FOUND:
            raise
        click.echo(f"there is no contact {contact_id}", err=True)
        sys.exit(1)
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        if name == "enrollments":
            for enrollment in value:
                places = ", ".join(f"{position['element']} ({position['state']})" for position in enrollment.get("positions", []))
                click.echo(f"in {enrollment.get('map')}: {places or 'nowhere'}")
        else:
            click.echo(f"{name}: {value}")


def shown(found: dict[str, Any]) -> Group:
    """A status as tables."""
    from rich.console import Group

    rates, memory = found["rates"], found["memory"]
    head = (
        f"snapshot {found['snapshot']}   {found['durability']}   lag {found['lag_records']:,} records   committed {rates['committed']:,.0f}/s   "
        f"decided {rates['decided']:,.0f}/s   delivered {rates['delivered']:,.0f}/s   "
        f"memory {memory['used_bytes'] / MEBIBYTE:,.0f} of {memory['max_bytes'] / MEBIBYTE:,.0f} MiB"
    )
    because = found.get("stopped_because", {})
    stopped = ", ".join(f"{what} ({because[what]})" if what in because else what for what in found["stopped"])
    stopped = f"stopped: {stopped}" if stopped else "sending is on"
    holds = "conservation holds" if found["conservation"]["holds"] else "CONSERVATION DOES NOT HOLD"
    tables = [
        _processes(found),
        _partitions(found),
        _counted("lane", found["lanes"]),
        _counted("map", found["conservation"]["maps"], ("entered", "drift")),
        _counted("channel", found["conservation"]["channels"], ("decided", "drift")),
    ]
    return Group(head, f"{stopped}   {holds}", *(table for table in tables if table.row_count))


def _processes(found: dict[str, Any]) -> Table:
    table = _table("process", "pid", "host")
    for process in found["processes"]:
        table.add_row(str(process.get("name", "")), str(process.get("pid", "")), str(process.get("host", "")))
    return table


def _partitions(found: dict[str, Any]) -> Table:
    table = _table("partition", "offset", "lag", "lag ms", "snapshot")
    for one in found["partitions"]:
        table.add_row(str(one["partition"]), f"{one['offset']:,}", f"{one['lag_records']:,}", f"{one['lag_ms']:,}", str(one["snapshot"]))
    return table


def _counted(title: str, rows: dict[str, dict[str, Any]], always: tuple[str, ...] = ()) -> Table:
    """Counts by name, one row each, without the columns that hold nothing but zeros."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    shown_names = [name for name in names if name in always or any(row.get(name) for row in rows.values())]
    table = _table(title, *(name.replace("_", " ") for name in shown_names))
    for row_name, row in sorted(rows.items()):
        table.add_row(row_name, *(f"{row[name]:,}" if name in row else "" for name in shown_names))
    return table


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    return table
