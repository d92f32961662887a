"""A process of the DBOS application: it hands its share of the events to workflows, each under the event's id. Runs in DBOS's environment.

As DBOS's documentation has it: a workflow per event whose id is the idempotency key; what changes the contact is one transaction of a datasource, which
records with it that the step is done; sending is a step; the wait of 30 days is a debounced workflow of the contact, which every further event puts off.
Nothing in DBOS keeps the order of a contact's events but a queue with a partition per contact, which is slower; so here they only keep each other out.

`python -m benchmarks.peers.inside.dbos_app FOLDER NUMBER PROCESSES THREADS`: it does its share of `warm.ndjson`, says so in a file, waits for the file `go`, does its share of
`events.ndjson`, and writes when it began and ended, in seconds of the monotonic clock.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, Debouncer, SetWorkflowID, SQLAlchemyDatasource

from benchmarks.peers.inside import journey

folder, number, processes, threads = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
url = os.environ["DATABASE"]
pool = {"pool_size": threads + 2, "max_overflow": 0}
source = SQLAlchemyDatasource.create(url, engine_kwargs=pool)
mailers = local()


@source.transaction(isolation_level="READ COMMITTED")
def apply(event: dict[str, Any]) -> str:
    """Step the contact in its row, which is locked meanwhile. Its address if it was enrolled, else nothing."""
    session = source.sql_session()
    contact = session.execute(sa.text("SELECT contact FROM contacts WHERE id = :id FOR UPDATE"), {"id": event["contact"]}).scalar_one()
    if not journey.step(contact, event, time.time()):
        return ""
    contact["entered"] += 1
    contact["told"] += journey.is_told(event)
    session.execute(sa.text("UPDATE contacts SET contact = CAST(:contact AS jsonb) WHERE id = :id"), {"contact": json.dumps(contact), "id": event["contact"]})
    address: str = contact["email"]
    return address


@DBOS.step()
def tell(address: str, event: dict[str, Any]) -> None:
    """Send the receipt on this thread's own connection."""
    if not hasattr(mailers, "one"):
        mailers.one = journey.Mailer(int(os.environ["SMTP_PORT"]))
    mailers.one.send(address, event)


@DBOS.workflow()
def wait_is_over(contact: str) -> None:
    """30 days after a contact's last event: it leaves the map."""
    leave(contact)


@source.transaction(isolation_level="READ COMMITTED")
def leave(contact: str) -> None:
    source.sql_session().execute(sa.text("UPDATE contacts SET contact = contact - 'due_s' WHERE id = :id"), {"id": contact})


wait = Debouncer.create(wait_is_over)


@DBOS.workflow()
def order(event: dict[str, Any]) -> None:
    """One event, to its end."""
    address = apply(event)
    if not address:
        return
    if journey.is_told(event):
        tell(address, event)
    wait.debounce(event["contact"], journey.WAIT_S, event["contact"])


def take(event: dict[str, Any]) -> None:
    """What a handler of a request would do: run the workflow under the event's id; under a known id nothing is run."""
    with SetWorkflowID(event["id"]):
        order(event)


def do_share(file: str, workers: ThreadPoolExecutor) -> int:
    """Do this process's events; how many they were."""
    lines = (folder / file).read_bytes().splitlines()[number::processes]
    for _ in workers.map(take, map(json.loads, lines)):
        pass
    return len(lines)


def main() -> None:
    config = DBOSConfig(name="benchmark", system_database_url=url, sys_db_pool_size=threads + 2, executor_id=str(number), log_level="WARNING")
    DBOS(config=config)
    DBOS.launch()
    with ThreadPoolExecutor(threads) as workers:
        do_share("warm.ndjson", workers)
        (folder / f"ready-{number}").touch()
        while not (folder / "go").exists():
            time.sleep(0.005)
        begun = time.monotonic()
        done = do_share("events.ndjson", workers)
        ended = time.monotonic()
    temporary = folder / f"writing-{number}"
    temporary.write_text(json.dumps({"done": done, "begun_s": begun, "ended_s": ended}))
    temporary.rename(folder / f"done-{number}")
    DBOS.destroy()


if __name__ == "__main__":
    main()
