import json

from svmixer.training.metrics_log import MetricsLog


def test_epochs_to_be_done_again_and_half_lines_are_dropped(tmp_path):
    killed = '{"step": 10, "epoch": 1}\n{"step": 20, "epoch": 2}\n{"step": 30, "ep'
    (tmp_path / "log.jsonl").write_text(killed)
    log = MetricsLog(tmp_path, total_steps=15, write=True)
    log.add(20, {"epoch": 2, "lr": 0.5})
    found = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert found == [{"step": 10, "epoch": 1}, {"step": 20, "epoch": 2, "lr": 0.5}]
    assert list((tmp_path / "tensorboard").iterdir())


def test_other_ranks_write_nothing(tmp_path):
    MetricsLog(tmp_path, 0, write=False).add(1, {"epoch": 1})
    assert not list(tmp_path.iterdir())
