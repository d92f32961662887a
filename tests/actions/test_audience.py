"""The keys of an audience: Meta's own examples, each with where it stands, and what becomes of fields that hold anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.audience import ONE_PERSON, SCHEMA, extern_id, flagged, hashed, keys_of, matches, normalised

# Meta, "Customer Information Parameters" (developers.facebook.com, marketing-api/conversions-api/parameters/customer-information-parameters):
# input, normalised format, and where the page gives it the expected SHA256.
PARAMETERS = [
    ({"email": "John_Smith@gmail.com"}, "EMAIL", "john_smith@gmail.com", "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"),
    ({"phone": "(650)555-1212", "country": "US"}, "PHONE", "16505551212", "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"),
    ({"first_name": "Mary"}, "FN", "mary", "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec"),
    ({"first_name": "정"}, "FN", "정", "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14"),
    ({"first_name": "Valéry"}, "FN", "valéry", "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"),
]

# Meta, "Customer File Custom Audiences", hashing and normalization for multi-key: the rule of each key, on values of our own.
RULES = [
    ({"email": "  Ann@Example.COM \n"}, "EMAIL", "ann@example.com"),  # trim whitespace, lower case
    ({"phone": "+44 (0)20 7946 0958"}, "PHONE", "442079460958"),  # remove symbols, letters and leading zeros; prefix the country code
    ({"phone": "020 7946 0958", "country": "GB"}, "PHONE", "442079460958"),
    ({"phone": "020 7946 0958"}, "PHONE", ""),  # without a country code it would match somebody else
    ({"first_name": " Mary-Ann "}, "FN", "maryann"),  # lower case, no punctuation
    ({"last_name": "O'Brien, Jr."}, "LN", "obrienjr"),
    ({"last_name": "Vale\u0301ry"}, "LN", "val\u00e9ry"),  # one form of the same letter
    ({"city": "New York"}, "CT", "newyork"),  # lower case, no punctuation, no special characters, no white space
    ({"city": "St. John's"}, "CT", "stjohns"),
    ({"city": "São Paulo"}, "CT", "saopaulo"),
    ({"state": "Arizona", "country": "US"}, "ST", "az"),  # the two-character abbreviation, lower case
    ({"state": "CA"}, "ST", "ca"),
    ({"state": "New South Wales", "country": "AU"}, "ST", "newsouthwales"),  # outside the US lower case, no punctuation, no white space
    ({"zip": "94035-1234", "country": "US"}, "ZIP", "94035"),  # the first five digits in the US
    ({"zip": 2134, "country": "US"}, "ZIP", "02134"),
    ({"zip": "M1 1AE", "country": "GB"}, "ZIP", "m11ae"),  # lower case, no white space
    ({"zip": "75018", "country": "FR"}, "ZIP", "75018"),
    ({"country": "us"}, "COUNTRY", "us"),  # two letters, lower case
    ({"country": "United States"}, "COUNTRY", "us"),
    ({"country": "Atlantis"}, "COUNTRY", ""),
]


@pytest.mark.parametrize(("fields", "key", "value", "digest"), PARAMETERS, ids=lambda value: value if isinstance(value, str) and value in SCHEMA else "")
def test_metas_examples(fields, key, value, digest):
    assert normalised(fields)[key] == value
    assert keys_of("ann", fields)[key] == hashed(value) == digest


@pytest.mark.parametrize(("fields", "key", "value"), RULES)
def test_metas_rules(fields, key, value):
    assert normalised(fields)[key] == value
    assert (key in keys_of("ann", fields)) == bool(value)


def test_our_own_id_is_plain_unless_it_is_an_address_itself():
    assert keys_of("c-17", {})["EXTERN_ID"] == "c-17"
    assert extern_id("Ann@Example.com") == hashed("ann@example.com")
    assert extern_id("+12025550123") == hashed("+12025550123")


def test_who_can_be_found():
    ann = {"first_name": "Ann", "last_name": "Lee"}
    assert not matches(keys_of("ann", {}))
    assert not matches(keys_of("ann", {**ann, "country": "US"}))
    for more in ({"email": "a@b.c"}, {"phone": "+12025550123"}, {**ann, "city": "Reno"}, {**ann, "zip": "89501"}):
        assert matches(keys_of("ann", more)), more


@given(
    st.dictionaries(st.sampled_from(["email", "phone", "first_name", "last_name", "city", "state", "zip", "country"]), st.text() | st.integers() | st.none())
)
def test_whatever_the_fields_hold_keys_are_hashes_in_the_order_of_the_schema(fields):
    keys = keys_of("ann", fields)
    assert list(keys) == [key for key in SCHEMA if key in keys]
    assert all(len(value) == 64 and not set(value) - set("0123456789abcdef") for key, value in keys.items() if key != "EXTERN_ID")
    assert keys == keys_of("ann", fields)


def test_flagged_rows_are_found_by_what_one_person_has():
    rows = [keys_of(f"c{number}", {"email": f"c{number}@example.com", "city": "Reno"}) for number in range(4)]
    assert set(rows[0]) >= {*ONE_PERSON[:2], "CT"}
    assert flagged(rows, {rows[1]["EMAIL"]: "invalid hash"}) == {1: "invalid hash"}
    assert flagged(rows, {"c2": "unknown id"}) == {2: "unknown id"}
    assert flagged(rows, {"0": f"[{rows[3]['EMAIL']}, {rows[3]['CT']}] cannot be read"}) == {3: f"[{rows[3]['EMAIL']}, {rows[3]['CT']}] cannot be read"}
    assert flagged(rows, [rows[0]["EMAIL"]]) == {0: rows[0]["EMAIL"]}
    assert flagged(rows, {rows[0]["CT"]: "a city tells nobody"}) == {}
    assert flagged(rows, None) == flagged(rows, "x") == flagged(rows, {"c": 5}) == {}
