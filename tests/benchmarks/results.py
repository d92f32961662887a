"""A result with every key that the report knows, for the tests of reports and comparisons."""


def run(number, **changed):
    """One of five runs."""
    found = {"committed_per_s": 30_000 + number * 100, "p99_ms": 20 + number, "checks": {"accepted": [1_000, 1_000], "emails": [100, 100]}, "holds": True}
    return found | changed


def result(runs=None, **changed):
    """One result of the suite `everything`."""
    found = {
        "suite": "everything",
        "durability": "fsync",
        "size": {"events": 4_321, "batches": [1, 10]},
        "medians": {"committed_per_s": 30_200, "p99_ms": 22},
        "figures": {
            "10": {"batch": 10, "per_s": 2_110, "percentiles": {"50": 1.25, "99": 9.75}},
            "1000": {"batch": 1000, "per_s": 88_123, "percentiles": {"50": 3.5, "99": 41.5}},
        },
        "latency": [{"load_per_s": 7_000, "p50_ms": 1.75, "p99_ms": 12.5}, {"load_per_s": 14_000, "p50_ms": 2.25, "p99_ms": 417.5}],
        "series": {
            "committed_per_s": [[0, 0], [1, 31_234], [2, 32_345]],
            "shard_mib": [[0, 200.5], [2, 201.5]],
            "gateway_mib": [[0, 150.5], [2, 151.5]],
            "lag": [[at / 10, abs(5_000 - at)] for at in range(10_000)],
            "empty": [],
        },
        "percentiles": {"50": 2.125, "90": 5.5, "99": 21.25, "99.9": 88.75, "100": 123.5},
        "cpu_us_per_event": {"gateway": 3.25, "shard <one>": 14.5, "valkey": 6.125},
        "ratios": {
            "celery": {"least": 101, "median": 113, "most": 140, "target": 100},
            "by hand": {
                "beside": "ours",
                "least": 0.41,
                "median": 0.45,
                "most": 0.48,
                "target": 0.5,
                "committed_least": 1.5,
                "committed_median": 1.6,
                "committed_most": 1.7,
            },
        },
        "targets": {"p99 at a fifth": {"found": 21.5, "at_most": 25, "unit": "ms"}, "recovery_s": {"found": 3.75, "at_most": 3}},
        "sweep": [{"concurrency": 1, "per_s": 411}, {"concurrency": 8, "per_s": 1_422.5}],
        "note": "<script>alert('&')</script>",
        "left_out": ["bytewax: not installed"],
        "flat": True,
        "holds": True,
        "runs": [run(number) for number in range(5)] if runs is None else runs,
    }
    return found | changed


def file(*results, **changed):
    """A whole result file."""
    found = {
        "at": "2026-01-02T03:04:05+00:00",
        "command": "wayfare bench everything",
        "machine": {"cpu": "A & B", "cores": 2, "memory_gib": 23.5},
        "versions": {"python": "3.11.7", "ray": "2.60.0"},
        "commit": "0123456789ab",
        "settings": {"partitions": 16, "memory_watermark": 0.8},
        "results": list(results) or [result()],
    }
    return found | changed
