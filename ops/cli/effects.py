"""Effects that need somebody, and the red button: `dead-letters`, `unknown`, `stop-sending`, `resume-sending`."""

from __future__ import annotations

import functools
from typing import Any
from urllib.parse import urlencode

import click

from ops.cli.client import Client
from ops.cli.options import Verb, connected, print_json, printing

INTO = ("delivered", "rejected", "pending")


def filtering(verb: Verb) -> Verb:
    """Give the verb `chosen`: the filter that its options make."""

    @click.option("--channel", default="", help="Only this channel.")
    @click.option("--map", "map_id", default="", help="Only this map.")
    @click.option("--reason", default="", help="Only reasons that hold this text.")
    @click.option("--since", default="", help="Only since this time (RFC 3339, or epoch milliseconds).")
    @click.option("--id", "ids", multiple=True, help="Only the effect of this id; may be given again and again.")
    @functools.wraps(verb)
    def with_filter(channel: str, map_id: str, reason: str, since: str, ids: tuple[str, ...], **options: Any) -> Any:
        chosen: dict[str, Any] = {"channel": channel, "map": map_id, "reason": reason, "ids": list(ids)}
        if since:
            chosen["since"] = int(since) if since.isdecimal() else since
        return verb(chosen=chosen, **options)

    return with_filter


@click.command("dead-letters", help="List, replay or drop effects that are out of attempts.")
@click.argument("act", type=click.Choice(["list", "replay", "drop"]), default="list")
@filtering
@click.option("--limit", type=click.IntRange(1, 1000), default=100, help="List at most so many.", show_default=True)
@click.option("--yes", is_flag=True, help="Replay or drop everything, where no filter says what.")
@printing
@connected
def dead_letters(*, act: str, chosen: dict[str, Any], limit: int, yes: bool, as_json: bool, client: Client) -> None:
    """List or move dead letters."""
    if act == "list":
        _print(client.get(f"/v1/dead-letters?{_query(chosen, limit)}")["dead_letters"], as_json=as_json)
        return
    _be_sure(chosen, act, yes=yes)
    _print_moved(client.put("POST", f"/v1/dead-letters/{act}", chosen), as_json=as_json)


@click.command(help="List or resolve effects whose outcome nobody knows.")
@click.argument("act", type=click.Choice(["list", "resolve"]), default="list")
@filtering
@click.option("--into", type=click.Choice(INTO), help="What became of them, as you found out; `pending` sends them again.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, help="List at most so many.", show_default=True)
@click.option("--yes", is_flag=True, help="Resolve everything, where no filter says what.")
@printing
@connected
def unknown(*, act: str, chosen: dict[str, Any], into: str | None, limit: int, yes: bool, as_json: bool, client: Client) -> None:
    """List or resolve unknown outcomes."""
    if act == "list":
        _print(client.get(f"/v1/unknown?{_query(chosen, limit)}")["unknown"], as_json=as_json)
        return
    if into is None:
        raise click.UsageError(f"say what became of them: --into {'|'.join(INTO)}")
    _be_sure(chosen, act, yes=yes)
    _print_moved(client.put("POST", "/v1/unknown/resolve", {**chosen, "into": into}), as_json=as_json)


def _red_button(name: str, summary: str) -> click.Command:
    @click.command(name, help=summary)
    @click.option("--channel", default="", help="Only this channel.")
    @click.option("--map", "map_id", default="", help="Only this map.")
    @printing
    @connected
    def press(*, channel: str, map_id: str, as_json: bool, client: Client) -> None:
        if channel and map_id:
            raise click.UsageError("name a channel or a map, not both: each is stopped by itself")
        stopped = client.put("POST", f"/v1/{name}", {"channel": channel, "map": map_id})["stopped"]
        if as_json:
            print_json({"stopped": stopped})
        else:
            click.echo(f"stopped: {', '.join('everything' if what == '*' else what for what in stopped)}" if stopped else "nothing is stopped")

    return press


stop_sending = _red_button("stop-sending", "The red button: no message goes out any more, within a second, everywhere.")
resume_sending = _red_button("resume-sending", "Let messages go out again.")


def _query(chosen: dict[str, Any], limit: int) -> str:
    return urlencode({**{name: value for name, value in chosen.items() if name != "ids" and value}, "limit": limit})


def _be_sure(chosen: dict[str, Any], act: str, *, yes: bool) -> None:
    if not yes and not any(chosen.values()):
        raise click.UsageError(f"this would {act} everything: name some with --id, --channel, --map, --reason or --since, or say --yes")


def _print_moved(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        click.echo(f"{answer['moved']} moved")


def _print(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo("  ".join(str(row.get(name, "")) for name in ("effect", "channel", "map", "element", "contact", "reason")))
    click.echo(f"{len(rows)} listed", err=True)
