"""The program without a deployment: what it prints, its exit statuses, and what it imports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ops.cli.main import VERBS, main

SCRIPT = """
maps:
  - map: hello
    triggers: [{event: a}]
    path: [{id: tag, change_tags: {add: [x]}}, {id: done, end: {}}]
start: 2026-01-05T09:00:00Z
until: 1d
script: [{at: 0s, contact: ann, event: a}]
expect: {contacts: {ann: {tags: [TAG]}}}
""".replace(", {id: done, end: {}}", "")


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("WAYFARE_URL", "WAYFARE_KEY", "WAYFARE_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(monkeypatch, capfdbinary):
    def call(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["wayfare", *args])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfdbinary.readouterr()
        return ended.value.code or 0, out.decode(), err.decode()

    return call


def test_every_verb_has_help_and_is_listed(run):
    status, out, _ = run("--help")
    assert status == 0
    for verb in VERBS:
        assert verb in out
        assert run(verb, "--help")[0] == 0


def test_a_rate_that_no_pool_could_read_is_told_with_its_line(run, tmp_path):
    (tmp_path / "w").mkdir()
    for limits, place in [("timezone: UTC\nrates:\n  email: fast\n", "limits.yaml:3"), ("- rates\n", "limits.yaml"), ("rates: [1]\n", "limits.yaml")]:
        (tmp_path / "w" / "limits.yaml").write_text(limits)
        status, _, err = run("check", "w")
        assert status == 2
        assert place in err


def test_an_unknown_verb_is_bad_usage(run):
    assert run("fly")[0] == 2


def test_simulate_prints_one_object_a_line(run, tmp_path):
    (tmp_path / "s.yaml").write_text(SCRIPT.replace("TAG", "x"))
    status, out, err = run("simulate", "s.yaml", "--format", "jsonl", "--check")
    assert (status, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["what"] for line in lines][:2] == ["entered", "action"]
    assert lines[-1]["tags"] == ["x"]


def test_a_difference_is_status_1_only_when_it_is_checked(run, tmp_path):
    (tmp_path / "s.yaml").write_text(SCRIPT.replace("TAG", "y"))
    assert run("simulate", "s.yaml")[0] == 0
    status, out, err = run("simulate", "s.yaml", "--check")
    assert status == 1
    assert "tags" in err
    assert out


@pytest.mark.parametrize("text", [b"maps: [{map: x, path: [{wait: 3q}]}]\nscript: []\n", b"- a\n", b": [", b"\xff\xfe"])
def test_an_invalid_script_is_status_2_with_the_place(run, tmp_path, text):
    (tmp_path / "s.yaml").write_bytes(text)
    status, out, err = run("simulate", "s.yaml")
    assert (status, out) == (2, "")
    assert err.startswith("s.yaml")
    assert "Traceback" not in err


def test_a_workspace_is_read_from_beside_the_script(run, tmp_path):
    (tmp_path / "ws" / "maps").mkdir(parents=True)
    (tmp_path / "ws" / "maps" / "m.yaml").write_text("map: hello\ntriggers: [{event: a}]\npath: [{id: tag, change_tags: {add: [x]}}]\n")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "s.yaml").write_text("workspace: ../ws\nstart: 2026-01-05T09:00:00Z\nscript: [{at: 0s, contact: ann, event: a}]\n")
    status, out, _ = run("simulate", "scripts/s.yaml")
    assert status == 0
    assert json.loads(out.splitlines()[-1])["tags"] == ["x"]


def test_check_tells_every_problem_with_its_line(run, tmp_path):
    (tmp_path / "maps").mkdir()
    good = "map: a\ntriggers: [{event: x}]\npath: [{id: t, change_tags: {add: [x]}}]\n"
    (tmp_path / "maps" / "a.yaml").write_text(good)
    status, out, err = run("check", ".")
    assert status == 0
    assert "1 maps" in out
    (tmp_path / "maps" / "b.yaml").write_text("map: b\npath:\n  - wait: 3q\n  - send_emial: {template: x}\n")
    status, out, err = run("check", ".")
    assert status == 2
    assert out == ""
    assert "maps/b.yaml:3" in err
    assert "maps/b.yaml:4" in err
    status, out, _ = run("check", ".", "--json")
    assert status == 2
    assert json.loads(out)["valid"] is False


def test_config_tells_where_a_setting_comes_from_and_masks_secrets(run, tmp_path, monkeypatch):
    (tmp_path / "wayfare.toml").write_text("shards = 2\n")
    monkeypatch.setenv("WAYFARE_ADMIN_KEY", "very-secret")
    status, out, _ = run("config", "--json")
    found = json.loads(out)
    assert status == 0
    assert found["shards"] == {"value": "2", "from": "wayfare.toml"}
    assert found["admin_key"] == {"value": "********", "from": "WAYFARE_ADMIN_KEY"}
    assert "very-secret" not in run("config")[1]


@pytest.mark.parametrize("environ", [{"WAYFARE_SHARDS": "many"}, {"WAYFARE_PORT": "70000"}])
def test_a_setting_out_of_its_bounds_is_status_2(run, monkeypatch, environ):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for verb in ("config", "status", "up"):
        status, out, err = run(verb)
        assert (status, out) == (2, "")
        assert err.startswith("wayfare: ")


def test_up_publishes_nothing_that_is_invalid_and_starts_nothing(run, tmp_path):
    (tmp_path / "ws" / "maps").mkdir(parents=True)
    (tmp_path / "ws" / "maps" / "a.yaml").write_text("map: a\npath: [{wait: 3q}]\n")
    status, _, err = run("up", "--workspace", "ws", "--data", "data")
    assert status == 2
    assert "maps/a.yaml:2" in err
    assert not (tmp_path / "data").exists()


def test_where_nobody_answers_the_remedy_is_told(run):
    status, out, err = run("status", "--url", "http://127.0.0.1:1")
    assert (status, out) == (1, "")
    assert "wayfare up" in err
    assert run("status", "--url", "nonsense")[0] == 1


def test_effects_are_not_moved_by_accident(run):
    for args in (("dead-letters", "replay"), ("dead-letters", "drop"), ("unknown", "resolve", "--into", "delivered"), ("unknown", "resolve", "--id", "x")):
        status, _, err = run(*args, "--url", "http://127.0.0.1:1")
        assert status == 2
        assert "--" in err
    assert run("stop-sending", "--channel", "sms", "--map", "m", "--url", "http://127.0.0.1:1")[0] == 2
    assert run("bench", "nothing")[0] == 2


def test_simulate_and_check_import_neither_ray_nor_a_server():
    program = (
        "import sys; import ops.cli.documents, ops.cli.main; from engine.simulator import simulate; from actions.registry import load_registry; load_registry();"
        "print([name for name in ('ray', 'aiohttp', 'redis', 'uvloop', 'rich') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert found.stdout == "[]\n"
