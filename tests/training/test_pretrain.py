"""Pretraining of a small teacher: targets, masks, losses, a toy run."""

import json

import numpy as np
import pytest
import torch
import yaml
from toy import CONV

from svmixer.audio.dumpset import DumpSet
from svmixer.cli.main import run_program
from svmixer.models.teacher_config import TeacherConfig
from svmixer.teachers import load_teacher
from svmixer.training.pretrain import ClusterTargets, MaskedPrediction, fit_targets, mfcc, span_mask

TINY = TeacherConfig(
    extractor_conv_layer_config=tuple(map(tuple, CONV)), encoder_embed_dim=12, encoder_pos_conv_kernel=8,
    encoder_pos_conv_groups=2, encoder_num_layers=1, encoder_num_heads=2, encoder_ff_interm_features=16,
)  # fmt: skip


def test_span_mask_has_whole_spans_of_the_asked_share():
    rng = np.random.default_rng(0)
    masks = np.stack([span_mask(149, 0.8, 10, rng) for _ in range(400)])
    # 11.92 starts of 140: a frame stays open with about (1 − 10/140)^11.92 = 0.41 inside.
    assert masks[:, 20:120].mean() == pytest.approx(0.59, abs=0.03)
    edges = np.diff(np.pad(masks.astype(int), ((0, 0), (1, 1))))
    lengths = np.concatenate([np.flatnonzero(row == -1) - np.flatnonzero(row == 1) for row in edges])
    assert lengths.min() >= 10


def test_masked_frames_are_hidden_and_gradients_are_finite():
    torch.manual_seed(0)
    module = MaskedPrediction(TINY, clusters=5).eval()
    wave = torch.randn(2, 8000)
    target, mask = torch.randint(5, (2, 24)), torch.ones(2, 24, dtype=torch.bool)
    # With every frame masked nothing of the signal reaches the prediction.
    _, one = module({"wave": wave, "target": target, "mask": mask})
    _, two = module({"wave": torch.randn(2, 8000), "target": target, "mask": mask})
    assert one["masked"].item() == pytest.approx(two["masked"].item(), abs=1e-6)
    mask[:, ::2] = False
    loss, stats = module({"wave": wave, "target": target, "mask": mask})
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)
    assert module.mask_vector.grad.abs().sum() > 0
    assert set(stats) == {"masked", "accuracy", "unmasked_accuracy"}


def test_open_frames_count_with_their_weight():
    torch.manual_seed(0)
    module = MaskedPrediction(TINY, clusters=5, unmasked_weight=0.5).eval()
    wave, mask = torch.randn(2, 8000), torch.rand(2, 24) < 0.5
    batch = {"wave": wave, "target": torch.randint(5, (2, 24)), "mask": mask}
    both, stats = module(batch)
    module.unmasked_weight = 0.0
    masked, _ = module(batch)
    module.unmasked_weight = 1.0
    twice, _ = module(batch)
    features, _ = module.teacher.feature_extractor(wave, None)
    penalty = 10 * 0.001 * features.pow(2).mean().item()
    assert masked.item() == pytest.approx(stats["masked"].item() + penalty, rel=1e-5)
    assert twice.item() - masked.item() == pytest.approx(2 * (both.item() - masked.item()), rel=1e-4)
    assert both.item() > masked.item()


@pytest.mark.slow
def test_a_toy_pretraining_makes_a_teacher(toy, tmp_path):
    config = {
        "train": str(toy / "train"), "valid": str(toy / "valid"), "seconds": 0.5, "clusters": 4,
        "kmeans_frames": 500, "valid_batches": 1,
        "teacher": {
            "extractor_conv_layer_config": CONV, "encoder_embed_dim": 12, "encoder_pos_conv_kernel": 8,
            "encoder_pos_conv_groups": 2, "encoder_num_layers": 1, "encoder_num_heads": 2,
            "encoder_ff_interm_features": 16,
        },
        "loop": {"batch_size": 4, "max_epochs": 2, "workers": 0, "keep_best": 1},
    }  # fmt: skip
    path = tmp_path / "pretrain.yaml"
    path.write_text(yaml.safe_dump(config))
    words = ["--config", str(path), "--output_dir", str(tmp_path / "out"), "--device.threads", "1"]
    run_program("pretrain", words)
    teacher = load_teacher(tmp_path / "out/teacher")
    assert teacher.hidden_states(torch.randn(2, 8000)).shape == (2, 2, 24, 12)
    records = [json.loads(line) for line in (tmp_path / "out/log.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    assert 0 <= records[0]["valid_accuracy"] <= 1
    # Four clusters: the most frequent one holds a quarter of the frames or more.
    assert 0.25 <= records[0]["valid_chance"] < 1


def noise(samples: int = 48000) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal(samples).astype(np.float32) * 0.1)


def test_mfcc_lies_on_the_frame_grid_and_ignores_gain():
    features = mfcc(noise())
    assert features.shape == (149, 39)
    assert features[:, :13].mean(0).abs().max() < 1e-3
    assert torch.allclose(features, mfcc(noise() * 0.5), atol=2e-2)


def test_a_frame_belongs_to_the_nearest_centroid():
    features = mfcc(noise())
    scale = torch.stack([features.mean(0), features.std(0)])
    standard = (features - scale[0]) / scale[1]
    targets = ClusterTargets(standard[[7, 90]], scale)
    found = targets.clusters(noise())
    assert found[7] == 0 and found[90] == 1
    distances = torch.stack([(standard - standard[i]).norm(dim=1) for i in (7, 90)])
    assert torch.equal(found, distances.argmin(0))


def test_fitting_depends_on_the_seed_alone(toy):
    dump = DumpSet(toy / "train")
    one, again, other = (fit_targets(dump, 4, 500, 8000, seed) for seed in (0, 0, 1))
    assert torch.equal(one.centroids, again.centroids) and torch.equal(one.scale, again.scale)
    assert not torch.equal(one.centroids, other.centroids)
    assert one.centroids.shape == (4, 39)
    assert (one.scale[1] > 0).all()
