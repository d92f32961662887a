"""A whole Postfix of a test's own: configuration, queue and log in one folder, on free ports of loopback. Its master wants to be root.

`with postfix(transports) as server:` takes mail at `server.port` for any address. `transports` says where to, by domain or address, as
transport(5) does; `services` are lines for its master.cf. Mail that nobody is named for is refused, so nothing leaves the machine.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from pwd import getpwnam

from tests.counterparts.needs import path_of
from tests.counterparts.process import free_port, started

HOST = "mail.wayfare.test"
DAEMONS = "/usr/lib/postfix/sbin"  # Debian's
ENDS_WITHIN_S = 5

MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = {daemons}
command_directory = {commands}
maillog_file_prefixes = {folder}
maillog_file = {folder}/log
myhostname = {host}
mydestination =
local_transport = error:5.1.2 nobody is named for this address
default_transport = error:5.1.2 nobody is named for this address
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
smtp_tls_security_level = none
alias_maps =
transport_maps = texthash:{folder}/transport
minimal_backoff_time = 1s
queue_run_delay = 1s
"""
MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
{services}
"""


class Postfix:
    """A running server. `log()` is what it wrote about every mail."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port, self._folder = port, folder

    def log(self) -> str:
        file = self._folder / "log"
        return file.read_text(errors="replace") if file.exists() else ""


@contextmanager
def postfix(transports: Mapping[str, str], services: Sequence[str] = ()) -> Iterator[Postfix]:
    """Run it until the block is left. It may only be asked for by root."""
    assert os.getuid() == 0, "Postfix's master must be root to become its other users"
    with tempfile.TemporaryDirectory(prefix="postfix-") as name:
        folder, port, program = Path(name), free_port(), path_of("postfix")
        folder.chmod(0o755)
        for part in ("queue", "data", "etc"):
            (folder / part).mkdir()
        (folder / "transport").write_text("".join(f"{whom} {where}\n" for whom, where in transports.items()))
        (folder / "etc" / "main.cf").write_text(MAIN.format(folder=folder, daemons=DAEMONS, commands=program.parent, host=HOST))
        (folder / "etc" / "master.cf").write_text(MASTER.format(port=port, services="\n".join(services)))
        os.chown(folder / "data", getpwnam("postfix").pw_uid, -1)
        with started(program, "-c", folder / "etc", "start-fg", port=port, within_s=20):
            try:
                yield Postfix(port, folder)
            finally:
                _end(int((folder / "queue" / "pid" / "master.pid").read_text()))


def _end(master: int) -> None:
    """Its master leads a session of its own, so what ends counterparts does not reach it; it ends its children itself."""
    with suppress(ProcessLookupError):
        os.kill(master, signal.SIGTERM)
        for _ in range(ENDS_WITHIN_S * 50):
            os.kill(master, 0)
            time.sleep(0.02)
        os.kill(master, signal.SIGKILL)
