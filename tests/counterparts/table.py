"""README's table of the 25 actions, made of the proofs that passed. A plugin of pytest: `make test-counterparts` runs with it.

The table is written when every proof that was collected has passed and every kind has one; a run of some of the tests, or with a counterpart missing, leaves
the README as it is and says so. Under CI nothing is written: there a README that differs fails the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.counterparts.needs import ROOT, in_ci

README = ROOT / "README.md"
BEGIN, END = "<!-- the 25 actions: written by make test-counterparts -->", "<!-- the end of the 25 actions -->"

# The actions of the specification in its order; pausing and unpausing are two kinds of one action.
ACTIONS = (
    ("send_email",),
    ("send_sms",),
    ("send_postcard",),
    ("assign_task",),
    ("notify_sms",),
    ("notify_email",),
    ("update_membership",),
    ("give_wordpress_access",),
    ("remove_wordpress_access",),
    ("add_to_automation",),
    ("remove_from_automation",),
    ("pause_automation", "unpause_automation"),
    ("add_to_sequence",),
    ("remove_from_sequence",),
    ("pause_sequence", "unpause_sequence"),
    ("add_purchase",),
    ("update_contact",),
    ("change_tags",),
    ("send_to_fulfillment",),
    ("remove_from_fulfillment",),
    ("cancel_open_orders",),
    ("recharge_transactions",),
    ("add_to_lead_router",),
    ("update_facebook_audience",),
    ("send_webhook",),
)
KINDS = tuple(kind for action in ACTIONS for kind in action)


class Proof(NamedTuple):
    """One mark of one test. `test` is file and function, without parameters: `test_postfix.py::test_mail_arrives`."""

    action: str
    counterpart: str
    asserts: str
    test: str


def proofs_of(item: pytest.Item) -> list[Proof]:
    """The proofs of a test, in the order in which they are written above it."""
    test = f"{item.path.name}::{getattr(item, 'originalname', None) or item.name}"
    return [Proof(**mark.kwargs, test=test) for mark in reversed(list(item.iter_markers("proves")))]


def unproved(proofs: Iterable[Proof]) -> list[str]:
    """Kinds that no proof speaks of."""
    return [kind for kind in KINDS if kind not in {proof.action for proof in proofs}]


def table(proofs: Iterable[Proof]) -> str:
    """The lines between the markers: a row an action, a line in it a counterpart."""
    found = list(dict.fromkeys(proofs))
    rows = ["| | action | at its counterpart: what was asserted | tests |", "|---|---|---|---|"]
    for number, kinds in enumerate(ACTIONS, 1):
        of = [proof for proof in found if proof.action in kinds]
        names = ", ".join(f"`{kind}`" for kind in kinds)
        rows.append(f"| {number} | {names} | {'<br>'.join(_said(of))} | {', '.join(_links(of))} |")
    return "\n".join(rows)


def _said(proofs: list[Proof]) -> Iterator[str]:
    for counterpart in dict.fromkeys(proof.counterpart for proof in proofs):
        yield f"**{counterpart}**: {'; '.join(dict.fromkeys(proof.asserts for proof in proofs if proof.counterpart == counterpart))}"


def _links(proofs: list[Proof]) -> Iterator[str]:
    for file in dict.fromkeys(proof.test.partition("::")[0] for proof in proofs):
        yield f"[{file.removeprefix('test_').removesuffix('.py')}](tests/counterparts/{file})"


def between(text: str) -> str:
    """What stands between the markers. ValueError where they are not there once each, in their order."""
    _, found, rest = text.partition(f"{BEGIN}\n")
    inner, closed, after = rest.partition(f"\n{END}\n")
    if not found or not closed or BEGIN in rest or END in after:
        raise ValueError("the markers of the table are not there once each")
    return inner


def replaced(text: str, inner: str) -> str:
    """The text with other lines between its markers."""
    return text.replace(f"{BEGIN}\n{between(text)}\n{END}", f"{BEGIN}\n{inner}\n{END}")


class Table:
    """Hears each result. `proved` and `left` are proofs by test, without and with a reason not to believe them."""

    def __init__(self, readme: Path) -> None:
        self._readme = readme
        self.collected: list[Proof] = []
        self.left: set[str] = set()  # tests that failed, were skipped or deselected
        self._said = ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.collected += [proof for item in items for proof in proofs_of(item)]

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        self.left |= {proof.test for item in items for proof in proofs_of(item)}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[None]:
        report: Any = yield
        if not report.passed:
            self.left |= {proof.test for proof in proofs_of(item)}
        return report

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.config.option.collectonly:
            return
        proofs = sorted(proof for proof in self.collected if proof.test not in self.left)
        lacking = unproved(proofs)
        if self.left or lacking or session.testsfailed:
            what = [f"no proof of {', '.join(lacking)}"] if lacking else []
            self._said = f"README.md's table is left as it is: {'; '.join([*what, *sorted(f'{test} did not pass' for test in self.left)]) or 'tests failed'}"
            return
        text = self._readme.read_text()
        if (new := replaced(text, table(proofs))) == text:
            self._said = f"README.md's table is what {len(proofs)} proofs of {len(KINDS)} kinds say"
        elif in_ci():
            self._said = "README.md's table is not what the tests prove: run `make test-counterparts` and commit it"
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        else:
            self._readme.write_text(new)
            self._said = "README.md's table was written anew"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._said:
            terminalreporter.write_line(self._said)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Table(README), "wayfare-table")
