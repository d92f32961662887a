"""The `wayfare` program: one verb a file or two, imported when it is called, so that `simulate` and `check` start at once.

Exit status: 0 fine, 1 failed, 2 bad usage or an invalid document. Data goes to standard output, everything else to standard error.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

from engine.core.errors import InvalidConfig, InvalidDocument, WayfareError

VERBS = {
    "up": ("ops.cli.up", "Start a deployment on this machine and keep it running."),
    "apply": ("ops.cli.documents", "Validate a workspace, show what changes, publish it."),
    "check": ("ops.cli.documents", "Validate a workspace and lint it."),
    "simulate": ("ops.cli.documents", "Run a simulation script with a virtual clock."),
    "status": ("ops.cli.watching", "Shards, partitions, lag, rates, lanes, conservation."),
    "top": ("ops.cli.watching", "The same, live."),
    "contact": ("ops.cli.watching", "One contact's record."),
    "send": ("ops.cli.sending", "Send events from a file, with a progress bar; goes on where it was interrupted."),
    "dead-letters": ("ops.cli.effects", "List, replay or drop effects that are out of attempts."),
    "unknown": ("ops.cli.effects", "List or resolve effects whose outcome nobody knows."),
    "stop-sending": ("ops.cli.effects", "The red button: no message goes out any more."),
    "resume-sending": ("ops.cli.effects", "Let messages go out again."),
    "receive-mail": ("ops.cli.receiving", "Take a mail that came back, for a mail server's pipe."),
    "config": ("ops.cli.settings", "The settings in force, and where each came from."),
    "demo": ("ops.cli.suites", "Replay real purchases through the whole engine."),
    "bench": ("ops.cli.suites", "Run the benchmark suite."),
}


class Verbs(click.Group):
    """A group whose commands are imported when they are called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which a newcomer needs them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, with its module."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = getattr(import_module(VERBS[cmd_name][0]), cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of verbs, without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, summary) for name, (_, summary) in VERBS.items()])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wayfare", prog_name="wayfare")
def wayfare() -> None:
    """Wayfare: an execution engine for marketing automation."""


def main() -> None:
    """The entry point: runs a verb, turns faults into messages and exit statuses."""
    try:
        wayfare(standalone_mode=True)
    except InvalidDocument as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except InvalidConfig as error:
        click.echo(f"wayfare: {error}", err=True)
        sys.exit(2)
    except WayfareError as error:
        click.echo(f"wayfare: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)


if __name__ == "__main__":
    main()
