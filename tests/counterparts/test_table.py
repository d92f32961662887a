"""How README's table of the actions is made, and when it is not."""

from __future__ import annotations

import pytest

from actions.registry import load_registry
from tests.counterparts.table import ACTIONS, BEGIN, END, KINDS, Proof, between, replaced, table, unproved

pytest_plugins = ("pytester",)

PROVED = """
    import pytest
    from tests.counterparts.proofs import proves

    {marks}
    @pytest.mark.parametrize("n", [1, 2])
    def test_it(n):
        {body}
"""


def proof(action: str, counterpart: str = "a sink", asserts: str = "one came", test: str = "test_a.py::test_it") -> Proof:
    return Proof(action, counterpart, asserts, test)


def test_the_actions_of_the_specification_are_the_kinds_of_the_registry() -> None:
    assert len(ACTIONS) == 25
    assert sorted(KINDS) == sorted(load_registry())


def test_a_row_an_action_with_what_each_counterpart_showed() -> None:
    lines = table(
        [
            proof("send_email"),
            proof("send_email", asserts="it was signed", test="test_a.py::test_more"),
            proof("send_email", "maildev", test="test_b.py::test_it"),
            proof("unpause_sequence"),
            proof("pause_sequence"),
        ]
    ).splitlines()
    assert len(lines) == 2 + 25
    files = "[a](tests/counterparts/test_a.py), [b](tests/counterparts/test_b.py)"
    assert lines[2] == f"| 1 | `send_email` | **a sink**: one came; it was signed<br>**maildev**: one came | {files} |"
    assert lines[16] == "| 15 | `pause_sequence`, `unpause_sequence` | **a sink**: one came | [a](tests/counterparts/test_a.py) |"


def test_what_has_no_proof_is_named() -> None:
    assert unproved([proof(kind) for kind in KINDS if kind not in {"send_sms", "pause_sequence"}]) == ["send_sms", "pause_sequence"]


def test_only_what_is_between_the_markers_is_replaced() -> None:
    text = f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n"
    assert replaced(text, "new\nlines") == f"before\n\n{BEGIN}\nnew\nlines\n{END}\n\nafter\n"
    for broken in ("nothing", f"{BEGIN}\n", text + text, f"{END}\n{BEGIN}\n"):
        with pytest.raises(ValueError):
            between(broken)


def outcome(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, body: str, *args: str, kinds: tuple[str, ...] = KINDS, old: str = "old"
) -> tuple[int, str]:
    """(exit status, README's table) of a run of one test that proves these kinds."""
    readme = pytester.path / "README.md"
    readme.write_text(f"# X\n\n{BEGIN}\n{old}\n{END}\n")
    monkeypatch.setattr("tests.counterparts.table.README", readme)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    marks = "\n    ".join(f'@proves("{kind}", "a sink", "one came")' for kind in kinds)
    pytester.makepyfile(test_a=PROVED.format(marks=marks, body=body))
    pytester.makeini("[pytest]\nmarkers =\n    proves\n    needs\n")
    result = pytester.runpytest_inprocess("-p", "tests.counterparts.table", *args)
    return int(result.ret), between(readme.read_text())


def test_a_run_in_which_all_passed_writes_the_table(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    status, inner = outcome(pytester, monkeypatch, "pass")
    assert status == 0
    assert inner == table([proof(kind) for kind in KINDS])


@pytest.mark.parametrize(
    ("body", "args", "kinds"),
    [
        ("assert n == 1", [], KINDS),
        ("if n == 2: pytest.skip('not here')", [], KINDS),
        ("pass", ["-k", "1"], KINDS),
        ("pass", [], KINDS[1:]),
        ("pass", ["--collect-only"], KINDS),
    ],
    ids=["failed", "skipped", "deselected", "not proved", "only collected"],
)
def test_any_other_run_leaves_it_alone(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, body: str, args: list[str], kinds: tuple[str, ...]) -> None:
    monkeypatch.delenv("CI", raising=False)
    assert outcome(pytester, monkeypatch, body, *args, kinds=kinds)[1] == "old"


def test_under_ci_a_table_that_differs_fails_the_run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert outcome(pytester, monkeypatch, "pass") == (1, "old")
    right = table([proof(kind) for kind in KINDS])
    assert outcome(pytester, monkeypatch, "pass", old=right) == (0, right)
