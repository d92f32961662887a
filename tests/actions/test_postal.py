"""Postal addresses: what contacts' fields make of one, and every reason why no card can go there."""

from __future__ import annotations

import pytest

from actions.postal import STATES, postal_address, state_of, zip_of

ANN = {"first_name": "Ann", "last_name": "Lee", "address1": "210 King St", "city": "San Francisco", "state": "CA", "zip": "94107"}
WHOLE = {"name": "Ann Lee", "address1": "210 King St", "city": "San Francisco", "state": "CA", "zip": "94107", "country": "US"}


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ({}, {}),
        ({"address2": "# 6100"}, {"address2": "# 6100"}),
        ({"state": "california", "country": "usa"}, {}),
        ({"state": " D.C. "}, {"state": "DC"}),
        ({"zip": "941071702"}, {"zip": "94107-1702"}),
        ({"zip": 2134}, {"zip": "02134"}),
        ({"name": "Ann Q. Lee"}, {"name": "Ann Q. Lee"}),
        ({"first_name": None, "last_name": None}, {"name": "Current Resident"}),
        ({"first_name": None, "last_name": None, "company": "Lob"}, {"name": "Lob"}),
        ({"address1": None, "street": "210\r\nKing\x00 St\t"}, {"address1": "210 King St"}),
        ({"zip": None, "postal_code": "94107", "state": None, "region": "CA"}, {}),
    ],
)
def test_an_address_at_home(fields, changes):
    assert postal_address({**ANN, **fields}) == ({**WHOLE, **changes}, "")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"address1": ""}, "no postal address: address1 missing"),
        ({"address1": None, "zip": None, "city": "  "}, "no postal address: address1, city, zip missing"),
        ({"zip": "9410"}, ""),  # a zero was lost
        ({"zip": "ABC"}, "no postal address: zip ABC not of the US"),
        ({"state": "Bavaria", "zip": "ABC"}, "no postal address: state Bavaria and zip ABC not of the US"),
        ({"country": "DE"}, "US addresses only"),
        ({"country": "Germany"}, "US addresses only"),
        ({"address1": ["a"], "city": {"b": 1}, "state": True, "zip": 1.5}, "no postal address: address1, city, state, zip missing"),
    ],
)
def test_why_there_is_none(fields, reason):
    assert postal_address({**ANN, **fields})[1] == reason


def test_abroad_where_it_is_allowed():
    berlin = {"name": "Zoë", "address1": "Straße 5", "city": "Berlin", "zip": "10115", "country": "de"}
    assert postal_address(berlin, {"US", "DE"}) == ({**berlin, "country": "DE"}, "")
    assert postal_address(berlin, {"*"})[1] == ""
    assert postal_address(berlin, {"US", "CA"})[1] == "no postcards to DE"
    assert postal_address({**berlin, "country": "Germany"}, {"*"})[1] == "the country GERMANY is not given by its two letters"
    assert postal_address({**berlin, "city": ""}, {"*"})[1] == "no postal address: city missing"
    assert postal_address(ANN, {"*"}) == (WHOLE, "")


def test_states_and_zips():
    assert len(STATES) == 59, "50 states, the District, five territories, three of the armed forces"
    assert all(len(code) == 2 and state_of({"state": name}) == state_of({"state": code.lower()}) == code for name, code in STATES.items())
    assert [zip_of({"zip": raw}) for raw in ("12345", "12345-6789", "1234567", "", 0)] == ["12345", "12345-6789", "", "00000", "00000"]
