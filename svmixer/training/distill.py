"""Stage 3: distillation of a frozen teacher into a student."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from svmixer.audio.dumpset import DumpSet
from svmixer.distributed.device import Fabric
from svmixer.errors import SvmixerError
from svmixer.losses.config import DistillConfig
from svmixer.losses.distillation import build_distill_loss
from svmixer.models.io import save_tensors
from svmixer.models.student import Student
from svmixer.training.config import DataConfig, TrainConfig
from svmixer.training.data import TrainSet
from svmixer.training.task import TeacherTask, tensors_under

# File with the weights of the distillation heads, beside the student's.
HEADS = "distill_heads.safetensors"


class DistillObjective(nn.Module):
    """Stage 3: the student alone predicts the teacher's states."""

    def __init__(self, student: Student, config: DistillConfig, teacher_dim: int) -> None:
        super().__init__()
        self.student = student
        self.distill = build_distill_loss(config, student.config.hidden, teacher_dim)

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """``noisy`` (B, N) and ``teacher`` (B, K, T, D) → loss, {name: detached scalar}."""
        last = self.student.states(batch["noisy"])[-1]
        loss, metrics = self.distill(last, batch["teacher"])
        return loss, {name: value.detach() for name, value in metrics.items()}


class DistillTask(TeacherTask):
    """Stage 3: validated by the loss on fixed clean crops of the validation speakers."""

    metric = "valid_loss"
    valid_crops = 256

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        if self.teacher is None:
            raise SvmixerError("teacher: distillation needs one")
        student = Student(config.model.student)
        self._initialise_frontend(student)
        self._freeze_frontend(student)
        self._mask_spectrum(student)
        self._init_param(nn.ModuleDict({"student": student}))
        self.module = DistillObjective(student, config.distill, self.teacher.config.hidden)
        self.teacher.numbers(self.module.distill.layers)
        self._open_cache()
        data = DataConfig(valid=config.data.valid, speeds=(1.0,))
        self.valid_set = TrainSet(DumpSet(config.data.valid), data, None, config.model.window, 0)

    def validate(self, fabric: Fabric, module: nn.Module) -> dict[str, float]:
        """Mean distillation loss over crops that are the same after every epoch."""
        size = self.config.loop.batch_size
        chosen = np.random.default_rng(0).permutation(len(self.valid_set))[: self.valid_crops]
        items = [(0, int(i)) for i in chosen[fabric.global_rank :: fabric.world_size]]
        batches = [items[start : start + size] for start in range(0, len(items), size)]
        sums = torch.zeros(2, dtype=torch.float64)
        for batch in DataLoader(self.valid_set, batch_sampler=batches):
            loss, _ = module(self.prepare(fabric.to_device(batch)))
            count = len(batch["label"])
            sums += torch.tensor([loss.item() * count, count], dtype=torch.float64)
        total, count = fabric.all_reduce(sums, reduce_op="sum").tolist()
        return {"valid_loss": total / count}

    def finish(self, state: dict[str, Tensor], output_dir: Path) -> None:
        """Write the student's weights, and beside them those of the distillation heads for stage 4."""
        for part, name in (("student.", "student.safetensors"), ("distill.", HEADS)):
            save_tensors(tensors_under(state, part), output_dir / name)
