"""The checkpoint suite runs small, so that it cannot rot; its counts must be right, its figures mean nothing."""

from benchmarks import checkpoint


def test_every_batch_size_commits_every_record_once(tmp_path):
    said = []
    (found,) = checkpoint.run(checkpoint.SMALL, tmp_path, said.append)
    assert found["holds"], said
    assert len(said) == checkpoint.steps(checkpoint.SMALL)
    for batch, figures in found["figures"].items():
        assert figures["commits"] == -(-figures["records"] // int(batch))
        assert all(figures["cpu_us_per_record"].values())
        assert all(figures["bytes_per_record"].values())
        assert figures["percentiles"]["99"] > 0
    assert checkpoint.table([found]).row_count == len(checkpoint.SMALL.batches)
