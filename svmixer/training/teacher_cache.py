"""The teacher's hidden states of fixed crops, computed once and read from disk in every epoch.

A directory holds ``index.json`` (what the states depend on, and their layout) and shards ``00000.npy``, …
of ``(items, K, T, D)``: item n is crop ``n mod crops`` of training item ``n div crops``. Shards appear whole
or not at all, so an interrupted run goes on with the missing ones.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from svmixer.distributed.device import Fabric
from svmixer.errors import SvmixerError
from svmixer.fileio import atomic_write, read_json, write_json
from svmixer.log import Progress, get_logger
from svmixer.teachers import Teacher
from svmixer.training.config import TeacherCacheConfig
from svmixer.training.data import TrainSet

logger = get_logger(__name__)

_SHARD_BYTES = 64 << 20
_BATCH = 32  # crops that the teacher hears at once
_SAMPLED = 64  # crops whose samples are part of the fingerprint


class TeacherCache:
    """States of every crop of a training set; picklable, for data workers.

    Args:
        config: directory and type.
        data: the training set, with ``crops`` fixed crops of each item.
        teacher: the teacher; it is only fingerprinted here.
        layers: the states to keep, as :meth:`svmixer.teachers.Teacher.hidden_states` takes them.

    Raises:
        SvmixerError: the training set cuts new crops in every epoch; the directory holds the states of
            something else (all differences are named); there is no room for what is missing.
    """

    def __init__(
        self, config: TeacherCacheConfig, data: TrainSet, teacher: Teacher, layers: tuple[int, ...]
    ) -> None:
        if not data.crops:
            raise SvmixerError("teacher_cache: needs fixed crops: set data.crops_per_utterance")
        self.folder, self.crops = Path(config.dir), data.crops
        self.dtype = np.dtype(config.dtype)
        self.layers = teacher.numbers(layers)
        self.items = len(data) * data.crops
        frames = teacher.config.frontend.num_frames(data.samples)
        self.shape = (len(self.layers), frames, teacher.config.hidden)
        self.shard_items = max(1, _SHARD_BYTES // self._item_bytes)
        self.shards = -(-self.items // self.shard_items)
        self._index = {
            "teacher": _teacher_digest(teacher),
            "data": _data_digest(data),
            "layers": self.layers,
            "crops": self.crops,
            "items": self.items,
            "shape": list(self.shape),
            "dtype": config.dtype,
            "shard_items": self.shard_items,
        }
        self._check_index()
        self._check_room()
        self._open: dict[int, np.ndarray] = {}

    @property
    def _item_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}

    def read(self, index: int, crop: int) -> torch.Tensor:
        """``(K, T, D)`` of crop ``crop`` of training item ``index``, in the type of the files."""
        shard, row = divmod(index * self.crops + crop, self.shard_items)
        if shard not in self._open:
            self._open[shard] = np.load(self._path(shard), mmap_mode="r", allow_pickle=False)
        return torch.from_numpy(self._open[shard][row].copy())

    def fill(self, fabric: Fabric, data: TrainSet, teacher: Teacher) -> None:
        """Compute the missing shards, each process its share."""
        if fabric.global_rank == 0 and not (self.folder / "index.json").exists():
            write_json(self.folder / "index.json", self._index)
        # No shard is ever without its index.
        fabric.barrier()
        own = range(fabric.global_rank, self.shards, fabric.world_size)
        missing = [shard for shard in own if not self._path(shard).exists()]
        progress = Progress(logger, len(missing), "shards of the teacher's states")
        for done, shard in enumerate(missing, 1):
            first = shard * self.shard_items
            items = range(first, min(first + self.shard_items, self.items))
            states = np.empty((len(items), *self.shape), self.dtype)
            for start in range(0, len(items), _BATCH):
                waves = [data.clean(*divmod(item, self.crops)) for item in items[start : start + _BATCH]]
                batch = fabric.to_device(torch.from_numpy(np.stack(waves)))
                found = teacher.hidden_states(batch, True, self.layers)
                states[start : start + len(waves)] = found.float().cpu().numpy()
            if not np.isfinite(states).all():
                raise SvmixerError(f"teacher_cache: states that {self.dtype} cannot hold: take dtype float32")
            with atomic_write(self._path(shard), "wb") as stream:
                np.save(stream, states, allow_pickle=False)
            progress.update(done)
        fabric.barrier()

    def _path(self, shard: int) -> Path:
        return self.folder / f"{shard:05d}.npy"

    def _check_index(self) -> None:
        path = self.folder / "index.json"
        if not path.exists():
            return
        found = read_json(path)
        other = [
            f"{key} ({found.get(key)} → {value})"
            for key, value in self._index.items()
            if found.get(key) != value
        ]
        if other:
            raise SvmixerError(f"teacher_cache: {self.folder} holds other states: {', '.join(other)}")

    def _check_room(self) -> None:
        total = self.items * self._item_bytes
        missing = sum(not self._path(shard).exists() for shard in range(self.shards))
        needed = min(missing * self.shard_items, self.items) * self._item_bytes
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        logger.info(
            "teacher's states in %s: %d crops x %d states x %d frames x %d x %s = %.2f GB; "
            "%d of %d shards missing (%.2f GB), %.2f GB free",
            self.folder, self.items, *self.shape, self.dtype, total / 1e9, missing, self.shards, needed / 1e9,
            free / 1e9,
        )  # fmt: skip
        if needed > free:
            raise SvmixerError(
                f"teacher_cache: {self.folder} needs {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free"
            )


def _teacher_digest(teacher: Teacher) -> str:
    digest = hashlib.md5(repr(teacher.config).encode(), usedforsecurity=False)
    for name, value in sorted(teacher.model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _data_digest(data: TrainSet) -> str:
    """Of what says which crops there are, and of the samples of some."""
    facts = (data.samples, data.seed, data.crops, data.speeds)
    digest = hashlib.md5(repr(facts).encode(), usedforsecurity=False)
    digest.update("\n".join(data.dump.utterances).encode())
    digest.update(data.dump.num_samples.tobytes())
    for index in np.linspace(0, len(data) - 1, min(len(data), _SAMPLED)).astype(int).tolist():
        digest.update(data.clean(index, 0).tobytes())
    return digest.hexdigest()
