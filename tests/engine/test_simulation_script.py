"""What is wrong with a script is named with its line and a remedy, and no value of a contact stops a run."""

import pytest

from actions.registry import detail_of, load_registry
from engine.core.documents import read_document
from engine.core.errors import InvalidDocument
from engine.simulator import Simulation, simulate

MAP = "maps: [{map: welcome, triggers: [{event: go}], path: [{id: e, end: true}]}]\n"


def run(text: str) -> Simulation:
    script = read_document(text, "script.yaml")
    assert isinstance(script, dict)
    return simulate(script, load_registry(), detail_of, lambda folder: {})


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("command: {add_to: welcom}", 'there is no map "welcom" (did you mean "welcome"?)'),
        ("outcome: {action: send_smss, status: rejected}", 'there is no action "send_smss" (did you mean "send_sms"?)'),
        ("outcome: {action: send_sms, status: rejectd}", '(did you mean "rejected"?)'),
        ("outcome: {action: send_sms}", "the outcome has no `status`"),
    ],
)
def test_what_an_entry_names_must_be_there(entry: str, said: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        run(f"{MAP}script:\n  - {{at: 0s, contact: ann, {entry}}}\n")
    (problem,) = caught.value.problems
    assert str(problem).startswith("script.yaml:3: ")
    assert said in str(problem)


@pytest.mark.parametrize("expected", ["positions: {welcome: e}", "positions: {welcome: 1.5}", "positions: {welcome: [1]}", "tags: [5]", "tags: {a: b}"])
def test_expectations_of_a_wrong_type_are_named(expected: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        run(f"{MAP}expect:\n  contacts:\n    ann: {{{expected}}}\n")
    assert [problem.line for problem in caught.value.problems] == [4]


@pytest.mark.parametrize("start", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_start_lies_where_every_duration_ends_within_the_calendar(start: str) -> None:
    with pytest.raises(InvalidDocument, match="after 1970 and before 9000"):
        run(f"start: {start}\n{MAP}")


def test_dates_at_the_ends_of_the_calendar_stop_nothing() -> None:
    dates = ['"9999-12-31T23:59:59"', '"0001-01-01"', '"9999-12-31T23:59:59-14:00"', "1e300", "-1e300"]
    entries = "".join(
        f"  - {{at: 0s, contact: c{number}, update: {{timezone: {zone}, fields: {{d: {date}}}}}}}\n  - {{at: 0s, contact: c{number}, event: go}}\n"
        for number, (zone, date) in enumerate([(zone, date) for zone in ("America/New_York", "Pacific/Kiritimati") for date in dates])
    )
    path = "[{id: w, wait: {until: {field: d, offset: 1d}}}, {id: e, end: true}]"
    triggers = "[{event: go}, {date: {field: d, offset: 99d, yearly: true}}, {date: {field: d, offset: -99d}}]"
    simulation = run(f"maps: [{{map: m, reentry: parallel, triggers: {triggers}, path: {path}}}]\nscript:\n{entries}")
    assert {line["contact"] for line in simulation.lines if line["what"] == "contact"} == {f"c{number}" for number in range(10)}


def test_a_member_of_a_router_must_be_text() -> None:
    with pytest.raises(InvalidDocument, match="a member must be the name of a team member, not a mapping"):
        run("team: {eve: {}}\nrouters: {r: {kind: round_robin, members: [{a: eve}]}}\n")


def test_a_step_of_a_sequence_may_stand_at_a_date() -> None:
    steps = "[{date: 2026-01-08, change_tags: {add: [one]}}, {date: {field: d, offset: -1d}, change_tags: {add: [two]}}]"
    fields = "  - {at: 0s, contact: ann, update: {fields: {d: 2026-01-11}}}\n"
    simulation = run(f"sequences: [{{sequence: s, steps: {steps}}}]\nscript:\n{fields}  - {{at: 0s, contact: ann, command: {{add_to: s}}}}\n")
    assert [line["at"] for line in simulation.lines if line["what"] == "action"] == ["2026-01-08T00:00:00Z", "2026-01-10T00:00:00Z"]


def test_no_positions_in_a_map_may_be_written_as_an_empty_list() -> None:
    script = f"{MAP}script: [{{at: 0s, contact: ann, event: go}}]\nexpect: {{contacts: {{ann: {{positions: {{welcome: [e], other: []}}}}, bob: {{positions: {{welcome: []}}}}}}}}\n"
    assert run(script).differences == []
