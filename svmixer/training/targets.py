"""What pretraining predicts: clusters of MFCC frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torchaudio
from sklearn.cluster import MiniBatchKMeans

from svmixer.audio.dumpset import DumpSet
from svmixer.log import get_logger
from svmixer.training.crops import read_crop

log = get_logger(__name__)

# Kaldi's features expect 16-bit amplitudes. The front end's frames are 20 ms apart, too.
_AMPLITUDE = 32768.0
_FRAMES = {"frame_shift": 20.0, "sample_frequency": 16000, "dither": 0.0}


def mfcc(wave: torch.Tensor) -> torch.Tensor:
    """13 MFCC with two differences on the front end's grid (25 ms window, 20 ms hop): (N,) → (T, 39).

    The crop's mean is taken off: the voices differ so much in channel that clusters would else be
    recordings, not sounds.
    """
    base = torchaudio.compliance.kaldi.mfcc(wave[None] * _AMPLITUDE, **_FRAMES)
    base = base - base.mean(dim=0)
    delta = torchaudio.functional.compute_deltas(base.T).T
    return torch.cat([base, delta, torchaudio.functional.compute_deltas(delta.T).T], dim=1)


@dataclass(frozen=True)
class Targets:
    """Everything that the targets of a crop depend on."""

    centroids: torch.Tensor  # (clusters, 39), of standardised MFCC
    scale: torch.Tensor  # (2, 39), mean and deviation

    def clusters(self, wave: torch.Tensor) -> torch.Tensor:
        """Nearest centroid of every frame: (N,) → (T,) integers."""
        mean, deviation = self.scale
        return torch.cdist((mfcc(wave) - mean) / deviation, self.centroids).argmin(dim=1)


def fit_targets(dump: DumpSet, clusters: int, frames: int, samples: int, seed: int) -> Targets:
    """Clusters (k-means) and their scale, from about ``frames`` frames in random crops of ``samples``."""
    rng = np.random.default_rng([seed, 1])
    per_crop = 1 + (samples - 400) // 320
    chosen = rng.permutation(len(dump))[: -(-frames // per_crop)]
    crops = [torch.from_numpy(read_crop(dump, int(index), samples, rng)) for index in chosen]
    cepstra = torch.cat([mfcc(crop) for crop in crops])
    scale = torch.stack([cepstra.mean(0), cepstra.std(0)])
    kmeans = MiniBatchKMeans(clusters, batch_size=10000, n_init=3, random_state=seed)
    kmeans.fit(((cepstra - scale[0]) / scale[1]).numpy())
    log.info("k-means: %d clusters of %d MFCC frames", clusters, len(cepstra))
    centroids = torch.from_numpy(kmeans.cluster_centers_.astype(np.float32))
    return Targets(centroids, scale)
