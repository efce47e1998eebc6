"""Utterance embeddings of another system, read from Kaldi vectors as training asks for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from svmixer.audio.dumpset import MAX_OPEN
from svmixer.audio.resample import name_at_speed
from svmixer.errors import SvmixerError
from svmixer.lists import parse_source, read_table
from svmixer.log import get_logger
from svmixer.losses.config import EmbeddingDistillConfig
from svmixer.scoring.vectors import EmbeddingError, read_vector

logger = get_logger(__name__)


class EmbeddingTargets:
    """Target vectors of the training items: the utterances at each speed. Picklable, for data workers.

    The list names an utterance at another speed ``utterance#sp0.9``. If it has none of a speed, items of this
    speed have no target.

    A target is the vector at length 1, minus the mean of all of them, at length 1 again: embeddings of some
    systems share a large mean (those of a GE2E LSTM have no negative number), which every student would learn
    first and which says nothing of the speaker.

    Args:
        config: where they are, and how many may be missing.
        utterances: the training utterances.
        speeds: the speeds, in the order of the items.

    Attributes:
        dim: E, the size of a vector.

    Raises:
        ListError: the list cannot be read.
        EmbeddingError: a vector is damaged, not finite, without length or of another size than the first;
            more utterances lack one than ``config.missing`` allows (the first ones are named).
    """

    def __init__(
        self, config: EmbeddingDistillConfig, utterances: list[str], speeds: tuple[float, ...] = (1.0,)
    ) -> None:
        table = read_table(config.scp)
        self.scp, self.items = config.scp, []
        for speed in speeds:
            items = [name_at_speed(utterance, speed) for utterance in utterances]
            missing = [item for item in items if item not in table]
            if speed == 1.0 or len(missing) < len(items):
                self._check_share(config, missing, len(items))
            self.items += items
        names: dict[str, int] = {}
        # Place of each vector: number of its archive (-1: there is none) and byte in it.
        self._places = np.full((len(self.items), 2), -1, dtype=np.int64)
        for row, item in enumerate(self.items):
            if item in table:
                source = parse_source(table[item])
                if source.kind != "ark":
                    raise EmbeddingError(f"{config.scp}: utterance {item}: expected ark:offset")
                self._places[row] = names.setdefault(source.path, len(names)), source.offset
        self.arks = list(names)
        self._open: dict[int, Any] = {}
        self._average()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}

    def __getitem__(self, row: int) -> np.ndarray:
        """Target of item ``row``, (E,) float32; zeros if it has none."""
        if self._places[row, 0] < 0:
            return np.zeros(self.dim, np.float32)
        vector = self._unit(row) - self.mean
        return (vector / max(float(np.linalg.norm(vector)), 1e-6)).astype(np.float32)

    def _check_share(self, config: EmbeddingDistillConfig, missing: list[str], total: int) -> None:
        if not missing:
            return
        count = f"{len(missing)} of {total} training utterances have no vector"
        names = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        if len(missing) > config.missing * total:
            raise EmbeddingError(
                f"{config.scp}: {count}, {config.missing:.1%} may lack one (embeddings.missing): {names}"
            )
        logger.warning("%s: %s: %s", config.scp, count, names)

    def _average(self) -> None:
        """Set the size and the mean, reading every vector once."""
        present = np.flatnonzero(self._places[:, 0] >= 0)
        if not len(present):
            raise EmbeddingError(f"{self.scp}: has no vector of a training utterance")
        total = np.zeros_like(self._unit(present[0]))
        self.dim = len(total)
        for row in present:
            vector = self._unit(row)
            if vector.shape != total.shape:
                raise EmbeddingError(
                    f"{self.scp}: utterance {self.items[row]}: {len(vector)} numbers, the first vector "
                    f"has {self.dim}"
                )
            total += vector
        self.mean = total / len(present)

    def _unit(self, row: int) -> np.ndarray:
        """The vector of an utterance that has one at length 1, (E,) float64."""
        ark, offset = self._places[row].tolist()
        try:
            if ark not in self._open:
                if len(self._open) >= MAX_OPEN:
                    self._open.pop(next(iter(self._open))).close()
                self._open[ark] = open(self.arks[ark], "rb")  # noqa: SIM115 for as long as the data are read
            vector = read_vector(self._open[ark].fileno(), offset).astype(np.float64)
            length = np.linalg.norm(vector)
            if not 0.0 < length < np.inf:
                raise EmbeddingError("the vector is not finite, or all zeros")
        except (SvmixerError, OSError) as error:
            raise EmbeddingError(f"{self.scp}: utterance {self.items[row]}: {error}") from None
        return vector / length
