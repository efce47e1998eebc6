"""Pretraining of a small teacher: HuBERT's masked prediction, WavLM's architecture and utterance mixing.

Spans of frames are replaced by a learned vector behind the convolutional front end, and the model predicts,
for the masked frames, which k-means cluster of MFCC vectors the clean speech belongs to (HuBERT: Hsu et al.
2021, §II); the frames in the open count less. As in WavLM (Chen et al. 2022, §III-B) a part of another
utterance is mixed into some of the inputs while the targets stay those of the first speaker, so the model has
to keep track of who is speaking.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torchaudio
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from svmixer.audio.dumpset import DumpSet
from svmixer.distributed.device import Fabric
from svmixer.log import get_logger
from svmixer.losses.aam import process_share
from svmixer.models.frontend import start_as_mel
from svmixer.models.teacher_config import TeacherConfig
from svmixer.models.teacher_encoder import build_torchaudio
from svmixer.teachers.teacher import save_teacher
from svmixer.training.config import PretrainConfig
from svmixer.training.task import trained_group

logger = get_logger(__name__)

# Kaldi's features expect 16-bit amplitudes. The front end's frames are 20 ms apart, too.
_AMPLITUDE = 32768.0
_FRAMES = {"frame_shift": 20.0, "sample_frequency": 16000, "dither": 0.0}


def mfcc(wave: Tensor) -> Tensor:
    """13 MFCC with two differences on the front end's grid (25 ms window, 20 ms hop): (N,) → (T, 39).

    The crop's mean is taken off: the voices differ so much in channel that clusters would else be
    recordings, not sounds.
    """
    base = torchaudio.compliance.kaldi.mfcc(wave[None] * _AMPLITUDE, **_FRAMES)
    base = base - base.mean(dim=0)
    delta = torchaudio.functional.compute_deltas(base.T).T
    return torch.cat([base, delta, torchaudio.functional.compute_deltas(delta.T).T], dim=1)


@dataclass(frozen=True)
class ClusterTargets:
    """Everything that the targets of a crop depend on."""

    centroids: Tensor  # (clusters, 39), of standardised MFCC
    scale: Tensor  # (2, 39), mean and standard deviation

    def clusters(self, wave: Tensor) -> Tensor:
        """Nearest centroid of every frame: (N,) → (T,) integers."""
        mean, deviation = self.scale
        return torch.cdist((mfcc(wave) - mean) / deviation, self.centroids).argmin(dim=1)


def fit_targets(dump: DumpSet, clusters: int, frames: int, samples: int, seed: int) -> ClusterTargets:
    """Clusters (k-means) and their scale, from about ``frames`` frames in random crops of ``samples``."""
    rng = np.random.default_rng([seed, 1])
    per_crop = 1 + (samples - 400) // 320
    chosen = rng.permutation(len(dump))[: -(-frames // per_crop)]
    crops = [torch.from_numpy(dump.read_crop(int(index), samples, rng)) for index in chosen]
    cepstra = torch.cat([mfcc(crop) for crop in crops])
    scale = torch.stack([cepstra.mean(0), cepstra.std(0)])
    kmeans = MiniBatchKMeans(clusters, batch_size=10000, n_init=3, random_state=seed)
    kmeans.fit(((cepstra - scale[0]) / scale[1]).numpy())
    logger.info("k-means: %d clusters of %d MFCC frames", clusters, len(cepstra))
    centroids = torch.from_numpy(kmeans.cluster_centers_.astype(np.float32))
    return ClusterTargets(centroids, scale)


def span_mask(frames: int, prob: float, length: int, rng: np.random.Generator) -> np.ndarray:
    """(T,) booleans, True in spans of ``length`` frames at random starts; spans may overlap."""
    count = int(prob * frames / length + rng.random())
    starts = rng.choice(frames - length + 1, size=max(1, count), replace=False)
    mask = np.zeros(frames, dtype=bool)
    for start in starts:
        mask[start : start + length] = True
    return mask


class PretrainSet(Dataset):
    """Crops with masks and cluster targets; everything random depends on (seed, epoch, item)."""

    def __init__(self, dump: DumpSet, config: PretrainConfig, targets: ClusterTargets) -> None:
        self.dump, self.config, self.targets = dump, config, targets
        self.samples = round(config.seconds * 16000)

    def __len__(self) -> int:
        return len(self.dump) * self.config.crops

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Tensor]:
        epoch, index = item
        config = self.config
        rng = np.random.default_rng([config.loop.seed, epoch, index])
        clean = self.dump.read_crop(index % len(self.dump), self.samples, rng)
        target = self.targets.clusters(torch.from_numpy(clean))
        wave = torch.from_numpy(self._mix(clean, rng) if rng.random() < config.mix_prob else clean)
        mask = torch.from_numpy(span_mask(len(target), config.mask_prob, config.mask_length, rng))
        return {"wave": wave, "target": target, "mask": mask}

    def _mix(self, clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        other = self.dump.read_crop(int(rng.integers(len(self.dump))), self.samples, rng)
        # Less than half of the crop, so that the first speaker stays the main one.
        length = int(rng.integers(self.samples // 8, self.samples // 2))
        start, source = int(rng.integers(self.samples - length)), int(rng.integers(self.samples - length))
        part = other[source : source + length]
        power = [float(np.mean(x.astype(np.float64) ** 2)) + 1e-10 for x in (clean, part)]
        gain = (power[0] / power[1] / 10 ** (rng.uniform(*self.config.mix_snr) / 10)) ** 0.5
        mixed = clean.copy()
        mixed[start : start + length] += np.float32(gain) * part
        return mixed


class MaskedPrediction(nn.Module):
    """The teacher with a mask vector in front of its transformer and cluster logits behind it."""

    temperature = 0.1

    def __init__(self, config: TeacherConfig, clusters: int, unmasked_weight: float = 0.0) -> None:
        super().__init__()
        self.unmasked_weight = unmasked_weight
        self.teacher = build_torchaudio(config)
        width = self.teacher.encoder.feature_projection.projection.out_features
        self.mask_vector = nn.Parameter(torch.randn(width) * 0.1)
        self.head = nn.Linear(width, width)
        self.clusters = nn.Parameter(torch.randn(clusters, width))

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """``wave`` (B, N), ``target`` (B, T) and ``mask`` (B, T) → loss and metrics."""
        features, _ = self.teacher.feature_extractor(batch["wave"], None)
        projected = self.teacher.encoder.feature_projection(features)
        mask = batch["mask"]
        projected = torch.where(mask[..., None], self.mask_vector.to(projected.dtype), projected)
        hidden = self.teacher.encoder.transformer(projected)
        predicted = F.normalize(self.head(hidden).float(), dim=-1)
        logits = predicted @ F.normalize(self.clusters.float(), dim=-1).T / self.temperature
        target = batch["target"]
        loss = self._cross_entropy(logits, target, mask)
        correct = (logits.argmax(-1) == target).float()
        metrics = {"masked": loss}
        metrics |= {"accuracy": correct[mask].mean(), "unmasked_accuracy": correct[~mask].mean()}
        if self.unmasked_weight:
            loss = loss + self.unmasked_weight * self._cross_entropy(logits, target, ~mask)
        # HuBERT's small penalty on the size of the front end's output keeps it bounded.
        loss = loss + 10 * 0.001 * features.float().pow(2).mean()
        return loss, {name: value.detach() for name, value in metrics.items()}

    def _cross_entropy(self, logits: Tensor, target: Tensor, chosen: Tensor) -> Tensor:
        """Mean over the chosen frames (B, T), in training of all processes: they have not equally many."""
        loss = F.cross_entropy(logits[chosen], target[chosen])
        return loss * process_share(chosen.sum()) if self.training else loss


class PretrainTask:
    """The loop's view of masked prediction."""

    metric = "valid_masked"

    def __init__(self, config: PretrainConfig) -> None:
        self.config = config
        train, valid = DumpSet(config.train), DumpSet(config.valid)
        samples = round(config.seconds * 16000)
        targets = fit_targets(train, config.clusters, config.kmeans_frames, samples, config.loop.seed)
        self.train_set = PretrainSet(train, config, targets)
        self.valid_set = PretrainSet(valid, config, targets)
        # Weights must not depend on what ran before.
        torch.manual_seed(config.loop.seed)
        self.module = MaskedPrediction(config.teacher, config.clusters, config.unmasked_weight)
        if config.mel_frontend:
            start_as_mel(self.module.teacher.feature_extractor.conv_layers[0].conv.weight)

    def dataset(self) -> Dataset:
        return self.train_set

    def speakers(self) -> np.ndarray:
        names = self.train_set.dump.speakers
        return np.tile(np.unique(names, return_inverse=True)[1], self.config.crops)

    def balance(self) -> float:
        return 0.0

    def sessions(self) -> None:
        return None

    def parameter_groups(self) -> list[dict[str, Any]]:
        return trained_group(self.module)

    def setup(self, fabric: Fabric) -> None:
        """Nothing stands outside the trained module."""

    def prepare(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return batch

    def validate(self, fabric: Fabric, module: nn.Module) -> dict[str, float]:
        """Losses and accuracies on fixed crops of the unseen speakers, with fixed masks."""
        size, world = self.config.loop.batch_size, fabric.world_size
        rng = np.random.default_rng(0)
        chosen = rng.permutation(len(self.valid_set))[: self.config.valid_batches * size]
        items = [(0, int(i)) for i in chosen[fabric.global_rank :: world]]
        loader = DataLoader(
            self.valid_set, batch_sampler=[items[i : i + size] for i in range(0, len(items), size)]
        )
        names = ("masked", "accuracy", "unmasked_accuracy")
        sums = torch.zeros(len(names) + 1, dtype=torch.float64)
        targets = torch.zeros(self.config.clusters, dtype=torch.float64)
        for batch in loader:
            _, metrics = module(fabric.to_device(batch))
            count = len(batch["wave"])
            values = [*(metrics[name].item() for name in names), 1.0]
            sums += count * torch.tensor(values, dtype=torch.float64)
            targets += batch["target"][batch["mask"]].bincount(minlength=self.config.clusters)
        *means, count = fabric.all_reduce(sums, reduce_op="sum").tolist()
        targets = fabric.all_reduce(targets, reduce_op="sum")
        validation = {f"valid_{name}": value / count for name, value in zip(names, means, strict=True)}
        # What always answering with the most frequent cluster would reach.
        return {**validation, "valid_chance": (targets.max() / targets.sum()).item()}

    def finish(self, state: dict[str, Tensor], output_dir: Path) -> None:
        """Write the averaged teacher, without the head, as a teacher directory in half precision."""
        self.module.load_state_dict(state)
        save_teacher(self.module.teacher.half(), self.config.teacher, output_dir / "teacher")
