"""The dedupe window: what it remembers, what a commit carries, what an undone step leaves behind."""

from actors.dedupe import DedupeWindow, dedupe_key
from engine.config import Config

CONFIG = Config(dedupe_bucket_ms=1000, dedupe_buckets=3, dedupe_keys_max=30)


def test_a_key_is_new_once() -> None:
    window = DedupeWindow(CONFIG, [])
    assert window.add(dedupe_key("ann", "o-1"))
    assert not window.add(dedupe_key("ann", "o-1"))
    assert window.add(dedupe_key("bob", "o-1"))


def test_contact_and_id_are_kept_apart() -> None:
    assert dedupe_key("ab", "c") != dedupe_key("a", "bc")


def test_an_undone_step_is_forgotten_and_a_confirmed_one_stays() -> None:
    window = DedupeWindow(CONFIG, [])
    window.add(dedupe_key("ann", "o-1"))
    window.undo()
    assert window.add(dedupe_key("ann", "o-1"))
    assert window.fresh(5) is not None
    window.confirm(5)
    window.undo()
    assert not window.add(dedupe_key("ann", "o-1"))
    assert window.fresh(6) is None


def test_what_commits_carried_rebuilds_the_window() -> None:
    first = DedupeWindow(CONFIG, [])
    saved: dict[int, bytes] = {}
    for number in range(25):
        now = 10_000 + number * 40
        first.add(dedupe_key("ann", str(number)))
        carried = first.fresh(now)
        assert carried is not None
        saved[carried[0]] = saved.get(carried[0], b"") + carried[1]
        first.confirm(now)
    second = DedupeWindow(CONFIG, sorted(saved.items()))
    assert second.seen == first.seen
    assert len(first.seen) == 25


def test_the_window_is_bounded_by_time_and_by_count() -> None:
    window = DedupeWindow(CONFIG, [])
    for number in range(200):
        window.add(dedupe_key("ann", str(number)))
        window.confirm(0)
    assert len(window.seen) == 30
    assert not window.add(dedupe_key("ann", "199"))
    window.undo()
    for bucket in range(1, 4):
        window.add(dedupe_key("bob", str(bucket)))
        window.confirm(bucket * 1000)
    assert window.add(dedupe_key("ann", "199"))
