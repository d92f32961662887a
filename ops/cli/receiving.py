"""`wayfare receive-mail`: a mail that came back, from standard input to the deployment, for a mail server that pipes to a program.

Exit status 75 (EX_TEMPFAIL) whenever the deployment did not take it, so the server keeps the mail and tries again; it never bounces a bounce.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path

import click

from actions.bounce_mail import REPORT_BYTES_MAX
from engine.core.errors import WayfareError
from ops.cli.client import Client

TEMPORARY = 75
CHUNK_BYTES = 64 * 1024


@click.command(help="Hand a mail that came back, on standard input, to a deployment; for a mail server's pipe.")
@click.option("--url", envvar="WAYFARE_URL", default="http://127.0.0.1:8080", show_default=True, help="Where the deployment answers.")
@click.option(
    "--secret-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file that holds the `callback_secret` of the email block.  [default: the variable WAYFARE_CALLBACK_SECRET]",
)
def receive_mail(*, url: str, secret_file: Path | None) -> None:
    """Only the beginning of a mail is used, so only that is sent; the rest is read, or the mail server would see a broken pipe."""
    mail = sys.stdin.buffer.read(REPORT_BYTES_MAX)
    while sys.stdin.buffer.read(CHUNK_BYTES):
        pass
    try:
        secret = secret_file.read_text().strip() if secret_file else os.environ.get("WAYFARE_CALLBACK_SECRET", "")
        with closing(Client(url, secret)) as client:
            client.send("POST", "/v1/callbacks/smtp", mail, {"Content-Type": "message/rfc822"})
    except (WayfareError, OSError) as error:
        click.echo(f"wayfare: {error}", err=True)
        sys.exit(TEMPORARY)
