"""Elements: a list of the document becomes a list of nodes. One key says what an element is; an `id` may stand beside it.

Ids that were left out are made last, from the word and a counter, in the order of the document; an end that nobody wrote
stands at the end of its path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator

from engine.core.automation_map import Arm, Do, Element, End, Exit, Fork, Goal, GoTo, If, Split, Trigger, Wait, WaitBetween, WaitFor, WaitUntil
from engine.core.documents import suggest
from engine.core.names import shown
from engine.core.parse_triggers import WORDS, keys_of, read_date, read_trigger_of, trigger_word
from engine.core.reading import Place
from engine.core.times import check_local, parse_clock, parse_day, parse_duration, parse_window_end

BRANCHES = ("then", "else")
_BARE = ("end", "exit")
_DELAYS = ("after", "at", "date", "until")  # what may stand before a step of a sequence: a duration, or (in any of three words) a date


class Elements:
    """Reads the elements of one map or sequence."""

    def __init__(self, kinds: Collection[str], map_id: str) -> None:
        self.kinds = kinds
        self.map_id = map_id
        self.words: dict[str, Callable[[Place, Place], Element | None]] = {
            "wait": self.wait,
            "if": self.branch,
            "split": self.split,
            "fork": self.fork,
            "goal": self.goal,
            "go_to": lambda _, value: GoTo(id="", target=value.name("`go_to`")),
            "end": self.stop,
            "exit": self.stop,
        }

    def path(self, place: Place) -> list[Element]:
        """The elements of a list; those that could not be read are left out."""
        found = [self.element(item) for item in place.items("a path")]
        return [element for element in found if element is not None]

    def element(self, place: Place) -> Element | None:
        """One item of a path: a bare word, or a mapping."""
        if isinstance(place.raw, str):
            return self.bare(place)
        if not isinstance(place.raw, dict):
            place.problem(f"an element must be a mapping such as `wait: 3d` or a bare word such as `end`, not {shown(place.raw)}")
            return None
        word = self.word(place, {"id", *BRANCHES})
        if word is None:
            return None
        place.known({"id", word, *(BRANCHES if word == "if" else ())}, f"`{word}`")
        return self.identified(self.made(place, word), place)

    def bare(self, place: Place) -> Element | None:
        word = place.raw
        if word in _BARE:
            return End(id="", line=place.line) if word == "end" else Exit(id="", line=place.line)
        if word in self.kinds:
            return Do(id="", line=place.line, kind=word)
        if word in self.words:
            place.problem(f"`{word}` needs a value", f"write `{word}: …`")
        else:
            place.problem(f'"{word[:100]}" is no element and no action', suggest(word, [*self.words, *self.kinds]))
        return None

    def word(self, place: Place, also: set[str]) -> str | None:
        """The key that says what an element is; None with a problem where there is none or more than one."""
        found = [key for key in place.raw if key in self.words or key in self.kinds]
        if len(found) == 1:
            return str(found[0])
        if found:
            place.problem(
                f"an element is one thing, and this one is {' and '.join(f'`{word}`' for word in found)}", "begin each element with a `- ` of its own"
            )
            return None
        strange = [key for key in place.raw if key not in also]
        if strange:
            key = str(strange[0])
            place.at(key).problem(f'"{key[:100]}" is no element and no action', suggest(key, [*self.words, *self.kinds]))
        else:
            place.problem("the element does not say what it is", "write one of " + ", ".join(self.words) + " or an action")
        return None

    def made(self, place: Place, word: str) -> Element | None:
        """The node for `word`, still without id and line."""
        value = place.at(word)
        if word in self.words:
            return self.words[word](place, value)
        if value.raw is None or value.raw is True:
            return Do(id="", kind=word)
        if not isinstance(value.raw, dict):
            value.problem(f"`{word}` takes a mapping of parameters, not {shown(value.raw)}", f"write `{word}: {{…}}`")
            return None
        return Do(id="", kind=word, params=value.raw)

    def identified(self, element: Element | None, place: Place) -> Element | None:
        if element is not None:
            element.line = place.line
            if place.has("id"):
                element.id = place.at("id").name("the id")
                element.given = bool(element.id)
        return element

    def stop(self, place: Place, value: Place) -> Element | None:
        word = "end" if place.has("end") else "exit"
        if value.raw is not True and value.raw is not None:
            value.problem(f"`{word}` takes no value but true, not {shown(value.raw)}", f"write `- {word}`, or `{{id: NAME, {word}: true}}`")
        return End(id="") if word == "end" else Exit(id="")

    def branch(self, place: Place, value: Place) -> Element | None:
        if not isinstance(value.raw, dict):
            value.problem(f"`if` takes a predicate such as `{{ltv: {{gte: 100}}}}`, not {shown(value.raw)}")
        if not any(place.has(key) for key in BRANCHES):
            place.problem("the `if` has neither `then` nor `else`", "write what each branch does", warning=True)
        return If(id="", where=value.raw if isinstance(value.raw, dict) else {}, then=self.side(place, "then"), otherwise=self.side(place, "else"))

    def side(self, place: Place, key: str) -> list[Element]:
        return self.path(place.at(key)) if place.has(key) else []

    def split(self, place: Place, value: Place) -> Element | None:
        arms: list[Arm] = []
        for number, item in enumerate(value.items("`split`"), 1):
            if item.known({"name", "weight", "path"}, "an arm"):
                name = item.at("name").name("the arm's name") if item.has("name") else f"arm-{number}"
                arms.append(Arm(name=name, weight=self.weight(item), path=self.side(item, "path")))
        return Split(id="", arms=arms)

    def weight(self, item: Place) -> float:
        if item.has("weight"):
            return item.at("weight").number("`weight`")
        item.problem("the arm has no weight", "write `weight: 50`")
        return 0

    def fork(self, place: Place, value: Place) -> Element | None:
        paths = [self.path(item) for item in value.items("`fork`")]
        if not paths and isinstance(value.raw, list | None):
            value.problem("`fork` has no paths", "write a list of paths: `fork: [[…], […]]`")
        for path in paths:
            close(path, value.line)
        return Fork(id="", paths=paths)

    def goal(self, place: Place, value: Place) -> Element | None:
        word = trigger_word(value, {"adds", "timeout", "else"})
        trigger = read_trigger_of(value, word, self.map_id) if word else None
        if trigger is None:
            return None
        adds = value.at("adds").flag("`adds`") if value.has("adds") else False
        return Goal(id="", trigger=trigger, adds=adds, timeout_ms=self.timeout(value), otherwise=self.side(value, "else"))

    def timeout(self, value: Place) -> int | None:
        if value.has("timeout"):
            return value.at("timeout").taken(parse_duration)
        if value.has("else"):
            value.at("else").problem("`else` can never happen: there is no `timeout`", "write `timeout: 7d`")
        return None

    def wait(self, place: Place, value: Place) -> Element | None:
        raw = value.raw
        if not isinstance(raw, dict):
            return Wait(id="", duration_ms=value.taken(parse_duration))
        if "until" in raw:
            value.known({"until"}, "`wait: {until: …}`")
            return self.until(value.at("until"))
        if "between" in raw:
            return self.between(value)
        if "task" in raw:
            return self.task(value)
        if not any(key in WORDS for key in raw):
            value.unknown(str(next(iter(raw), "")), ["until", "between", "task", *WORDS], "`wait`")
            return None
        word = trigger_word(value, {"timeout", *BRANCHES})
        trigger = read_trigger_of(value, word, self.map_id) if word else None
        return self.waiting(value, trigger) if trigger else None

    def task(self, value: Place) -> Element:
        value.known({"task", "timeout", *BRANCHES} | keys_of("task_completed") - {"task_completed"}, "`wait: {task: …}`")
        trigger = read_trigger_of(
            Place({"task_completed": None, **value.raw}, value.problems, path=value.path, file=value.file, line=value.line), "task_completed", self.map_id
        )
        assert trigger is not None
        task = value.at("task").name("`task`")
        return self.waiting(value, trigger, task)

    def waiting(self, value: Place, trigger: Trigger, task: str = "") -> Element:
        timeout_ms = self.timeout(value)
        return WaitFor(id="", trigger=trigger, task=task, timeout_ms=timeout_ms, then=self.side(value, "then"), otherwise=self.side(value, "else"))

    def until(self, place: Place) -> Element | None:
        """What stands behind `until`: a local date and time, a next time of day, or a date field."""
        if not isinstance(place.raw, dict):
            try:
                return WaitUntil(id="", at=check_local(place.raw))
            except ValueError as error:
                place.problem(str(error))
                return None
        if place.has("field"):
            place.known({"field", "offset", "time"}, "`until`")
            date = read_date(place)
            return WaitUntil(id="", date=date) if date else None
        place.known({"time", "days", "field"}, "`until`")
        if not place.has("time") and not place.has("days"):
            place.problem("`until` says neither a time nor a field", 'write `{time: "09:00"}` or `{field: renewal_date}`')
        return WaitUntil(id="", time=place.at("time").taken(parse_clock) if place.has("time") else 0, days=self.days(place))

    def between(self, value: Place) -> Element | None:
        value.known({"between", "days"}, "`wait: {between: …}`")
        ends = [*value.at("between").items("`between`")]
        if len(ends) != 2:
            value.at("between").problem("`between` takes two clock times", 'write `between: ["09:00", "18:00"]`')
            return None
        start, end = ends[0].taken(parse_clock), ends[1].taken(parse_window_end)
        if start == end and ends[0].raw == ends[1].raw:
            value.at("between").problem("the window is empty: it ends when it begins")
        return WaitBetween(id="", start=start, end=end, days=self.days(value))

    def days(self, place: Place) -> list[int]:
        if not place.has("days"):
            return []
        days = sorted({item.taken(parse_day) for item in place.at("days").items("`days`")})
        if not days:
            place.at("days").problem("`days` is empty", "leave it out for every day")
        return days

    def steps(self, place: Place, *, leaves: bool) -> list[Element]:
        """The steps of a sequence: a wait, where the step has one, then its action; at last an exit, where it `leaves`."""
        found: list[Element] = []
        for item in place.items("`steps`"):
            found += self.step(item)
        if leaves:
            found.append(Exit(id="", line=place.line))
        return found

    def step(self, place: Place) -> Iterator[Element]:
        if not isinstance(place.raw, dict):
            place.problem(f"a step must be a mapping such as `{{after: 2d, send_email: {{…}}}}`, not {shown(place.raw)}")
            return
        if not any(key not in _DELAYS and key != "id" for key in place.raw):
            place.problem("the step has no action", "write one beside its delay: `- {after: 2d, send_email: {template: tip}}`")
            return
        word = self.word(place, {"id", *_DELAYS})
        if word is None or word in self.words:
            if word is not None:
                place.at(word).problem(f"a step is an action, not `{word}`", "write a map for what needs more than delays")
            return
        place.known({"id", *_DELAYS, word}, "a step")
        delays = [key for key in _DELAYS if place.has(key)]
        if len(delays) > 1:
            place.problem(f"a step has one delay, and here are {' and '.join(f'`{key}`' for key in delays)}")
        for key in delays[:1]:
            delay = place.at(key)
            wait = Wait(id="", duration_ms=delay.taken(parse_duration)) if key == "after" else self.until(delay)
            if wait is not None:
                wait.line = delay.line
                yield wait
        action = self.identified(self.made(place, word), place)
        if action is not None:
            yield action


def close(path: list[Element], line: int) -> None:
    """Give a path that can be walked to its end an end."""
    if goes_on(path):
        path.append(End(id="", line=path[-1].line if path else line, implicit=True))


def goes_on(path: list[Element]) -> bool:
    """Whether a contact can come to the end of a path and go on with what follows it."""
    if not path:
        return True
    match path[-1]:
        case End() | Exit() | GoTo() | Fork():
            return False
        case If(then=then, otherwise=otherwise):
            return goes_on(then) or goes_on(otherwise)
        case Split(arms=arms):
            return not arms or any(goes_on(arm.path) for arm in arms)
        case WaitFor(then=then, otherwise=otherwise, timeout_ms=timeout_ms):
            return goes_on(then) or (timeout_ms is not None and goes_on(otherwise))
        case _:
            return True


def branches(element: Element) -> list[list[Element]]:
    """The paths inside an element, in the order of the document."""
    match element:
        case If(then=then, otherwise=otherwise) | WaitFor(then=then, otherwise=otherwise):
            return [then, otherwise]
        case Split(arms=arms):
            return [arm.path for arm in arms]
        case Fork(paths=paths):
            return paths
        case Goal(otherwise=otherwise):
            return [otherwise]
        case _:
            return []


def walk(path: list[Element]) -> Iterator[Element]:
    """Every element of a path and of the paths inside it, in the order of the document."""
    for element in path:
        yield element
        for inner in branches(element):
            yield from walk(inner)


def word_of(element: Element) -> str:
    """What an element is called in documents: `wait`, `if`, `send_email`, …"""
    match element:
        case Do(kind=kind):
            return kind
        case Wait() | WaitUntil() | WaitBetween() | WaitFor():
            return "wait"
        case GoTo():
            return "go_to"
        case _:
            return type(element).__name__.lower()


def name_elements(path: list[Element]) -> None:
    """Make the ids that were left out: word and counter, skipping what an author chose."""
    everything = [*walk(path)]
    taken = {element.id for element in everything if element.id}
    counters: Counter[str] = Counter()
    for element in (one for one in everything if not one.id):
        word = word_of(element)
        while True:
            counters[word] += 1
            element.id = f"{word}-{counters[word]}"
            if element.id not in taken:
                break
