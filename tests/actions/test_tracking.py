"""Opens and clicks: what is rewritten, what is left alone, and that nobody can make a link of ours lead elsewhere."""

from __future__ import annotations

import re
from html import escape, unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions.tracking import Track, read_click, read_open, tracked
from engine.core.effects import Effect

URL = "https://go.example.com"
EFFECT = Effect("e" * 32, "ann", "send_email", "email", "b", "", "m", 1, "hello", 2, 1, 1, 1, 0, {"template": "hello.html"}, 0, "email")


def clicks(html: str) -> str:
    return tracked(html, Track(clicks=True), EFFECT, URL, "s3cret")


def target(html: str) -> str:
    """Where the first rewritten link leads; "" where there is none."""
    found = re.search(rf'"{URL}/c/([^"]+)"', html)
    if not found:
        return ""
    click = read_click("s3cret", unescape(found[1]))
    assert click is not None
    assert (click.about.contact, click.about.effect, click.about.element, click.about.template) == ("ann", "e" * 32, "hello", "hello.html")
    return click.url


@pytest.mark.parametrize(
    ("html", "url"),
    [
        ('<a href="https://shop.example.com/x?a=1&amp;b=2#c">x</a>', "https://shop.example.com/x?a=1&b=2#c"),
        ("<A class='b' HREF = 'http://shop.example.com'>x</A>", "http://shop.example.com"),
        ('<a\n  href="  https://shop.example.com/\u00e9  "\n>x</a>', "https://shop.example.com/\u00e9"),
        ('<a data-href="https://no.example.com" href="https://yes.example.com">', "https://yes.example.com"),
    ],
)
def test_a_link_leads_by_way_of_the_gateway_to_its_target(html: str, url: str) -> None:
    assert target(clicks(html)) == url


@pytest.mark.parametrize(
    "html",
    [
        '<a href="mailto:ann@example.com">',
        '<a href="javascript:alert(1)">',
        '<a href="#top">',
        '<a href="/relative">',
        '<a href="{{ left over }}">',
        '<a href="https://shop.example.com/a b">',
        '<a href="https://shop.example.com/\r\nSet-Cookie: x">',
        '<a name="x">https://shop.example.com</a>',
        '<link href="https://shop.example.com/style.css">',
        '<area href="https://shop.example.com">',
        '<img src="https://shop.example.com/i.png">',
        f'<a href="{URL}/u/token">unsubscribe</a>',
        f'<a href="https://shop.example.com/{"x" * 2_000}">',
        "https://shop.example.com",
    ],
)
def test_everything_else_stays_as_it_is(html: str) -> None:
    assert clicks(html) == html


def test_the_image_stands_before_the_end_of_the_body() -> None:
    html = tracked("<body><p>Hi</p><pre>&lt;/body&gt;</pre></BODY ></html>", Track(opens=True), EFFECT, URL, "s3cret")
    found = re.fullmatch(
        rf'<body><p>Hi</p><pre>&lt;/body&gt;</pre><img src="{URL}/o/([^"]+)" width="1" height="1" alt="" style="border:0"></BODY ></html>', html
    )
    assert found
    opened = read_open("s3cret", found[1])
    assert opened is not None
    assert (opened.contact, opened.action, opened.enrollment) == ("ann", "send_email", 2)
    assert tracked("<p>Hi", Track(opens=True), EFFECT, URL, "s3cret").startswith("<p>Hi<img ")


def test_it_is_the_same_at_every_attempt() -> None:
    html = '<a href="https://shop.example.com">x</a>'
    assert tracked(html, Track(opens=True, clicks=True), EFFECT, URL, "s3cret") == tracked(html, Track(opens=True, clicks=True), EFFECT, URL, "s3cret")


def test_tokens_are_for_one_purpose_and_one_secret() -> None:
    token = re.search(r'/c/([^"]+)"', clicks('<a href="https://shop.example.com">'))
    assert token
    assert read_open("s3cret", token[1]) is None
    assert read_click("other", token[1]) is None
    assert read_click("s3cret", token[1][:-1]) is None
    image = re.search(r'/o/([^"]+)"', tracked("", Track(opens=True), EFFECT, URL, "s3cret"))
    assert image
    assert read_click("s3cret", image[1]) is None


@settings(max_examples=100, deadline=None)
@given(st.from_regex(r"https?://[a-z]{1,8}\.example\.com(/[!-;=?-~\u00e0-\u00ff]{0,30})?", fullmatch=True).filter(lambda url: "\\" not in url))
def test_any_target_comes_back_as_it_was(url: str) -> None:
    assert target(clicks(f'<p><a class="b" href="{escape(url)}">x</a>')) == url


def test_a_page_of_tags_that_never_end_is_read_once() -> None:
    for page in ("<a " * 200_000, "<a" + " " * 500_000, "<a href=" * 100_000, '<a href="' + "x" * 500_000, "<a " + 'href="x ' * 100_000, "</body" * 100_000):
        assert clicks(page).count(f"{URL}/c/") == 0
