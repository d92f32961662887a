"""Bounce classes by code and words."""

from __future__ import annotations

import pytest

from actions.bounces import AUTH, BLOCK, CLASSES, HARD, OTHER, SOFT, asks_to_slow_down, classify, enhanced_of

SAID = [
    # what receivers say when there is nobody
    (550, "5.1.1", "The email account that you tried to reach does not exist. https://support.google.com/mail/?p=NoSuchUser", HARD),
    (550, "", "5.1.1 <ann@example.com>: Recipient address rejected: User unknown in virtual mailbox table", HARD),
    (550, "5.1.10", "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", HARD),
    (550, "5.2.1", "The email account that you tried to reach is disabled", HARD),
    (554, "", "delivery error: dd This user doesn't have a yahoo.com account", HARD),
    (550, "", "unknown user", HARD),
    (550, "", "No such user here", HARD),
    (550, "5.7.1", "<ann@example.com>: Recipient address rejected: user unknown", HARD),
    (556, "5.1.10", "Domain does not accept mail (nullMX)", HARD),
    (551, "", "User not local", HARD),
    (0, "5.1.2", "", HARD),
    # not now, or not this message
    (552, "5.2.2", "mailbox full", SOFT),
    (452, "4.2.2", "The email account that you tried to reach is over quota", SOFT),
    (550, "", "mailbox is full", SOFT),
    (552, "5.3.4", "Message size exceeds fixed limit", SOFT),
    (450, "4.2.0", "<ann@example.com>: Recipient address rejected: Greylisted, see http://postgrey.example.com", SOFT),
    (451, "4.7.1", "Greylisting in action, please come back later", SOFT),
    (450, "4.1.1", "unverified address", SOFT),
    (0, "5.4.7", "delivery time expired", SOFT),
    (421, "", "try again later", SOFT),
    # our own fault
    (421, "4.7.0", "[192.0.2.1] Our system has detected an unusual rate of unsolicited mail originating from your IP address", BLOCK),
    (550, "5.7.1", "[192.0.2.1] Our system has detected that this message is likely unsolicited mail", BLOCK),
    (550, "5.7.1", "Unfortunately, messages from [192.0.2.1] weren't sent. Part of their network is on our block list (S3150)", BLOCK),
    (550, "5.7.606", "Access denied, banned sending IP [192.0.2.1]", BLOCK),
    (554, "", "5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", BLOCK),
    (550, "5.7.26", "This mail is unauthenticated, which poses a security risk: SPF and DKIM did not pass", BLOCK),
    (550, "", "5.7.25 The IP address sending this message does not have a PTR record setup", BLOCK),
    (550, "5.1.8", "sender address rejected: domain not found", BLOCK),
    (550, "5.1.1", "blocked for spam, see http://blocked.example.com", BLOCK),
    (421, "", "4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to user complaints", BLOCK),
    # our login
    (535, "5.7.8", "Username and Password not accepted", AUTH),
    (530, "5.7.0", "Authentication Required", AUTH),
    (454, "4.7.0", "Temporary authentication failure", AUTH),
    # nobody can tell
    (550, "", "", OTHER),
    (554, "", "Transaction failed", OTHER),
    (0, "", "", OTHER),
]


@pytest.mark.parametrize(("code", "enhanced", "text", "expected"), SAID)
def test_whose_fault_it_is(code: int, enhanced: str, text: str, expected: str) -> None:
    assert classify(code, enhanced, text) == expected


def test_an_address_is_no_evidence() -> None:
    assert classify(550, "5.1.1", "<spam-blacklist@banned.example.com>: user unknown") == HARD
    assert classify(550, "", "<no-such-user@example.com> refused") == OTHER


def test_any_text_is_taken() -> None:
    hostile = ["a" * 1_000_000, "user " * 100_000, "5.1.1.1.1 999.999.999", "@" * 50_000, "\x00\ud800\u202e", "sender domain " * 50_000]
    assert all(classify(550, "", text) in CLASSES for text in hostile)
    assert all(classify(0, text[:100], text) in CLASSES for text in hostile)


@pytest.mark.parametrize(
    ("code", "enhanced", "text", "expected"),
    [
        (421, "4.7.0", "unusual rate", True),
        (451, "", "try again later", True),
        (452, "4.3.1", "out of disk", True),
        (450, "4.2.0", "greylisted", False),
        (452, "4.2.2", "mailbox full", False),
        (450, "4.1.1", "unverified", False),
        (550, "5.7.1", "spam", False),
        (250, "2.0.0", "ok", False),
    ],
)
def test_what_asks_to_slow_down(code: int, enhanced: str, text: str, expected: bool) -> None:
    assert asks_to_slow_down(code, enhanced, text) is expected


def test_the_enhanced_code_is_found_in_a_text() -> None:
    assert enhanced_of("550-5.7.26 This mail") == "5.7.26"
    assert enhanced_of("smtp; 550 5.1.1 <ann@example.com>") == "5.1.1"
    assert enhanced_of("Client host [192.5.1.1] refused") == ""
