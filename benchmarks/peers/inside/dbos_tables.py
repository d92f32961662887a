"""The tables of the DBOS application, made beforehand and counted afterwards. Runs in DBOS's environment, on the database that `DATABASE` names.

`python -m benchmarks.peers.inside.dbos_tables make CONTACTS` makes DBOS's own tables and everybody's row; `… count SEED` prints what is in them, as JSON.
"""

from __future__ import annotations

import json
import os
import sys

import sqlalchemy as sa
from dbos import SQLAlchemyDatasource, run_dbos_database_migrations

from benchmarks.peers.inside import journey

FILL = """
INSERT INTO contacts SELECT 'c' || number, CAST(:fresh AS jsonb) || jsonb_build_object('email', 'c' || number || '@example.com')
FROM generate_series(0, :contacts - 1) AS number
"""


def make(engine: sa.Engine, contacts: int) -> None:
    run_dbos_database_migrations(os.environ["DATABASE"])
    SQLAlchemyDatasource.create(os.environ["DATABASE"])
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE contacts (id text PRIMARY KEY, contact jsonb NOT NULL)"))
        connection.execute(sa.text(FILL), {"fresh": json.dumps({**journey.fresh(""), "entered": 0, "told": 0}), "contacts": contacts})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE contacts"))


def count(engine: sa.Engine, seed: int) -> dict[str, int]:
    """Workflows of one seed that came to their end, and what all contacts together went through."""
    with engine.connect() as connection:
        done = sa.text("SELECT count(*) FROM dbos.workflow_status WHERE workflow_uuid LIKE :ids AND status = 'SUCCESS'")
        sums = sa.text("SELECT sum((contact->>'entered')::int), sum((contact->>'told')::int) FROM contacts")
        entered, told = connection.execute(sums).one()
        return {"done": connection.execute(done, {"ids": f"{seed}-%"}).scalar_one(), "entered": entered, "told": told}


def main() -> None:
    verb, value = sys.argv[1], int(sys.argv[2])
    engine = sa.create_engine(os.environ["DATABASE"])
    if verb == "make":
        make(engine, value)
    else:
        print(json.dumps(count(engine, value)))


if __name__ == "__main__":
    main()
