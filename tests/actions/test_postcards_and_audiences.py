"""`send_postcard` and `update_facebook_audience` on the real core: what is decided, what is suppressed and why, what publishing refuses."""

from __future__ import annotations

import pytest

from actions.registry import load_registry, render
from engine.config import Config
from engine.core.contact import Contact
from engine.core.documents import read_document
from engine.core.effects import BULK, TRANSACTIONAL, Changes
from engine.core.guard import ERASED
from engine.core.guard import refusal as guarded
from engine.core.records import Event, Update
from engine.core.step import step
from engine.core.workspace import compile_workspace, problems_of
from tests.actions.test_kinds import actions, run, suppressed

ANN = {"first_name": "Ann", "address1": "210 King St", "city": "San Francisco", "state": "CA", "zip": "94107"}
TEMPLATES = {"front.html": "<b>{{ first_name }}</b>", "back.html": "{{ event.total }} {{ entry.total }}"}
BROKEN = {"broken.html": "{{ x | nofilter }}"}
POSTCARD = {"provider": "lob", "key": "test_key"}
FACEBOOK = {"token": "t", "audiences": {"buyers": 238477}}
CARD = "send_postcard: {front: front.html, back: back.html}"


def faults(element, **providers):
    """What publishing says about one element, with these blocks of providers.yaml."""
    workspace = {"templates": TEMPLATES | BROKEN, "providers": providers, "maps": [read_document(f"map: m\npath:\n  - {element}", "maps/m.yaml")]}
    return [str(one) for one in problems_of(workspace, load_registry(), Config()) if not one.warning and one.file != "templates/broken.html"]


def decided(element, fields, **providers):
    """The effects of one arrival with these providers, and the compiled workspace."""
    maps = [read_document(f"map: m\ntriggers: [{{event: go}}]\npath:\n  - {element}", "maps/m.yaml")]
    workspace = compile_workspace({"templates": TEMPLATES, "providers": providers, "maps": maps}, load_registry(), Config(), number=1)
    contact, changes = Contact(format=0, id="ann"), Changes()
    step(contact, Update("ann", fields), 1_000, workspace, changes)
    step(contact, Event("ann", "go", {"total": 5}), 2_000, workspace, changes)
    return changes.effects, workspace


def test_a_postcard_is_promotional_and_asks_for_no_consent():
    [effect], workspace = decided(CARD, ANN, postcard=POSTCARD)
    assert (effect.channel, effect.lane, effect.consent, effect.dest) == ("postcard", BULK, "", "")
    assert effect.params["values"] == {"fields": {"first_name": "Ann"}, "event": {"total": 5}, "entry": {"total": 5}}
    card = render(effect, workspace)
    assert (card.front, card.back, card.size) == ("<b>Ann</b>", "5 5", "4x6")
    assert card == render(effect, workspace), "the same at every attempt"


def test_values_are_escaped_in_html():
    [effect], workspace = decided(CARD, {**ANN, "first_name": "<script>"}, postcard=POSTCARD)
    assert render(effect, workspace).front == "<b>&lt;script&gt;</b>"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"zip": None, "address1": " "}, "no postal address: address1, zip missing"),
        ({"country": "DE"}, "US addresses only"),
        ({"state": "Bavaria"}, "no postal address: state Bavaria not of the US"),
    ],
)
def test_no_postcard_without_an_address_at_home(fields, reason):
    found = {name: value for name, value in {**ANN, **fields}.items() if value is not None}
    assert suppressed(CARD, found, templates=TEMPLATES) == [reason]


def test_the_provider_says_where_postcards_may_go():
    abroad = {**ANN, "country": "de"}
    assert len(decided(CARD, abroad, postcard={**POSTCARD, "countries": ["us", "DE"]})[0]) == 1
    assert decided(CARD, abroad, postcard={**POSTCARD, "countries": ["US", "CA"]})[0] == []
    assert len(decided(CARD, abroad, postcard={**POSTCARD, "countries": ["*"]})[0]) == 1
    assert decided(CARD.replace("}", ", size: 6x9}"), abroad, postcard={**POSTCARD, "countries": ["*"]})[0] == [], "only 4x6 leaves the US"


def test_a_suppression_list_knows_addresses():
    limits = {"suppression": {"postcard": ["210 king st, 94107"]}}
    assert suppressed(CARD, ANN, templates=TEMPLATES, limits=limits) == ["suppression list"]
    assert suppressed(CARD, {**ANN, "zip": "94108"}, templates=TEMPLATES, limits=limits) == []


def test_a_goal_withdraws_a_postcard_that_waits():
    quiet = {"quiet_hours": {"postcard": {"from": "00:00", "to": "23:59"}}}
    goal = {"map": "g", "triggers": [{"event": "go"}], "path": [{"id": "card", "send_postcard": {"front": "front.html", "back": "back.html"}}]}
    goal["path"].append({"id": "met", "goal": {"tag_added": "done"}})
    lines = run("change_tags: {add: [done]}", ANN, templates=TEMPLATES, limits=quiet, maps=[goal])
    assert [line["element"] for line in lines if line["what"] == "withdrawn"] == ["card"]


def test_artwork_by_url_and_by_the_printers_own_template():
    [detail] = actions("send_postcard: {front: 'https://a.b/{{ first_name }}.pdf', back: tmpl_9}", ANN, templates=TEMPLATES)
    assert (detail["front"], detail["back"]) == ("https://a.b/Ann.pdf", "tmpl_9")
    assert "front_html" not in detail


@pytest.mark.parametrize(
    ("element", "says"),
    [
        ("send_postcard: {front: front.html}", "`send_postcard` needs `back`"),
        ("send_postcard: {front: frnt.html, back: back.html}", 'did you mean "front.html"?'),
        ("send_postcard: {front: front.html, back: back.html, size: 5x5}", "must be one of 4x6, 6x9, 6x11"),
        ("send_postcard: {front: front.html, back: broken.html}", "nofilter"),
        ("send_postcard: {front: 'http://a.b/c.pdf', back: back.html}", "is not an https URL"),
        ("send_postcard: {front: 'https://a.b/{{ x', back: back.html}", "syntax error"),
        ("update_facebook_audience: {audience: buyers}", "`update_facebook_audience` needs `action`"),
        ("update_facebook_audience: {audience: buyers, action: join}", "must be one of add, remove"),
        ("update_facebook_audience: {audience: byers, action: add}", 'did you mean "buyers"?'),
        ("update_facebook_audience: {audience: '../me', action: add}", 'there is no audience "../me"'),
        ("update_facebook_audience: {audience: [1], action: add}", "`audience`"),
    ],
)
def test_what_publishing_refuses(element, says):
    found = faults(element, postcard=POSTCARD, facebook=FACEBOOK)
    assert any(says in fault for fault in found), found


def test_what_publishing_takes():
    for element in (CARD, "update_facebook_audience: {audience: buyers, action: add}", "update_facebook_audience: {audience: 23, action: remove}"):
        assert faults(element, postcard=POSTCARD, facebook=FACEBOOK) == []


def test_an_audience_is_no_message_and_its_destination_is_the_audience():
    [effect], workspace = decided("update_facebook_audience: {audience: buyers, action: add}", {"email": "a@example.com"}, facebook=FACEBOOK)
    assert (effect.channel, effect.lane, effect.consent, effect.dest) == ("facebook", TRANSACTIONAL, "", "buyers")
    assert "a@example.com" not in repr(effect), "nothing that can be read stands in the outbox"
    assert render(effect, workspace).keys == effect.params["keys"]


def test_who_cannot_be_matched_is_not_added_but_can_be_removed():
    reason = "nothing to be matched by: no email, no phone, no full name with a city or zip"
    assert suppressed("update_facebook_audience: {audience: 23, action: add}", {"first_name": "Ann"}) == [reason]
    [detail] = actions("update_facebook_audience: {audience: 23, action: remove}", {"last_name": "Lee"})
    assert (detail["action"], detail["keys"]["EXTERN_ID"]) == ("remove", "ann")


def test_the_guard_refuses_the_erased_whatever_the_channel():
    for lane in (BULK, TRANSACTIONAL):
        assert guarded(ERASED, "", "", lane == TRANSACTIONAL) == "contact erased"


def test_effects_are_small():
    fields = {"email": "a" * 60 + "@example.com", "phone": "+12025550123", "first_name": "A", "last_name": "B", "city": "C", "state": "CA", "zip": "94107"}
    [effect], _ = decided("update_facebook_audience: {audience: buyers, action: add}", {**fields, "country": "US"}, facebook=FACEBOOK)
    assert len(repr(effect.params)) < 1_024
