"""Messages are well formed, the same again, and nothing in them can begin a header of its own. Python's own parser is the judge."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.messages import Attachment, Email
from actions.mime import MimeFault, build

AT_MS = 1_767_603_600_000
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=300)


def parsed(email: Email, url: str = "") -> EmailMessage:
    data = build(email, "e" * 32, AT_MS, url).data
    assert all(len(line) <= 998 for line in data.split(b"\r\n"))
    assert b"\n" not in data.replace(b"\r\n", b"")
    assert data.isascii()
    message = message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def email(**changes: object) -> Email:
    return Email(**{"to": "ann@example.com", "sender": "Shop <shop@example.com>", "subject": "Hi", "text": "Hello\n", "html": "<p>Hello</p>\n"} | changes)  # type: ignore[arg-type]


def test_the_parts_and_headers_stand_where_they_should() -> None:
    message = parsed(email(reply_to="Help <help@example.com>", headers={"X-Shop": "one"}), "https://x.example/u/t")
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]  # type: ignore[attr-defined]
    assert message["Message-ID"] == f"<{'e' * 32}@example.com>"
    assert parsedate_to_datetime(message["Date"]).timestamp() * 1_000 == AT_MS
    assert message["Reply-To"] == "Help <help@example.com>"
    assert message["X-Shop"] == "one"
    assert message["List-Unsubscribe"] == "<https://x.example/u/t>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_transactional_mail_has_no_unsubscribe_header() -> None:
    assert parsed(email())["List-Unsubscribe"] is None


def test_the_same_message_is_the_same_bytes() -> None:
    assert build(email(), "a" * 32, AT_MS) == build(email(), "a" * 32, AT_MS)


@given(TEXT, TEXT, TEXT)
def test_any_text_comes_back_and_adds_no_header(subject: str, text: str, name: str) -> None:
    name = name.replace("<", "").replace(">", "").replace('"', "")
    message = parsed(email(subject=subject, text=text, html="", sender=f"{name} <shop@example.com>"))
    assert set(message.keys()) == {"From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"}
    assert message["From"].addresses[0].addr_spec == "shop@example.com"
    body = text.replace("\r\n", "\n").replace("\r", "\n")
    assert message.get_content().replace("\r\n", "\n") == (body if body.endswith("\n") else body + "\n" if body else body)
    wanted = " ".join("".join(" " if ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029" else c for c in subject).split())
    assert " ".join(message["Subject"].split()) == wanted


def test_display_names_of_all_kinds() -> None:
    assert parsed(email(to='"Doe, Ann" <ann@example.com>'))["To"].addresses[0].display_name == "Doe, Ann"
    assert parsed(email(to="Zo\u00eb <zoe@example.com>"))["To"].addresses[0].display_name == "Zo\u00eb"
    assert parsed(email(to="Ann@Home <ann@example.com>"))["To"].addresses[0].display_name == "Ann@Home"


def test_international_addresses() -> None:
    assert build(email(to="ann@b\u00fccher.example"), "a" * 32, AT_MS).to == "ann@xn--bcher-kva.example"
    mail = build(email(to="j\u00f6rg@example.com"), "a" * 32, AT_MS)
    assert mail.utf8
    assert not build(email(), "a" * 32, AT_MS).utf8


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ann",
        "ann@",
        "@example.com",
        "a b@example.com",
        "ann@example.com>\r\nRCPT TO:<eve@example.com",
        "ann@example.com, eve@example.com",
        "<>",
        "a@b@c",
        "x" * 300 + "@e.com",
        "ann@exa�mple.com",
        "ann\x00@example.com",
        "Ann <ann@example.com> <eve",
    ],
)
def test_what_is_no_address_is_a_fault(address: str) -> None:
    with pytest.raises(MimeFault):
        build(email(to=address), "a" * 32, AT_MS)


@pytest.mark.parametrize("name", ["Bcc", "bcc", "From", "Content-Type", "DKIM-Signature", "X Y", "X:Y", "", "X\r\nY", "X\u00e9"])
def test_a_template_cannot_set_what_is_ours(name: str) -> None:
    with pytest.raises(MimeFault):
        build(email(headers={name: "v"}), "a" * 32, AT_MS)


def test_long_lines_and_controls_are_encoded() -> None:
    message = parsed(email(text="x" * 5_000 + "\x00\n", html="<p>" + "\u05d0" * 3_000 + "</p>"))
    plain, html = message.iter_parts()  # type: ignore[attr-defined]
    assert (plain["Content-Transfer-Encoding"], html["Content-Transfer-Encoding"]) == ("quoted-printable", "base64")
    assert plain.get_content().replace("\r\n", "\n") == "x" * 5_000 + "\x00\n"
    assert html.get_content().startswith("<p>" + "\u05d0" * 3_000)


@pytest.mark.parametrize("html", ["", "<p>See the file</p>"])
def test_files_go_with_a_message(html):
    files = (Attachment(name="kits-2026-03-27.csv", kind="text/csv; charset=utf-8", content="\ufeffcontact\r\nZoë\r\n".encode() * 100),)
    read = parsed(Email(to="a@example.com", sender="b@example.com", subject="Hi", text="See the file", html=html, attachments=files))
    assert read.get_content_type() == "multipart/mixed"
    assert read.get_body(("plain",)).get_content().strip() == "See the file"
    assert (read.get_body(("html",)) is not None) == bool(html)
    (file,) = read.iter_attachments()
    assert (file.get_filename(), file.get_content_type(), file.get_payload(decode=True)) == (files[0].name, "text/csv", files[0].content)


@pytest.mark.parametrize("changed", [{"name": 'a"\r\nX-Evil: 1'}, {"name": "../up"}, {"name": ""}, {"kind": "text/csv\r\nX: 1"}])
def test_a_file_cannot_bring_headers(changed):
    file = Attachment(**{"name": "a.csv", "kind": "text/csv", "content": b"x", **changed})
    with pytest.raises(MimeFault):
        build(Email(to="a@example.com", sender="b@example.com", subject="Hi", text="x", attachments=(file,)), "e1", 0)
