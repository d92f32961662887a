"""Unsubscribe tokens survive the way through a URL, and no other text is taken for one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.unsubscribe import make_token, read_token


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=256), st.sampled_from(["email", "sms"]))
def test_a_token_says_who_and_what(contact: str, channel: str) -> None:
    token = make_token("s3cret", contact, channel)
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", token)
    assert read_token("s3cret", token) == (contact, channel)
    assert read_token("other", token) is None


@pytest.mark.parametrize("token", ["", ".", "a.b", "é.é", "x" * 5_000, "YQ.YQ", "%%%.%%%"])
def test_what_we_did_not_sign_is_none(token: str) -> None:
    assert read_token("s3cret", token) is None


def test_a_changed_contact_or_signature_is_none() -> None:
    ann, bob = make_token("s", "ann", "email"), make_token("s", "bob", "email")
    assert read_token("s", f"{ann.split('.')[0]}.{bob.split('.')[1]}") is None
    assert read_token("s", ann.partition(".")[0]) is None


def test_nothing_is_signed_by_an_empty_secret() -> None:
    assert read_token("", make_token("", "ann", "email")) is None
