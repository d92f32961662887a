"""`wayfare config`: the settings in force, secrets masked, and where each came from."""

from __future__ import annotations

import click

from engine.config import load_config, masked
from ops.cli.options import print_json, printing


@click.command(help="The settings in force, and where each came from.")
@printing
def config(*, as_json: bool) -> None:
    """Print every setting."""
    found, origin = load_config({})
    rows = {name: {"value": masked(name, getattr(found, name)), "from": origin[name]} for name in found.__struct_fields__}
    if as_json:
        print_json(rows)
        return
    width = max(map(len, rows))
    for name, row in rows.items():
        click.echo(f"{name:<{width}}  {row['value']:<24}  {row['from']}")
