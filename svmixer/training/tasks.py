"""Stage 3 (distillation) and stage 4 (speaker training) as tasks of the training loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import DataLoader, Dataset

from svmixer.audio.augment import Augmenter
from svmixer.audio.dumpset import DumpSet
from svmixer.lists import read_trials
from svmixer.lists.trial_faults import check_classes
from svmixer.log import get_logger
from svmixer.models.init_param import InitParam, init_param
from svmixer.models.io import ModelError, read_safetensors, save_model, save_tensors, set_tensors
from svmixer.models.speaker_model import SpeakerModel
from svmixer.scoring.evaluate import evaluate
from svmixer.scoring.utterances import dump_source
from svmixer.teachers import init_frontend_from_teacher, load_teacher
from svmixer.training.config import DataConfig, TrainConfig
from svmixer.training.data import TrainSet
from svmixer.training.objectives import DistillObjective, SpeakerObjective
from svmixer.training.start import LOSSES, MODEL, start_model, start_student, under
from svmixer.training.teacher_cache import TeacherCache
from svmixer.training.whitening import Whitener

log = get_logger(__name__)

HEADS = "distill_heads.safetensors"


class _TeacherTask:
    """What both stages share: the data, the frozen teacher beside the trained module, the student's start."""

    module: nn.Module

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.cache: TeacherCache | None = None
        self.teacher = load_teacher(config.teacher) if config.teacher else None
        train = DumpSet(config.data.train)
        self.train_set = TrainSet(
            train,
            config.data,
            Augmenter(config.augment, babble=train),
            config.model.student.window * config.data.windows,
            config.loop.seed,
        )
        # Weights must depend on the seed alone, not on what ran before.
        torch.manual_seed(config.loop.seed)

    def _start_frontend(self, student: nn.Module) -> None:
        if self.config.frontend_from_teacher:
            if self.teacher is None:
                raise ValueError("frontend_from_teacher: needs a teacher")
            report = init_frontend_from_teacher(student, self.teacher)
            log.info(
                "front end from the teacher: %d tensors copied, skipped: %s",
                len(report.copied),
                report.skipped or "none",
            )

    def _freeze_frontend(self, student: nn.Module) -> None:
        if self.config.freeze_frontend:
            student.conv_layers.requires_grad_(False)

    def _init_param(self, model: nn.Module) -> None:
        """Take over what ``init_param`` asks for; ``model`` has the parts ``student`` and ``backend``."""
        for text in self.config.init_param:
            log.info("init_param %s", text)
            for line in init_param(model, InitParam.parse(text)).lines():
                log.info("  %s", line)

    def dataset(self) -> Dataset:
        return self.train_set

    def speakers(self) -> np.ndarray:
        return self.train_set.labels

    def balance(self) -> float:
        return self.config.data.balance

    def _start_cache(self) -> None:
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
            self.train_set.cache = self.cache

    def prepare(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Cut crops into windows, and add the teacher's states of the clean ones, if they are not there."""
        window = self.config.model.student.window
        waves = {name: batch[name].view(-1, window) for name in ("noisy", "clean") if name in batch}
        batch = {**batch, **waves}
        if self.teacher is None or "teacher" in batch:
            return batch
        states = self.teacher.hidden_states(batch["clean"], True, self.module.distill.layers)
        return {**batch, "teacher": states}


class DistillTask(_TeacherTask):
    """Stage 3: validated by the loss on fixed clean crops of the validation speakers."""

    metric = "valid_loss"
    valid_crops = 256

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        if self.teacher is None:
            raise ValueError("teacher: distillation needs one")
        from svmixer.models.student import Student

        student = Student(config.model.student)
        self._start_frontend(student)
        self._freeze_frontend(student)
        self._init_param(nn.ModuleDict({"student": student}))
        self.module = DistillObjective(student, config.distill, self.teacher.config.hidden)
        self.teacher.numbers(self.module.distill.layers)
        self._start_cache()
        data = DataConfig(valid=config.data.valid, speeds=(1.0,))
        self.valid_set = TrainSet(DumpSet(config.data.valid), data, None, config.model.student.window, 0)

    def validate(self, fabric: Fabric, module: nn.Module) -> dict[str, float]:
        """Mean distillation loss over crops that are the same after every epoch."""
        size = self.config.loop.batch_size
        chosen = np.random.default_rng(0).permutation(len(self.valid_set))[: self.valid_crops]
        items = [(0, int(i)) for i in chosen[fabric.global_rank :: fabric.world_size]]
        total = torch.zeros(2, dtype=torch.float64)
        for batch in DataLoader(
            self.valid_set, batch_sampler=[items[i : i + size] for i in range(0, len(items), size)]
        ):
            loss, _ = module(self.prepare(fabric.to_device(batch)))
            total += torch.tensor(
                [loss.item() * len(batch["label"]), len(batch["label"])], dtype=torch.float64
            )
        loss, count = fabric.all_reduce(total, reduce_op="sum").tolist()
        return {"valid_loss": loss / count}

    def finish(self, state: dict[str, torch.Tensor], output_dir: Path) -> None:
        """Write the student's weights, and beside them those of the distillation heads for stage 4."""
        for part, name in (("student.", "student.safetensors"), ("distill.", HEADS)):
            save_tensors(under(state, part), output_dir / name)


class SpeakerTask(_TeacherTask):
    """Stage 4: validated by EER on the validation trials, on the embedding path of scoring."""

    metric = "valid_eer"

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        self.model = SpeakerModel(config.model)
        if config.init_student:
            start_student(self.model.student, config.init_student)
        elif not config.init_model:
            self._start_frontend(self.model.student)
        self._freeze_frontend(self.model.student)
        self.whitener = Whitener(
            self.model, self.train_set, config.whiten, config.loop.seed, config.loop.batch_size
        )
        counts = self.train_set.counts().tolist()
        teacher_dim = self.teacher.config.hidden if self.teacher is not None else None
        self.module = SpeakerObjective(self.model, config.speaker, counts, config.distill, teacher_dim)
        if self.teacher is not None:
            self.teacher.numbers(self.module.distill.layers)
        self._start_cache()
        if config.init_student:
            self._start_heads(Path(config.init_student).with_name(HEADS), "")
        if config.init_model:
            start_model(self.module, self.train_set.names, config.init_model)
            self._start_heads(Path(config.init_model) / LOSSES, "distill.")
        self._init_param(self.model)
        self.valid_dump = DumpSet(config.data.valid)
        path = Path(config.data.valid) / "trials"
        self.trials = read_trials(path)
        check_classes(self.trials, path)

    def _start_heads(self, path: Path, prefix: str) -> None:
        """Go on with earlier heads: untrained ones would pull the distilled student apart at first."""
        if self.module.distill is None or not path.exists():
            return
        try:
            set_tensors(self.module.distill, under(read_safetensors(path), prefix), path)
            log.info("distillation heads from %s", path)
        except ModelError as error:
            log.warning("distillation heads start anew: %s", error)

    def validate(self, fabric: Fabric, module: nn.Module) -> dict[str, float]:
        """EER (%) and minDCF on the validation trials; every rank embeds its share."""
        self.whitener.fit()
        valid = self.config.valid
        row = {utterance: index for index, utterance in enumerate(self.valid_dump.utterances)}
        wanted = [row[utterance] for utterance in self.trials.utterances]
        embeddings = torch.zeros(len(wanted), self.config.model.backend.embedding, device=fabric.device)
        mine = range(fabric.global_rank, len(wanted), fabric.world_size)
        sources = (dump_source(self.valid_dump, wanted[position]) for position in mine)
        vectors = self.model.embed_sources(sources, valid.protocol, valid.num_crops)
        for position, (_, vector) in zip(mine, vectors, strict=True):
            embeddings[position] = torch.from_numpy(vector).to(fabric.device)
        embeddings = fabric.all_reduce(embeddings, reduce_op="sum")
        figures = evaluate(embeddings.cpu().numpy(), self.trials)
        return {"valid_eer": figures["eer"], "valid_min_dcf": figures["min_dcf"]["0.05"]}

    def finish(self, state: dict[str, torch.Tensor], output_dir: Path) -> None:
        """Write the averaged model as a model directory, and beside it what the losses have learned."""
        self.module.load_state_dict(state)
        self.whitener.fit()
        losses = {key: value for key, value in state.items() if not key.startswith("model.")}
        save_tensors(losses, output_dir / LOSSES)
        save_model(self.model, output_dir / MODEL, self.train_set.names)
