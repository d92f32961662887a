"""The contacts in memory: what is hot, what is encoded, and that both stay within their bounds."""

from actors.residency import OVERHEAD_BYTES, Residency
from engine.codec import encode
from engine.core.contact import FORMAT, Contact


def stored(contact_id: str) -> tuple[Contact, bytes]:
    contact = Contact(FORMAT, contact_id, fields={"n": contact_id})
    return contact, encode(contact)


def test_an_admitted_contact_is_decoded_when_asked_for() -> None:
    residency = Residency(10_000, 10)
    contact, value = stored("ann")
    residency.admit("ann", value)
    residency.admit("bob", None)
    assert residency.get("ann") == contact
    assert residency.get("bob") is None
    assert residency.missing({"ann", "bob", "cyd"}) == ["cyd"]


def test_half_changed_contacts_can_be_dropped() -> None:
    residency = Residency(10_000, 10)
    contact, value = stored("ann")
    residency.put({"ann": value}, {"ann": contact})
    assert residency.get("ann") is contact
    contact.fields["n"] = "changed"
    residency.forget_decoded(["ann"])
    again = residency.get("ann")
    assert again is not None
    assert again.fields == {"n": "ann"}


def test_the_oldest_leave_first_and_the_size_is_true() -> None:
    residency = Residency(20_000, 50)
    for number in range(500):
        contact, value = stored(f"contact-{number}")
        residency.admit(f"contact-{number}", None)
        residency.put({contact.id: value}, {contact.id: contact})
        residency.shrink()
        assert residency.size == sum(OVERHEAD_BYTES + len(held or b"") for held in residency.encoded.values())
        assert residency.size <= 20_000
        assert len(residency.hot) <= 50
    assert "contact-499" in residency.hot
    assert "contact-0" not in residency.encoded
