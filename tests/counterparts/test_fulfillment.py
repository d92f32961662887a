"""A fulfillment list in a real mailbox: maildev takes the mail, and the file in it is read as a warehouse would read it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

from tests.counterparts import maildev
from tests.counterparts.needs import needs
from tests.counterparts.proofs import proves
from tests.end_to_end.ring import Ring, running, until
from tests.end_to_end.test_ring_lists import let_time_come

pytestmark = needs("maildev")

ADDRESS = "Straße 5, 2. Stock\r\n„Hinterhaus“; 1010 Wien"
MAPS = [
    {"map": "on", "reentry": "parallel", "triggers": [{"event": "order.placed"}], "path": [{"send_to_fulfillment": {"list": "kits"}}, "exit"]},
    {"map": "off", "reentry": "parallel", "triggers": [{"event": "order.cancelled"}], "path": [{"remove_from_fulfillment": {"list": "kits"}}, "exit"]},
]


async def set_up(ring: Ring, box: maildev.Mailbox, **changed: Any) -> None:
    at = f"{(datetime.now(UTC).hour + 12) % 24:02}:00"
    kits = {"to": "ship@example.com, copy@example.com", "every": "weekdays", "at": at, "empty_after": True, **changed}
    email = {"provider": "smtp", "host": "127.0.0.1", "port": box.port, "from": "Shop <shop@example.com>"}
    await ring.publish({"maps": MAPS, "fulfillment": {"kits": kits}, "providers": {"email": email}})
    ring.start_shard()
    await ring.accepted(
        "/v1/contacts",
        [
            {"contact": "ann", "fields": {"name": "Ann Ünï", "address": ADDRESS, "quantity": 2}},
            {"contact": "bob", "fields": {"name": '=cmd|"/C calc"!A0', "address": "+43 1", "quantity": -1}},
            {"contact": "cyd", "fields": {"name": "Cyd"}},
        ],
    )
    await ring.accepted("/v1/events", [{"contact": contact, "name": "order.placed"} for contact in ("ann", "bob", "cyd")])
    await ring.accepted("/v1/events", {"contact": "cyd", "name": "order.cancelled"})
    await ring.read_on()
    await let_time_come(ring, "kits")
    await ring.start_pools("email", "lists")
    ring.start_shard()


@proves(
    "remove_from_fulfillment",
    "maildev",
    "who was taken off the list is not in the file that is mailed",
)
@proves(
    "send_to_fulfillment",
    "maildev",
    "the list is mailed at its time, once to each address; the CSV in it holds every row, accents and line breaks included, no formula; the list is then empty",
)
async def test_a_list_lands_in_a_mailbox_as_csv() -> None:
    with maildev.start() as box:
        async with running() as ring:
            await set_up(ring, box)
            await until(lambda: len(box.mails()) == 2)

            async def emptied() -> bool:
                return (await ring.call("GET", "/v1/fulfillment/kits"))[1]["contacts"] == []

            await until(emptied)
            await ring.carried("email", "lists")
            assert await ring.effects("email") == {"decided": 2, "delivered": 2}
            await ring.conserved()
        mails = box.mails()
        assert sorted(mail["to"][0]["address"] for mail in mails) == ["copy@example.com", "ship@example.com"]
        for mail in mails:
            assert mail["subject"].startswith("kits: 2 contacts, 20")
            (file,) = mail["attachments"]
            raw = box.attachment(mail, file["generatedFileName"])
            assert raw.startswith(b"\xef\xbb\xbfcontact,added_ms,address,name,quantity\r\n")
            rows = {row["contact"]: row for row in csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline=""))}
            assert sorted(rows) == ["ann", "bob"]
            assert (rows["ann"]["name"], rows["ann"]["address"], rows["ann"]["quantity"]) == ("Ann Ünï", ADDRESS, "2")
            assert (rows["bob"]["name"], rows["bob"]["address"], rows["bob"]["quantity"]) == ('\'=cmd|"/C calc"!A0', "'+43 1", "-1")


async def test_a_large_list_lands_in_a_mailbox_as_a_link_that_works() -> None:
    with maildev.start() as box:
        async with running(attachment_bytes_max=40) as ring:
            await set_up(ring, box, to="ship@example.com", columns=["contact", "name"])
            await until(lambda: len(box.mails()) == 1)
            (mail,) = box.mails()
            assert not mail.get("attachments")
            (link,) = [line.partition(":8080")[2] for line in mail["text"].splitlines() if line.startswith("http://127.0.0.1:8080/v1/fulfillment/kits/export/")]
            async with ring.client.get(link) as answer:
                assert answer.status == 200
                rows = list(csv.reader(io.StringIO((await answer.read()).decode("utf-8-sig"))))
        assert rows[0] == ["contact", "name"]
        assert sorted(row[0] for row in rows[1:]) == ["ann", "bob"]
