"""SMTP against a raw server for faults and pipelining, and against aiosmtpd for STARTTLS, AUTH and ordinary manners."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from actions.feedback import read_about
from actions.messages import Email
from actions.providers.provider import CREDENTIALS, DEFERRED, DELIVERED, REJECTED, UNKNOWN, Dispatch, House, Result
from actions.providers.registry import make_provider
from actions.unsubscribe import read_token
from engine.config import Config
from engine.core.effects import Effect
from engine.core.errors import InvalidConfig
from tests.providers.smtp_server import RawSmtp

SECRET = "link-secret"


def dispatch(number: int = 0, **changes: Any) -> Dispatch:
    effect = Effect(f"{number:032x}", "ann", "send_email", "email", "b", "", "m", 1, "e", 1, 1, 1, 1, 1_767_603_600_000, consent="email")
    fields = {"to": "ann@example.com", "sender": "Shop <shop@example.com>", "subject": f"mail {number}", "text": "Hello\n"} | changes
    return Dispatch(effect, Email(**fields))


@asynccontextmanager
async def smtp(port: int, timeout_ms: int = 5_000, **settings: Any) -> AsyncIterator[Any]:
    house = House(config=Config(send_timeout_ms=timeout_ms, public_url="https://mail.example/"), clock=lambda: 0, secret=SECRET)
    provider = make_provider("email", {"provider": "smtp", "host": "127.0.0.1", "port": port, **settings}, house, {"PASSWORD": "sw0rdfish"})
    try:
        yield provider
    finally:
        await provider.close()


async def send(provider: Any, dispatches: list[Dispatch]) -> list[Result]:
    results: dict[str, Result] = {}
    await provider.send(dispatches, lambda one, result: results.__setitem__(one.effect.id, result))
    return [results[one.effect.id] for one in dispatches]


async def test_with_pipelining_a_message_costs_one_round_trip() -> None:
    async with RawSmtp() as server, smtp(server.port, connections=1) as provider:
        results = await send(provider, [dispatch(number) for number in range(50)])
        assert {result.state for result in results} == {DELIVERED}
        assert [verb.split(" ")[0] for verb in server.commands] == ["EHLO"] + ["MAIL", "RCPT", "DATA"] * 50
        assert server.connections == 1


async def test_a_connection_is_kept_between_batches() -> None:
    async with RawSmtp() as server, smtp(server.port, connections=1) as provider:
        for number in range(5):
            await send(provider, [dispatch(number)])
        assert server.connections == 1


async def test_without_pipelining_each_command_waits_for_its_reply() -> None:
    async with RawSmtp(extensions=("8BITMIME",)) as server, smtp(server.port, connections=1) as provider:
        server.behave = {"RCPT": "550 5.1.1 nobody"}
        assert [result.state for result in await send(provider, [dispatch(1), dispatch(2)])] == [REJECTED, REJECTED]
        assert [verb.split(" ")[0] for verb in server.commands] == ["EHLO"] + ["MAIL", "RCPT", "RSET"] * 2
        server.behave = {}
        assert [result.state for result in await send(provider, [dispatch(3), dispatch(4)])] == [DELIVERED, DELIVERED]


@pytest.mark.parametrize(
    ("reply", "slow"),
    [
        ("451 4.7.1 too many messages", True),
        ("452 too many", True),
        ("450 4.2.0 greylisted", False),
        ("452 4.2.2 mailbox full", False),
        ("550 5.7.1 spam", False),
    ],
)
async def test_a_refusal_that_is_about_our_pace_asks_to_slow_down(reply: str, slow: bool) -> None:
    async with RawSmtp() as server, smtp(server.port) as provider:
        server.behave = {"RCPT": reply}
        assert [result.slow for result in await send(provider, [dispatch(1)])] == [slow]


async def test_a_server_that_says_354_to_a_refused_recipient_gets_no_message() -> None:
    async with RawSmtp() as server, smtp(server.port, connections=1) as provider:
        server.behave = {"RCPT": "550 5.1.1 nobody", "DATA": "354 go on all the same", "dot": "554 5.5.1 no recipients"}
        [result] = await send(provider, [dispatch(1, text="secret\n")])
        assert result.state == REJECTED
        assert result.data == {"code": 550, "status": "5.1.1", "class": "hard"}
        assert not server.mails


@pytest.mark.parametrize(
    ("command", "reply", "state"),
    [
        ("greeting", "421 busy", DEFERRED),
        ("greeting", "554 go away", DEFERRED),
        ("greeting", "drop", DEFERRED),
        ("greeting", "garbage in the greeting", DEFERRED),
        ("EHLO", "drop", DEFERRED),
        ("MAIL", "421 closing", DEFERRED),
        ("MAIL", "550 5.7.1 not you", REJECTED),
        ("MAIL", "530 5.7.0 authenticate", CREDENTIALS),
        ("RCPT", "452 4.2.2 full", DEFERRED),
        ("RCPT", "drop", DEFERRED),
        ("RCPT", "garbage", DEFERRED),
        ("DATA", "drop", DEFERRED),
        ("DATA", "451 4.3.0 no", DEFERRED),
        ("DATA", "554 5.3.0 no", REJECTED),
        ("dot", "drop", UNKNOWN),
        ("dot", "garbage", UNKNOWN),
        ("dot", "333 what", UNKNOWN),
        ("dot", "451 4.3.0 try later", DEFERRED),
        ("dot", "421 4.3.0 closing, not queued", DEFERRED),
        ("dot", "554 5.6.0 spam", REJECTED),
    ],
)
@pytest.mark.parametrize("pipelining", [True, False])
async def test_a_fault_at_any_command_has_its_result(command: str, reply: str, state: str, *, pipelining: bool) -> None:
    server = RawSmtp() if pipelining else RawSmtp(extensions=())
    server.behave = {command: reply}
    async with server, smtp(server.port, connections=1) as provider:
        [result] = await send(provider, [dispatch()])
        assert result.state == state, result
        server.behave = {}
        assert [again.state for again in await send(provider, [dispatch(1), dispatch(2)])] == [DELIVERED, DELIVERED], "the next is not affected"


async def test_a_dropped_connection_costs_one_message_not_the_batch() -> None:
    async with RawSmtp() as server, smtp(server.port, connections=1) as provider:
        original = server._answer
        dots = 0

        async def third_dot_drops(writer: Any, command: str, fine: str) -> bool:
            nonlocal dots
            dots += command == "dot"
            return True if command == "dot" and dots == 3 else await original(writer, command, fine)

        server._answer = third_dot_drops  # type: ignore[method-assign]
        results = await send(provider, [dispatch(number) for number in range(7)])
    assert [result.state for result in results].count(UNKNOWN) == 1
    assert results[2].state == UNKNOWN
    assert results[3].state == DEFERRED, "its envelope was on the same way, but not its content"
    assert [result.state for result in results[:2] + results[4:]] == [DELIVERED] * 5


async def test_a_kept_connection_that_the_server_closed_is_replaced_silently() -> None:
    async with RawSmtp() as server, smtp(server.port, connections=1) as provider:
        await send(provider, [dispatch(1)])
        for writer in list(server._writers):
            writer.transport.abort()
        assert [result.state for result in await send(provider, [dispatch(2), dispatch(3)])] == [DELIVERED, DELIVERED]


async def test_a_slow_server_gets_no_more_than_there_is_time_for() -> None:
    async with RawSmtp() as server, smtp(server.port, timeout_ms=400, connections=1) as provider:
        server.behave = {"dot": "slow"}
        results = await send(provider, [dispatch(number) for number in range(30)])
    states = [result.state for result in results]
    assert states.count(DELIVERED) == len(server.mails) > 0
    assert set(states) == {DELIVERED, DEFERRED}
    assert not any(result.counts for result in results if result.state == DEFERRED), "not begun, so no attempt"


async def test_a_message_that_is_too_big_is_rejected_unsent() -> None:
    async with RawSmtp(extensions=("PIPELINING", "SIZE 1000")) as server, smtp(server.port) as provider:
        results = await send(provider, [dispatch(1, text="x" * 2_000), dispatch(2)])
    assert [result.state for result in results] == [REJECTED, DELIVERED]
    assert "server takes 1000" in results[0].reason


async def test_international_addresses_need_smtputf8() -> None:
    async with RawSmtp() as server, smtp(server.port) as provider:
        assert [result.state for result in await send(provider, [dispatch(1, to="j\u00f6rg@example.com")])] == [DELIVERED]
        assert any(command.endswith("BODY=8BITMIME SMTPUTF8") for command in server.commands)
    async with RawSmtp(extensions=()) as server, smtp(server.port) as provider:
        assert [result.state for result in await send(provider, [dispatch(1, to="j\u00f6rg@example.com"), dispatch(2)])] == [REJECTED, DELIVERED]


async def test_promotional_mail_can_be_unsubscribed_with_one_click() -> None:
    async with RawSmtp() as server, smtp(server.port) as provider:
        await send(provider, [dispatch(1, promotional=True), dispatch(2)])
    mails = {mail["Subject"]: mail for mail in (message_from_bytes(data, policy=policy.default) for _, _, data in server.mails)}
    promotional, transactional = mails["mail 1"], mails["mail 2"]
    assert promotional["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = promotional["List-Unsubscribe"].strip("<>")
    assert url.startswith("https://mail.example/u/")
    assert read_token(SECRET, url.rpartition("/")[2]) == ("ann", "email")
    assert transactional["List-Unsubscribe"] is None


async def test_an_attempt_is_byte_for_byte_the_one_before() -> None:
    async with RawSmtp() as server, smtp(server.port) as provider:
        await send(provider, [dispatch(1, promotional=True)])
        await send(provider, [dispatch(1, promotional=True)])
    assert server.mails[0] == server.mails[1]


async def test_a_lone_dot_and_leading_dots_arrive_as_they_were() -> None:
    async with RawSmtp() as server, smtp(server.port) as provider:
        await send(provider, [dispatch(1, text=".\n..\n.x\nend\n")])
    assert server.mails[0][2].endswith(b"\r\n\r\n.\r\n..\r\n.x\r\nend\r\n")


async def test_dkim_is_signed_when_asked_for(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    (tmp_path / "key.pem").write_text(pem)
    for key in (str(tmp_path / "key.pem"), "env:DKIM"):
        house = House(config=Config(), clock=lambda: 0, secret=SECRET)
        async with RawSmtp() as server:
            block = {"provider": "smtp", "host": "127.0.0.1", "port": server.port, "dkim": {"domain": "example.com", "selector": "s1", "key": key}}
            provider = make_provider("email", block, house, {"DKIM": pem})
            await send(provider, [dispatch(1, promotional=True)])
            await provider.close()
        assert server.mails[0][2].startswith(b"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/simple; d=example.com; s=s1;")
        assert b"list-unsubscribe:list-unsubscribe-post" in server.mails[0][2]


# AIOSMTPD: another's idea of the protocol.


class Inbox:
    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.mails.append((session.ssl is not None, session.authenticated, envelope))
        return "250 OK"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(made.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


@asynccontextmanager
async def aiosmtpd(certificate: Path | None = None, *, implicit: bool = False, **options: Any) -> AsyncIterator[tuple[Inbox, int]]:
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    inbox = Inbox()
    loop = asyncio.get_running_loop()
    sessions: list[SMTP] = []

    def made() -> SMTP:
        sessions.append(SMTP(inbox, loop=loop, enable_SMTPUTF8=True, tls_context=None if implicit else context, **options))
        return sessions[-1]

    server = await loop.create_server(made, "127.0.0.1", 0, ssl=context if implicit else None)
    try:
        yield inbox, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for session in sessions:
            if session.transport is not None:
                session.transport.abort()
        await asyncio.sleep(0.01)


def who(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"shop", b"sw0rdfish"))


async def test_starttls_and_authentication(certificate: Path) -> None:
    settings = {"tls": "always", "ca_file": str(certificate), "username": "shop", "password": "env:PASSWORD"}
    async with aiosmtpd(certificate, authenticator=who, auth_required=True, auth_require_tls=True) as (inbox, port), smtp(port, **settings) as provider:
        assert {result.state for result in await send(provider, [dispatch(number) for number in range(20)])} == {DELIVERED}
    assert len(inbox.mails) == 20
    assert all(encrypted and known for encrypted, known, _ in inbox.mails)


async def test_auth_login_where_plain_is_not_offered() -> None:
    options = {"authenticator": who, "auth_require_tls": False, "auth_exclude_mechanism": ["PLAIN"]}
    async with aiosmtpd(**options) as (inbox, port), smtp(port, username="shop", password="env:PASSWORD") as provider:
        assert [result.state for result in await send(provider, [dispatch()])] == [DELIVERED]
    assert inbox.mails[0][1]


async def test_implicit_tls(certificate: Path) -> None:
    async with aiosmtpd(certificate, implicit=True) as (inbox, port), smtp(port, tls="implicit", ca_file=str(certificate)) as provider:
        assert [result.state for result in await send(provider, [dispatch()])] == [DELIVERED]
    assert len(inbox.mails) == 1


async def test_a_stranger_certificate_is_refused_where_tls_is_demanded(certificate: Path) -> None:
    for settings in ({"tls": "always"}, {"username": "shop", "password": "env:PASSWORD"}):
        async with aiosmtpd(certificate) as (inbox, port), smtp(port, **settings) as provider:
            [result] = await send(provider, [dispatch()])
        assert result.state == CREDENTIALS
        assert not inbox.mails
    async with aiosmtpd(certificate) as (inbox, port), smtp(port) as provider:
        assert [result.state for result in await send(provider, [dispatch()])] == [DELIVERED], "auto without a password takes any"
        assert inbox.mails[0][0]


async def test_tls_that_is_demanded_and_not_offered_stops_the_channel() -> None:
    async with aiosmtpd() as (inbox, port), smtp(port, tls="always") as provider:
        [result] = await send(provider, [dispatch()])
    assert result.state == CREDENTIALS
    assert "STARTTLS" in result.reason
    assert not inbox.mails


async def test_aiosmtpd_reads_the_same_message() -> None:
    async with aiosmtpd() as (inbox, port), smtp(port) as provider:
        await send(provider, [dispatch(1, subject="Gr\u00fc\u00dfe", text="\u00e4\n", html="<p>\u05d0</p>")])
    envelope = inbox.mails[0][2]
    assert (envelope.mail_from, envelope.rcpt_tos) == ("shop@example.com", ["ann@example.com"])
    assert message_from_bytes(envelope.content, policy=policy.default)["Subject"] == "Gr\u00fc\u00dfe"


async def test_without_a_signing_secret_there_is_no_email() -> None:
    with pytest.raises(InvalidConfig, match="signing_secret"):
        make_provider("email", {"provider": "smtp", "host": "127.0.0.1"}, House(config=Config(), clock=lambda: 0), {})


@pytest.mark.parametrize("test", [test_starttls_and_authentication, test_implicit_tls, test_a_stranger_certificate_is_refused_where_tls_is_demanded])
def test_tls_on_uvloop(test: Any, certificate: Path) -> None:
    uvloop.run(test(certificate))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"port": 0}, "port"),
        ({"connections": 0}, "connections"),
        ({"hots": "x"}, 'did you mean "host"'),
        ({"tls": "sometimes"}, "tls"),
        ({"password": "env:NOWHERE"}, "NOWHERE is not set"),
        ({"from": "nobody"}, "not an e-mail address"),
        ({"ca_file": "/no/such/file"}, "ca_file"),
        ({"tls": "env:PASSWORD"}, "tls"),
        ({"provider": "smpt"}, 'did you mean "smtp"'),
    ],
)
async def test_settings_that_cannot_work_are_said_without_their_secrets(settings: dict[str, Any], said: str) -> None:
    block = {"provider": "smtp", "host": "127.0.0.1", **settings}
    with pytest.raises(InvalidConfig, match=r"providers\.yaml: email: ") as error:
        make_provider("email", block, House(config=Config(), clock=lambda: 0, secret=SECRET), {"PASSWORD": "sw0rdfish"})
    assert said in str(error.value)
    assert "sw0rdfish" not in str(error.value)


# WHAT COMES BACK


async def test_bounces_go_to_the_return_path_and_bring_the_token_back_only_where_it_is_asked_for() -> None:
    async with RawSmtp() as server, smtp(server.port) as provider:
        await send(provider, [dispatch(1, html='<a href="https://shop.example.com">x</a>')])
    settings = {"return_path": "Bounces <bounces@example.org>", "callback_secret": "b0unce", "track": {"clicks": True}}
    async with RawSmtp() as asked, smtp(asked.port, **settings) as provider:
        await send(provider, [dispatch(1, html='<a href="https://shop.example.com">x</a>', promotional=True)])
        [refused] = await send(provider, [dispatch(2, headers={"X-Wayfare-About": "x"})])
    [(sender, _, mail)], [(other, _, returned)] = server.mails, asked.mails
    assert ("FROM:<shop@example.com>" in sender, "FROM:<bounces@example.org>" in other) == (True, True)
    assert b"X-Wayfare-About" not in mail
    assert b'href="https://shop.example.com"' in mail
    message = message_from_bytes(returned)
    about = read_about(SECRET, "".join(message["X-Wayfare-About"].split()))
    assert about is not None
    assert (about.contact, about.effect, about.element) == ("ann", f"{1:032x}", "e")
    assert message["From"] == "Shop <shop@example.com>"
    assert b"https://mail.example/c/" in returned.replace(b"=\r\n", b"")
    assert refused.state == REJECTED


async def test_what_goes_to_the_team_is_not_tracked() -> None:
    notice = Dispatch(
        msgspec.structs.replace(dispatch(1).effect, kind="notify_email", consent=""), dispatch(1, html='<a href="https://x.example">x</a>').message
    )
    async with RawSmtp() as server, smtp(server.port, track={"opens": True, "clicks": True}) as provider:
        await send(provider, [notice])
    assert b'<a href="https://x.example">x</a>\r\n' in server.mails[0][2]
