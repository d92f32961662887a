"""The watchdog of one `up`: when `up` is gone without having stopped, it ends whatever was started and still lives.

Most of it dies by itself (see processes.spawn), but Ray's agents may wait a minute for a head that is dead as well, and a frozen process
cannot notice anything. `python -m actors.watchdog RUN_FILE`; standard input is a pipe that `up` holds open and that closes with it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from actors.processes import end_leftovers

PATIENCE_S = 2.0


def main() -> None:
    """Wait for the end of `up`, then end what its file lists; a clean stop has removed the file."""
    sys.stdin.buffer.read()
    end_leftovers(Path(sys.argv[1]), PATIENCE_S)


if __name__ == "__main__":
    main()
