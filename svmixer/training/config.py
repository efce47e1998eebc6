"""Configurations of distillation, speaker training and pretraining; nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from svmixer.audio.augment_config import AugmentConfig
from svmixer.audio.dumpset import RATE
from svmixer.distributed.config import DeviceConfig
from svmixer.limits import at_least, between, different, not_negative, positive
from svmixer.losses.config import AAMConfig, DistillConfig, EmbeddingDistillConfig
from svmixer.models.config import ModelConfig
from svmixer.models.teacher_config import TeacherConfig
from svmixer.training.finetune import FinetuneConfig
from svmixer.training.schedule import PhaseConfig, ScheduleConfig


@dataclass(frozen=True)
class DataConfig:
    """Which data, in which order and at which speeds."""

    train: str = "dump/train"  # dumped set to train on
    valid: str = "dump/valid"  # dumped set of other speakers, with trials
    # playing speeds; each but 1 makes new speakers of the training speakers
    speeds: tuple[float, ...] = (0.9, 1.0, 1.1)
    # 0: every utterance once an epoch; 1: every speaker equally often; between: in between
    balance: float = 0.0
    # batches of pairs: two utterances of a speaker side by side, where possible of different sessions (the
    # dump's utt2session)
    session_pairs: bool = False
    # windows of the student that a training crop has, one after the other; their embeddings are averaged
    windows: int = 1
    # clean crops of each utterance (and speed) that the epochs take in turn; 0 cuts a new one in every epoch
    crops_per_utterance: int = 0

    def __post_init__(self) -> None:
        different(self, "speeds")
        between(self, 0.5, 2.0, "speeds")
        if len({f"{speed:g}" for speed in self.speeds}) < len(self.speeds):
            # Speakers are named after their speeds.
            raise ValueError(f"speeds: too near to each other: {', '.join(map(str, self.speeds))}")
        between(self, 0.0, 1.0, "balance")
        not_negative(self, "crops_per_utterance")
        at_least(self, 1, "windows")


@dataclass(frozen=True)
class SpectrumMasksConfig:
    """SpecAugment: masks over log-mel bands and over time, in training alone."""

    # Masks over bands and masks over time of each crop; 0: none.
    count: int = 0
    # Most neighbouring bands that a mask covers.
    bands: int = 8
    # Most neighbouring frames (20 ms) that a mask covers.
    frames: int = 10

    def __post_init__(self) -> None:
        not_negative(self, "count", "bands", "frames")


@dataclass(frozen=True)
class TeacherCacheConfig:
    """Whether and where the teacher's states are kept; needs data.crops_per_utterance."""

    dir: str = ""  # directory on a disk that all nodes see; empty computes the states at every step
    dtype: Literal["float16", "float32"] = "float16"  # as which type they are stored


@dataclass(frozen=True)
class WhitenConfig:
    """What the whitening is fitted on, if the model has one."""

    crops: int = 2048  # augmented training crops
    balance: float = 1.0  # their choice, as data.balance: 1 takes every speaker equally often
    shrinkage: float = 0.1  # between the scatter found (0) and the same scatter in all directions (1)

    def __post_init__(self) -> None:
        at_least(self, 1, "crops")
        between(self, 0.0, 1.0, "balance", "shrinkage")


@dataclass(frozen=True)
class ValidConfig:
    """How speaker training is validated."""

    protocol: Literal["crops", "whole"] = "crops"  # as in scoring
    num_crops: int = 10  # crops an utterance

    def __post_init__(self) -> None:
        at_least(self, 1, "num_crops")


@dataclass(frozen=True)
class LoopConfig:
    """How long, how fast and on what a training runs."""

    seed: int = 0  # seed of weights, order, crops, augmentation and dropout
    batch_size: int = 32  # utterances per process and backward pass
    accumulate: int = 1  # backward passes per optimiser step
    max_epochs: int = 20  # epochs at most; 0 trains nothing, the model is validated and written as it starts
    epoch_steps: int = 0  # optimiser steps from one validation to the next; 0 = one pass over the data
    lr: float = 2e-4  # AdamW's learning rate
    weight_decay: float = 2e-5  # AdamW's weight decay
    clip: float = 10.0  # largest gradient norm; 0 does not clip
    precision: str = "32-true"  # 32-true or bf16-mixed
    workers: int = 2  # data-loading processes per training process; 0 loads in the training process
    save_every: int = 100  # optimiser steps between checkpoints
    log_every: int = 20  # optimiser steps between progress lines
    keep_best: int = 3  # how many of the best epochs are kept, and averaged at the end
    allow_changes: bool = False  # true: continue a training with options that change its result, too
    # Learning-rate schedule and early stopping.
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    # Optimisers one after another, in place of max_epochs, lr, weight_decay and schedule.
    phases: tuple[PhaseConfig, ...] = ()

    def __post_init__(self) -> None:
        if self.precision not in ("32-true", "bf16-mixed"):
            raise ValueError(f"precision: '{self.precision}' is not one of 32-true, bf16-mixed")
        at_least(self, 1, "batch_size", "accumulate", "save_every", "log_every", "keep_best")
        not_negative(self, "seed", "max_epochs", "epoch_steps", "weight_decay", "clip", "workers")
        positive(self, "lr")
        if self.phases:
            plain = {item.name: item.default for item in fields(self)} | {"schedule": ScheduleConfig()}
            for name in ("max_epochs", "lr", "weight_decay", "schedule"):
                if getattr(self, name) != plain[name]:
                    raise ValueError(f"{name}: not read beside phases, which have their own")


@dataclass(frozen=True)
class TrainConfig:
    """Everything stage 3 or stage 4 depends on."""

    output_dir: str = "exp/train"  # where checkpoints, logs and the model go
    teacher: str = "wavlm_tiny"  # name or directory of the teacher; empty trains without one (stage 4 only)
    # stage 4: student weights to start from (stage 3's student.safetensors); empty starts anew
    init_student: str = ""
    # stage 4: directory of an earlier stage 4 to start from: student, backend and the centres of the speakers
    # that both have (large-margin fine-tuning); empty starts anew
    init_model: str = ""
    # stage 4: directory or name of a finished model that is kept as it is: nothing is trained, a whitening
    # behind its embedding is fitted on the training speakers
    adapt: str = ""
    # Tensors of other models to start from, each PATH[:SRC[:DST[:EXCLUDE]]] with the prefixes student and
    # backend, as "exp/a/export:student"; they come last.
    init_param: tuple[str, ...] = ()
    # start the student's front end from the teacher's, where shapes agree
    frontend_from_teacher: bool = False
    freeze_frontend: bool = False  # keep the convolutional front end as it starts
    # A teacher to fine-tune with the backend, in the student's place (stage 4).
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    # Data sets, speeds, balance.
    data: DataConfig = field(default_factory=DataConfig)
    # Augmentation of the student's input.
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    # Masks over the student's log-mel bands (front ends that begin with them).
    spectrum_masks: SpectrumMasksConfig = field(default_factory=SpectrumMasksConfig)
    # Student and backend: sections or names of YAML files.
    model: ModelConfig = field(default_factory=ModelConfig)
    # The teacher's states on disk.
    teacher_cache: TeacherCacheConfig = field(default_factory=TeacherCacheConfig)
    # Distillation loss.
    distill: DistillConfig = field(default_factory=DistillConfig)
    # Embeddings of another system as further targets (stage 4).
    embeddings: EmbeddingDistillConfig = field(default_factory=EmbeddingDistillConfig)
    # Speaker loss (stage 4).
    speaker: AAMConfig = field(default_factory=AAMConfig)
    # Whitening of the embeddings (stage 4).
    whiten: WhitenConfig = field(default_factory=WhitenConfig)
    # Validation (stage 4).
    valid: ValidConfig = field(default_factory=ValidConfig)
    # The training loop.
    loop: LoopConfig = field(default_factory=LoopConfig)
    # Where it runs.
    device: DeviceConfig = field(default_factory=DeviceConfig)

    def __post_init__(self) -> None:
        if self.init_student and self.init_model:
            raise ValueError("init_model: not beside init_student (--init_distilled false leaves that out)")
        last, epochs = self.speaker.margin_epochs[1], self.loop.max_epochs
        steps = sum(phase.steps for phase in self.loop.phases)
        if steps and self.loop.epoch_steps:
            epochs = steps / self.loop.epoch_steps
        if last > epochs > 0 and (self.loop.epoch_steps or not steps):
            raise ValueError(
                f"speaker.margin_epochs: {last:g} epochs never come, the training has {epochs:g}"
            )
        if self.model.sample_rate != RATE:
            raise ValueError(
                f"model.sample_rate: dumped speech has {RATE} Hz, found {self.model.sample_rate}"
            )
        if self.finetune.teacher:
            self._check_finetune()
        if self.adapt:
            self._check_adapt()
        if self.spectrum_masks.count and self.model.student.frontend.first_layer != "log_mel":
            raise ValueError("spectrum_masks: the student's front end has no log-mel bands (first_layer)")
        if self.data.session_pairs and self.loop.batch_size % 2:
            raise ValueError(f"loop.batch_size: {self.loop.batch_size} utterances are no session_pairs")
        if self.data.windows > 1 and self.teacher_cache.dir:
            raise ValueError("teacher_cache: has states of single windows, and data.windows is more than 1")

    def _check_adapt(self) -> None:
        for name in ("teacher", "init_student", "init_model", "init_param", "frontend_from_teacher"):
            if getattr(self, name):
                raise ValueError(
                    f"{name}: not beside adapt, which takes a model as it is "
                    "(--teacher none, --init_distilled false, --frontend_from_teacher false)"
                )
        if self.finetune.teacher or self.embeddings.scp:
            raise ValueError("adapt: trains nothing, neither a teacher (finetune) nor on teacher_embeddings")
        if self.loop.max_epochs or self.loop.phases:
            raise ValueError("adapt: trains nothing: loop.max_epochs is 0 then")

    def _check_finetune(self) -> None:
        clashing = ("teacher", "init_student", "frontend_from_teacher")
        for name in clashing:
            if getattr(self, name):
                raise ValueError(
                    f"{name}: not beside finetune.teacher, which stands in the student's place "
                    "(--teacher none, --init_distilled false, --frontend_from_teacher false)"
                )


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
    mel_frontend: bool = False  # start the first convolution as a filterbank on the mel scale
    mix_prob: float = 0.2  # probability of mixing in a part of another utterance
    mix_snr: tuple[float, float] = (-5.0, 10.0)  # dB of the first speaker over the other
    valid_batches: int = 24  # batches of fixed crops that the accuracy is measured on
    # The teacher to train.
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    # The training loop.
    loop: LoopConfig = field(default_factory=LoopConfig)
    # Where it runs.
    device: DeviceConfig = field(default_factory=DeviceConfig)

    def __post_init__(self) -> None:
        positive(self, "seconds")
        at_least(self, 1, "crops", "mask_length", "valid_batches")
        at_least(self, 2, "clusters")
        at_least(self, self.clusters, "kmeans_frames")
        between(self, 0.0, 1.0, "mask_prob", "mix_prob")
        not_negative(self, "unmasked_weight")
        if self.mix_snr[0] > self.mix_snr[1]:
            raise ValueError(f"mix_snr: expected lowest and highest, found {self.mix_snr}")
