"""Hands the events of a file over to a task queue: `python -m benchmarks.peers.inside.producer celery_app FILE`, in the queue's own environment.

It reads the file, prints a line, waits for a line, hands over, and prints `{"begun_s", "cpu_s"}`: when it
began, by the machine's monotonic clock, and the CPU seconds that it took.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path


def main() -> None:
    app = importlib.import_module(f"benchmarks.peers.inside.{sys.argv[1]}")
    events = [json.loads(line) for line in Path(sys.argv[2]).read_text().splitlines()]
    print("ready", flush=True)
    sys.stdin.readline()
    begun_s, cpu_s = time.monotonic(), time.process_time()
    app.enqueue(events)
    print(json.dumps({"begun_s": begun_s, "cpu_s": time.process_time() - cpu_s}), flush=True)


if __name__ == "__main__":
    main()
