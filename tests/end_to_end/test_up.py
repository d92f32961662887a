"""`wayfare up` as its users have it: real Ray, real Valkey, real HTTP; every process killed once; a second start on the same data."""

from __future__ import annotations

import http.client
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.processes import Run, descendants, identify
from benchmarks.deployment import Deployment, Refused, Sinks, wait_until_settled

# What a killed pool held is handed out again when its claims are over; half a minute is too long for a test.
SHORT = {"WAYFARE_CLAIM_LEASE_MS": "3000", "WAYFARE_SEND_TIMEOUT_MS": "2000"}
WAYFARE = str(Path(sys.executable).with_name("wayfare"))


def workspace(sink: str) -> dict[str, Any]:
    return {
        "maps": [
            {
                "map": "orders",
                "reentry": "restart",
                "triggers": [{"event": "order.placed"}],
                "path": [
                    {"id": "count", "update_contact": {"increase": {"orders": 1}}},
                    {"id": "tell", "send_webhook": {"url": f"{sink}/order", "method": "POST", "body": "{{ event.number }}"}},
                    {"id": "rest", "wait": "30d"},
                ],
            }
        ],
        "sequences": [],
        "templates": {},
        "providers": {"webhook": {"allow_private": True}},
    }


@pytest.fixture(scope="module")
def sinks():
    with Sinks() as running:
        yield running


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("up") / "data"


@pytest.fixture(scope="module")
def deployment(data, sinks):
    with Deployment(data, environ=SHORT) as running:
        running.publish(workspace(sinks.url))
        yield running


class Orders:
    """Sends orders that are all different, again where a gateway or storage was away, and knows how many there are."""

    def __init__(self) -> None:
        self.sent = 0

    def send(self, deployment: Deployment, count: int) -> None:
        events = [
            {"contact": f"c-{(self.sent + index) % 20}", "name": "order.placed", "id": f"o-{self.sent + index}", "data": {"number": self.sent + index}}
            for index in range(count)
        ]
        for _ in range(200):
            try:
                answer = deployment.api.json("POST", "/v1/events", events)
                assert answer == {"accepted": count}
                break
            except Refused as refused:
                if refused.status != http.HTTPStatus.SERVICE_UNAVAILABLE:
                    raise
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.1)
        else:
            raise AssertionError("nobody accepts events any more")
        self.sent += count

    def applied(self, deployment: Deployment) -> int:
        return sum(int((deployment.contact(f"c-{number}") or {"fields": {}})["fields"].get("orders", 0)) for number in range(20))


@pytest.fixture(scope="module")
def orders() -> Orders:
    return Orders()


def wayfare(data: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([WAYFARE, *args, "--data", str(data)], capture_output=True, text=True, check=False)


def processes(deployment: Deployment) -> dict[str, int]:
    found = {process["name"]: process["pid"] for process in deployment.api.json("GET", "/v1/status")["processes"] if "pid" in process}
    valkey = [process.pid for process in descendants(deployment.pid) if (Path("/proc") / str(process.pid) / "comm").read_text() == "valkey-server\n"]
    return {name.rpartition("-")[0]: pid for name, pid in found.items()} | {"valkey": valkey[0]}


def owner_pid(deployment: Deployment) -> int:
    """The shard that owns the partitions, told from the standby by what it has applied."""
    owner = deployment.metrics().by("wayfare_records_applied_total", "shard")
    name = max(owner, key=lambda shard: int(shard.rpartition("-")[2]) if owner[shard] else -1)
    return next(process["pid"] for process in deployment.api.json("GET", "/v1/status")["processes"] if process["name"] == name)


def settled(deployment: Deployment) -> None:
    for _ in range(100):
        try:
            wait_until_settled(deployment)
            return
        except (OSError, http.client.HTTPException, Refused):
            time.sleep(0.1)


def test_events_become_messages(deployment, sinks, orders):
    orders.send(deployment, 40)
    settled(deployment)
    assert orders.applied(deployment) == 40
    assert sinks.counts()["kinds"] == {"webhook:/order": 40}


def test_what_is_kept_is_kept_for_its_owner(deployment, data):
    assert stat.S_IMODE((data / "admin.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((data / "ray.token").stat().st_mode) == 0o600
    assert stat.S_IMODE((data / "valkey").stat().st_mode) == 0o700
    said = deployment.log.read_text()
    assert said.count(deployment.key) == 1
    assert "its token is on" in said


def test_a_second_up_on_the_same_data_is_refused(deployment, data):
    again = wayfare(data, "up", "--port", "0")
    assert again.returncode == 2
    assert "another `wayfare up` runs" in again.stderr


def test_a_port_in_use_is_told_before_anything_starts(deployment, tmp_path):
    taken = deployment.url.rpartition(":")[2]
    refused = wayfare(tmp_path / "other", "up", "--port", taken)
    assert refused.returncode == 2
    assert "--port" in refused.stderr


def test_the_verbs_that_ask_a_deployment(deployment, data, orders, tmp_path):
    status = wayfare(data, "status", "--json")
    assert status.returncode == 0
    assert json.loads(status.stdout)["conservation"]["holds"] is True
    assert "conservation holds" in wayfare(data, "status").stdout
    contact = wayfare(data, "contact", "c-1", "--json")
    assert json.loads(contact.stdout)["fields"]["orders"] == 2
    assert wayfare(data, "contact", "nobody").returncode == 1

    file = tmp_path / "events.ndjson"
    file.write_text("".join(f'{{"contact": "c-1", "name": "page.seen", "id": "p-{number}"}}\n' for number in range(2_500)) + "nonsense\n")
    sent = wayfare(data, "send", str(file))
    assert sent.returncode == 1
    assert sent.stdout == "2500 accepted, 1 rejected\n"
    assert f"{file}:2501:" in sent.stderr
    assert "going on behind line 2501" in wayfare(data, "send", str(file)).stderr

    assert wayfare(data, "stop-sending", "--channel", "sms").stdout == "stopped: channel:sms\n"
    assert wayfare(data, "resume-sending", "--channel", "sms").stdout == "nothing is stopped\n"
    assert json.loads(wayfare(data, "dead-letters", "--json").stdout) == []
    assert json.loads(wayfare(data, "unknown", "--json").stdout) == []
    assert wayfare(data, "dead-letters", "drop").returncode == 2
    assert wayfare(data, "dead-letters", "drop", "--yes").stdout == "0 moved\n"


def test_apply_shows_and_publishes(deployment, data, sinks, tmp_path):
    (tmp_path / "maps").mkdir()
    document = workspace(sinks.url)
    (tmp_path / "maps" / "orders.yaml").write_text(json.dumps(document["maps"][0]))
    (tmp_path / "maps" / "other.yaml").write_text("map: other\ntriggers: [{event: x}]\npath: [{change_tags: {add: [a]}}]\n")
    (tmp_path / "providers.yaml").write_text(json.dumps(document["providers"]))
    plan = wayfare(data, "apply", str(tmp_path), "--plan")
    assert plan.stdout.splitlines()[0] == "added    map other (version 1)"
    assert "would be published" in plan.stdout
    assert wayfare(data, "apply", str(tmp_path)).stdout.splitlines()[-1] == "published as snapshot 2"
    assert "nothing changes" in wayfare(data, "apply", str(tmp_path)).stdout
    (tmp_path / "maps" / "other.yaml").write_text("map: other\npath: [{wait: 3q}]\n")
    bad = wayfare(data, "apply", str(tmp_path))
    assert bad.returncode == 2
    assert "maps/other.yaml:2" in bad.stderr


@pytest.mark.parametrize("victim", ["shard", "pool", "gateway", "supervisor", "valkey"])
def test_any_process_may_be_killed(deployment, sinks, orders, victim):
    victims = processes(deployment)
    pid = owner_pid(deployment) if victim == "shard" else victims[victim]
    known = identify(pid)
    orders.send(deployment, 50)
    os.kill(pid, signal.SIGKILL)
    orders.send(deployment, 50)
    settled(deployment)
    assert orders.applied(deployment) == orders.sent
    counts = sinks.counts()
    assert counts["total"] - counts["duplicates"] == orders.sent
    assert counts["duplicates"] == 0 or victim in ("pool", "valkey")  # webhooks are sent again where it is unknown whether they came
    for _ in range(100):
        if victim in (back := processes(deployment)) and back[victim] != pid:
            break
        time.sleep(0.1)
    assert identify(pid) != known
    assert set(processes(deployment)) >= {"shard", "pool", "gateway", "supervisor", "valkey"}


def test_a_shard_may_freeze_and_thaw(deployment, sinks, orders):
    pid = owner_pid(deployment)
    orders.send(deployment, 20)
    os.kill(pid, signal.SIGSTOP)
    try:
        orders.send(deployment, 50)
        settled(deployment)
        assert orders.applied(deployment) == orders.sent
    finally:
        os.kill(pid, signal.SIGCONT)
    orders.send(deployment, 20)
    settled(deployment)
    assert orders.applied(deployment) == orders.sent
    assert deployment.api.json("GET", "/v1/status")["conservation"]["holds"] is True
    assert identify(pid) is not None  # it came back in time to become the standby


def test_all_at_once_and_up_itself_may_be_killed_and_the_next_start_finds_everything(deployment, data, sinks, orders):
    orders.send(deployment, 50)
    started = msgspec.json.decode((data / "run.json").read_bytes(), type=Run).processes
    assert len(started) > 10
    os.kill(deployment.pid, signal.SIGKILL)
    for _ in range(100):
        left = [process for process in started if identify(process.pid) == process]
        if not left:
            break
        time.sleep(0.1)
    assert left == []

    with Deployment(data, environ=SHORT) as again:
        settled(again)
        assert orders.applied(again) == orders.sent
        assert "admin key" not in again.log.read_text().rpartition("wayfare 0.")[2]
        orders.send(again, 10)
        settled(again)
        counts = sinks.counts()
        assert counts["total"] - counts["duplicates"] == orders.sent
        below = descendants(again.pid)
        assert again.stop() == 0
        assert [process for process in below if identify(process.pid) == process] == []
        assert not (data / "run.json").exists()
