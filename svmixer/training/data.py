"""Training items: a random crop of an utterance, clean for the teacher and augmented for the student."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.utils.data import Dataset

from svmixer.audio.augment import Augmenter
from svmixer.audio.dumpset import GRID, DumpSet
from svmixer.audio.resample import name_at_speed, speed_perturb
from svmixer.errors import SvmixerError
from svmixer.training.config import DataConfig
from svmixer.training.embedding_targets import EmbeddingTargets


class TrainSet(Dataset):
    """Items (epoch, index) → ``clean`` (N,), ``noisy`` (N,), ``label``.

    Item ``index`` is utterance ``index mod utterances`` at speed ``index div utterances``. What is random in
    it depends on (seed, epoch, index) alone, so workers, ranks and resumed runs agree. The augmented crop
    starts where the clean one does. With ``crops_per_utterance`` the clean crop depends on (seed, epoch mod
    crops_per_utterance, index); with ``teacher_states``, ``teacher`` (K, T, D) stands in place of ``clean``.
    With ``embedding_targets`` there is ``embedding_target`` (E,) of the whole clean utterance, zeros where it
    has none.
    """

    # Vectors of another system, one an item; None: there are none.
    embedding_targets: EmbeddingTargets | None = None
    # (index, crop) → the teacher's states (K, T, D) of that fixed crop, once they are on disk.
    teacher_states: Callable[[int, int], torch.Tensor] | None = None

    def __init__(
        self, dump: DumpSet, config: DataConfig, augmenter: Augmenter | None, samples: int, seed: int
    ) -> None:
        if dump.speakers is None:
            raise SvmixerError(f"{config.train}: utt2spk is missing: speaker training needs it")
        self.dump, self.augmenter, self.samples, self.seed = dump, augmenter, samples, seed
        self.speeds, self.crops = config.speeds, config.crops_per_utterance
        names, numbers = np.unique(dump.speakers, return_inverse=True)
        self.names = [name_at_speed(name, speed) for speed in self.speeds for name in names]
        self.labels = np.concatenate([numbers + k * len(names) for k in range(len(self.speeds))]).astype(
            np.int64
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, torch.Tensor]:
        epoch, index = key
        rng = np.random.default_rng([self.seed, epoch, index])
        clean = self.clean(index, epoch % self.crops) if self.crops else self._crop(index, rng)
        noisy = clean
        if self.augmenter is not None:
            noisy = self.augmenter(clean, rng, speaker=self.dump.speakers[index % len(self.dump)])
        item = {"noisy": torch.from_numpy(noisy), "label": torch.tensor(self.labels[index])}
        if self.embedding_targets is not None:
            item["embedding_target"] = torch.from_numpy(self.embedding_targets[index])
        if self.teacher_states is not None:
            return {**item, "teacher": self.teacher_states(index, epoch % self.crops)}
        return {**item, "clean": torch.from_numpy(clean)}

    def clean(self, index: int, crop: int) -> np.ndarray:
        """Fixed crop ``crop`` of item ``index``, (N,)."""
        return self._crop(index, np.random.default_rng([self.seed, crop, index, 1]))

    def _crop(self, index: int, rng: np.random.Generator) -> np.ndarray:
        utterance, speed = index % len(self.dump), self.speeds[index // len(self.dump)]
        if speed == 1.0:
            return self.dump.read_crop(utterance, self.samples, rng)
        total, needed = int(self.dump.num_samples[utterance]), round(self.samples * speed)
        if total <= needed:
            whole = speed_perturb(
                lambda start, count: self.dump.read(utterance, start, count), 0, int(total / speed), speed
            )
            return np.tile(whole, -(-self.samples // len(whole)))[: self.samples]
        start = int(rng.integers((total - needed) // GRID + 1)) * GRID
        return speed_perturb(
            lambda first, count: self.dump.read(utterance, first, count), start, self.samples, speed
        )

    def counts(self) -> np.ndarray:
        """Items of each label, (labels,)."""
        return np.bincount(self.labels, minlength=len(self.names))
