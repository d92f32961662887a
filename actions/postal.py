"""Postal addresses: the fields of a contact in which they stand, what is missing of one, and whether a postcard may go there. Pure.

An address is a mapping with `name`, `address1`, `address2`, `city`, `state`, `zip` and `country`, without what is empty. In the United
States the state becomes its two letters and the zip is checked, because no printer takes anything else.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

ANYWHERE = "*"  # among the countries: every one
HOME = "US"  # where a contact without a country is
RESIDENT = "Current Resident"  # printed where a contact has no name

# The names under which each part may stand, the usual one first.
NAMES = {
    "address1": ("address1", "address_line1", "address", "street"),
    "address2": ("address2", "address_line2"),
    "city": ("city",),
    "state": ("state", "region", "province"),
    "zip": ("zip", "zip_code", "postal_code", "postcode"),
    "country": ("country", "country_code"),
}

_USA = frozenset({"US", "USA", "U.S.", "U.S.A.", "UNITED STATES", "UNITED STATES OF AMERICA"})
_ZIP = re.compile(r"(\d{5})(?:-?(\d{4}))?")
_STATES = (
    "Alabama AL, Alaska AK, American Samoa AS, Arizona AZ, Arkansas AR, California CA, Colorado CO, Connecticut CT, Delaware DE, "
    "District of Columbia DC, Florida FL, Georgia GA, Guam GU, Hawaii HI, Idaho ID, Illinois IL, Indiana IN, Iowa IA, Kansas KS, Kentucky KY, "
    "Louisiana LA, Maine ME, Maryland MD, Massachusetts MA, Michigan MI, Minnesota MN, Mississippi MS, Missouri MO, Montana MT, Nebraska NE, "
    "Nevada NV, New Hampshire NH, New Jersey NJ, New Mexico NM, New York NY, North Carolina NC, North Dakota ND, Northern Mariana Islands MP, "
    "Ohio OH, Oklahoma OK, Oregon OR, Pennsylvania PA, Puerto Rico PR, Rhode Island RI, South Carolina SC, South Dakota SD, Tennessee TN, Texas TX, "
    "Utah UT, Vermont VT, Virgin Islands VI, Virginia VA, Washington WA, West Virginia WV, Wisconsin WI, Wyoming WY, "
    "Armed Forces Americas AA, Armed Forces Europe AE, Armed Forces Pacific AP"
)
STATES = {name.lower(): code for name, _, code in (entry.rpartition(" ") for entry in _STATES.split(", "))}
_CODES = frozenset(STATES.values())


def part_of(fields: Mapping[str, Any], part: str) -> str:
    """A part of the contact's address as printable text on one line, "" where none of its fields holds a text or a whole number."""
    for name in NAMES[part]:
        if text := plain(fields.get(name)):
            return text
    return ""


def plain(raw: Any) -> str:
    """A field's value as printable text on one line."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        raw = str(raw)
    if not isinstance(raw, str):
        return ""
    return " ".join("".join(character if character.isprintable() else " " for character in raw).split())


def country_of(fields: Mapping[str, Any]) -> str:
    """The country in capitals, its two letters where it is the United States by any of its names; "" where the contact has none."""
    text = part_of(fields, "country").upper()
    return HOME if text in _USA else text


def state_of(fields: Mapping[str, Any]) -> str:
    """The two capital letters of a state of the United States, "" for what is none."""
    text = part_of(fields, "state")
    code = STATES.get(text.lower(), text.replace(".", "").upper())
    return code if code in _CODES else ""


def zip_of(fields: Mapping[str, Any]) -> str:
    """A zip as 12345 or 12345-6789, "" for what is none; a number gets back the zeros that it lost."""
    found = _ZIP.fullmatch(part_of(fields, "zip").zfill(5))
    return "-".join(filter(None, found.groups())) if found else ""


def postal_address(fields: Mapping[str, Any], countries: Collection[str] = (HOME,)) -> tuple[dict[str, str], str]:
    """(the address, ""), or (what there is of it, why no postcard can go there). `countries` are two letters each, or `*`."""
    country = country_of(fields) or HOME
    address = {"name": _addressee(fields), **{part: part_of(fields, part) for part in NAMES}, "country": country}
    if country == HOME:
        address.update(state=state_of(fields), zip=zip_of(fields))
    return {part: text for part, text in address.items() if text}, _fault(fields, address, countries)


def _fault(fields: Mapping[str, Any], address: Mapping[str, str], countries: Collection[str]) -> str:
    country = address["country"]
    if country not in countries and ANYWHERE not in countries:
        return "US addresses only" if set(countries) == {HOME} else f"no postcards to {country[:40]}"
    if len(country) != 2:
        return f"the country {country[:40]} is not given by its two letters"
    needed = ("address1", "city", "state", "zip") if country == HOME else ("address1", "city")
    missing = [part for part in needed if not part_of(fields, part)]
    if missing:
        return f"no postal address: {', '.join(missing)} missing"
    wrong = [part for part in needed if not address[part]]
    return f"no postal address: {' and '.join(f'{part} {part_of(fields, part)[:40]}' for part in wrong)} not of the US" if wrong else ""


def _addressee(fields: Mapping[str, Any]) -> str:
    names = " ".join(filter(None, (plain(fields.get("first_name")), plain(fields.get("last_name")))))
    return plain(fields.get("name")) or names or plain(fields.get("company")) or RESIDENT
