"""The text beside an HTML email, made from the template's source so that its merge fields stay what they are.

Small and honest: tags are left out, blocks become lines, links keep their address, scripts and styles vanish. Reading
is linear in the length of the source.
"""

from __future__ import annotations

import re
from html import unescape

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:\{\{[^{}]*\}\}|\{%[^{}]*%\}|[^<>{}])*)>|<![a-zA-Z][^<>]*>")
_TEXT = re.compile(r"[^<{]+|[<{]")
_ENTITY = re.compile(r"&#?\w{1,32};", re.ASCII)
_MARK_CHARS = frozenset("{}%#")
_HREF = re.compile(r"""\bhref\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "blockquote",
        "div",
        "dl",
        "dt",
        "dd",
        "fieldset",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "tr",
        "ul",
        "br",
        "title",
    ]
)
_SPACED = frozenset(["p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "blockquote"])
_HIDDEN = frozenset({"script", "style", "head", "template"})
_MARKS = {"{{": "}}", "{%": "%}", "{#": "#}", "<!--": "-->"}
_LINK = ("http:", "https:", "mailto:", "tel:", "{{")


def plain_text(source: str) -> str:
    """The template of the text, for a template of HTML."""
    out: list[str] = []
    hidden = ""  # the tag whose content is being left out
    href = ""
    at = 0
    while at < len(source):
        opaque, at = _opaque(source, at)
        if opaque is not None:
            if not hidden and not opaque.startswith("<"):
                out.append(opaque)
            continue
        tag = _TAG.match(source, at)
        if tag is None:
            match = _TEXT.match(source, at)
            assert match is not None
            if not hidden:
                out.append(_literal(match[0]))
            at = match.end()
            continue
        at = tag.end()
        closing, name = bool(tag[1]), (tag[2] or "").lower()
        if hidden:
            hidden = "" if closing and name == hidden else hidden
        elif name in _HIDDEN and not closing:
            hidden = name
        elif name == "a":
            href = _close_link(out, href) if closing else _address(tag[3])
        elif name in _BLOCKS:
            out.append("\n\n" if name in _SPACED else "\n")
            out.append("- " if name == "li" and not closing else "")
        elif name in {"td", "th"} and closing:
            out.append(" ")
    return _tidy("".join(out))


def _opaque(source: str, at: int) -> tuple[str | None, int]:
    """What is copied or left out as a whole, a block of the template or a comment, with the place behind it."""
    mark = "<!--" if source.startswith("<!--", at) else source[at : at + 2]
    closing = _MARKS.get(mark)
    if closing is None:
        return None, at
    end = source.find(closing, at + len(mark))
    # An open end takes the rest: it can only be the text of a {% raw %} or a broken comment.
    end = len(source) if end < 0 else end + len(closing)
    return source[at:end], end


def _literal(text: str) -> str:
    return re.sub(r"\s+", " ", _ENTITY.sub(_character, text))


def _character(entity: re.Match[str]) -> str:
    """The character of an entity, unless it would become a mark of the template."""
    plain = unescape(entity[0])
    return entity[0] if plain in _MARK_CHARS else plain


def _address(attributes: str) -> str:
    match = _HREF.search(attributes)
    address = (match[1] or match[2] or "") if match else ""
    return unescape(address).strip() if address.strip().startswith(_LINK) else ""


def _close_link(out: list[str], href: str) -> str:
    """Write the address behind the link's text, unless that is the address itself."""
    if href and (not out or out[-1].strip() != href.removeprefix("mailto:").removeprefix("tel:")):
        out.append(f" ({href})")
    return ""


def _tidy(text: str) -> str:
    lines = [line.strip() for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"
