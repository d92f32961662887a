from benchmarks.deployment import Metrics
from ops.demo.checks import Check, Outcome
from ops.demo.report import Summary, bucket_of, write
from ops.demo.view import Moment

STATS = {"welcome": {"conservation": {"entered": 3, "active": 1, "resting": 2, "drift": 0}, "elements": [], "suppressed": 0}}


def summary(*checks):
    outcome = Outcome(list(checks), STATS, {"email": {"decided": 3, "delivered": 3}}, {"email:Thank you": 3})
    moments = [Moment(at, "1997-01-01", at * 10, 0, 0, 0, {"email:Thank you": at}) for at in range(5)]
    return Summary([("events", "3")], outcome, moments, "One day lasts 50 ms & more.")


def test_the_report_says_what_does_not_hold(tmp_path):
    file = tmp_path / "var" / "report.html"
    write(file, summary(Check("thanks", 3, 3), Check("twice", 0, 1)))
    text = file.read_text()
    assert text.count("does not hold") == 1
    assert "<td>twice<td class=n>0<td class=n>1" in text
    assert "&amp; more" in text
    assert "<polyline" in text
    assert "http" not in text  # it needs nothing else


def test_all_checks_must_hold():
    assert summary(Check("a", 1, 1)).outcome.holds
    assert not summary(Check("a", 1, 1), Check("b", 1, 2)).outcome.holds


def test_a_percentile_is_the_bound_of_its_bucket():
    metrics = Metrics('h_bucket{le="0.001"} 90\nh_bucket{le="0.05"} 99\nh_bucket{le="+Inf"} 100\n')
    assert bucket_of(metrics, "h", 0.5) == "< 1 ms"
    assert bucket_of(metrics, "h", 0.99) == "< 50 ms"
    assert bucket_of(metrics, "h", 0.999) == "more than measured"
    assert bucket_of(metrics, "missing", 0.5) == "none"
