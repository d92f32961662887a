"""Two result files with known numbers: differences, the rule, and what makes them hard to compare."""

import io

import msgspec
import pytest
from click.testing import CliRunner
from rich.console import Console

from benchmarks import compare
from benchmarks.figures import of_values
from ops.cli.suites import bench
from tests.benchmarks import results as made


def two(old, new):
    """A comparison of two files whose runs committed so much."""
    files = [made.file(made.result([made.run(0, committed_per_s=rate) for rate in rates])) for rates in (old, new)]
    found = compare.compare(*files)
    return found, next(each for each in found.differences if each.figure == "committed")


def test_ranges_that_do_not_overlap_are_more_than_chance():
    _, found = two([100, 110, 120, 130, 140], [141, 150, 180, 190, 200])
    assert found.percent == 50
    assert (found.old.least, found.old.median, found.old.most, found.old.runs) == (100, 120, 140, 5)
    assert (found.new.least, found.new.median, found.new.most) == (141, 180, 200)
    assert (found.verdict, found.unit, found.suite) == ("better", "/s", "everything, fsync")


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ([100, 110, 120, 130, 140], [90, 80, 70, 60, 50], "worse"),
        ([100, 110, 120, 130, 140], [140, 150, 160, 170, 180], "within the spread"),  # they touch
        ([100, 110, 120, 130, 140], [200, 210, 220, 230], "too few runs to say"),
        ([100, 110, 120, 130, 140], [140, 130, 120, 110, 100], "the same"),
    ],
)
def test_the_rule(old, new, verdict):
    assert two(old, new)[1].verdict == verdict


@pytest.mark.parametrize(("name", "verdict"), [("p99_ms", "worse"), ("rss_mib", "worse"), ("committed_per_s", "better"), ("contacts", "different")])
def test_more_is_better_or_worse_by_the_unit(name, verdict):
    old, new = (of_values((name,), values) for values in ([1, 2, 3, 4, 5], [11, 12, 13, 14, 15]))
    assert compare.verdict(old, new) == verdict


def test_what_was_measured_once_says_nothing():
    found = compare.compare(made.file(made.result(latency={"p99_ms": 1})), made.file(made.result(latency={"p99_ms": 9})))
    (different,) = (each for each in found.differences if each.verdict != "the same")
    assert (different.figure, different.percent, different.verdict) == ("latency: p99", 800, "too few runs to say")


def test_results_stand_beside_each_other_by_what_tells_them_apart():
    found = compare.compare(made.file(made.result(), made.result(durability="relaxed", medians={"gone_ms": 1})), made.file(made.result(durability="relaxed")))
    assert {each.suite for each in found.differences} == {"everything, relaxed"}
    assert "everything, relaxed: gone" in found.only_old
    assert "everything, fsync: committed" in found.only_old
    assert found.only_new == []


def test_a_figure_that_was_nothing_has_no_percent():
    assert two([0] * 5, [5] * 5)[1].percent is None


def test_what_makes_files_hard_to_compare_is_said():
    new = made.file(
        made.result(holds=False, size={"events": 1}),
        commit="abc+changes",
        machine={"cpu": "A & B", "cores": 64, "memory_gib": 23.5},
        settings={"partitions": 8},
    )
    warnings = " ".join(compare.compare(made.file(), new).warnings)
    for words in (
        "machines differ: cores 2 and 64",
        "(abc+changes)",
        "wrong counts (everything)",
        "sizes differ: everything, fsync",
        "settings differ: partitions 16 and 8",
    ):
        assert words in warnings
    assert compare.compare(made.file(), made.file()).warnings == []


def test_the_table_shows_what_differs_and_counts_the_rest():
    found, _ = two([100, 110, 120, 130, 140], [150, 160, 180, 190, 200])
    screen = io.StringIO()
    Console(file=screen, width=160).print(compare.table(found))
    text = screen.getvalue()
    for words in ("120 (100 to 140)", "180 (150 to 200)", "+50.0 %", "better", "figures are the same in both", "do not overlap): 1."):
        assert words in text


def test_the_verb_prints_json(tmp_path):
    for name in ("old", "new"):
        (tmp_path / f"{name}.json").write_bytes(msgspec.json.encode(made.file()))
    done = CliRunner().invoke(bench, ["compare", str(tmp_path / "old.json"), str(tmp_path / "new.json"), "--json"])
    assert done.exit_code == 0
    found = msgspec.json.decode(done.stdout)
    assert {each["verdict"] for each in found["differences"]} == {"the same"}


def test_a_suite_is_a_command_and_the_canonical_one_needs_no_name():
    for args in (["--small", "nonsense"], ["nonsense"]):
        assert CliRunner().invoke(bench, args).exit_code == 2
    assert "Where to write the results" in CliRunner().invoke(bench, ["skew", "--help"]).output
    listed = CliRunner().invoke(bench, ["--help"]).output
    assert all(name in listed for name in ("canonical", "sending", "compare", "report"))
