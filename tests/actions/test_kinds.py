"""The action kinds on the real core: each runs in a simulation, or is refused by the real compiler."""

import json

import pytest

from actions.action import Action
from actions.addresses import email_address, phone_number
from actions.kinds.send_webhook import SendWebhook, destination
from actions.messages import Request
from actions.registry import detail_of, load_registry, render
from engine.config import Config
from engine.core.documents import read_document
from engine.core.effects import Effect
from engine.core.templates import TemplateFault
from engine.core.workspace import problems_of
from engine.simulator import simulate
from engine.workspace_folder import read_workspace

WORKSPACE = {
    "templates": {
        "offer": "---\nsubject: 'Hi {{ first_name }}'\n---\n<p>{{ first_name }} & {{ event.total }}</p>",
        "plain": "Hi {{ first_name }}\n",
        "sent": "---\nsubject: s\nfrom: Template <t@example.com>\n---\nx",
    },
    "team": {
        "eve": {"name": "Eve", "email": "eve@example.com", "phone": "+12025550199", "roles": ["sales"]},
        "fay": {"email": "fay@example.com", "roles": ["sales"]},
    },
    "products": {"course": {"price": 99}},
    "routers": {"inbound": {"kind": "round_robin", "members": ["eve", "fay"]}},
    "fulfillment": {"kits": {"to": "ship@example.com", "every": "daily"}},
}
FIELDS = {"email": "ann@example.com", "phone": "+12025550123", "first_name": "Ann <3"}


def run(element, fields=FIELDS, *, data=None, consent=None, maps=(), sequences=(), **workspace):
    """The lines of ann's simulation: she goes through one element that is written as YAML."""
    script = {
        **WORKSPACE,
        **workspace,
        "start": "2026-01-05T09:00:00Z",
        "until": "10d",
        "maps": [{"map": "m", "triggers": [{"event": "go"}], "path": [read_document(element, "m.yaml"), {"id": "fin", "end": True}]}, *maps],
        "sequences": [*sequences],
        "script": [
            {"at": "0s", "contact": "ann", "update": {"fields": fields, "consent": consent or {"email": "subscribed", "sms": "subscribed"}}},
            {"at": "1h", "contact": "ann", "event": "go", "data": data or {"total": 5}},
        ],
    }
    found = simulate(script, load_registry(), detail_of, read_workspace)
    return [json.loads(line) for line in found.jsonl().splitlines()]


def actions(*args, **kwargs):
    return [line["detail"] for line in run(*args, **kwargs) if line["what"] == "action"]


def suppressed(*args, **kwargs):
    return [line["detail"]["reason"] for line in run(*args, **kwargs) if line["what"] == "suppressed"]


def ann(*args, **kwargs):
    return run(*args, **kwargs)[-1]


def faults(element):
    workspace = {**WORKSPACE, "maps": [read_document(f"map: m\npath:\n  - {element}", "maps/m.yaml")]}
    return [str(one) for one in problems_of(workspace, load_registry(), Config(), simulation=True) if not one.warning]


# -- the registry ----------------------------------------------------------------------------------------------------------


def test_every_kind_is_found_under_its_name_and_documented():
    found = load_registry()
    assert len(found) == 27
    for name, kind in found.items():
        assert issubclass(kind, Action)
        assert kind.kind == name == kind.__module__.rpartition(".")[2]
        assert kind.__doc__


@pytest.mark.parametrize(
    ("element", "says"),
    [
        ("send_emial: {template: offer}", 'did you mean "send_email"?'),
        ("send_email: {templat: offer}", 'did you mean "template"?'),
        ("send_email: {}", "`send_email` needs `template`"),
        ("send_email", "`send_email` needs `template`"),
        ("send_email: {template: 5}", '`template` must be text, not 5 (quote it: "5")'),
        ("send_email: {template: ofer}", 'did you mean "offer"?'),
        ("send_email: {template: plain}", "no subject"),
        ("send_email: {template: offer, transactional: maybe}", "`transactional` is wrong"),
        ("send_sms: {}", "either `text` or `template`"),
        ("send_sms: {text: a, template: plain}", "either `text` or `template`"),
        ("send_sms: {text: 'Hi {{ x'}", "syntax error"),
        ("send_sms: {text: 'Hi {{ x | nofilter }}'}", "nofilter"),
        ("notify_email: {to: eve, template: offer}", "neither owner, nor user:ID, nor an address"),
        ("notify_email: {to: 'user:evve', template: offer}", 'did you mean "eve"?'),
        ("notify_sms: {to: 'user:fay', text: a}", "has no phone"),
        ("send_webhook: {url: ftp://x.y/}", "is not a URL"),
        ("send_webhook: {url: 'https://x.y/', method: POTS}", "must be one of GET, POST, PUT, PATCH, DELETE"),
        ("send_webhook: {url: 'https://x.y/', headers: {Host: a}}", "cannot be set"),
        ("send_webhook: {url: 'https://x.y/', headers: {'X Y': a}}", "cannot be set"),
        ("send_webhook: {url: 'https://x.y/', body: 5}", "`body` must be"),
        ("change_tags: {add: vip}", "`add` is wrong"),
        ("change_tags: {add: [5]}", "must be text, not"),
        ("change_tags: {}", "changes nothing"),
        ("update_contact: {set: {tag: 1}}", "cannot be a field's name"),
        ("update_contact: {increase: {n: lots}}", "no number"),
        ("update_contact: {set: {a: 1}, clear: [a]}", "stands in `set` and in `clear`"),
        ("update_contact: {set: {a: {value_of: 5}}}", "`value_of` takes a name"),
        ("add_purchase: {product: curse}", 'did you mean "course"?'),
        ("add_purchase: {product: course, quantity: -1}", "at least 0"),
        ("{id: a, add_to_automation: {map: n}}", 'no map "n"'),
        ("remove_from_sequence: {sequence: n}", 'no sequence "n"'),
        ("send_to_fulfillment: {list: kit}", 'did you mean "kits"?'),
        ("add_to_lead_router: {router: outbound}", 'no router "outbound"'),
        ("assign_task: {subject: a, to: eve}", "`owner`, `user:ID` or `role:NAME`"),
        ("assign_task: {subject: a, to: 'role:sails'}", 'did you mean "sales"?'),
        ("assign_task: {subject: a, to: owner, due: 3}", "not a duration"),
        ("assign_task: {subject: a, to: owner, notify: [fax]}", "`notify`"),
        ("assign_task: {subject: a, to: owner, outcomes: {won: [{change_tgas: {}}]}}", 'did you mean "change_tags"?'),
        ("assign_task: {subject: a, to: owner, outcomes: {won: [{change_tags: {ad: [a]}}]}}", 'did you mean "add"?'),
        ("assign_task: {subject: a, to: owner, outcomes: [won]}", "must be a mapping"),
        ("assign_task: {subject: a, to: owner, outcomes: {won: 5}}", "a list of actions"),
    ],
)
def test_a_wrong_action_is_refused_with_its_line_and_the_remedy(element, says):
    found = faults(element)
    assert [fault for fault in found if says in fault], found
    assert [fault for fault in found if fault.startswith("maps/m.yaml:3: maps/m: ")], found


# -- messages --------------------------------------------------------------------------------------------------------------


def test_an_email_escapes_html_but_not_its_subject():
    (detail,) = actions("send_email: {template: offer, from: 'Me <me@example.com>'}")
    assert detail == {
        "template": "offer",
        "to": "ann@example.com",
        "from": "Me <me@example.com>",
        "subject": "Hi Ann <3",
        "html": "<p>Ann &lt;3 & 5</p>",
        "text": "Ann <3 & 5\n",
    }


def test_a_sender_is_the_actions_else_the_templates():
    assert actions("send_email: {template: sent, transactional: true}")[0]["from"] == "Template <t@example.com>"
    assert actions("send_email: {template: sent, from: a@example.com}")[0]["from"] == "a@example.com"


@pytest.mark.parametrize("email", [None, "", "ann", "a b@example.com", "a@b\r\nBcc: x@y.z", 5, ["a@b.c"], "a@" + "b" * 400])
def test_an_email_without_an_address_is_suppressed(email):
    assert suppressed("send_email: {template: offer}", {"email": email} if email is not None else {"x": 1}) == ["no email address"]


def test_a_subject_stays_one_line():
    assert actions("send_email: {template: offer}", {**FIELDS, "first_name": "A\r\nBcc: b@c.d"})[0]["subject"] == "Hi A Bcc: b@c.d"


def test_an_sms_is_a_text_or_a_template():
    assert actions("send_sms: {text: 'Hi {{ first_name }}', from: '12345'}") == [{"to": "+12025550123", "from": "12345", "text": "Hi Ann <3"}]
    assert actions("send_sms: {template: plain}") == [{"template": "plain", "to": "+12025550123", "text": "Hi Ann <3"}]


@pytest.mark.parametrize("phone", ["12", "hello", None, True, "+1" + "0" * 100, {"a": 1}])
def test_an_sms_without_a_number_is_suppressed(phone):
    assert suppressed("send_sms: {text: a}", {"phone": phone, "x": 1}) == ["no valid phone number"]


def test_numbers_and_addresses():
    assert phone_number("(202) 555-0123", "us") == phone_number("+1 202 555 0123") == phone_number(12025550123) == "+12025550123"
    assert phone_number("202 555 0123") == ""
    assert email_address(" Ann.O'Hara+x@example.com ") == "Ann.O'Hara+x@example.com"


def test_consent_holds_for_the_contact_and_not_for_staff():
    none = {"email": "unsubscribed", "sms": "unsubscribed"}
    assert suppressed("send_email: {template: offer}", consent=none) == ["email: unsubscribed"]
    assert suppressed("send_sms: {text: a}", consent=none) == ["sms: unsubscribed"]
    assert actions("notify_email: {to: 'user:eve', template: offer}", consent=none)[0]["to"] == "eve@example.com"
    assert actions("notify_sms: {to: '+1 202 555 0100', text: a}", consent=none) == [{"to": "+12025550100", "text": "a"}]


def test_a_notice_to_the_owner_or_to_an_address_in_a_field():
    assert actions("notify_sms: {to: owner, text: 'Call {{ owner.name }}'}", {"owner": "eve"}) == [{"to": "+12025550199", "text": "Call Eve"}]
    assert suppressed("notify_email: {to: owner, template: offer}", {"owner": "nobody"}) == ["no email address"]
    assert actions("notify_email: {to: '{{ boss }}', template: offer}", {"boss": "boss@example.com"})[0]["to"] == "boss@example.com"


# -- webhooks --------------------------------------------------------------------------------------------------------------


def test_a_webhook_has_merge_fields_everywhere():
    (detail,) = actions(
        "send_webhook: {url: 'https://X.example.com/{{ event.total }}', method: PUT, headers: {X-Name: '{{ first_name }}'}, body: 'n={{ first_name }}'}"
    )
    assert detail == {"method": "PUT", "url": "https://X.example.com/5", "headers": {"X-Name": "Ann <3"}, "body": "n=Ann <3"}


def test_a_mapping_is_sent_as_json_with_types():
    element = (
        "send_webhook: {url: 'https://x.y/', body: {name: 'Hi {{ first_name }}', total: {value_of: event.total}, list: [1, {when: {now: +1d}}], none: null}}"
    )
    (detail,) = actions(element, data={"total": 12.5})
    assert json.loads(detail["body"]) == {"name": "Hi Ann <3", "total": 12.5, "list": [1, {"when": "2026-01-06T10:00:00Z"}], "none": None}
    assert detail["headers"] == {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("url", "dest"),
    [
        ("https://Hooks.Example.com/a", "hooks.example.com"),
        ("https://x.y:443/", "x.y"),
        ("https://x.y:8443/", "x.y:8443"),
        ("http://x.y:80", "x.y"),
        ("http://user:pass@x.y/", "x.y"),
        ("https://[::1]:9/", "[::1]:9"),
        ("ftp://x.y/", ""),
        ("https:///a", ""),
        ("https://x.y:99999/", ""),
        ("https://x.y/\n", ""),
        ("https://x y/", ""),
        ("x.y", ""),
        ("", ""),
    ],
)
def test_the_destination_of_a_url(url, dest):
    assert destination(url) == dest


def test_a_url_that_came_out_wrong_is_suppressed():
    assert suppressed("send_webhook: {url: '{{ hook }}'}") == ["no valid URL"]


def webhook(**params):
    params = {"method": "GET", "url": "https://x.y/", **params}
    return Effect("1", "ann", "send_webhook", "webhook", "t", "x.y", "m", 1, "e", 1, 1, 0, 1, 0, params)


class Workspace:
    templates = providers = timezone = None


def test_a_secret_is_put_in_at_the_last_moment_and_never_shown(monkeypatch):
    monkeypatch.setenv("HOOK_TOKEN", "s3cret")
    (detail,) = actions("send_webhook: {url: 'https://x.y/', headers: {Authorization: 'env:HOOK_TOKEN', X-A: '{{ trick }}'}}", {"trick": "env:HOOK_TOKEN"})
    assert detail["headers"] == {"Authorization": "env:HOOK_TOKEN", "X-A": "env:HOOK_TOKEN"}
    sent = render(webhook(headers={"X-A": "env:HOOK_TOKEN"}, secrets={"Authorization": "HOOK_TOKEN"}), Workspace())
    assert isinstance(sent, Request)
    assert sent.headers == {"Authorization": "s3cret", "X-A": "env:HOOK_TOKEN"}


def test_a_missing_secret_is_a_fault_that_names_it():
    with pytest.raises(TemplateFault, match="NO_SUCH_TOKEN"):
        SendWebhook.render(webhook(secrets={"Authorization": "NO_SUCH_TOKEN"}), Workspace())


def test_an_effect_of_an_unknown_kind_is_a_fault():
    with pytest.raises(TemplateFault, match="send_pigeon"):
        render(Effect("1", "ann", "send_pigeon", "x", "t", "", "m", 1, "e", 1, 1, 0, 1, 0), Workspace())


# -- the contact's own record ----------------------------------------------------------------------------------------------


def test_tags_may_have_merge_fields_and_empty_ones_are_left_out():
    assert ann("change_tags: {add: [a, 'total-{{ event.total }}', '{{ nothing }}']}")["tags"] == ["a", "total-5"]
    assert actions("change_tags: {add: [a], remove: [b]}") == [{"add": ["a"], "remove": ["b"]}]


def test_fields_are_set_cleared_and_increased_from_what_was_there():
    element = """update_contact:
      set: {greeting: 'Hi {{ first_name }}', when: {now: +30d}, total: {value_of: event.total}, flag: true}
      clear: [email]
      increase: {count: 1, ltv: {value_of: event.total}, first_name: 1, gone: {value_of: event.gone}}"""
    found = ann(element, {**FIELDS, "ltv": 10.5}, data={"total": 5})["fields"]
    assert found == {
        "phone": FIELDS["phone"], "first_name": "Ann <3", "greeting": "Hi Ann <3", "when": "2026-02-04T10:00:00Z", "total": 5, "flag": True, "count": 1, "ltv": 15.5
    }  # fmt: skip


@pytest.mark.parametrize("before", [2**63 - 1, 1e308, True, "5", [1]])
def test_an_increase_never_leaves_what_cannot_be_stored(before):
    found = ann("update_contact: {increase: {n: 1.0e308, m: 1}}", {"n": before, "m": before})["fields"]
    assert json.loads(json.dumps(found)) == found
    if not isinstance(before, float | int) or isinstance(before, bool):
        assert found == {"n": before, "m": before}


def test_a_purchase_has_the_products_price_unless_it_says_another():
    assert actions("add_purchase: {product: course}") == [{"product": "course", "quantity": 1, "price": 99}]
    element = "add_purchase: {product: course, quantity: {value_of: event.n}, price: {value_of: event.price}}"
    assert actions(element, data={"n": 3, "price": 12.5}) == [{"product": "course", "quantity": 3, "price": 12.5}]
    assert actions(element, data={"n": "many", "price": -1}) == [{"product": "course", "quantity": 1, "price": 99}]


# -- maps, sequences, people -----------------------------------------------------------------------------------------------

CHILD = {"map": "child", "path": [{"id": "w", "wait": "2d"}, "exit"]}
STEPS = {"sequence": "drip", "unsubscribe_after_last_step": True, "steps": [{"after": "2d", "change_tags": {"add": ["dripped"]}}]}


def test_an_add_blocks_until_the_child_lets_go():
    for element in ("{id: a, add_to_automation: {map: child}}", "{id: a, add_to_sequence: {sequence: drip}}"):
        lines = run(element, maps=[CHILD], sequences=[STEPS])
        assert [line["at"] for line in lines if line["what"] == "ended"] == ["2026-01-07T10:00:00Z"]
    assert lines[-1]["tags"] == ["dripped"]


def test_a_removal_a_pause_and_an_unpause_reach_map_and_sequence():
    for verb in ("remove_from", "pause", "unpause"):
        assert actions(f"{verb}_automation: {{map: child}}", maps=[CHILD]) == [{"map": "child"}]
        assert actions(f"{verb}_sequence: {{sequence: drip}}", sequences=[STEPS]) == [{"sequence": "drip"}]
    assert [line["what"] for line in run("remove_from_automation: {map: m}")][-2:] == ["removed", "contact"]


def test_a_fulfillment_list_is_joined_and_left():
    assert actions("send_to_fulfillment: {list: kits}") == actions("remove_from_fulfillment: {list: kits}") == [{"list": "kits"}]


def test_a_router_gives_an_owner_before_the_contact_goes_on():
    lines = run("add_to_lead_router: {router: inbound}")
    assert lines[-1]["fields"]["owner"] in {"eve", "fay"}
    assert lines[-1]["enrollments"][0]["positions"] == ["fin"]


def test_a_task_is_one_line_whoever_is_told():
    element = "assign_task: {subject: 'Call {{ first_name }}', to: 'role:sales', due: 2d, body: now, notify: [email, sms], outcomes: {won: [{change_tags: {add: [w]}}], lost: []}}"
    lines = run(element)
    assert [line["detail"] for line in lines if line["what"] == "action"] == [
        {"subject": "Call Ann <3", "to": "role:sales", "body": "now", "due": "2026-01-07T10:00:00Z", "outcomes": ["won", "lost"]}
    ]
    assert [line["detail"]["reason"] for line in lines if line["what"] == "suppressed"] == ["no valid phone number"]  # fay has none


def test_the_notice_of_a_task_is_an_email_of_its_own():
    params = {"to": "eve@example.com", "subject": "Call\nAnn", "text": "Call Ann\n"}
    effect = Effect("1", "ann", "assign_task", "email", "t", "", "m", 1, "e", 1, 1, 0, 1, 0, params)
    workspace = Workspace()
    workspace.providers = {"email": {"from": "Shop <shop@example.com>"}}
    sent = render(effect, workspace)
    assert (sent.to, sent.sender, sent.subject, sent.text, sent.promotional) == ("eve@example.com", "Shop <shop@example.com>", "Call Ann", "Call Ann\n", False)
