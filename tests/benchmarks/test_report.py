"""The page: whole, well formed, alone, and telling every figure; on results of ours and on one that has every key."""

import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from benchmarks import charts, figures, main, plots, report
from benchmarks.figures import shown
from benchmarks.plots import Scale
from ops.cli.suites import bench
from tests.benchmarks import results as made

COMMITTED = sorted((Path(report.__file__).parent / "results").glob("*.json"))
VOID = {"meta", "br"}


class Page(HTMLParser):
    """Tags that are closed in their order, ids that are there once, and all text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.words, self.tags = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open += [] if tag in VOID else [tag]
        self.take(dict(attrs))

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.take(dict(attrs))

    def take(self, attributes):
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [value for name, value in attributes.items() if name in ("href", "src", "aria-labelledby")]
        assert not [name for name in attributes if name.startswith("on")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


def whole(results):
    """A page that is checked as every page must hold."""
    text = report.page(results)
    page = Page(text)
    assert "://" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert "script" not in page.tags
    assert len(page.ids) == len(set(page.ids))
    assert {link.lstrip("#") for link in page.links} <= set(page.ids)
    assert page.tags.count("figure") == page.tags.count("details") - len(
        re.findall("<summary>(?:What the suite|Settings|All )", text)
    )  # a table behind each plot
    assert not re.search(r"\bnan\b|\binf\b", text)
    return page


@pytest.mark.parametrize("file", COMMITTED, ids=lambda file: file.stem)
def test_every_figure_of_a_committed_result_is_on_its_page(file):
    found = report.read(file)
    page = whole({file.name: found})
    for result in found["results"]:
        for figure in figures.figures(result).values():
            assert figure.name in page.text
            assert {shown(figure.least), shown(figure.median), shown(figure.most)} <= set(page.words)
        for _, number in figures.numbers({key: result.get(key) for key in ("medians", "figures", "latency")}):
            assert shown(number) in page.text
    assert found["machine"]["cpu"] in page.text
    assert set(found["versions"].values()) <= set(page.words)
    assert found["commit"] in page.text


def test_every_key_has_its_place():
    found = made.file()
    page = whole({"one.json": found})
    for _, number in figures.numbers({key: value for key, value in found["results"][0].items() if key not in ("series", "runs", "size")}):
        assert shown(number) in page.text
    for words in ("wayfare bench everything", "bytewax: not installed", "<script>alert('&')</script>", "shard <one>", "A & B", "batches 1 10", "partitions"):
        assert words in page.text
    titles = [plot.title for plot in charts.of_suite(found["results"])]
    assert titles == [
        "Ratios",
        "committed over time",
        "shard, gateway over time",
        "lag over time",
        "rate by batch",
        "rate by concurrency",
        "latency by batch: fsync",
        "latency by load: fsync, latency",
        "latency by percentile",
        "CPU per event",
        "Spread of 5 runs: fsync",
    ]


def test_targets_say_by_how_much_they_are_missed():
    page = whole({"one.json": made.file()})
    assert "2 of 4" in page.words
    assert page.text.count("missed by 10%") == 1  # 0.45 instead of 0.5
    assert page.text.count("missed by 25%") == 1  # 3.75 s instead of 3


def test_the_ledger_counts_each_run_and_sums_them():
    broken = made.run(3, checks={"accepted": [1_000, 1_000], "emails": [100, 98]}, holds=False)
    other = made.run(4, checks={"accepted": [1_000, 1_000], "emails": [100, 102]}, holds=False)
    page = whole({"one.json": made.file(made.result([made.run(0), broken, other], holds=False))})
    assert "does not hold in 2 of 3: 98 instead of 100, 102 instead of 100" in page.words
    assert {"3,000", "300"} <= set(page.words)
    assert "0 of 1" in page.words


def test_several_files_and_results_stand_in_one_page():
    page = whole(
        {"a.json": made.file(made.result(), made.result(durability="relaxed")), "b.json": made.file(made.result(suite="other"), commit="0123+changes")}
    )
    assert "nobody can repeat this run" in page.text
    assert {"fsync", "relaxed"} <= set(page.words)


def test_a_result_with_next_to_nothing_has_a_page():
    whole({"small.json": {"results": [{"suite": "none", "holds": True}, {"suite": "none", "holds": True, "series": {}, "medians": {"per_s": 0}, "runs": []}]}})


def test_a_long_line_is_thinned_and_keeps_its_spikes():
    line = [(float(at), 1.0) for at in range(5_000)]
    line[1_234] = (1_234.0, 99.0)
    line[4_321] = (4_321.0, 0.25)
    thin = plots.thinned(line)
    assert len(thin) <= plots.POINTS_MAX
    assert {line[1_234], line[4_321]} <= set(thin)
    assert thin == sorted(thin)


@pytest.mark.parametrize("values", [[0.0, 0.0], [5.0], [3.0, 97_531.0], [-4.0, 9.0], [0.001, 0.0042], [1.0, 1e9]])
@pytest.mark.parametrize("log", [False, True])
def test_a_scale_holds_its_values_and_has_few_marks(values, log):
    scale = Scale(values, 50, 450, log=log)
    assert all(50 <= scale(value) <= 450.001 for value in values)
    assert 2 <= len(scale.marks) <= 10
    assert all(low < high for low, high in zip(scale.marks, scale.marks[1:], strict=False))


def test_a_logarithmic_scale_gives_each_decade_the_same_room():
    scale = Scale([1, 10_000], 0, 400, log=True)
    assert [round(scale(value)) for value in (1, 10, 100, 1_000, 10_000)] == [0, 100, 200, 300, 400]


def test_loads_of_several_batches_are_told_apart_and_a_closed_loop_is_no_load():
    loads = [{"batch": batch, "offered_per_s": rate, "percentiles": {"50": rate / 100, "99": rate / 10}} for batch in (1, 100) for rate in (0, 500, 1_000)]
    found = [plot for plot in charts.of_suite([made.result([], loads=loads)]) if plot.title.startswith("latency by offered")]
    assert [plot.title for plot in found] == ["latency by offered: fsync, loads: batch 1", "latency by offered: fsync, loads: batch 100"]
    assert [row[0] for row in found[0].rows] == ["500", "1,000"]
    names = [figure.name for figure in figures.figures({"loads": loads}).values()]
    assert names[:3] == ["loads: batch 1, offered 0: p50", "loads: batch 1, offered 0: p99", "loads: batch 1, offered 500: p50"]
    assert len(names) == 12


def test_a_sum_is_not_stacked_upon_its_parts_and_curves_may_have_names():
    result = {
        "cpu_us_per_event": {"alone": {"shard": 3, "engine": 5, "pool": 2}},
        "percentiles": {"alone": {"50": 1, "99": 2}, "in the storm": {"50": 3, "99": 4}},
    }
    cpu = next(plot for plot in charts.of_suite([result]) if plot.title == "CPU per event")
    assert cpu.rows == [["alone", "3", "2", "5"]]
    curves = next(plot for plot in charts.of_suite([result]) if plot.title == "latency by percentile")
    assert curves.legend == ["alone", "in the storm"]


def test_runs_share_a_bar_of_medians():
    rounds = [{"ours": {"cpu_by_part": {"shard": us, "pool": 1}}, "theirs": {"cpu_by_part": {"worker": 2 * us}}} for us in (3, 9, 5)]
    (plot,) = (plot for plot in charts.of_suite([{"rounds": rounds}]) if plot.title.startswith("CPU"))
    assert plot.rows == [["ours", "5", "1", "", "6"], ["theirs", "", "", "10", "10"]]


def test_a_target_that_is_a_plain_number_is_of_the_figure_with_its_name():
    found = {
        target.name: (target.found, target.wanted, target.met)
        for target in figures.targets({"medians": {"released_per_s": 9, "p99_ratio": 3}, "targets": {"released_per_s": 5, "p99_ratio": 2}})
    }
    assert found == {"released": (9, 5, True), "p99 ratio": (3, 2, False)}


def test_counts_that_a_run_was_checked_by_are_no_figures_however_deep():
    rounds = [{"ours": {"per_s": 5, "cpu_by_part": {"shard": 2}, "checks": {"accepted": [1, 1]}}}] * 2
    assert [(figure.name, figure.unit) for figure in figures.figures({"rounds": rounds}).values()] == [("ours: rate", "/s"), ("ours: CPU by part: shard", "µs")]
    assert figures.checks({"rounds": rounds}) == {"accepted": [(1, 1), (1, 1)]}


def test_percentiles_are_milliseconds_whatever_they_are_called():
    assert figures.unit_of(("percentiles", "committed_s", "99")) == "ms"


def test_units_are_known_by_names():
    units = {
        "committed_per_s": "/s",
        "p99_ms": "ms",
        "cpu_us_per_event": "µs",
        "bytes_per_contact": "bytes",
        "shard_mib": "MiB",
        "recovery_s": "s",
        "events": "",
    }
    assert {name: figures.unit_of((name,)) for name in units} == units


def test_the_newest_of_each_suite_makes_the_whole_report(tmp_path):
    for name in ("20260101T000000-skew", "20260102T000000-skew", "20260101T000000-soak"):
        (tmp_path / f"{name}.json").write_bytes(msgspec.json.encode(made.file(made.result(suite=name))))
    assert sorted(report.newest(tmp_path)) == ["20260101T000000-soak.json", "20260102T000000-skew.json"]


def test_a_full_run_keeps_its_json_its_report_and_the_newest_of_every_suite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main._keep(made.file(), "skew", tmp_path / "results", small=False)
    kept = main._keep(made.file(at="2026-01-03T00:00:00+00:00"), "soak", tmp_path / "results", small=False)
    assert [file.name for file in kept] == ["20260103T000000-soak.json", "20260103T000000-soak.html", "bench-report.html"]
    assert "20260102T030405-skew.json" in (tmp_path / "var" / "bench-report.html").read_text()
    assert [file.suffix for file in main._keep(made.file(), "skew", tmp_path / "small", small=True)] == [".json"]


def test_the_verb_writes_beside_the_file_or_where_it_is_told(tmp_path):
    file = tmp_path / "one.json"
    file.write_bytes(msgspec.json.encode(made.file()))
    assert CliRunner().invoke(bench, ["report", str(file)]).output.strip() == str(tmp_path / "one.html")
    done = CliRunner().invoke(bench, ["report", str(file), "--output", str(tmp_path / "deep" / "two.html")])
    assert done.exit_code == 0
    assert (tmp_path / "deep" / "two.html").read_text() == (tmp_path / "one.html").read_text()


def test_a_file_that_is_no_result_is_named(tmp_path):
    file = tmp_path / "other.json"
    file.write_text("[]")
    done = CliRunner().invoke(bench, ["report", str(file)])
    assert "is no result" in str(done.exception)
