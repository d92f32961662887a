"""Templates of messages: minijinja in its sandbox, with fuel, bounds of size, and a list of what each one reads.

A missing merge field is empty, at any depth (`{{ event.cart.total }}` without a cart). HTML is escaped, text is not. What a
template is given are copies, so that nothing it calls can change a contact. An email template begins with front matter:

    ---
    subject: Thanks, {{ first_name }}
    from: Shop <shop@example.com>
    ---
    <p>Thank you, {{ first_name }}</p>
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from minijinja import Environment, TemplateError

from engine.core.documents import read_document, suggest
from engine.core.errors import InvalidDocument, Problem, WayfareError
from engine.core.plain_text import plain_text
from engine.core.reading import Place

Render = Callable[[Mapping[str, Any]], str]
"""Takes the values by name (`first_name`, `event`, `entry`, `owner`, `workspace`); raises TemplateFault."""

SPACES = ("event", "entry", "owner", "workspace")
_GLOBALS = frozenset({"range", "dict", "namespace", "cycler", "joiner", "debug", "loop", "self", "super", "caller"})
_FRONT_KEYS = ("subject", "from", "reply_to", "headers", "text")
_FRONT = re.compile(r"\ufeff?---[ \t]*\r?\n(.*?)(?:(?<=\n)|^)---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_TAG = re.compile(r"<(?:[a-zA-Z][^<>]*|/[a-zA-Z][^<>]*|![a-zA-Z][^<>]*)>")
_USES = re.compile(r"\{%[-+]?\s*(?:include|extends|import|from)\s+(?:\"([^\"]*)\"|'([^']*)'|(\S+))")
_WHOLE = re.compile(r"\b(event|entry|owner|workspace)\s*\.\s*(?:items|keys|values|get)\s*\(")
_IN = re.compile(r" \(in [^()]*\)\Z")  # where minijinja says it was: under a number that means nothing to an author
_HEADER = re.compile(r"[!-9;-~]{1,100}\Z")
# What a trial with no values finds in earnest; everything else may be the fault of the missing values.
_CERTAIN = frozenset({"SyntaxError", "UnknownFilter", "UnknownTest", "UnknownFunction", "TemplateNotFound", "BadInclude"})


class TemplateFault(WayfareError):
    """A template that cannot be read or rendered: `template` names it, `line` counts from 1. Caught where effects are decided and rendered."""

    def __init__(self, message: str, template: str = "", line: int = 0) -> None:
        where = f"{template}:{line}: " if template and line else f"{template}: " if template else ""
        super().__init__(where + message)
        self.message = message
        self.template = template
        self.line = line


class EmailTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """The sources of an email, from its front matter and its body; `sender` and `reply_to` are "" where they are not given."""

    name: str
    subject: str
    sender: str = ""
    reply_to: str = ""
    headers: dict[str, str] = {}
    html: str = ""
    text: str = ""

    def sources(self) -> list[str]:
        """Every source, for `reads`."""
        return [self.subject, self.sender, self.reply_to, self.html, self.text, *self.headers.values()]


class _Parts(msgspec.Struct, frozen=True):
    front: str
    body: str
    offset: int  # lines before the body


class Prepared(dict[str, Any]):
    """Values for several templates of one message: copied once, without what is null. Made by `prepared`."""


def prepared(values: Mapping[str, Any]) -> Prepared:
    """What a renderer would make of `values` each time."""
    return Prepared({name: _copy(value) for name, value in values.items() if value is not None})


class Templates:
    """The templates of one workspace: `sources` are the files by name."""

    def __init__(self, sources: Mapping[str, str], *, fuel: int, bytes_max: int) -> None:
        self.sources = sources
        self.bytes_max = bytes_max
        self._emails: dict[str, EmailTemplate] = {}
        self._compiled: dict[tuple[str, bool], Render] = {}
        self._origins: dict[str, tuple[str, int]] = {}  # source → (template, lines before it), for messages
        self._environments = {True: _environment(fuel, True, self._body), False: _environment(fuel, False, self._plain_body)}

    def email(self, name: str) -> EmailTemplate:
        """The parts of an email template. TemplateFault where it is missing or its front matter is wrong."""
        if name not in self._emails:
            self._emails[name] = self._read_email(name)
        return self._emails[name]

    def text(self, name: str) -> str:
        """The body of a template for a short message, without front matter and outer blank lines."""
        parts = self._parts(name)
        body = parts.body.strip()
        self._origins.setdefault(body, (name, parts.offset))
        return body

    def compile(self, source: str, *, html: bool) -> Render:
        """A renderer of one source, the same one for the same source. TemplateFault where it cannot be read."""
        found = self._compiled.get((source, html))
        if found is None:
            found = self._compiled[source, html] = self._compile(source, html)
        return found

    def reads(self, *sources: str) -> frozenset[str]:
        """What the sources read, with what they include: `first_name`, `event.total`, `event` (all of it), `owner.name`."""
        names: set[str] = set()
        for source in self._with_included(sources):
            try:
                found = self._environments[False].undeclared_variables_in_str(source, True)
            except TemplateError as error:
                raise self._fault(error, source) from error
            names.update(_read(path) for path in found)
            names.update(match[1] for match in _WHOLE.finditer(source))
        return frozenset(names - _GLOBALS)

    def problems(self) -> list[Problem]:
        """What is certainly wrong with any of the templates, whether a map uses it or not."""
        found: list[Problem] = []
        for name in self.sources:
            try:
                parts = self._parts(name)
                for source in self.email(name).sources() if parts.front else [parts.body]:
                    self.check(source)
            except TemplateFault as fault:
                found.append(Problem(file=f"templates/{name}", line=fault.line, message=fault.message))
            except InvalidDocument as error:
                found.extend(error.problems)
        return found

    def check(self, source: str) -> None:
        """Try a source without values: TemplateFault for what no values could mend (an unknown filter, a missing include)."""
        try:
            self.reads(source)
            self.compile(source, html=False)({})
        except TemplateFault as fault:
            cause = fault.__cause__
            if not isinstance(cause, TemplateError) or cause.kind in _CERTAIN:
                raise

    def _parts(self, name: str) -> _Parts:
        source = self.sources.get(name)
        if not isinstance(source, str):
            missing = "is not text" if name in self.sources else f"does not exist {suggest(name, self.sources)}".rstrip()
            raise TemplateFault(f'template "{name}" {missing}', name)
        match = _FRONT.match(source)
        return _Parts(match[1], source[match.end() :], match[0].count("\n")) if match else _Parts("", source, 0)

    def _body(self, name: str) -> str | None:
        return self._parts(name).body if name in self.sources else None

    def _plain_body(self, name: str) -> str | None:
        """What a text includes: of an HTML template its plain text."""
        body = self._body(name)
        return plain_text(body) if body and _TAG.search(body) else body

    def _read_email(self, name: str) -> EmailTemplate:
        parts = self._parts(name)
        problems: list[Problem] = []
        try:
            front = Place(read_document(parts.front, f"templates/{name}"), problems, path=f"templates/{name}")
        except InvalidDocument as error:
            first = error.problems[0]
            raise TemplateFault(f"front matter: {first.message} (quote a text that begins with {{{{)", name, first.line + 1) from error
        if front.known(_FRONT_KEYS, "front matter") and not front.has("subject"):
            front.problem("the template has no subject", "begin it with `---`, `subject: …`, `---`")
        texts = {key: front.at(key).text(f"`{key}`") for key in ("subject", "from", "reply_to", "text") if front.has(key)}
        headers = _headers(front.at("headers")) if front.has("headers") else {}
        if problems:
            worst = problems[0]
            raise TemplateFault(f"{worst.message} ({worst.remedy})" if worst.remedy else worst.message, name, worst.line + 1 if parts.front else 1)
        is_html = name.endswith(".html") or bool(_TAG.search(parts.body))
        self._origins.setdefault(parts.body, (name, parts.offset))
        for source in texts.values():
            self._origins.setdefault(source, (name, 0))
        if is_html:
            self.compile(parts.body, html=True)  # so that only what can be read is turned into text
        return EmailTemplate(
            name=name,
            subject=texts.get("subject", ""),
            sender=texts.get("from", ""),
            reply_to=texts.get("reply_to", ""),
            headers=headers,
            html=parts.body if is_html else "",
            text=texts.get("text") or (self._alternative(parts.body) if is_html else parts.body),
        )

    def _alternative(self, body: str) -> str:
        """The text beside an HTML body; none where the template's blocks cross its tags."""
        text = plain_text(body)
        try:
            self.compile(text, html=False)
        except TemplateFault:
            return ""
        return text

    def _compile(self, source: str, html: bool) -> Render:
        if len(source) > self.bytes_max:
            raise TemplateFault(f"longer than {self.bytes_max} characters", self._origins.get(source, ("", 0))[0])
        if not any(mark in source for mark in ("{{", "{%", "{#")):
            return lambda _: source
        environment = self._environments[html]
        number = f"#{len(self._compiled)}"
        try:
            environment.add_template(number, source)
        except TemplateError as error:
            raise self._fault(error, source) from error

        def render(values: Mapping[str, Any]) -> str:
            try:
                text: str = environment.render_template(number, **(values if values.__class__ is Prepared else prepared(values)))
            except BaseException as error:  # a panic of the library is no Exception
                if isinstance(error, Exception) or type(error).__name__ == "PanicException":
                    raise self._fault(error, source) from error
                raise
            if len(text) * 4 > self.bytes_max and len(text.encode()) > self.bytes_max:
                raise TemplateFault(f"rendered to more than {self.bytes_max} bytes", self._origins.get(source, ("", 0))[0])
            return text

        return render

    def _fault(self, error: BaseException, source: str) -> TemplateFault:
        name, offset = self._origins.get(source, ("", 0))
        line = (error.line or 0) if isinstance(error, TemplateError) else 0
        message = _IN.sub("", error.message) if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
        included = error.name if isinstance(error, TemplateError) and error.name in self.sources else ""
        if included:
            return TemplateFault(message, included, line + self._parts(included).offset)
        return TemplateFault(message, name, line + offset if line else 0)

    def _with_included(self, sources: tuple[str, ...]) -> list[str]:
        found = list(dict.fromkeys(sources))
        for source in found:  # grows while it is read
            for match in _USES.finditer(source):
                if match[3]:
                    raise TemplateFault(f"includes {match[3]}, and what a template includes must be a name in quotes", *self._origins.get(source, ("", 0))[:1])
                name = match[1] or match[2] or ""
                if name not in self.sources:
                    raise TemplateFault(
                        f'includes "{name}", which does not exist {suggest(name, self.sources)}'.rstrip(), self._origins.get(source, ("", 0))[0]
                    )
                body = self._parts(name).body
                if body not in found:
                    found.append(body)
        return found


def _environment(fuel: int, html: bool, loader: Callable[[str], str | None]) -> Environment:
    # An undefined value is empty however deep it is asked for; no debug information is kept with errors.
    return Environment(
        loader=loader,
        fuel=fuel,
        undefined_behavior="chainable",
        auto_escape_callback=lambda _: html,
        keep_trailing_newline=True,
        debug=False,
    )


def _copy(value: Any) -> Any:
    """A value that a template may do with as it likes. What is null is left out, so that it is empty, not `none`."""
    if value.__class__ is str:  # most are
        return value
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_copy(inner) for inner in value]
    return value


def _read(path: str) -> str:
    """`event.items.name` is kept as `event.items`, `address.city` as `address`: the key that must be at hand."""
    first, _, rest = path.partition(".")
    return f"{first}.{rest.partition('.')[0]}" if rest and first in SPACES else first


def _headers(place: Place) -> dict[str, str]:
    if not isinstance(place.raw, dict):
        place.problem("`headers` must be a mapping such as `{X-Campaign: spring}`")
        return {}
    for name in place.raw:
        if not _HEADER.match(name):
            place.at(name).problem(f'"{name[:60]}" is not the name of a header')
    return {name: place.at(name).text("a header's value") for name in place.raw}
