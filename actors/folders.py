"""Where a deployment keeps what on this machine: the data folder, and a short one for sockets and Ray's session."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from hashlib import blake2b
from pathlib import Path

from engine.core.errors import InvalidConfig

SOCKET_BYTES_MAX = 100  # Linux takes 107; the server adds a suffix while it binds


class Folders:
    """The paths below a data folder. What we make is readable by its owner only."""

    def __init__(self, data: str) -> None:
        self.data = Path(data).expanduser().resolve()
        self.valkey = self.data / "valkey"
        self.logs = self.data / "logs"
        self.admin_key = self.data / "admin.key"
        self.ray_token = self.data / "ray.token"
        self.lock = self.data / "up.lock"
        self.run = self.data / "run.json"
        digest = blake2b(str(self.data).encode(), digest_size=5).hexdigest()
        # The short folder. Ray adds up to 70 characters to its folder, and a socket's path ends at 107 bytes; data folders may be deep.
        self.ray = Path(tempfile.gettempdir()) / f"wayfare-{os.getuid()}-{digest}"
        socket = self.valkey / "valkey.sock"
        self.socket = socket if len(os.fsencode(socket)) <= SOCKET_BYTES_MAX else self.ray / "valkey.sock"

    def make(self) -> None:
        """Make them all; InvalidConfig where one cannot be made or is somebody else's. A data folder that stood there keeps its mode."""
        try:
            self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
            for folder in (self.valkey, self.logs, self.ray):
                folder.mkdir(exist_ok=True, mode=0o700)
                found = folder.lstat()
                if stat.S_ISLNK(found.st_mode) or found.st_uid != os.getuid():
                    raise InvalidConfig(f"{folder} belongs to somebody else: remove it, or name another folder with --data")
                folder.chmod(0o700)
        except OSError as error:
            raise InvalidConfig(f"{error.filename} cannot be used: {error.strerror}; name another folder with --data") from error

    def forget_ray(self) -> None:
        """Remove what earlier sessions of Ray left in the short folder."""
        for entry in self.ray.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)

    def leave(self) -> None:
        """After a clean stop: the short folder is of no use any more."""
        self.forget_ray()
        self.ray.rmdir()


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    os.fchmod(descriptor, 0o600)
    with os.fdopen(descriptor, "w") as made:
        made.write(text)
