"""The memory twin of exports: rows in tables beside the lists', with the time of each export and of its end."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.errors import WayfareError
from engine.core.fulfillment import Export, export_table, table_of
from engine.storage.memory_partition import Clock, Partition


class MemoryLists:
    """Exports, for pools and gateways."""

    def __init__(self, partitions: Sequence[Partition], clock: Clock) -> None:
        self._partitions, self._clock = partitions, clock
        self._standing: dict[str, tuple[int, int]] = {}  # table → the export's time, when it expires

    async def freeze(self, export: Export, life_ms: int) -> int:
        """Make an export, once; how many rows it has."""
        table, stands = export_table(export.list, export.slot), self._stands(export)
        if stands > export.due_ms:
            raise WayfareError("a newer export stands in its place")
        if stands < export.due_ms:
            self._standing[table] = export.due_ms, self._clock() + life_ms
            for where in self._partitions:
                where.rows[table] = dict(where.rows.get(table_of(export.list), {}))
        return sum(len(where.rows[table]) for where in self._partitions)

    async def contacts(self, export: Export, partition: int) -> list[str] | None:
        """The contacts of an export in one partition, sorted; None where it is gone."""
        return sorted(self._table(export, partition)) if self._stands(export) == export.due_ms else None

    async def rows(self, export: Export, partition: int, contacts: Sequence[str]) -> list[bytes | None]:
        """Their rows; None for those who were erased meanwhile."""
        table = self._table(export, partition)
        return [table.get(contact) for contact in contacts]

    async def take_off(self, export: Export, partition: int, contacts: Sequence[str]) -> int:
        """Take those off the list whose rows are still the export's; how many."""
        if self._stands(export) != export.due_ms:
            raise WayfareError("the export is gone")
        live, sent = self._partitions[partition].rows.get(table_of(export.list), {}), self._table(export, partition)
        gone = [contact for contact in contacts if contact in live and live[contact] == sent.get(contact)]
        for contact in gone:
            del live[contact]
        return len(gone)

    def _table(self, export: Export, partition: int) -> dict[str, bytes]:
        return self._partitions[partition].rows.get(export_table(export.list, export.slot), {})

    def _stands(self, export: Export) -> int:
        """The time of the export that stands in this one's place, 0 for none."""
        due_ms, until_ms = self._standing.get(export_table(export.list, export.slot), (0, 0))
        return due_ms if self._clock() < until_ms else 0
