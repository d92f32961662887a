"""`wayfare demo` and `wayfare bench`: what `make demo` and `make bench` run."""

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


@click.command(help="Run a suite of benchmarks and write its results.")
@click.argument("suite", default="canonical")
@click.option("--small", is_flag=True, help="A short run that measures nothing worth keeping.")
@click.option("--results", type=click.Path(file_okay=False, path_type=Path), help="Where to write the results.")
def bench(*, suite: str, small: bool, results: Path | None) -> None:
    """Run a suite; exit status 1 if a count is wrong."""
    from benchmarks.main import SUITES, run

    if suite not in SUITES:
        raise click.BadParameter(f"there is no suite {suite!r}; there is {', '.join(SUITES)}")
    sys.exit(run(suite, small=small, results=results))
