"""Clients that are pointed at a deployment from outside: locust with a shape, and the command that compares k6 with our own client."""

import os
import subprocess
import sys

import msgspec
import pytest

from benchmarks import shapes, workload
from benchmarks.deployment import Deployment, Sinks, wait_until_settled

ROUTES = {"/v1/events, 1,000", "/v1/events, one", "/v1/events, ten lines", "/v1/contacts", "/v1/contacts/{id}"}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    with Sinks() as sinks, Deployment(tmp_path_factory.mktemp("outside") / "data") as running:
        running.publish(workload.documents(sinks.smtp_port))
        yield running


def user_counts(shape, users_max, seconds=100):
    ticks = [shapes.tick(shapes.SHAPES[shape], second, seconds, users_max) for second in range(seconds + 1)]
    assert ticks[-1] is None  # it ends by itself
    return [users for users, _ in ticks[:-1]]


def test_steps_go_up_evenly():
    counts = user_counts("step", 50)
    assert [counts[second] for second in (0, 19, 20, 40, 60, 80, 99)] == [10, 10, 20, 30, 40, 50, 50]


def test_a_spike_comes_and_goes():
    counts = user_counts("spike", 40)
    assert {counts[second] for second in range(40)} == {counts[second] for second in range(60, 100)} == {4}
    assert {counts[second] for second in range(40, 60)} == {40}


def test_a_ramp_goes_up_and_down():
    counts = user_counts("ramp", 20)
    assert counts[0] == counts[99] == 1
    assert counts[50] == max(counts) == 20
    assert counts[:51] == sorted(counts[:51])
    assert counts[50:] == sorted(counts[50:], reverse=True)


@pytest.mark.timeout(120)
def test_locust_uses_the_routes_of_a_sender(deployment):
    shape = {"WAYFARE_SHAPE": "step", "WAYFARE_SHAPE_USERS": "9", "WAYFARE_SHAPE_SECONDS": "4"}
    command = [sys.executable, "-m", "locust", "-f", "benchmarks/locustfile.py", "--headless", "--json", "--host", deployment.url]
    done = subprocess.run(command, env={**os.environ, **shape, "WAYFARE_KEY": deployment.key}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = {each["name"]: each for each in msgspec.json.decode(done.stdout)}
    assert found.keys() >= ROUTES
    assert all(each["num_requests"] and not each["num_failures"] for each in found.values())
    applied = wait_until_settled(deployment).total("wayfare_records_applied_total")
    assert applied >= found["/v1/events, one"]["num_requests"]


@pytest.mark.timeout(120)
def test_the_k6_command_compares_against_a_deployment_that_is_there(deployment):
    flags = {"url": deployment.url, "key": deployment.key, "rate": 50, "seconds": 1, "batch": 2, "contacts": 100}
    command = [sys.executable, "-m", "benchmarks.k6", *(f"--{name}={value}" for name, value in flags.items())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ours: all counts right" in done.stdout
    assert "k6: all counts right" in done.stdout
