"""The recover suite runs small inside the tests, so that it cannot rot; nothing may be lost, its figures mean nothing."""

import pytest

from benchmarks import recover


@pytest.mark.timeout(180)
def test_valkey_and_a_shard_are_killed_and_nothing_is_lost(tmp_path):
    said = []
    found = recover.run(recover.SMALL, tmp_path, said.append)
    assert [each["victim"] for each in found] == ["valkey", "shard"]
    assert all(each["holds"] for each in found), found[0]["in_words"]
    assert len(said) == recover.steps(recover.SMALL)
    assert all(each["medians"][recover.VICTIMS[each["victim"]]] > 0 for each in found)
    assert found[1]["medians"]["contacts_resident"] >= recover.SMALL.contacts
    assert recover.table(found).row_count == 2
