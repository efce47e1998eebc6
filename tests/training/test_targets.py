"""Targets of the pretraining."""

import numpy as np
import torch

from svmixer.audio.dumpset import DumpSet
from svmixer.training.targets import Targets, fit_targets, mfcc


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
    targets = Targets(standard[[7, 90]], scale)
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
