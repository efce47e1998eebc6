"""What the training loop asks of a kind of training, and what distillation and speaker training share."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from svmixer.audio.augment import Augmenter
from svmixer.audio.dumpset import DumpSet
from svmixer.distributed.device import Fabric
from svmixer.errors import SvmixerError
from svmixer.lists import ListError, read_utt2spk
from svmixer.log import get_logger
from svmixer.models.io import InitParam, init_param
from svmixer.models.spectrum_masks import SpectrumMasks
from svmixer.models.student import Student
from svmixer.models.teacher_encoder import TeacherEncoder
from svmixer.teachers import init_frontend_from_teacher, load_teacher
from svmixer.training.config import TrainConfig
from svmixer.training.data import TrainSet
from svmixer.training.teacher_cache import TeacherCache

logger = get_logger(__name__)


class Task(Protocol):
    """What a kind of training brings to the loop."""

    # Everything that is trained; forward(batch) -> (loss, {name: detached scalar}). Beside what prepare()
    # gives, a training batch has `epochs`: how many have passed, with a fraction.
    module: nn.Module
    metric: str  # key of validate()'s result that selects models, lower is better

    def dataset(self) -> Dataset: ...  # items addressed as (epoch, index)
    def speakers(self) -> Any: ...  # speaker number of every item, (items,)
    def balance(self) -> float: ...  # see epoch_order
    def sessions(self) -> Any: ...  # session number of every item for batches of pairs, or None
    def parameter_groups(self) -> list[dict[str, Any]]: ...  # what is trained, for the optimiser
    def setup(self, fabric: Fabric) -> None: ...  # moves the teacher, which is not in `module`
    def prepare(self, batch: dict[str, Tensor]) -> dict[str, Tensor]: ...  # adds the teacher's states
    def validate(self, fabric: Fabric, module: nn.Module) -> dict[str, float]: ...  # the same on every rank
    def finish(self, state: dict[str, Tensor], output_dir: Path) -> None: ...  # writes the final model


def trained_group(module: nn.Module) -> list[dict[str, Any]]:
    """All that is trained of a module as one group of an optimiser."""
    return [{"params": [parameter for parameter in module.parameters() if parameter.requires_grad]}]


class TeacherTask:
    """What both stages share: the data, the frozen teacher beside the trained module, the initialisation."""

    module: nn.Module

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.cache: TeacherCache | None = None
        self.teacher = load_teacher(config.teacher) if config.teacher else None
        train = DumpSet(config.data.train)
        augmenter = Augmenter(config.augment, babble=train)
        samples = config.model.window * config.data.windows
        self.train_set = TrainSet(train, config.data, augmenter, samples, config.loop.seed)
        # Weights must depend on the seed alone, not on what ran before.
        torch.manual_seed(config.loop.seed)

    def _initialise_frontend(self, student: Student) -> None:
        """Copy the teacher's front end, if the configuration says so."""
        if self.config.frontend_from_teacher:
            if self.teacher is None:
                raise SvmixerError("frontend_from_teacher: needs a teacher")
            report = init_frontend_from_teacher(student, self.teacher)
            copied, skipped = len(report.copied), report.skipped or "none"
            logger.info("front end from the teacher: %d tensors copied, skipped: %s", copied, skipped)

    def _mask_spectrum(self, student: Student | TeacherEncoder) -> None:
        masks = self.config.spectrum_masks
        if masks.count:
            student.conv_layers[0].masks = SpectrumMasks(masks.count, masks.bands, masks.frames)

    def _freeze_frontend(self, student: Student | TeacherEncoder) -> None:
        if self.config.freeze_frontend:
            student.conv_layers.requires_grad_(False)

    def _init_param(self, model: nn.Module) -> None:
        """Take over what ``init_param`` asks for; ``model`` has the parts ``student`` and ``backend``."""
        for text in self.config.init_param:
            logger.info("init_param %s", text)
            for line in init_param(model, InitParam.parse(text)).lines():
                logger.info("  %s", line)

    def dataset(self) -> Dataset:
        return self.train_set

    def speakers(self) -> np.ndarray:
        return self.train_set.labels

    def balance(self) -> float:
        return self.config.data.balance

    def sessions(self) -> np.ndarray | None:
        """Of ``utt2session`` in the training set's folder, whatever the speed, for batches of pairs.

        Raises:
            ListError: there is no such list, or an utterance is not in it.
        """
        data, utterances = self.config.data, self.train_set.dump.utterances
        if not data.session_pairs:
            return None
        path = Path(data.train) / "utt2session"
        table = read_utt2spk(path)
        missing = next((utterance for utterance in utterances if utterance not in table), None)
        if missing is not None:
            raise ListError("no session", path=path, utterance=missing)
        names = [table[utterance] for utterance in utterances]
        return np.tile(np.unique(names, return_inverse=True)[1], len(data.speeds))

    def parameter_groups(self) -> list[dict[str, Any]]:
        return trained_group(self.module)

    def _open_cache(self) -> None:
        """Look at the directory of the teacher's states, if there shall be one; ``module`` is made before."""
        config = self.config.teacher_cache
        if config.dir and self.teacher is not None:
            self.cache = TeacherCache(config, self.train_set, self.teacher, self.module.distill.layers)

    def setup(self, fabric: Fabric) -> None:
        """Move the teacher, and compute its states if they shall be on disk."""
        if self.teacher is not None:
            self.teacher.to(fabric.device)
        if self.cache is not None:
            self.cache.fill(fabric, self.train_set, self.teacher)
            self.train_set.teacher_states = self.cache.read

    def prepare(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Cut crops into windows, and add the teacher's states of the clean ones, if they are not there."""
        window = self.config.model.window
        waves = {name: batch[name].view(-1, window) for name in ("noisy", "clean") if name in batch}
        batch = {**batch, **waves}
        if self.teacher is None or "teacher" in batch:
            return batch
        states = self.teacher.hidden_states(batch["clean"], True, self.module.distill.layers)
        return {**batch, "teacher": states}


def tensors_under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, without it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
