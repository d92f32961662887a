"""The simulator's output: lines, their order, their reasons; what is wrong with a script; expectations that are not met."""

from typing import Any

import pytest

from actions.registry import detail_of, load_registry
from engine.config import Config
from engine.core.errors import InvalidDocument
from engine.simulator import Simulation, simulate

START = "2026-03-01T21:30:00Z"
ANN = {
    "at": "0s",
    "contact": "ann",
    "update": {"fields": {"email": "ann@example.com", "phone": "+12025550123", "first_name": "Ann"}, "consent": {"sms": "subscribed"}},
}
GO = {"at": "0s", "contact": "ann", "event": "go"}


def run(script: dict[str, Any], bounds: Config | None = None) -> Simulation:
    return simulate({"start": START, "until": "2d", **script}, load_registry(), detail_of, lambda folder: {}, bounds)


def what(simulation: Simulation) -> list[tuple[str, str]]:
    return [(line["what"], line.get("element", "")) for line in simulation.lines]


def test_a_line_says_when_who_where_and_what() -> None:
    path = [{"id": "thanks", "send_email": {"template": "thanks"}}, {"id": "fin", "end": True}]
    simulation = run(
        {
            "maps": [{"map": "m", "triggers": [{"event": "go"}], "path": path}],
            "templates": {"thanks": "---\nsubject: Thanks {{ first_name }}\nfrom: Shop <shop@example.com>\n---\n<p>Hi {{ first_name }}</p>"},
            "script": [ANN, GO],
        }
    )
    line = simulation.lines[1]
    detail = line.pop("detail")
    assert line == {"at": START, "contact": "ann", "map": "m", "element": "thanks", "what": "action", "action": "send_email"}
    assert (detail["template"], detail["to"], detail["subject"], detail["html"]) == ("thanks", "ann@example.com", "Thanks Ann", "<p>Hi Ann</p>")
    assert simulation.lines[-1] == {
        "what": "contact",
        "contact": "ann",
        "fields": {"email": "ann@example.com", "phone": "+12025550123", "first_name": "Ann"},
        "tags": [],
        "enrollments": [{"map": "m", "positions": ["fin"], "status": "resting"}],
    }
    assert simulation.jsonl().count(b"\n") == len(simulation.lines)


def test_every_kind_of_line() -> None:
    maps = [
        {
            "map": "m",
            "triggers": [{"event": "go"}],
            "path": [
                {"id": "promo", "send_sms": {"text": "buy"}},
                {"id": "mail", "send_email": {"template": "t"}},
                {"id": "w", "wait": "1d"},
                {"id": "g", "goal": {"event": "order"}},
                {"id": "fin", "end": True},
            ],
        },
        {"map": "asks", "triggers": [{"event": "go"}], "path": [{"id": "q", "wait": {"event": "never", "timeout": "1h"}}, {"id": "x", "exit": True}]},
    ]
    script = [
        {**ANN, "update": {**ANN["update"], "consent": {"sms": "subscribed", "email": "unsubscribed"}}},  # type: ignore[dict-item]
        GO,
        {"at": "1m", "contact": "ann", "event": "go"},
        {"at": "2m", "contact": "ann", "command": {"pause": "m"}},
        {"at": "3m", "contact": "ann", "event": "order"},
        {"at": "4m", "contact": "ann", "command": {"unpause": "m"}},
        {"at": "3h", "contact": "ann", "command": {"remove_from": "m"}},
    ]
    simulation = run({"maps": maps, "templates": {"t": "---\nsubject: x\n---\nx"}, "script": script})
    assert what(simulation) == [
        ("entered", "q"),
        ("entered", "promo"),
        ("waiting", "q"),
        ("action", "promo"),
        ("suppressed", "mail"),
        ("waiting", "w"),
        ("ignored", "q"),
        ("ignored", "promo"),
        ("paused", "w"),
        ("unpaused", "w"),
        ("goal", "g"),
        ("withdrawn", "promo"),
        ("ended", "fin"),
        ("moved", "q"),
        ("exited", "x"),
        ("removed", "fin"),
        ("contact", ""),
    ]
    details = {line["what"]: line.get("detail") for line in simulation.lines}
    assert details["action"] == {"to": "+12025550123", "text": "buy", "not_before": "2026-03-02T08:00:00Z"}
    assert details["suppressed"] == {"reason": "email: unsubscribed"}
    assert details["ignored"] == {"event": "go", "reason": "active"}
    assert details["goal"] == {"event": "order", "from": ["w"]}
    assert details["moved"] == {"reason": "timeout"}


def test_what_quiet_hours_held_back_is_refused_by_consent_at_its_time() -> None:
    maps = [{"map": "m", "triggers": [{"event": "go"}], "path": [{"id": "promo", "send_sms": {"text": "buy"}}, "exit"]}]
    stop = {"at": "1h", "contact": "ann", "update": {"consent": {"sms": "unsubscribed"}}}
    simulation = run({"maps": maps, "script": [ANN, GO, stop]})
    last = simulation.lines[-2]
    assert (last["at"], last["what"], last["element"], last["detail"]) == ("2026-03-02T08:00:00Z", "suppressed", "promo", {"reason": "sms: unsubscribed"})


def test_an_outcome_of_what_was_not_handed_over_is_ignored() -> None:
    maps = [{"map": "m", "triggers": ["sms_failed"], "path": [{"change_tags": {"add": ["failed"]}}, "exit"]}]
    simulation = run({"maps": maps, "script": [{"at": "0s", "contact": "ann", "outcome": {"action": "send_sms", "status": "rejected"}}]})
    assert [line["what"] for line in simulation.lines] == ["ignored", "contact"]


def test_until_is_inclusive_and_what_comes_after_does_not_happen() -> None:
    maps = [
        {
            "map": "m",
            "triggers": [{"event": "go"}],
            "path": [{"id": "w", "wait": "2d"}, {"change_tags": {"add": ["in"]}}, {"id": "v", "wait": "1s"}, {"change_tags": {"add": ["out"]}}, "exit"],
        }
    ]
    late = {"at": "2d1s", "contact": "bob", "event": "go"}
    simulation = run({"maps": maps, "script": [GO, late]})
    assert [line["tags"] for line in simulation.lines if line["what"] == "contact"] == [["in"]]


def test_entries_are_sorted_by_time_and_repeated_ids_change_nothing() -> None:
    maps = [{"map": "m", "reentry": "parallel", "triggers": [{"event": "go"}], "path": [{"update_contact": {"increase": {"n": 1}}}, "exit"]}]
    entries = [
        {"at": "2h", "contact": "ann", "event": "go", "id": "x"},
        {"at": "1h", "contact": "ann", "event": "go", "id": "x"},
        {"at": "1h", "contact": "bob", "event": "go", "id": "x"},
    ]
    simulation = run({"maps": maps, "script": entries})
    assert [(line["at"], line["contact"]) for line in simulation.lines if line["what"] == "action"] == [
        ("2026-03-01T22:30:00Z", name) for name in ("ann", "bob")
    ]


def test_differences_name_path_expected_and_found() -> None:
    maps = [{"map": "m", "triggers": [{"event": "go"}], "path": [{"id": "t", "change_tags": {"add": ["a"]}}, {"id": "fin", "end": True}]}]
    expect = {
        "actions": [{"element": "u", "detail": {"add": ["a"]}}, {"element": "t"}],
        "contacts": {"ann": {"tags": ["b"], "fields": {"n": 1, "m": None}, "positions": {"m": ["t"]}}, "bob": {"positions": {}}},
    }
    simulation = run({"maps": maps, "script": [GO], "expect": expect})
    assert [str(difference) for difference in simulation.differences] == [
        'actions[0].element: expected "u", found "t"',
        'actions[1]: expected {"element":"t"}, found nothing',
        'contacts.ann.tags: expected ["b"], found ["a"]',
        "contacts.ann.fields.n: expected 1, found nothing",
        'contacts.ann.positions: expected {"m":["t"]}, found {"m":["fin"]}',
    ]
    extra = run({"maps": maps, "script": [GO], "expect": {"actions": []}})
    assert [difference.path for difference in extra.differences] == ["actions[0]"]


@pytest.mark.parametrize(("script", "message"), [
    ({"scirpt": []}, 'did you mean "script"?'),
    ({"start": "soon"}, "`start` must be a time"),
    ({"until": "5"}, "is not a duration"),
    ({"script": [{"contact": "ann", "event": "go"}]}, "does not say when it comes"),
    ({"script": [{"at": "0s", "event": "go"}]}, "`contact` is missing"),
    ({"script": [{"at": "0s", "contact": "ann"}]}, "an entry has one of event, update, command, outcome"),
    ({"script": [{"at": "0s", "contact": "ann", "event": "go", "dat": {}}]}, 'did you mean "data"?'),
    ({"script": [{"at": "0s", "contact": "ann", "command": {"add_to": "welcom"}}], "maps": [{"map": "welcome", "path": ["exit"]}]}, 'did you mean "welcome"?'),
    ({"script": [{"at": "0s", "contact": "ann", "command": {"start": "m"}}]}, "a command has no key"),
    ({"script": [{"at": "0s", "contact": "ann", "update": {"consent": {"email": "yes"}}}]}, "the consent of email must be one of"),
    ({"script": [{"at": "0s", "contact": "ann", "update": {"fields": {"tag": 1}}}]}, "is a word of the predicates"),
    ({"script": [{"at": "0s", "contact": "ann", "outcome": {"action": "send_sms"}}]}, "the outcome has no `status`"),
    ({"expect": {"action": []}}, 'did you mean "actions"?'),
    ({"expect": {"contacts": {"ann": {"tag": []}}}}, 'did you mean "tags"?'),
    ({"maps": [{"map": "m", "path": [{"send_email": {"template": "x"}}]}]}, 'there is no template "x"'),
])  # fmt: skip
def test_what_is_wrong_with_a_script(script: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidDocument) as found:
        run(script)
    assert message in str(found.value)


def test_a_run_is_bounded() -> None:
    maps = [{"map": "m", "triggers": [{"event": "go"}], "path": [{"id": "w", "wait": "1s"}, {"go_to": "w"}]}]
    with pytest.raises(InvalidDocument, match="more than 50 steps"):
        run({"maps": maps, "script": [GO]}, Config(simulation_steps_max=50))


def test_a_workspace_folder_is_read_and_overridden_by_what_stands_inline() -> None:
    folder = {"maps": [{"map": "m", "triggers": [{"event": "go"}], "path": ["exit"]}], "limits": {"timezone": "Nowhere"}}
    script = {"workspace": "../shop", "start": START, "script": [GO], "limits": {"timezone": "UTC"}}
    asked = []

    def read(path: str) -> dict[str, Any]:
        asked.append(path)
        return folder

    simulation = simulate(script, load_registry(), detail_of, read)
    assert asked == ["../shop"]
    assert [line["what"] for line in simulation.lines] == ["entered", "exited", "contact"]
