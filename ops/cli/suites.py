"""`wayfare demo` and `wayfare bench`: what `make demo` and `make bench` run; comparisons and reports of what was measured."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command(help="Replay real purchases through the whole engine; real SMTP and HTTP sinks count what arrives.")
@click.option("--customers", type=click.IntRange(min=1), help="Only the first so many customers.")
@click.option("--days", type=click.IntRange(min=1), help="Only the first so many days.")
def demo(*, customers: int | None, days: int | None) -> None:
    """Run the demo; exit status 1 if a check does not hold."""
    from ops.demo.main import run

    sys.exit(run(customers=customers, days=days))


class Suites(click.Group):
    """`bench SUITE`, `bench compare` and `bench report`; without a name it is the canonical suite."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from benchmarks.main import SUITES

        return [*SUITES, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or (_suite(cmd_name) if cmd_name in self.list_commands(ctx) else None)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the name of the suite first: `bench --small` is `bench canonical --small`, and `bench --small skew` works as it reads."""
        name = next((arg for arg in args if arg in self.list_commands(ctx)), None)
        if name:
            at = args.index(name)
            args = [name, *args[:at], *args[at + 1 :]]
        elif not {"-h", "--help"} & set(args) and (not args or args[0].startswith("-")):
            args = ["canonical", *args]
        return super().parse_args(ctx, args)


@click.group(cls=Suites, help="Run a suite of benchmarks and write its results (without a name, the canonical one); compare two; write a report.")
def bench() -> None:
    """The group; its commands do the work."""


def _suite(name: str) -> click.Command:
    """The command that runs one suite."""
    from benchmarks.main import SUITES, run

    def begin(*, small: bool, results: Path | None) -> None:
        sys.exit(run(name, small=small, results=results))

    says = (SUITES[name].__doc__ or "").partition("\n")[0]
    options: list[click.Parameter] = [
        click.Option(["--small"], is_flag=True, help="A short run that measures nothing worth keeping."),
        click.Option(["--results"], type=click.Path(file_okay=False, path_type=Path), help="Where to write the results."),
    ]
    return click.Command(name, callback=begin, params=options, help=says)


@bench.command(help="Write the report of result files as one HTML page (without a file, of the newest of every suite).")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to write it.")
def report(*, files: tuple[Path, ...], output: Path | None) -> None:
    """Of one file the report goes beside it, of several to where a person looks for it."""
    from benchmarks import report as reports
    from benchmarks.main import RESULTS

    found = {file.name: reports.read(file) for file in files} or reports.newest(RESULTS)
    place = output or (files[0].with_suffix(".html") if len(files) == 1 else reports.FOUND_AT)
    click.echo(reports.write(place, found))


@bench.command(help="Show two result files side by side: each figure with its spread, the difference, and whether it is more than chance.")
@click.argument("old", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("new", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compare(*, old: Path, new: Path, as_json: bool) -> None:
    """The table, with what makes the files hard to compare above it."""
    import msgspec
    from rich.console import Console

    from benchmarks import compare as comparing
    from benchmarks.report import read

    found = comparing.compare(read(old), read(new))
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    for warning in found.warnings:
        click.echo(f"note: {warning}", err=True)
    Console().print(comparing.table(found))
