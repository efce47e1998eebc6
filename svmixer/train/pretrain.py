"""Pretraining of a small teacher: HuBERT's masked prediction, WavLM's architecture and utterance mixing.

Spans of frames are replaced by a learned vector behind the convolutional front end, and the model predicts,
for the masked frames, which k-means cluster of MFCC vectors the clean speech belongs to (HuBERT: Hsu et al.
2021, §II); the frames in the open count less. As in WavLM (Chen et al. 2022, §III-B) a part of another
utterance is mixed into some of the inputs while the targets stay those of the first speaker, so the model has
to keep track of who is speaking.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchaudio
from lightning_fabric import Fabric
from sklearn.cluster import MiniBatchKMeans
from torch import nn
from torch.utils.data import DataLoader, Dataset

from svmixer.audio.dumpset import DumpSet
from svmixer.log import get_logger
from svmixer.teachers.builder import build_torchaudio
from svmixer.teachers.config import TeacherConfig
from svmixer.teachers.load import save_teacher
from svmixer.train.crops import read_crop
from svmixer.train.loop import DeviceConfig, LoopConfig

log = get_logger(__name__)


@dataclass(frozen=True)
class PretrainConfig:
    """Everything a pretraining run depends on."""

    train: str = "dump/train"  # dumped set to train on
    valid: str = "dump/valid"  # dumped set of other speakers for the accuracy
    output_dir: str = "exp/pretrain"  # where checkpoints and the teacher directory `teacher/` go
    seconds: float = 3.0  # crop length
    crops: int = 1  # crops of every utterance an epoch
    clusters: int = 100  # k-means clusters of MFCC frames
    kmeans_frames: int = 200000  # frames that the clusters are estimated on
    mask_prob: float = 0.8  # share of frames masked if spans did not overlap
    mask_length: int = 10  # frames in a masked span
    unmasked_weight: float = 0.5  # weight of the loss on the frames that are not masked
    mix_prob: float = 0.2  # probability of mixing in a part of another utterance
    mix_snr: tuple[float, float] = (-5.0, 10.0)  # dB of the first speaker over the other
    valid_batches: int = 24  # batches of fixed crops that the accuracy is measured on
    # The teacher to train.
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    # The training loop.
    loop: LoopConfig = field(default_factory=LoopConfig)
    # Where it runs.
    device: DeviceConfig = field(default_factory=DeviceConfig)


def mfcc(wave: torch.Tensor) -> torch.Tensor:
    """13 MFCC with two differences on the front end's grid (25 ms window, 20 ms hop): (N,) → (T, 39).

    The crop's mean is taken off: the voices differ so much in channel that clusters would else be
    recordings, not sounds.
    """
    # Kaldi's features expect 16-bit amplitudes.
    base = torchaudio.compliance.kaldi.mfcc(wave[None] * 32768.0, frame_shift=20.0, sample_frequency=16000)
    base = base - base.mean(dim=0)
    delta = torchaudio.functional.compute_deltas(base.T).T
    return torch.cat([base, delta, torchaudio.functional.compute_deltas(delta.T).T], dim=1)


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

    def __init__(
        self, dump: DumpSet, config: PretrainConfig, centroids: np.ndarray, scale: np.ndarray
    ) -> None:
        self.dump, self.config = dump, config
        self.centroids, self.scale = torch.from_numpy(centroids), torch.from_numpy(scale)
        self.samples = round(config.seconds * 16000)

    def __len__(self) -> int:
        return len(self.dump) * self.config.crops

    def __getitem__(self, item: tuple[int, int]) -> dict[str, torch.Tensor]:
        epoch, index = item
        config = self.config
        rng = np.random.default_rng([config.loop.seed, epoch, index])
        clean = read_crop(self.dump, index % len(self.dump), self.samples, rng)
        features = (mfcc(torch.from_numpy(clean)) - self.scale[0]) / self.scale[1]
        target = torch.cdist(features, self.centroids).argmin(dim=1)
        wave = self._mix(clean, rng) if rng.random() < config.mix_prob else clean
        mask = span_mask(len(target), config.mask_prob, config.mask_length, rng)
        return {"wave": torch.from_numpy(wave), "target": target, "mask": torch.from_numpy(mask)}

    def _mix(self, clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        other = read_crop(self.dump, int(rng.integers(len(self.dump))), self.samples, rng)
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

    def __init__(self, config: TeacherConfig, clusters: int, unmasked_weight: float) -> None:
        super().__init__()
        self.unmasked_weight = unmasked_weight
        self.teacher = build_torchaudio(config)
        width = self.teacher.encoder.feature_projection.projection.out_features
        self.mask_vector = nn.Parameter(torch.randn(width) * 0.1)
        self.head = nn.Linear(width, width)
        self.clusters = nn.Parameter(torch.randn(clusters, width))

    def forward(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """``wave`` (B, N), ``target`` (B, T) and ``mask`` (B, T) → loss and figures."""
        features, _ = self.teacher.feature_extractor(batch["wave"], None)
        projected = self.teacher.encoder.feature_projection(features)
        mask = batch["mask"]
        projected = torch.where(mask[..., None], self.mask_vector.to(projected.dtype), projected)
        hidden = self.teacher.encoder.transformer(projected)
        predicted = F.normalize(self.head(hidden).float(), dim=-1)
        logits = predicted @ F.normalize(self.clusters.float(), dim=-1).T / self.temperature
        target = batch["target"]
        loss = F.cross_entropy(logits[mask], target[mask])
        correct = (logits.argmax(-1) == target).float()
        stats = {"masked": loss, "accuracy": correct[mask].mean(), "unmasked_accuracy": correct[~mask].mean()}
        if self.unmasked_weight:
            loss = loss + self.unmasked_weight * F.cross_entropy(logits[~mask], target[~mask])
        # HuBERT's small penalty on the size of the front end's output keeps it bounded.
        loss = loss + 10 * 0.001 * features.float().pow(2).mean()
        return loss, {name: value.detach() for name, value in stats.items()}


class PretrainTask:
    """The loop's view of masked prediction."""

    metric = "valid_masked"

    def __init__(self, config: PretrainConfig) -> None:
        self.config = config
        train, valid = DumpSet(config.train), DumpSet(config.valid)
        centroids, scale = fit_clusters(train, config)
        self.train_set = PretrainSet(train, config, centroids, scale)
        self.valid_set = PretrainSet(valid, config, centroids, scale)
        # Weights must not depend on what ran before.
        torch.manual_seed(config.loop.seed)
        self.module = MaskedPrediction(config.teacher, config.clusters, config.unmasked_weight)

    def dataset(self) -> Dataset:
        return self.train_set

    def speakers(self) -> np.ndarray:
        names = self.train_set.dump.speakers
        return np.tile(np.unique(names, return_inverse=True)[1], self.config.crops)

    def balance(self) -> float:
        return 0.0

    def to(self, device: torch.device) -> None:
        """Nothing stands outside the trained module."""

    def prepare(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return batch

    def validate(self, fabric: Fabric, module: nn.Module) -> dict[str, float]:
        """Loss and masked-prediction accuracy on fixed crops of the unseen speakers, with fixed masks."""
        size, world = self.config.loop.batch_size, fabric.world_size
        rng = np.random.default_rng(0)
        chosen = rng.permutation(len(self.valid_set))[: self.config.valid_batches * size]
        items = [(0, int(i)) for i in chosen[fabric.global_rank :: world]]
        loader = DataLoader(
            self.valid_set, batch_sampler=[items[i : i + size] for i in range(0, len(items), size)]
        )
        names = ("masked", "accuracy", "unmasked_accuracy")
        sums = torch.zeros(len(names) + 1, dtype=torch.float64)
        for batch in loader:
            _, stats = module(fabric.to_device(batch))
            count = len(batch["wave"])
            sums += count * torch.tensor([*(stats[name].item() for name in names), 1.0], dtype=torch.float64)
        *means, count = fabric.all_reduce(sums, reduce_op="sum").tolist()
        return {f"valid_{name}": value / count for name, value in zip(names, means, strict=True)}

    def finish(self, state: dict[str, torch.Tensor], output_dir: Path) -> None:
        """Write the averaged teacher, without the head, as a teacher directory in half precision."""
        self.module.load_state_dict(state)
        save_teacher(self.module.teacher.half(), self.config.teacher, output_dir / "teacher")


def fit_clusters(dump: DumpSet, config: PretrainConfig) -> tuple[np.ndarray, np.ndarray]:
    """k-means centroids of standardised MFCC frames (clusters, 39), and their mean and deviation (2, 39)."""
    rng = np.random.default_rng([config.loop.seed, 1])
    samples = round(config.seconds * 16000)
    per_crop = 1 + (samples - 400) // 320
    chosen = rng.permutation(len(dump))[: -(-config.kmeans_frames // per_crop)]
    frames = torch.cat([mfcc(torch.from_numpy(read_crop(dump, int(i), samples, rng))) for i in chosen])
    mean, deviation = frames.mean(0), frames.std(0)
    kmeans = MiniBatchKMeans(config.clusters, batch_size=10000, n_init=3, random_state=config.loop.seed)
    kmeans.fit(((frames - mean) / deviation).numpy())
    log.info("k-means: %d clusters of %d MFCC frames", config.clusters, len(frames))
    return kmeans.cluster_centers_.astype(np.float32), torch.stack([mean, deviation]).numpy()
