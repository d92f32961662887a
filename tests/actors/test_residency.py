"""The contacts in memory: they come out as they were stored, and stay within their bound."""

from actors.residency import OVERHEAD_BYTES, Residency
from engine.codec import encode
from engine.core.contact import FORMAT, Contact


def stored(contact_id: str) -> tuple[Contact, bytes]:
    contact = Contact(FORMAT, contact_id, fields={"n": contact_id})
    return contact, encode(contact)


def test_an_admitted_contact_is_decoded_when_asked_for() -> None:
    residency = Residency(10_000)
    contact, value = stored("ann")
    residency.admit("ann", value)
    residency.admit("bob", None)
    assert residency.get("ann") == contact
    assert residency.get("bob") is None
    assert residency.missing({"ann", "bob", "cyd"}) == ["cyd"]


def test_what_a_batch_makes_of_a_contact_counts_only_once_it_is_put() -> None:
    residency = Residency(10_000)
    contact, value = stored("ann")
    residency.put({"ann": value})
    taken = residency.get("ann")
    assert taken is not None
    assert taken is not contact
    taken.fields["n"] = "changed"
    assert residency.get("ann") == contact
    residency.put({"ann": encode(taken)})
    assert residency.get("ann") == taken


def test_the_oldest_leave_first_and_the_size_is_true() -> None:
    residency = Residency(20_000)
    for number in range(500):
        _, value = stored(f"contact-{number}")
        residency.admit(f"contact-{number}", None)
        residency.put({f"contact-{number}": value})
        residency.shrink()
        assert residency.size == sum(OVERHEAD_BYTES + len(held or b"") for held in residency.encoded.values())
        assert residency.size <= 20_000
    assert "contact-499" in residency.encoded
    assert "contact-0" not in residency.encoded
