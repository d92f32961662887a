"""The site: where a predicate or an action stands while a workspace is compiled. Implements `action_kind.Site` and `values.Scope`.

It resolves names, compiles short texts, collects what the map reads, and reports problems with file, line and remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.core.action_kind import Act, Registry, Tell, Turn, Value
from engine.core.documents import file_of, line_of, suggest
from engine.core.elements import named
from engine.core.errors import Problem
from engine.core.send_limits import SendLimits
from engine.core.templates import SPACES, TemplateFault, Templates
from engine.core.times import parse_duration
from engine.core.values import is_taken, literal_or_taken

_SINGULAR = {
    "maps": "map",
    "sequences": "sequence",
    "templates": "template",
    "products": "product",
    "team": "team member",
    "routers": "router",
    "fulfillment": "fulfillment list",
}


class Surroundings:
    """What every site of one workspace shares."""

    def __init__(
        self, things: Mapping[str, Mapping[str, Any]], registry: Registry, templates: Templates, limits: SendLimits, providers: Mapping[str, Any] | None
    ) -> None:
        self.things = things  # maps, sequences, templates, … by name
        self.registry = registry
        self.templates = templates
        self.zone, self.timezone = limits.zone, limits.timezone
        self.default_consent = limits.default_consent
        self.providers = providers  # who carries each channel; None: not asked for


class Site:
    """One place. `node` is the mapping that is read there, `line` where it begins, `reads` what is read of events and fields."""

    def __init__(
        self, around: Surroundings, problems: list[Problem], map_id: str, file: str, element: str, line: int, node: Mapping[str, Any], reads: set[str]
    ) -> None:
        self.around = around
        self.problems = problems
        self.map_id = map_id
        self.file = file
        self.element = element
        self.line = line
        self.node = node
        self.read_names = reads
        self.zone = around.zone
        self.default_consent: Mapping[str, str] = around.default_consent
        self.templates = around.templates
        self.team: Mapping[str, Any] = around.things["team"]
        self.outcomes: dict[str, Act] | None = {}
        self.tell: Tell | None = None

    def problem(self, message: str, *, key: str = "", remedy: str = "") -> None:
        """Report a problem at this place, on the line of one of its keys where that is known."""
        line = (line_of(self.node, key) if key else line_of(self.node)) or self.line
        kind, _, name = self.map_id.rpartition(":")
        place = f"{'sequences' if kind else 'maps'}/{name}: {self.element}".rstrip(": ")
        self.problems.append(Problem(file=file_of(self.node) or self.file or place.partition(":")[0], line=line, place=place, message=message, remedy=remedy))

    def need(self, what: str, name: str, *, key: str = "") -> Mapping[str, Any]:
        """A named thing of the workspace; an empty mapping and a problem where there is none."""
        things = self.around.things[what]
        if name in things:
            found = things[name]
            return found if isinstance(found, Mapping) else {}
        self.problem(f'there is no {_SINGULAR[what]} "{name[:100]}"', key=key, remedy=suggest(name, things) or _listing(what, things))
        return {}

    def provider(self, channel: str) -> Mapping[str, Any] | None:
        """The block of a channel in providers.yaml; None in a simulation, where nothing of it is checked."""
        if self.around.providers is None:
            return None
        found = self.around.providers.get(channel)
        return found if isinstance(found, Mapping) else {}

    def product(self, name: str, *, key: str = "") -> None:
        """Report a product that is missing, where the workspace lists any."""
        if self.around.things["products"]:
            self.need("products", name, key=key)

    def text(self, source: str, *, key: str = "") -> Value:
        """A template that is rendered when the contact arrives."""
        try:
            render = self.templates.compile(source, html=False)
            names = self.templates.reads(source)
            self.templates.check(source)
        except TemplateFault as fault:
            self.problem(f"the text cannot be used: {fault}", key=key)
            return lambda turn: source
        if "{" not in source:
            return lambda turn: source
        values = self._values(names)
        workspace = {"timezone": self.around.timezone}

        def rendered(turn: Turn) -> str:
            found = values(turn)
            return render({**found.pop("fields"), **found, "workspace": workspace})

        return rendered

    def value(self, raw: Any, *, key: str = "") -> Value:
        """A literal, `{value_of: NAME}` or `{now: +30d}`."""
        if not is_taken(raw):
            literal = plain(raw)
            return lambda turn: literal
        get = literal_or_taken(raw, self, key)
        source, _, name = str(raw.get("value_of")).partition(".")
        if source == "event" and name and "." not in name:
            return lambda turn: turn.event.get(name)
        return lambda turn: get(turn.contact, turn.event, turn.entry, turn.now_ms)

    def reads_of(self, names: frozenset[str]) -> None:
        """Remember what a template reads of the events."""
        self.read_names.update(name for name in names if name.partition(".")[0] in ("event", "entry"))

    def _values(self, names: frozenset[str]) -> Callable[[Turn], dict[str, Any]]:
        """What takes the values that templates read: `{"fields": …, "event": …, "entry": …, "owner": …}`, only what is read."""
        self.reads_of(names)
        fields = sorted(name for name in names if name.partition(".")[0] not in SPACES)
        spaces = {space: _keys(space, names) for space in ("event", "entry", "owner") if _keys(space, names) != []}
        team = self.team

        def values(turn: Turn) -> dict[str, Any]:
            own = turn.contact.fields
            found: dict[str, Any] = {"fields": {name: own[name] for name in fields if name in own}}
            if "contact" in fields and "contact" not in own:
                found["fields"]["contact"] = turn.contact.id
            for space, keys in spaces.items():
                source = _owner(team, own.get("owner")) if space == "owner" else turn.event if space == "event" else turn.entry
                found[space] = dict(source) if keys is None else {key: source[key] for key in keys if key in source}
            return found

        return values

    def reads(self, *sources: str, key: str = "") -> Callable[[Turn], dict[str, Any]]:
        """The values that template sources read, for an effect that is rendered in the pool."""
        try:
            return self._values(self.templates.reads(*sources))
        except TemplateFault as fault:
            self.problem(f"the template cannot be used: {fault}", key=key)
            return lambda turn: {"fields": {}}

    def duration_ms(self, raw: Any, *, key: str = "") -> int:
        """A duration; 0 and a problem where it is none."""
        try:
            return parse_duration(raw)
        except ValueError as error:
            self.problem(str(error), key=key)
            return 0

    def act(self, kind: str, params: Mapping[str, Any], *, key: str = "") -> Act:
        """Prepare an action that stands inside this one."""
        inner = Site(self.around, self.problems, self.map_id, self.file, self.element, self.line, params, self.read_names)
        inner.outcomes = None
        return named(kind, prepare(inner, kind, self, key))

    def outcome(self, name: str, act: Act) -> None:
        """Keep what runs when a task of this element is completed so."""
        if self.outcomes is None:
            self.problem("a task within the outcome of another one cannot have outcomes", key="outcomes", remedy="use `task_completed` in another map")
        else:
            self.outcomes[name] = act

    def notices(self, tell: Tell) -> bool:
        """Keep what tells of a task of this element later; False within an outcome."""
        if self.outcomes is None:
            return False
        self.tell = tell
        return True


def prepare(site: Site, kind: str, outer: Site | None = None, key: str = "") -> Act:
    """The closure of an action of this kind with the parameters at `site`; what does nothing, and a problem, where it cannot be made."""
    found = site.around.registry.get(kind)
    if found is None:
        (outer or site).problem(f'there is no action "{kind[:100]}"', key=key, remedy=suggest(kind, site.around.registry))
        return nothing
    action = found.read(site.node, site)
    return nothing if action is None else action.prepare(site)


def nothing(turn: Turn) -> None:
    """The act of an action that could not be prepared; never published."""


def plain(raw: Any) -> Any:
    """A document's value without its lines."""
    if isinstance(raw, dict):
        return {key: plain(value) for key, value in raw.items()}
    return [plain(value) for value in raw] if isinstance(raw, list) else raw


def _keys(space: str, names: frozenset[str]) -> list[str] | None:
    """The keys that are read of a space, None where all of it is."""
    if space in names:
        return None
    return sorted(name.partition(".")[2].partition(".")[0] for name in names if name.startswith(f"{space}."))


def _owner(team: Mapping[str, Any], owner: Any) -> Mapping[str, Any]:
    member = team.get(owner) if isinstance(owner, str) else None
    return {"id": owner, **member} if isinstance(member, Mapping) else {}


def _listing(what: str, things: Mapping[str, Any]) -> str:
    names = sorted(things)
    return f"there are {', '.join(names[:10])}{', …' if len(names) > 10 else ''}" if names else f"the workspace has no {what}"
