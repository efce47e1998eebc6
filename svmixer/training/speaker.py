"""Stage 4: speaker training, with distillation (OS-KDFT) or without."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svmixer.audio.dumpset import DumpSet
from svmixer.distributed.device import Fabric
from svmixer.lists import ListError, read_trials
from svmixer.lists.enroll_map import ENROLL_MAP
from svmixer.lists.trials import check_classes
from svmixer.log import get_logger
from svmixer.losses.aam import build_speaker_loss
from svmixer.losses.config import AAMConfig, DistillConfig
from svmixer.losses.distillation import EmbeddingDistill, build_distill_loss
from svmixer.models.io import (
    ModelError,
    load_model,
    read_safetensors,
    read_speakers,
    save_model,
    save_tensors,
    set_tensors,
)
from svmixer.models.speaker_model import SpeakerModel
from svmixer.models.student import Student
from svmixer.scoring.metrics import evaluate
from svmixer.scoring.utterances import dump_source
from svmixer.teachers import load_teacher
from svmixer.training.config import TrainConfig
from svmixer.training.distill import HEADS
from svmixer.training.embedding_targets import EmbeddingTargets
from svmixer.training.finetune import layer_groups
from svmixer.training.task import TeacherTask, tensors_under
from svmixer.training.whitening import Whitener

logger = get_logger(__name__)

MODEL = "model"  # model directory in that of a finished stage 4
LOSSES = "losses.safetensors"  # beside it: what the losses had learned


class SpeakerObjective(nn.Module):
    """Stage 4: the speaker loss, with a teacher the distillation loss as well (OS-KDFT), and with embeddings
    of another system that of their distillation."""

    def __init__(
        self,
        model: SpeakerModel,
        speaker: AAMConfig,
        counts: list[int],
        distill: DistillConfig | None,
        teacher_dim: int | None,
        embeddings: EmbeddingDistill | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.speaker = build_speaker_loss(speaker, model.config.backend.embedding, len(counts), counts)
        self.distill = None
        if distill is not None and teacher_dim is not None:
            self.distill = build_distill_loss(distill, model.config.hidden, teacher_dim)
        self.embeddings = embeddings

    def forward(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """``noisy`` (B·W, N), ``label`` (B,), maybe ``teacher`` (B·W, K, T, D) and ``embedding_target``
        (B, E) → loss, {name: scalar}.

        The embeddings of a crop's W windows are averaged as in scoring. ``epochs``, if it is there, says how
        far the training is.
        """
        label, config = batch["label"], self.speaker.config
        states = self.model.student.states(batch["noisy"])
        embedding = self.model.backend(torch.stack(states, dim=1))
        if len(embedding) > len(label):
            embedding = F.normalize(embedding).unflatten(0, (len(label), -1)).mean(dim=1)
        margin = config.margin_after(batch.get("epochs", math.inf))
        loss, metrics = self.speaker(embedding, label, margin)
        metrics = {"speaker": loss, **metrics}
        if config.margin_epochs[1]:
            metrics["margin"] = loss.new_tensor(margin)
        if self.distill is not None:
            distilled, more = self.distill(states[-1], batch["teacher"])
            loss = loss + distilled
            metrics.update(more, distill=distilled)
        if self.embeddings is not None:
            distance = self.embeddings(embedding, batch["embedding_target"])
            loss = loss + self.embeddings.weight * distance
            metrics["embeddings"] = distance
        return loss, {name: torch.as_tensor(value).detach() for name, value in metrics.items()}


class SpeakerTask(TeacherTask):
    """Stage 4: validated by EER on the validation trials, on the embedding path of scoring."""

    metric = "valid_eer"

    def __init__(self, config: TrainConfig) -> None:
        source = load_teacher(config.finetune.teacher) if config.finetune.teacher else None
        if source is not None:
            config = replace(config, model=replace(config.model, teacher=source.config))
        adapted = adapted_model(config.adapt) if config.adapt else None
        if adapted is not None:
            config = replace(config, model=adapted.config)
        super().__init__(config)
        self.model = SpeakerModel(config.model) if adapted is None else adapted
        if source is not None:
            set_tensors(self.model.student, source.model.state_dict(), config.finetune.teacher)
            logger.info("fine-tuning the teacher %s", config.finetune.teacher)
        elif config.init_student:
            initialise_student(self.model.student, config.init_student)
        elif not config.init_model:
            self._initialise_frontend(self.model.student)
        self._freeze_frontend(self.model.student)
        self._mask_spectrum(self.model.student)
        self.whitener = Whitener(
            self.model, self.train_set, config.whiten, config.loop.seed, config.loop.batch_size,
            config.loop.workers,
        )  # fmt: skip
        counts = self.train_set.counts().tolist()
        teacher_dim = self.teacher.config.hidden if self.teacher is not None else None
        embeddings = None
        if config.embeddings.scp:
            targets = EmbeddingTargets(
                config.embeddings, self.train_set.dump.utterances, self.train_set.speeds
            )
            self.train_set.embedding_targets = targets
            embeddings = EmbeddingDistill(config.embeddings, config.model.backend.embedding, targets.dim)
        self.module = SpeakerObjective(
            self.model, config.speaker, counts, config.distill, teacher_dim, embeddings
        )
        if self.teacher is not None:
            self.teacher.numbers(self.module.distill.layers)
        self._open_cache()
        if config.init_student:
            _initialise_heads(self.module.distill, Path(config.init_student).with_name(HEADS), "")
        if config.init_model:
            initialise_model(self.module, self.train_set.names, config.init_model)
            for heads, prefix in ((self.module.distill, "distill."), (self.module.embeddings, "embeddings.")):
                _initialise_heads(heads, Path(config.init_model) / LOSSES, prefix)
        self._init_param(self.model)
        self.valid_dump = DumpSet(config.data.valid)
        path = Path(config.data.valid) / "trials"
        if path.with_name(ENROLL_MAP).exists():
            what = "validation compares utterances; make trials between them (svmixer make_trials)"
            raise ListError(what, path=path.with_name(ENROLL_MAP))
        self.trials = read_trials(path)
        check_classes(self.trials, path)

    def parameter_groups(self) -> list[dict[str, Any]]:
        if not self.config.finetune.teacher:
            return super().parameter_groups()
        return layer_groups(self.module, self.model, self.config.finetune)

    def validate(self, fabric: Fabric, module: nn.Module) -> dict[str, float]:
        """EER (%) and minDCF on the validation trials; every rank embeds its share."""
        self.whitener.fit()
        valid = self.config.valid
        row = {utterance: index for index, utterance in enumerate(self.valid_dump.utterances)}
        wanted = [row[utterance] for utterance in self.trials.utterances]
        embeddings = torch.zeros(len(wanted), self.config.model.embedding_size, device=fabric.device)
        mine = range(fabric.global_rank, len(wanted), fabric.world_size)
        sources = (dump_source(self.valid_dump, wanted[position]) for position in mine)
        vectors = self.model.embed_sources(sources, valid.protocol, valid.num_crops)
        for position, (_, vector) in zip(mine, vectors, strict=True):
            embeddings[position] = torch.from_numpy(vector).to(fabric.device)
        embeddings = fabric.all_reduce(embeddings, reduce_op="sum")
        metrics = evaluate(embeddings.cpu().numpy(), self.trials)
        return {"valid_eer": metrics["eer"], "valid_min_dcf": metrics["min_dcf"]["0.05"]}

    def finish(self, state: dict[str, Tensor], output_dir: Path) -> None:
        """Write the averaged model as a model directory, and beside it what the losses have learned."""
        self.module.load_state_dict(state)
        self.whitener.fit()
        losses = {key: value for key, value in state.items() if not key.startswith("model.")}
        save_tensors(losses, output_dir / LOSSES)
        save_model(self.model, output_dir / MODEL, self.train_set.names)


def adapted_model(name: str) -> SpeakerModel:
    """A finished model by its directory or name, with a whitening behind it that is not fitted yet.

    Raises:
        ModelError: no such model, or one that has such a whitening.
    """
    source = load_model(name)
    if source.config.adapted_from:
        raise ModelError(f"{name}: is adapted already; name the model that it was made from")
    place = "/".join(part for part in Path(name).parts[-3:] if part != "/")
    model = SpeakerModel(replace(source.config, adapted_from=place))
    for part, module in source.named_children():
        set_tensors(getattr(model, part), module.state_dict(), name)
    logger.info("adapting %s", name)
    return model


def _initialise_heads(heads: nn.Module | None, path: Path, prefix: str) -> None:
    """Go on with earlier heads of a loss: untrained ones would pull the student apart at first."""
    if heads is None or not path.exists():
        return
    try:
        set_tensors(heads, tensors_under(read_safetensors(path), prefix), path)
        logger.info("distillation heads from %s", path)
    except ModelError as error:
        logger.warning("distillation heads start anew: %s", error)


def initialise_student(student: Student, path: str | Path) -> None:
    """Fill a student from the weights of a distilled one, which may have more layers.

    The further layers are left out: a backend may read the lower states alone, while the student learns from
    the teacher with all of them. The norm behind the last layer then follows another one.

    Raises:
        ModelError: the file is damaged or does not fit otherwise.
    """
    tensors = read_safetensors(path)
    depth = len(student.layers)
    further = [key for key in tensors if key.startswith("layers.") and int(key.split(".")[1]) >= depth]
    for key in further:
        del tensors[key]
    set_tensors(student, tensors, path)
    logger.info("student weights from %s", path)
    if further:
        logger.info("the first %d layers of it; the others are left out", depth)


def initialise_model(module: SpeakerObjective, speakers: list[str], folder: str | Path) -> None:
    """Fill student, backend, and the speaker loss's centres of known speakers from a finished stage 4.

    Args:
        module: what is trained.
        speakers: names of its classes.
        folder: directory of that stage 4.

    Raises:
        ModelError: a file is missing, is damaged or does not fit.
    """
    path = Path(folder) / MODEL / "model.safetensors"
    tensors = read_safetensors(path)
    for part in ("student", "backend"):
        set_tensors(getattr(module.model, part), tensors_under(tensors, f"{part}."), path)
    old = {name: row for row, name in enumerate(read_speakers(path.parent))}
    path = Path(folder) / LOSSES
    sub_centres = module.speaker.config.sub_centres
    centres = read_safetensors(path).get("speaker.weight")
    # A view: (speakers, sub-centres, D).
    own = module.speaker.weight.data.unflatten(0, (-1, sub_centres))
    if centres is None or centres.shape != (len(old) * sub_centres, own.shape[2]):
        what = f"{sub_centres} of each of the {len(old)} speakers, of {own.shape[2]} numbers each"
        raise ModelError(f"{path}: has no such centres: {what}")
    known = [row for row, name in enumerate(speakers) if name in old]
    own[known] = centres.unflatten(0, (-1, sub_centres))[[old[speakers[row]] for row in known]]
    logger.info("model and the centres of %d of %d speakers from %s", len(known), len(speakers), folder)
