"""What a person is matched by in an audience: the keys of Meta's multi-key schema, normalised and hashed as its documentation says. Pure.

The rules and their examples are those of Meta's pages "Customer File Custom Audiences" (hashing and normalization) and "Customer Information
Parameters" (with expected hashes): everything trimmed and in lower case; numbers as digits with the country code; names without spaces and
punctuation, other scripts kept; cities and states as plain letters; the zip's first five digits in the US, without spaces elsewhere; the
country's two letters. Each is then SHA-256 in hex, except EXTERN_ID, our own id of the contact, which Meta takes as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from actions.addresses import email_address, phone_number
from actions.postal import HOME, country_of, part_of, plain, state_of

SCHEMA = ("EXTERN_ID", "EMAIL", "PHONE", "FN", "LN", "CT", "ST", "ZIP", "COUNTRY")
ONE_PERSON = ("EXTERN_ID", "EMAIL", "PHONE")  # what two people hardly share
PLAIN = "EXTERN_ID"  # not hashed

_HASH = re.compile(r"[0-9a-f]{64}")


def keys_of(contact: str, fields: Mapping[str, Any]) -> dict[str, str]:
    """The keys of a contact that it has, in the order of SCHEMA, ready to be sent."""
    found = {"EXTERN_ID": extern_id(contact), **{key: hashed(value) for key, value in normalised(fields).items() if value}}
    return {key: found[key] for key in SCHEMA if key in found}


def matches(keys: Iterable[str]) -> bool:
    """Whether anybody can be found by these keys: an address, a number, or a whole name with a place."""
    has = set(keys)
    return bool(has & {"EMAIL", "PHONE"}) or (has >= {"FN", "LN"} and bool(has & {"ZIP", "CT"}))


def normalised(fields: Mapping[str, Any]) -> dict[str, str]:
    """The values before they are hashed, "" where there is none."""
    country = country_of(fields)
    return {
        "EMAIL": email_address(fields.get("email")).lower(),
        "PHONE": phone_number(fields.get("phone"), country or None).lstrip("+"),
        "FN": name(plain(fields.get("first_name"))),
        "LN": name(plain(fields.get("last_name"))),
        "CT": place(part_of(fields, "city")),
        "ST": state(fields, country),
        "ZIP": postal_code(part_of(fields, "zip"), country),
        "COUNTRY": country.lower() if re.fullmatch("[A-Z]{2}", country) else "",
    }


def hashed(value: str) -> str:
    """SHA-256 of the UTF-8, in lower-case hex."""
    return sha256(value.encode(errors="replace")).hexdigest()


def extern_id(contact: str) -> str:
    """Our id of the contact; hashed where it is an address or a number itself, which may not be sent in clear."""
    return hashed(contact.strip().lower()) if email_address(contact) or phone_number(contact) else contact


def name(text: str) -> str:
    """A first or last name: lower case, no spaces, no punctuation; letters of every script stay as they are (composed, as UTF-8)."""
    return "".join(character for character in unicodedata.normalize("NFC", text.lower()) if unicodedata.category(character)[0] in "LMN")


def place(text: str) -> str:
    """A city: letters alone, without accents where that leaves a to z."""
    parts = unicodedata.normalize("NFKD", text.lower())
    return unicodedata.normalize("NFC", "".join(character for character in parts if character.isalpha()))


def state(fields: Mapping[str, Any], country: str) -> str:
    """The two letters of a state of the US; of another country's region, its letters."""
    at_home = state_of(fields) if country in {HOME, ""} else ""
    return at_home.lower() or place(part_of(fields, "state"))


def postal_code(text: str, country: str) -> str:
    """Lower case, without spaces and dashes; of a US zip the first five digits (a number gets back the zeros that it lost)."""
    code = "".join(character for character in text.lower() if character.isalnum())
    return code.zfill(5)[:5] if code.isdigit() and (country == HOME or (not country and len(code) in {4, 9})) else code


def flagged(rows: Sequence[Mapping[str, str]], samples: Any) -> dict[int, str]:
    """The rows that Meta's `invalid_entry_samples` name, each with what it says: those whose hashes, or whose own id, stand in a sample."""
    wheres: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        for key in ONE_PERSON:
            if value := row.get(key):
                wheres.setdefault(value, []).append(number)
    found: dict[int, str] = {}
    for entry, reason in _entries(samples):
        for value in (*_HASH.findall(f"{entry} {reason}"), entry):
            for number in wheres.get(value, ()):
                found.setdefault(number, reason or entry)
    return found


def _entries(samples: Any) -> list[tuple[str, str]]:
    """(entry, reason) of each sample, whichever way they are given: a mapping, or a list of entries."""
    if isinstance(samples, Mapping):
        return [(str(entry), str(reason)) for entry, reason in samples.items()]
    return [(str(entry), "") for entry in samples] if isinstance(samples, list) else []
