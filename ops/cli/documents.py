"""Documents before and on their way in: `check`, `simulate`, `apply`. The first two need no server, and no Ray is imported for them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from engine.config import Config, load_config
from engine.core.errors import InvalidDocument, Problem
from ops.cli.client import Client
from ops.cli.options import connected, print_json, printing

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command(help="Validate a workspace and lint it; exit status 2 where it cannot be used.")
@click.argument("folder", metavar="DIR", type=FOLDER)
@printing
def check(*, folder: Path, as_json: bool) -> None:
    """Print every problem, with its file and line."""
    config, _ = load_config({})
    documents, problems = read_folder(folder, config)
    if as_json:
        print_json({"problems": problems, "valid": not _errors(problems)})
    else:
        _show(problems)
    if _errors(problems):
        sys.exit(2)
    if not as_json:
        click.echo(f"{folder}: {_counted(documents)}: {'fine' if not problems else 'can be used'}")


@click.command(help="Run a simulation script on the production step code, with a virtual clock; one JSON object a line.")
@click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--format", "_format", type=click.Choice(["jsonl"]), default="jsonl", show_default=True, help="How to print what happened.")
@click.option("--check", "checked", is_flag=True, help="Compare with what the script expects; exit status 1 where it differs.")
def simulate(*, script: Path, _format: str, checked: bool) -> None:
    """Print what happened; what differs from `expect` goes to standard error."""
    from actions.registry import detail_of, load_registry
    from engine.core.documents import read_document
    from engine.simulator import simulate as run
    from engine.workspace_folder import read_workspace

    try:
        text = script.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise InvalidDocument([Problem(file=str(script), message=f"is not UTF-8 (byte {error.start})", remedy="save it as UTF-8")]) from None
    document = read_document(text, str(script))
    if not isinstance(document, dict):
        raise InvalidDocument([Problem(file=str(script), message="a script is a mapping", remedy="write `script: [ … ]`")])
    simulation = run(document, load_registry(), detail_of, lambda folder: read_workspace(script.parent / folder))
    sys.stdout.buffer.write(simulation.jsonl())
    sys.stdout.buffer.flush()
    if checked and simulation.differences:
        for difference in simulation.differences:
            click.echo(f"{script}: {difference}", err=True)
        sys.exit(1)


@click.command(help="Validate a workspace, show what changes, and publish it.")
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--plan", is_flag=True, help="Only show what would change.")
@printing
@connected
def apply(*, folder: Path, plan: bool, as_json: bool, client: Client) -> None:
    """Publish the folder as one snapshot."""
    config, _ = load_config({})
    done = client.put("PUT", f"/v1/workspace{'?plan=1' if plan else ''}", checked_folder(folder, config))
    if as_json:
        print_json(done)
        return
    for change in done["changes"]:
        version = f" (version {change['version']})" if change.get("version") else ""
        click.echo(f"{change['change']:<8} {change['what']} {change['name']}{version}")
    if not done["changes"]:
        click.echo("nothing changes")
    elif plan:
        click.echo(f"{len(done['changes'])} changes would be published")
    else:
        click.echo(f"published as snapshot {done['number']}")


def checked_folder(folder: Path, config: Config) -> dict[str, Any]:
    """The documents of a folder that can be used; warnings go to standard error. InvalidDocument with everything that is wrong."""
    documents, problems = read_folder(folder, config)
    if _errors(problems):
        raise InvalidDocument(problems)
    _show(problems)
    return documents


def read_folder(folder: Path, config: Config) -> tuple[dict[str, Any], list[Problem]]:
    """The documents of a folder, and everything that is wrong with them or may be."""
    from actions.limits import limit_problems
    from actions.providers.registry import provider_problems
    from actions.registry import load_registry
    from engine.core.workspace import problems_of
    from engine.workspace_folder import read_workspace

    problems: list[Problem] = []
    documents = read_workspace(folder, problems)
    problems += problems_of(documents, load_registry(), config)
    problems += provider_problems(documents["providers"])
    problems += limit_problems(documents["limits"])
    return documents, problems


def _errors(problems: list[Problem]) -> bool:
    return any(not problem.warning for problem in problems)


def _show(problems: list[Problem]) -> None:
    for problem in problems:
        click.echo(str(problem), err=True)


def _counted(documents: dict[str, Any]) -> str:
    return ", ".join(f"{len(documents[section])} {section}" for section in ("maps", "sequences", "templates"))
