import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.automation_map import AutomationMap, Do, End, Exit, Fork, Goal, GoTo, If, LocalDate, Split, Wait, WaitBetween, WaitFor, WaitUntil
from engine.core.documents import read_document
from engine.core.parse import parse_duration, parse_map, parse_sequence
from engine.core.parse_elements import walk
from engine.core.times import DURATION_MS_MAX, parse_offset

KINDS = ("send_email", "send_sms", "change_tags", "add_to_automation", "assign_task", "recharge_transactions")
HOUR = 3_600_000
DAY = 24 * HOUR


def parsed(text, parse=parse_map):
    problems = []
    return parse(read_document(text, "maps/m.yaml"), problems, KINDS), problems


def good(text):
    found, problems = parsed(text)
    assert [str(problem) for problem in problems] == []
    assert isinstance(found, AutomationMap)
    return found


def path_of(*elements):
    return good("map: m\npath:\n" + "".join(f"  - {element}\n" for element in elements)).path


def only(element):
    return path_of(element)[0]


def trigger(text):
    return good(f"map: m\ntriggers:\n  - {text}\npath: []\n").triggers[0]


def faults(text, parse=parse_map):
    return [str(problem) for problem in parsed(text, parse)[1]]


# -- times -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ms"), [("90s", 90_000), ("15m", 900_000), ("2h", 2 * HOUR), ("3d", 3 * DAY), ("1w", 7 * DAY), ("1d12h", 36 * HOUR), ("0s", 0)]
)
def test_durations(text, ms):
    assert parse_duration(text) == ms


@pytest.mark.parametrize("raw", ["", "3", 3, None, True, "d", "1.5h", "3 d", "12h1d", "1h1h", "-3d", "+3d", "3D", "٣d", "9999999999w", [], "1d "])
def test_what_is_no_duration(raw):
    with pytest.raises(ValueError):
        parse_duration(raw)


def test_offsets_have_signs():
    assert parse_offset("-7d") == -7 * DAY
    assert parse_offset("+1d12h") == 36 * HOUR
    assert parse_offset("2h") == 2 * HOUR


@given(st.tuples(*[st.integers(0, 500)] * 5).filter(any))
def test_a_duration_is_the_sum_of_its_parts(parts):
    text = "".join(f"{count}{unit}" for count, unit in zip(parts, "wdhms", strict=True) if count)
    assert parse_duration(text) == sum(count * ms for count, ms in zip(parts, (7 * DAY, DAY, HOUR, 60_000, 1000), strict=True))


@given(st.text(max_size=20) | st.from_regex(r"[+-]?(\d{1,12}[wdhms]){1,6}", fullmatch=True))
def test_any_text_is_a_duration_within_bounds_or_a_value_error(text):
    try:
        found = parse_duration(text)
    except ValueError:
        return
    assert 0 <= found <= DURATION_MS_MAX


# -- triggers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "event", "where"),
    [
        ("event: order.placed", "order.placed", {}),
        ("{event: order.placed, where: {event.total: {gte: 20}}}", "order.placed", {"event.total": {"gte": 20}}),
        ("added", "added", {"event.map": "m"}),
        ("{added: true}", "added", {"event.map": "m"}),
        ("{removed: {map: other}}", "removed", {"event.map": "other"}),
        ("paused", "paused", {"event.map": "m"}),
        ("unpaused", "unpaused", {"event.map": "m"}),
        ("tag_added: vip", "tag.added", {"event.tag": "vip"}),
        ("tag_added: yes", "tag.added", {"event.tag": "yes"}),
        ("tag_removed: vip", "tag.removed", {"event.tag": "vip"}),
        ("tag_added", "tag.added", {}),
        ("field_changed: plan", "field.changed", {"event.field": "plan"}),
        ("{field_changed: plan, to: pro, from: 5}", "field.changed", {"event.field": "plan", "event.to": "pro", "event.from": 5}),
        ("{field_changed: plan, to: null}", "field.changed", {"event.field": "plan", "event.to": {"exists": False}}),
        ("purchased: book", "purchased", {"event.product": "book"}),
        ("order_cancelled: book", "order.cancelled", {"event.product": "book"}),
        ("transaction_charged", "transaction.charged", {}),
        ("transaction_declined", "transaction.declined", {}),
        ("membership_changed", "membership.changed", {}),
        ("membership_changed: {site: a, level: gold}", "membership.changed", {"event.site": "a", "event.level": "gold"}),
        ("task_completed: won", "task.completed", {"event.outcome": "won"}),
        ("task_completed", "task.completed", {}),
        ("email_opened: offer", "email.opened", {"event.template": "offer"}),
        ("email_clicked", "email.clicked", {}),
        ("email_bounced", "email.bounced", {}),
        ("email_complained", "email.complained", {}),
        ("unsubscribed: sms", "unsubscribed", {"event.channel": "sms"}),
        ("sms_received: STOP", "sms.received", {"event.text": "STOP"}),
        ("sms_failed", "sms.failed", {}),
        ("{tag_added: vip, where: {ltv: {gte: 5}}}", "tag.added", {"all": [{"event.tag": "vip"}, {"ltv": {"gte": 5}}]}),
    ],
)
def test_a_trigger_is_an_event_and_a_predicate(text, event, where):
    found = trigger(text)
    assert found.event == event
    assert found.where == where
    assert found.line == 3


def test_a_date_trigger():
    found = trigger('{date: {field: birthday, offset: -7d, time: "09:00", yearly: true}, go: there}')
    assert found.date == LocalDate(field="birthday", offset_ms=-7 * DAY, time=540)
    assert (found.event, found.yearly, found.go) == ("date", True, "there")


def test_added_is_implied_where_it_is_absent():
    assert [one.kind for one in good("map: m\ntriggers: [{event: a}]\npath: []").triggers] == ["event", "added"]
    assert [one.go for one in good("map: m\ntriggers: [{added: true, go: x}]\npath: [{id: x, end: true}]").triggers] == ["x"]
    assert len(good("map: m\ntriggers: [{added: true, where: {a: 1}}]\npath: []").triggers) == 1
    assert len(good("map: m\ntriggers: [{added: {map: other}}]\npath: []").triggers) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tag_added: 5", 'must be text, not 5 (write "5" in quotes)'),
        ("evnt: x", 'did you mean "event"?'),
        ("tag_aded", 'did you mean "tag_added"?'),
        ("event", "`event` needs the name"),
        ("{event: a, tag_added: b}", "one word"),
        ("{event: a, to: b}", 'no key "to"'),
        ("{event: a, where: 5}", "`where` must be a predicate"),
        ("{date: {offset: -7d}}", "date field is missing"),
        ("{date: {field: b, time: 25:00}}", "not a clock time"),
        ("{added: other}", "{map: ID}"),
        ("{where: {a: 1}}", "no trigger stands here"),
        ("[a]", "must be a word or a mapping"),
        ("field_changed: tag", "cannot be a field's name"),
    ],
)
def test_a_wrong_trigger_names_the_remedy(text, says):
    found = faults(f"map: m\ntriggers:\n  - {text}\npath: []\n")
    assert len(found) == 1, found
    assert says in found[0]
    assert found[0].startswith("maps/m.yaml:3: maps/m: triggers[0]")


# -- elements --------------------------------------------------------------------------------------------------------------


def test_waits():
    assert only("wait: 1d12h") == Wait(id="wait-1", line=3, duration_ms=36 * HOUR)
    assert only("wait: {until: 2026-12-24T09:00}") == WaitUntil(id="wait-1", line=3, at="2026-12-24T09:00")
    assert only("wait: {until: {time: 09:00, days: [tue, mon]}}") == WaitUntil(id="wait-1", line=3, time=540, days=[0, 1])
    assert only("wait: {until: {days: [sun]}}") == WaitUntil(id="wait-1", line=3, time=0, days=[6])
    date = LocalDate(field="renewal", offset_ms=-7 * DAY, time=510)
    assert only("wait: {until: {field: renewal, offset: -7d, time: '08:30'}}") == WaitUntil(id="wait-1", line=3, date=date)
    assert only("wait: {between: ['22:00', '24:00'], days: [mon]}") == WaitBetween(id="wait-1", line=3, start=1320, end=1440, days=[0])


def test_waits_for_an_event_a_trigger_or_a_task():
    found = only("wait: {event: paid, where: {event.total: 5}, timeout: 7d, then: [exit], else: [{wait: 1d}]}")
    assert isinstance(found, WaitFor)
    assert (found.trigger.event, found.trigger.where, found.timeout_ms) == ("paid", {"event.total": 5}, 7 * DAY)
    assert [type(one) for one in (*found.then, *found.otherwise)] == [Exit, Wait]
    assert only("wait: {tag_added: vip}").trigger.where == {"event.tag": "vip"}
    assert only("wait: {field_changed: plan, to: pro}").trigger.where == {"event.field": "plan", "event.to": "pro"}
    task = path_of("{id: call, assign_task: {subject: a}}", "wait: {task: call, timeout: 3d, then: [exit]}")[1]
    assert (task.task, task.trigger.event, task.timeout_ms) == ("call", "task.completed", 3 * DAY)


def test_branches_splits_forks_goals_and_the_rest():
    branch = only("{if: {a: 1}, then: [exit], else: [{send_sms: {text: x}}]}")
    assert isinstance(branch, If)
    assert (branch.where, len(branch.then), len(branch.otherwise)) == ({"a": 1}, 1, 1)
    split = only("split: [{name: a, weight: 60, path: [exit]}, {weight: 40}]")
    assert isinstance(split, Split)
    assert [(arm.name, arm.weight, len(arm.path)) for arm in split.arms] == [("a", 60, 1), ("arm-2", 40, 0)]
    goal = only("goal: {purchased: book, adds: true, timeout: 30d, else: [exit]}")
    assert isinstance(goal, Goal)
    assert (goal.trigger.event, goal.adds, goal.timeout_ms, len(goal.otherwise)) == ("purchased", True, 30 * DAY, 1)
    assert path_of("{id: a, wait: 1d}", "go_to: a")[1] == GoTo(id="go_to-1", line=4, target="a")
    assert only("{id: fin, end: true}") == End(id="fin", line=3, given=True)
    assert only("recharge_transactions") == Do(id="recharge_transactions-1", line=3, kind="recharge_transactions")
    assert only("change_tags: {add: [vip]}") == Do(id="change_tags-1", line=3, kind="change_tags", params={"add": ["vip"]})


def ids(text):
    return [element.id for element in walk(good(text).path)]


def test_ids_are_made_from_kind_and_counter_in_the_order_of_the_document():
    text = "map: m\npath: [{wait: 1d}, {if: {a: 1}, then: [{wait: 2d}], else: [{id: wait-3, wait: 1d}]}, {wait: 3d}, {send_sms: {text: a}}]"
    assert ids(text) == ["wait-1", "if-1", "wait-2", "wait-3", "wait-4", "send_sms-1", "end-1"]


def test_an_end_that_nobody_wrote_is_numbered_at_the_end_of_its_path():
    text = "map: m\npath: [{if: {a: 1}, then: [{fork: [[{wait: 1d}], [end]]}]}, {wait: 1d}]"
    assert ids(text) == ["if-1", "fork-1", "wait-1", "end-1", "end-2", "wait-2", "end-3"]
    assert ids("map: m\npath: [{id: end-1, wait: 1d}]") == ["end-1", "end-2"]
    assert ids("map: m\npath: []") == ["end-1"]


@pytest.mark.parametrize(
    "last",
    [
        "end",
        "exit",
        "{go_to: a}",
        "{fork: [[exit], [exit]]}",
        "{if: {a: 1}, then: [exit], else: [end]}",
        "{split: [{weight: 1, path: [exit]}]}",
        "{wait: {event: x, then: [exit]}}",
        "{wait: {event: x, timeout: 1d, then: [exit], else: [end]}}",
    ],
)
def test_a_path_that_says_how_it_ends_gets_no_end(last):
    found = good(f"map: m\npath: [{{id: a, wait: 1d}}, {last}]").path
    assert not any(isinstance(element, End) and element.implicit for element in walk(found))


@pytest.mark.parametrize(
    "last", ["{if: {a: 1}, then: [exit]}", "{wait: {event: x, timeout: 1d, then: [exit]}}", "{goal: {event: x}}", "{split: [{weight: 1}]}"]
)
def test_a_path_whose_branches_can_go_on_gets_an_end(last):
    found = good(f"map: m\npath: [{last}]").path
    assert isinstance(found[-1], End)
    assert found[-1].implicit


def test_each_path_of_a_fork_gets_an_end_of_its_own():
    fork = only("fork: [[{wait: 1d}], [exit], []]")
    assert isinstance(fork, Fork)
    assert [[type(one) for one in path] for path in fork.paths] == [[Wait, End], [Exit], [End]]


@pytest.mark.parametrize(
    ("element", "says"),
    [
        ("wiat: 3d", 'did you mean "wait"?'),
        ("send_emial: {template: a}", 'did you mean "send_email"?'),
        ("ennd", 'did you mean "end"?'),
        ("wait: 3", "3 is not a duration"),
        ("wait: -3d", "has a sign"),
        ("wait", "`wait` needs a value"),
        ("wait: {evnt: a}", 'did you mean "event"?'),
        ("wait: {until: tomorrow}", "local date and time"),
        ("wait: {until: 2026-02-30}", "local date and time"),
        ("wait: {until: 2026-01-05T09:00:00Z}", "without a time zone"),
        ("wait: {until: {}}", "neither a time nor a field"),
        ("wait: {until: {time: 900}}", "900 is not a clock time"),
        ("wait: {between: ['09:00']}", "two clock times"),
        ("wait: {between: ['09:00', '09:00']}", "empty"),
        ("wait: {until: {days: [monday]}}", "is not one of mon"),
        ("wait: {event: a, else: [exit]}", "there is no `timeout`"),
        ("goal: {event: a, ads: true}", 'did you mean "adds"?'),
        ("goal: {event: a, adds: 1}", "must be true or false"),
        ("if: 5", "takes a predicate"),
        ("{send_sms: {text: a}, wait: 3d}", "one thing"),
        ("{send_sms: {text: a}, then: []}", 'no key "then"'),
        ("{id: 7, end: true}", 'the id must be text, not 7 (write "7" in quotes)'),
        ("{id: true, end: true}", "must be text, not true"),
        ("{id: 'a:b', end: true}", "colon"),
        ("{id: fin}", "does not say what it is"),
        ("{end: false}", "takes no value but true"),
        ("send_sms: hello", "takes a mapping of parameters"),
        ("split: [{weight: -1}]", "a number of at least 0"),
        ("split: [{path: []}]", "no weight"),
        ("split: {a: 1}", "must be a list"),
        ("fork: []", "no paths"),
        ("fork: [{wait: 1d}]", "must be a list"),
        ("go_to: 5", "must be text"),
        ("[a]", "must be a mapping"),
        ("5", "must be a mapping"),
    ],
)
def test_a_wrong_element_names_its_line_and_the_remedy(element, says):
    found = [fault for fault in faults(f"map: m\npath:\n  - {element}\n") if "warning" not in fault]
    assert len(found) == 1, found
    assert says in found[0]
    assert found[0].startswith("maps/m.yaml:3: maps/m: path[0]")


# -- maps and sequences ----------------------------------------------------------------------------------------------------


def test_the_keys_of_a_map():
    found = good(
        "map: m\ntitle: A map\nreentry: parallel\nper: event.cart_id\ncooldown: 30d\non_pause: stop_clock\npolicy: follow\nmoves: {old: w}\n"
        "exit_on: [{tag_added: gone}]\npath: [{id: w, wait: 1d}]"
    )
    assert (found.title, found.reentry, found.per, found.cooldown_ms) == ("A map", "parallel", "event.cart_id", 30 * DAY)
    assert (found.stop_clock, found.follow, found.moves) == (True, True, {"old": "w"})
    assert found.exit_on[0].where == {"event.tag": "gone"}
    assert (found.file, found.line) == ("maps/m.yaml", 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("map: m\ntrigers: []\npath: []", 'did you mean "triggers"?'),
        ("map: m", "no path"),
        ("path: []", "does not say which map"),
        ("map: 5\npath: []", "must be text, not 5"),
        ("map: m\nreentry: afterend\npath: []", 'did you mean "after_end"?'),
        ("map: m\ncooldown: 5\npath: []", "5 is not a duration"),
        ("map: m\npolicy: pinned\npath: []", 'did you mean "pin"?'),
        ("map: m\nmoves: [a]\npath: []", "must be a mapping"),
        ("map: m\nexit_on: [{event: a, go: b}]\npath: []", 'no key "go"'),
        ("- map: m", "must be a mapping"),
        ("map: m\npath: {wait: 3d}", "must be a list"),
    ],
)
def test_a_wrong_map(text, says):
    assert [fault for fault in faults(text) if says in fault], faults(text)


def test_all_problems_are_found_at_once():
    assert len(faults("map: m\ntitel: x\ntriggers: [{evnt: a}]\npath: [{wiat: 1d}, {wait: 3}, {id: 5, end: true}]")) == 5


def test_a_body_of_plain_json_has_places_without_lines():
    problems = []
    parse_map({"map": "m", "path": [{"wait": 3}]}, problems, KINDS)
    assert str(problems[0]).startswith("maps/m: ")
    assert problems[0].place == "maps/m: path[0].wait"
    assert problems[0].line == 0


def test_a_body_nested_too_deep_is_refused():
    deep = {"if": {"a": 1}, "then": []}
    for _ in range(400):
        deep = {"if": {"a": 1}, "then": [deep]}
    problems = []
    assert parse_map({"map": "m", "path": [deep]}, problems, KINDS) is None
    assert "deeper" in problems[0].message


def test_a_sequence_is_a_map_of_waits_and_actions():
    text = "sequence: s\nsteps:\n  - {after: 2d, send_email: {template: a}}\n  - {at: 2026-12-24, id: two, send_sms: {text: b}}\n  - {send_sms: {text: c}}"
    (found, sequence), problems = parsed(text, parse_sequence)
    assert problems == []
    assert (found.id, sequence.id, sequence.unsubscribe_after_last_step) == ("sequence:s", "s", False)
    assert [element.id for element in found.path] == ["wait-1", "send_email-1", "wait-2", "two", "send_sms-1", "end-1"]
    assert [one.where for one in found.triggers] == [{"event.map": "sequence:s"}]


def test_a_sequence_that_unsubscribes_leaves_by_an_exit():
    (found, sequence), _ = parsed("sequence: s\nunsubscribe_after_last_step: true\nsteps: [{after: 2d, send_sms: {text: a}}]", parse_sequence)
    assert sequence.unsubscribe_after_last_step
    assert [type(element) for element in found.path] == [Wait, Do, Exit]


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ("{after: 2d, wait: 3d}", "a step is an action"),
        ("{after: 2d, at: 2026-01-01, send_sms: {text: a}}", "one delay"),
        ("{afer: 2d, send_sms: {text: a}}", 'did you mean "after"?'),
        ("send_sms", "must be a mapping"),
        ("{after: 2, send_sms: {text: a}}", "not a duration"),
        ("{after: 2d}", "the step has no action"),
        ("{date: 2026-01-01, until: 2026-01-01, send_sms: {text: a}}", "one delay"),
    ],
)
def test_a_wrong_step(step, says):
    found = faults(f"sequence: s\nsteps:\n  - {step}", parse_sequence)
    assert [fault for fault in found if says in fault], found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["3d", "exit", "wait", "x", "added", "2026-01-01"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *[
                        "wait",
                        "if",
                        "then",
                        "else",
                        "split",
                        "fork",
                        "goal",
                        "go_to",
                        "end",
                        "id",
                        "event",
                        "task",
                        "until",
                        "between",
                        "timeout",
                        "weight",
                        "path",
                        "where",
                        "date",
                        "tag_added",
                    ],
                    "x",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, JSON)
def test_any_document_gives_a_tree_or_problems(triggers, path):
    problems = []
    found = parse_map({"map": "m", "triggers": triggers, "path": path}, problems, KINDS)
    assert found is not None
    assert all(element.id for element in walk(found.path))
    assert problems or isinstance(path, list | None)
