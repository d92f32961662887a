import pytest

from engine.core.documents import read_document
from engine.core.lint import lint
from engine.core.parse import parse_map, parse_sequence

KINDS = ("send_sms", "change_tags", "add_to_automation", "add_to_sequence", "assign_task")


def found(text, *, warnings=False):
    document = read_document(text, "w.yaml")
    problems = []
    maps = {}
    for one in document.get("maps", []):
        parsed = parse_map(one, problems, KINDS)
        maps[parsed.id] = parsed
    for one in document.get("sequences", []):
        parsed, _ = parse_sequence(one, problems, KINDS)
        maps[parsed.id] = parsed
    assert problems == []
    lint(maps, problems)
    return [str(problem) for problem in problems if problem.warning == warnings]


def in_map(*elements, head=""):
    lines = "".join(f"      - {element}\n" for element in elements)
    return f"maps:\n  - map: m\n{head}    path:\n{lines}"


def clean(text):
    assert found(text) == []


def one(text, says, line=None):
    problems = found(text)
    assert len(problems) == 1, problems
    assert says in problems[0]
    if line:
        assert problems[0].startswith(f"w.yaml:{line}: ")


def test_a_map_in_order_has_no_problem():
    clean(in_map("{id: a, send_sms: {text: a}}", "{id: w, wait: 1d}", "{id: g, goal: {event: x}}", "exit"))


# -- names -----------------------------------------------------------------------------------------------------------------


def test_ids_are_unique():
    one(in_map("{id: a, wait: 1d}", "{if: {x: 1}, then: [{id: a, send_sms: {text: a}}]}"), 'the id "a" is taken (line 4)', line=5)


def test_a_go_to_needs_its_element():
    one(in_map("{id: top, wait: 1d}", "{go_to: tpo}"), 'did you mean "top"?', line=5)


def test_a_triggers_go_needs_its_element():
    one(in_map("{id: top, wait: 1d}", head="    triggers: [{event: a, go: tip}]\n"), 'did you mean "top"?', line=3)


def test_a_move_needs_its_new_element():
    one(in_map("{id: top, wait: 1d}", head="    moves: {old: tip}\n"), '`moves` names "tip"')


def test_a_wait_for_a_task_needs_the_element_that_assigns_it():
    one(in_map("{id: call, assign_task: {subject: a}}", "{id: w, wait: {task: cal}}"), 'did you mean "call"?')
    one(in_map("{id: call, send_sms: {text: a}}", "{id: w, wait: {task: call}}"), "no `assign_task`")


# -- shapes ----------------------------------------------------------------------------------------------------------------


def test_a_fork_stands_last():
    one(in_map("{id: f, fork: [[exit], [exit]]}", "exit"), "must stand last", line=4)
    clean(in_map("{if: {a: 1}, then: [{fork: [[exit], [exit]]}]}", "exit"))


def test_a_split_has_some_weight_and_names():
    one(in_map("{split: [{weight: 0, path: []}, {weight: 0}]}"), "add up to nothing")
    one(in_map("{split: [{name: a, weight: 1}, {name: a, weight: 1}]}"), '2 arms of this split are called "a"')
    clean(in_map("{split: [{weight: 100}, {weight: 0}]}"))


# -- reach -----------------------------------------------------------------------------------------------------------------


def test_what_stands_behind_an_exit_is_unreachable_and_reported_once():
    one(in_map("exit", "{id: a, send_sms: {text: a}}", "{id: b, send_sms: {text: b}}"), "maps/m: a: nobody can come here", line=5)


def test_the_top_is_unreachable_where_every_trigger_starts_below_it():
    path = "path: [{id: a, wait: 1d}, {id: b, send_sms: {text: b}}, exit]"
    one(f"maps:\n  - map: m\n    triggers: [{{event: x, go: b}}, {{added: true, go: b}}]\n    {path}\n", "maps/m: a: nobody can come here", line=4)
    assert found(f"maps:\n  - map: m\n    triggers: [{{event: x, go: b}}]\n    {path}\n") == []


def test_what_stands_behind_branches_that_all_end_is_unreachable():
    one(in_map("{if: {a: 1}, then: [exit], else: [exit]}", "{id: a, send_sms: {text: a}}"), "nobody can come here")


def test_an_island_that_leads_to_itself_is_reported():
    one(in_map("exit", "{id: a, wait: 1d}", "{id: b, go_to: a}"), "maps/m: a: nobody can come here")


@pytest.mark.parametrize("head", ["    triggers: [{event: a, go: a}]\n"])
def test_a_trigger_reaches_its_element(head):
    clean(in_map("exit", "{id: a, send_sms: {text: a}}", head=head))


def test_a_goal_is_reached_from_an_end_that_stands_before_it():
    clean(in_map("{if: {a: 1}, then: [{id: e, end: true}], else: [exit]}", "{id: g, goal: {event: x}}", "{id: a, send_sms: {text: a}}"))


def test_a_goal_behind_exits_is_reached_only_if_it_adds():
    one(in_map("exit", "{id: g, goal: {event: x}}", "{id: a, send_sms: {text: a}}"), "maps/m: g: nobody can come here")
    clean(in_map("exit", "{id: g, goal: {event: x, adds: true}}", "{id: a, send_sms: {text: a}}"))


def test_the_else_of_a_goal_without_a_way_there_does_not_hide():
    clean(in_map("{id: g, goal: {event: x, timeout: 1d, else: [{go_to: z}]}}", "exit", "{id: z, end: true}"))


# -- loops -----------------------------------------------------------------------------------------------------------------


def loop(*inside):
    return in_map("{id: top, change_tags: {add: [a]}}", *inside, "{id: back, go_to: top}")


@pytest.mark.parametrize(
    "inside",
    [
        "{id: x, send_sms: {text: a}}",
        "{id: x, wait: 0s}",
        "{id: x, wait: {between: ['09:00', '18:00']}}",
        "{id: x, wait: {until: {field: renewal}}}",
        "{id: x, wait: {until: 2026-01-05}}",
        "{if: {a: 1}, then: [{id: x, wait: 1d}]}",
        "{split: [{weight: 1, path: [{id: x, wait: 1d}]}, {weight: 0}]}",
        "{id: x, wait: {event: e, timeout: 0s}}",
    ],
)
def test_a_loop_in_which_no_time_need_pass_is_an_error(inside):
    one(loop(inside), "a loop without a wait")


@pytest.mark.parametrize(
    "inside",
    [
        "{id: x, wait: 1s}",
        "{id: x, wait: {until: {time: '09:00'}}}",
        "{id: x, wait: {event: e}}",
        "{id: x, wait: {event: e, timeout: 1d}}",
        "{id: x, goal: {event: e}}",
        "{if: {a: 1}, then: [{id: x, wait: 1d}], else: [exit]}",
    ],
)
def test_a_loop_with_a_wait_is_none(inside):
    clean(loop(inside))


def test_an_element_that_goes_to_itself_is_a_loop():
    one(in_map("{id: a, go_to: a}"), "a loop without a wait")


CALL = loop("{id: call, add_to_automation: {map: child}}")


def test_a_blocking_add_is_a_wait_if_its_child_waits():
    clean(f"{CALL}  - {{map: child, path: [{{id: w, wait: 1d}}, exit]}}")
    one(f"{CALL}  - {{map: child, path: [exit]}}", "a loop without a wait")
    one(f"{CALL}  - {{map: child, path: [{{if: {{a: 1}}, then: [{{id: w, wait: 1d}}]}}]}}", "a loop without a wait")


@pytest.mark.parametrize("rule", ["reentry: never", "cooldown: 3d"])
def test_a_blocking_add_that_its_child_may_refuse_is_no_wait(rule):
    one(f"{CALL}  - {{map: child, {rule}, path: [{{id: w, wait: 1d}}, exit]}}", "a loop without a wait")


# -- adds ------------------------------------------------------------------------------------------------------------------


def test_adding_to_ones_own_map_is_an_error():
    one(in_map("{id: a, add_to_automation: {map: m}}"), "adds the contact to its own map", line=4)


def test_adding_to_ones_own_map_by_an_outcome_is_an_error():
    one(in_map("{id: a, assign_task: {subject: s, outcomes: {won: [{add_to_automation: {map: m}}]}}}"), "adds the contact to its own map")


def test_a_circle_of_blocking_adds_is_reported_once_with_its_way():
    maps = "".join(f"  - {{map: {name}, path: [{{id: call, add_to_automation: {{map: {child}}}}}]}}\n" for name, child in ("ab", "bc", "ca"))
    one(f"maps:\n{maps}", "a → b → c → a", line=2)


def test_a_circle_through_a_sequence_is_found():
    text = "maps:\n  - {map: m, path: [{id: a, add_to_sequence: {sequence: s}}]}\nsequences:\n  - {sequence: s, steps: [{id: a, add_to_automation: {map: m}}]}"
    one(text, "m → sequence:s → m")


def test_two_ways_to_one_child_are_no_circle():
    maps = "  - {map: a, path: [{id: x, add_to_automation: {map: b}}, {id: y, add_to_automation: {map: c}}]}\n"
    clean(f"maps:\n{maps}  - {{map: b, path: [{{id: x, add_to_automation: {{map: c}}}}]}}\n  - {{map: c, path: [exit]}}")


# -- warnings --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("element", ["wait: 1d", "goal: {event: x}", "end", "add_to_automation: {map: other}"])
def test_an_element_that_holds_contacts_should_have_an_id(element):
    warnings = found(in_map(element), warnings=True)
    assert len(warnings) == 1
    assert "holds contacts and has no id" in warnings[0]


def test_what_nobody_wrote_needs_no_id():
    assert found(in_map("{send_sms: {text: a}}"), warnings=True) == []
    assert found("sequences: [{sequence: s, steps: [{after: 1d, send_sms: {text: a}}]}]", warnings=True) == []
