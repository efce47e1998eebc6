"""Figures of trainings and models: the numbers are those of the logs and of the weights."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from svmixer.fileio import read_json, write_json
from svmixer.report.experiment import layer_weights, read_experiment
from svmixer.report.training_figures import curve_figure, similarity_figure, weight_figure


@pytest.fixture
def run_dir(make_run):
    return make_run("exp/toy")


def test_curves_are_the_logs(run_dir):
    views = curve_figure([read_experiment(run_dir)]).views
    assert [view.name for view in views] == ["distillation (stage 3)", "speaker training (stage 4)"]
    records = [json.loads(line) for line in (run_dir / "train/log.jsonl").read_text().splitlines()]
    traces = {trace["name"]: trace for trace in views[1].traces}
    for name, key in (
        ("loss", "train_loss"), ("speaker loss", "train_speaker"), ("validation EER", "valid_eer"),
        ("distillation loss", "train_distill"), ("learning rate", "lr"),
    ):  # fmt: skip
        assert traces[name]["x"] == list(range(1, 13))
        assert traces[name]["y"] == pytest.approx([record[key] for record in records], rel=1e-6)
    assert views[1].note == "The validation EER is lowest after epoch 12, 3.333."
    assert "validation loss" in {trace["name"] for trace in views[0].traces} and len(views[0].traces) == 3


def test_several_experiments_share_a_plot(make_run):
    experiments = [read_experiment(make_run(f"exp/{name}", seed=2)) for name in "ab"]
    view = curve_figure(experiments).views[1]
    assert {trace["legendgroup"] for trace in view.traces} == {"a", "b"}
    assert "epoch 12, 3.333 (a); the validation" in view.note and len(view.rows) == 24


def test_similarity_by_layer(run_dir):
    """After the last epoch, and the mean over the epochs; logs without it have no figure."""
    assert similarity_figure([read_experiment(run_dir)]).views == []
    path = run_dir / "distill/log.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for number, record in enumerate(records):
        record |= {
            "train_cosine": 0.5 + number / 100,
            "train_cosine_layer12": 0.4,
            "train_cosine_layer4": 0.7,
        }
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    by_layer, mean = similarity_figure([read_experiment(run_dir)]).views
    (bars,) = by_layer.traces
    assert (bars["x"], bars["y"]) == (["4", "12"], [0.7, 0.4])
    assert mean.traces[0]["y"] == pytest.approx([0.5 + n / 100 for n in range(12)])


def test_weights_are_those_of_the_model(run_dir):
    assert weight_figure([read_experiment(run_dir)]).views == []
    folder = run_dir / "train/model"
    folder.mkdir()
    (folder / "config.yaml").write_text("{}\n")
    weights = torch.tensor([0.25, -0.5, 1.5]).view(1, 3, 1, 1)
    save_file({"backend.w": weights, "backend.b": torch.zeros(2)}, folder / "model.safetensors")
    np.testing.assert_array_equal(layer_weights(str(folder)), [0.25, -0.5, 1.5])
    for path in run_dir.glob("score/*/metrics.json"):
        write_json(path, {**read_json(path), "model": str(folder)})
    (view,) = weight_figure([read_experiment(run_dir)]).views
    assert view.traces[0]["x"] == ["0", "1", "2"] and view.traces[0]["y"] == [0.25, -0.5, 1.5]
    save_file({"backend.b": torch.zeros(2)}, folder / "model.safetensors")
    assert layer_weights(str(folder)) is None
