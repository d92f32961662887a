"""Access to sites: what is decided and recorded, and what publishing refuses."""

import pytest

from actions.messages import Access, Membership
from actions.providers.registry import provider_problems
from actions.registry import load_registry, render
from engine.config import Config
from engine.core.documents import read_document
from engine.core.effects import Effect
from engine.core.records import Event
from engine.core.workspace import problems_of
from tests.actions.test_kinds import Workspace, actions, run, suppressed
from tests.core.stepping import Bench, workspace_of

PROVIDERS = """
wordpress: {members: {base_url: "https://shop.example.com", username: bot, password: "env:WP", levels: {gold: member_gold, silver: member_silver}}}
membership: {academy: {url: "https://academy.example.com/access", secret: "env:S"}}
"""
ANN = {"email": "ann@example.com", "first_name": "Ann", "last_name": "O'Hara\r\nX: y", "age": 5}


def faults(element, providers=PROVIDERS):
    maps = [read_document(f"map: m\ntriggers: [{{event: go}}]\npath:\n  - {element}", "maps/m.yaml")]
    workspace = {"maps": maps, "providers": read_document(providers, "providers.yaml")}
    return [str(one) for one in problems_of(workspace, load_registry(), Config()) if not one.warning]


def effect(kind, channel, **params):
    return Effect("1", "ann", kind, channel, "t", "s", "m", 1, "e", 1, 1, 0, 1, 77, params)


# -- WordPress -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["give_wordpress_access", "remove_wordpress_access"])
@pytest.mark.parametrize(
    ("params", "says"),
    [
        ("{site: members, level: gold}", ""),
        ("{site: member, level: gold}", 'no site under `wordpress` "member" (did you mean "members"?)'),
        ("{site: zzz, level: gold}", "there are members"),
        ("{site: members, level: golt}", 'the site "members" has no level "golt" (did you mean "gold"?)'),
        ("{site: members, level: bronze}", "there are gold, silver"),
        ("{site: members}", "needs `level`"),
        ("{site: members, level: 5}", "`level` must be text"),
    ],
)
def test_a_site_and_its_level_must_be_in_providers_yaml(kind, params, says):
    found = faults(f"{kind}: {params}")
    assert [fault for fault in found if says in fault and fault.startswith("maps/m.yaml:4: maps/m: ")] if says else found == [], found


@pytest.mark.parametrize(
    "providers", ["email: {provider: smtp, host: h, from: a@example.com}", "wordpress: {}\nmembership: {}", "wordpress: {members: {levels: {}}}"]
)
def test_a_channel_without_sites_or_levels_is_a_problem(providers):
    assert faults("give_wordpress_access: {site: members, level: gold}", providers)


@pytest.mark.parametrize("levels", ["{gold: member, silver: member}", '{gold: ""}'])
def test_levels_have_a_role_each(levels):
    block = read_document(f'{{members: {{base_url: "https://x.y", username: bot, password: p, levels: {levels}}}}}', "providers.yaml")
    (found,) = provider_problems({"wordpress": block})
    assert "members: each level needs a role of its own" in str(found)


def test_access_is_given_and_taken_by_email():
    assert actions("give_wordpress_access: {site: members, level: gold}", ANN) == [
        {"site": "members", "level": "gold", "email": "ann@example.com", "first_name": "Ann", "last_name": "O'Hara X: y"}
    ]
    assert actions("remove_wordpress_access: {site: members, level: gold}", ANN) == [{"site": "members", "level": "gold", "email": "ann@example.com"}]


def test_access_without_an_address_is_suppressed():
    for kind in ("give_wordpress_access", "remove_wordpress_access"):
        assert suppressed(f"{kind}: {{site: members, level: gold}}", {"email": "nobody"}) == ["no email address"]


def test_the_message_says_which_way():
    params = {"site": "members", "level": "gold", "email": "a@b.c"}
    assert render(effect("give_wordpress_access", "wordpress", **params, name="Ann"), Workspace()) == Access(give=True, name="Ann", **params)
    assert render(effect("remove_wordpress_access", "wordpress", **params), Workspace()) == Access(give=False, **params)


def test_names_are_bounded_and_printable():
    (detail,) = actions("give_wordpress_access: {site: members, level: gold}", {"email": "a@b.c", "first_name": "\u202eA\x00" + "x" * 10_000, "name": ["x"]})
    assert detail["first_name"] == "A" + "x" * 97
    assert "name" not in detail


# -- memberships -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ("{site: academy, level: gold, status: enabled}", ""),
        ("{site: academy, status: disabled}", ""),
        ("{site: acadamy, status: disabled}", 'did you mean "academy"?'),
        ("{site: academy, status: enable}", 'did you mean "enabled"?'),
        ("{site: academy}", "needs `status`"),
        ("{site: academy, level: 'a:b', status: enabled}", "`level` holds a colon"),
    ],
)
def test_a_membership_is_checked_at_publish(params, says):
    found = faults(f"update_membership: {params}")
    assert [fault for fault in found if says in fault] if says else found == [], found


def test_a_membership_is_told_also_of_contacts_without_an_address():
    assert actions("update_membership: {site: academy, level: gold, status: enabled}", {"x": 1}) == [{"site": "academy", "level": "gold", "status": "enabled"}]
    said = render(effect("update_membership", "membership", site="academy", level="gold", status="enabled", email=""), Workspace())
    assert said == Membership(contact="ann", email="", site="academy", level="gold", status="enabled", decided_ms=77)


def test_the_record_changes_at_the_decision_and_says_so():
    told = [{"map": "told", "triggers": [{"membership_changed": {"site": "academy", "status": "enabled"}}], "path": [{"change_tags": {"add": ["in"]}}, "exit"]}]
    lines = run("update_membership: {site: academy, level: gold, status: enabled}", ANN, maps=told)
    assert lines[-1]["tags"] == ["in"]
    assert not run("update_membership: {site: academy, level: gold, status: disabled}", ANN, maps=told)[-1]["tags"]


def update(**params):
    return {"map": "m", "reentry": "parallel", "triggers": [{"event": "go"}], "path": [{"id": "u", "update_membership": {"site": "academy", **params}}, "exit"]}


def test_without_a_level_all_of_the_site_are_meant_and_default_where_there_is_none():
    bench = Bench(workspace_of(update(status="suspended")))
    contact = bench.step(Event("ann", "go"))
    assert contact.memberships == {"academy": {"default": "suspended"}}
    bench = Bench(workspace_of(update(status="suspended")))
    for site, level, status in (("academy", "gold", "enabled"), ("academy", "silver", "disabled"), ("forum", "member", "enabled")):
        bench.step(Event("ann", "membership.changed", {"site": site, "level": level, "status": status}))
    contact = bench.step(Event("ann", "go"))
    assert contact.memberships == {"academy": {"gold": "suspended", "silver": "suspended"}, "forum": {"member": "enabled"}}
    assert [(one.dest, one.params["level"], one.params["status"]) for one in bench.changes.effects] == [
        ("academy", "gold", "suspended"),
        ("academy", "silver", "suspended"),
    ]
    assert len({one.id for one in bench.changes.effects}) == 2


def test_a_full_outbox_parks_and_changes_nothing_yet():
    bench = Bench(workspace_of(update(status="enabled")))
    contact = bench.step(Event("ann", "go"), full=frozenset({"membership/academy"}))
    assert contact.enrollments[0].positions[0].why == "channel_full:membership/academy"
    assert (contact.memberships, bench.changes.effects) == ({}, [])


def test_a_site_may_say_itself_what_has_changed():
    listening = {"map": "m", "triggers": ["membership_changed"], "path": [{"change_tags": {"add": ["{{ event.level }}"]}}, "exit"]}
    bench = Bench(workspace_of(listening))
    contact = bench.step(Event("ann", "membership.changed", {"site": "academy", "level": "gold", "status": "suspended"}))
    assert (contact.memberships, contact.tags) == ({"academy": {"gold": "suspended"}}, ["gold"])
    for wrong in (
        {},
        {"site": "academy", "status": "lost"},
        {"site": 5, "status": "enabled"},
        {"site": "a", "level": "", "status": "enabled"},
        {"site": "a", "status": ["enabled"]},
    ):
        contact = bench.step(Event("ann", "membership.changed", wrong))
    assert contact.memberships == {"academy": {"gold": "suspended"}}
