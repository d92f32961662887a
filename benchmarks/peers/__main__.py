"""One peer, once, for whoever writes or tunes it: `python -m benchmarks.peers NAME [--events N] [--concurrency N]`. Nothing is written."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import msgspec

from benchmarks.deployment import Sinks
from benchmarks.peers.main import Size, checked, every_peer, work_for


def main() -> None:
    """Print what a run found, and its counts as [wanted, found]."""
    peers = {peer.name: peer for peer in every_peer()}
    parser = argparse.ArgumentParser(description="Run one peer once.")
    parser.add_argument("name", choices=peers)
    parser.add_argument("--events", type=int, default=1_000)
    parser.add_argument("--contacts", type=int, default=1_000)
    parser.add_argument("--concurrency", type=int)
    flags = parser.parse_args()
    peer = peers[flags.name]
    if why := peer.missing():
        raise SystemExit(why)
    with Sinks() as sinks, tempfile.TemporaryDirectory(prefix="wayfare-peer-") as folder:
        work = work_for(peer, Size(events=flags.events, contacts=flags.contacts), 1, sinks.smtp_port)
        figures = peer.run(work, flags.concurrency or peer.sweep[0], Path(folder))
        print(
            msgspec.json.format(msgspec.json.encode({"figures": figures, "checks": checked(peer, work, figures, sinks.counts()["total"])}), indent=2).decode()
        )


if __name__ == "__main__":
    main()
