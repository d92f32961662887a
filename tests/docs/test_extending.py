"""The page on extending keeps its word: each example is one file, and works beside those that are there."""

from __future__ import annotations

import importlib.util
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import actions.kinds
import actions.providers
from actions.providers.registry import load_providers, provider_problems
from actions.registry import detail_of, load_registry
from engine.core.documents import read_document
from engine.core.errors import InvalidDocument
from engine.simulator import simulate
from tests.conformance import test_providers as suite
from tests.conformance.benches.bench import Bench
from tests.end_to_end.ring import Host, running
from tests.providers.http_server import HttpServer

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^\*\*`([^`\n]+)`\*\*\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = dict(BLOCK.findall((ROOT / "docs/extending.md").read_text()))
KIND, SCRIPT, PROVIDER, BENCH = (
    "actions/kinds/notify_chat.py",
    "tests/golden/notify-chat.yaml",
    "actions/providers/textgate.py",
    "tests/conformance/benches/textgate.py",
)


@pytest.fixture(scope="module", autouse=True)
def _beside_the_others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The folders that the registries scan, each with one folder more."""
    folder = tmp_path_factory.mktemp("extended")
    with pytest.MonkeyPatch.context() as patch:
        for package, name in ((actions.kinds, KIND), (actions.providers, PROVIDER)):
            (folder / name).parent.mkdir(parents=True)
            (folder / name).write_text(FILES[name])
            patch.setattr(package, "__path__", [*package.__path__, str((folder / name).parent)])
        load_registry.cache_clear()
        load_providers.cache_clear()
        yield
    load_registry.cache_clear()
    load_providers.cache_clear()
    for module in ("actions.kinds.notify_chat", "actions.providers.textgate"):
        sys.modules.pop(module, None)


def bench_class(folder: Path) -> type[Bench]:
    """The bench of the page, from a file of its own."""
    (folder / "textgate.py").write_text(FILES[BENCH])
    spec = importlib.util.spec_from_file_location("textgate_bench", folder / "textgate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TextGateBench  # type: ignore[no-any-return]


def cases() -> Iterator[Any]:
    """Every test of the provider conformance suite that takes a bench, with each of its hostile texts."""
    for name, test in sorted(vars(suite).items()):
        names = list(inspect.signature(test).parameters) if name.startswith("test_") else []
        if names == ["bench"]:
            yield pytest.param(test, [], id=name)
        elif names == ["bench", "name"]:
            yield from (pytest.param(test, [text], id=f"{name}-{text}") for text in suite.HOSTILE)


def test_nothing_of_it_is_in_the_project() -> None:
    assert {KIND, SCRIPT, PROVIDER, BENCH} <= set(FILES)
    assert not any((ROOT / name).exists() for name in FILES)


def test_they_are_found() -> None:
    assert "notify_chat" in load_registry()
    assert ("sms", "textgate") in load_providers()


@pytest.mark.parametrize("name", [KIND, PROVIDER, BENCH])
def test_they_pass_the_linter(name: str) -> None:
    for command in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", name, "-"], input=FILES[name], text=True, capture_output=True, cwd=ROOT, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_script_holds() -> None:
    script = read_document(FILES[SCRIPT], SCRIPT)
    assert isinstance(script, dict)
    found = simulate(script, load_registry(), detail_of, lambda folder: {})
    assert [str(difference) for difference in found.differences] == []


def test_a_wrong_parameter_is_named() -> None:
    path = [{"notify_chat": {"room": "sales", "text": "x"}}]
    script = {"start": "2026-03-01T09:00:00Z", "until": "1d", "maps": [{"map": "m", "triggers": [{"event": "go"}], "path": path}]}
    with pytest.raises(InvalidDocument, match='"sales" is not a URL'):
        simulate(script, load_registry(), detail_of, lambda folder: {})


def test_the_block_is_read() -> None:
    block = read_document(FILES["providers.yaml"], "providers.yaml")
    assert provider_problems(block) == []
    assert provider_problems({"sms": {**block["sms"], "base_url": 7, "colour": "red"}}) != []


@pytest.mark.parametrize(("test", "more"), list(cases()))
async def test_the_provider_passes_the_suite(test: Any, more: list[str], tmp_path: Path) -> None:
    async with bench_class(tmp_path)() as bench:
        await test(bench, *more)


async def test_both_work_in_the_whole_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTGATE_KEY", "sw0rdfish")
    async with running() as ring, Host() as chat, HttpServer() as gate:
        await chat.listen()
        path = [
            {"notify_chat": {"room": f"{chat.url}/hooks/sales", "text": 'New: "{{ first_name }}"'}},
            {"send_sms": {"text": "Hi, {{ first_name }}", "transactional": True}},
        ]
        sms = {**read_document(FILES["providers.yaml"], "providers.yaml")["sms"], "base_url": gate.url}
        ring.start_shard()
        await ring.publish({"maps": [{"map": "m", "triggers": [{"event": "go"}], "path": path}], "providers": {**ring.providers, "sms": sms}})
        await ring.start_pools("sms", "webhook")
        ann = {"contact": "ann", "fields": {"first_name": "Ann", "phone": "+12025550123"}, "consent": {"sms": "subscribed"}}
        await ring.accepted("/v1/contacts", ann)
        await ring.accepted("/v1/events", {"contact": "ann", "name": "go"})
        await ring.carried("sms", "webhook")
        assert [one["body"] for one in chat.taken] == ['{"text":"New: \\"Ann\\""}']
        [request] = gate.requests
        assert request["body"] == b'{"to": "+12025550123", "from": "Shop", "text": "Hi, Ann"}'
        assert request["headers"]["Authorization"] == "Bearer sw0rdfish"
        assert len(request["headers"]["Idempotency-Key"]) == 32
        await ring.conserved()
