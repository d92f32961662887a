import os
import subprocess
import sys

from benchmarks import cpu

BURN = "import sys, time\nwhile time.process_time() < 0.1: pass\nprint(flush=True); sys.stdin.read()"


def test_descendants_are_counted_by_role(tmp_path):
    named = tmp_path / "valkey-server"
    named.symlink_to(sys.executable)  # a role is known by what a process calls itself
    with subprocess.Popen([named, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        used = cpu.seconds_by_role(os.getpid())
        child.stdin.close()
    assert used["valkey"] >= 0.09
    assert used["gateway"] == 0
    assert used[cpu.OTHER] > 0


def test_per_event():
    assert cpu.per_event_us({"shard": 1.0}, {"shard": 1.5}, 100_000) == {"shard": 5.0}
