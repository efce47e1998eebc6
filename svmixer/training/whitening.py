"""The whitening at the end of a model, fitted on crops of the training speakers."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from svmixer.log import Progress, get_logger
from svmixer.models.speaker_model import SpeakerModel, evaluating
from svmixer.models.whitening import Whitening
from svmixer.training.config import WhitenConfig
from svmixer.training.data import TrainSet, epoch_order, ignore_signals

logger = get_logger(__name__)


class Whitener:
    """Fits what a model whitens, if anything: the same on every rank, the same for the same weights.

    Args:
        model: whose ``whitening`` is set.
        data: crops, augmented as for training.
        seed: of the choice of crops.
        batch_size: crops that go through the model together.
        workers: processes that cut and augment them; 0: none but this.
    """

    def __init__(
        self,
        model: SpeakerModel,
        data: TrainSet,
        config: WhitenConfig,
        seed: int,
        batch_size: int,
        workers: int = 0,
    ) -> None:
        self.model, self.data, self.config = model, data, config
        self.seed, self.batch_size, self.workers = seed, batch_size, workers
        # Digest of the weights that the whitening was last fitted for.
        self._fitted = ""

    def fit(self) -> None:
        """Fit it to the model's weights of now, unless that was the last thing done here."""
        model = self.model
        # Each whitening, and what it is fitted on, of the states and the windows.
        parts: list[tuple[Whitening, Callable[[Tensor, Tensor], Tensor]]] = []
        if model.adaptation is not None:
            # All else is fitted already.
            parts = [(model.adaptation, lambda states, wave: F.normalize(model.unadapted(states, wave)))]
        else:
            if model.whitening is not None:
                parts.append((model.whitening, lambda states, _wave: model.backend(states)))
            if model.statistics is not None:
                parts.append((model.statistics.whitening, model.statistics.pool))
        if not parts:
            return
        weights = _weights_digest(model)
        if weights == self._fitted:
            return
        items = self._items()
        rows: list[list[Tensor]] = [[] for _ in parts]
        labels = []
        windows = self.data.samples // self.model.window
        progress = Progress(logger, len(items) * windows, "crops for the whitening")
        batches = [items[start : start + self.batch_size] for start in range(0, len(items), self.batch_size)]
        with evaluating(model):
            loader = DataLoader(
                self.data, batch_sampler=batches, num_workers=self.workers, worker_init_fn=ignore_signals
            )
            for batch in loader:
                wave = batch["noisy"].to(model.device).view(-1, model.window)
                states = model.student(wave)
                for found, (_, function) in zip(rows, parts, strict=True):
                    found.append(function(states, wave))
                labels.append(batch["label"].to(model.device).repeat_interleave(windows))
                progress.update(sum(map(len, labels)))
        for found, (whitening, _) in zip(rows, parts, strict=True):
            whitening.fit(torch.cat(found), torch.cat(labels), self.config.shrinkage)
        self._fitted = weights

    def _items(self) -> list[tuple[int, int]]:
        """(number of the crop, utterance) of every crop; an utterance drawn again gives another."""
        chosen: list[int] = []
        for epoch in itertools.count():
            chosen += epoch_order(self.data.labels, self.seed, epoch, self.config.balance).tolist()
            if len(chosen) >= self.config.crops:
                break
        seen: Counter[int] = Counter()
        items = []
        for index in chosen[: self.config.crops]:
            items.append((seen[index], index))
            seen[index] += 1
        return items


def _weights_digest(model: nn.Module) -> str:
    """Digest of all weights and buffers but those of a whitening."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        if "whitening." not in name and not name.startswith("adaptation."):
            # -0 and 0, which an average does not keep apart, are one number.
            values = (tensor.detach().cpu() + 0).contiguous()
            digest.update(values.view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
