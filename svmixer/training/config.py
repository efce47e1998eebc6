"""Configurations of distillation, speaker training and pretraining; nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from svmixer.audio.augment_config import AugmentConfig
from svmixer.limits import at_least, between, different, not_negative, positive
from svmixer.losses.config import AAMConfig, DistillConfig
from svmixer.models.config import ModelConfig
from svmixer.teachers.config import TeacherConfig
from svmixer.training.loop_config import LoopConfig


@dataclass(frozen=True)
class DataConfig:
    """Which data, in which order and at which speeds."""

    train: str = "dump/train"  # dumped set to train on
    valid: str = "dump/valid"  # dumped set of other speakers, with trials
    # playing speeds; each but 1 makes new speakers of the training speakers
    speeds: tuple[float, ...] = (0.9, 1.0, 1.1)
    # 0: every utterance once an epoch; 1: every speaker equally often; between: in between
    balance: float = 0.0
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
class DeviceConfig:
    """Where a training runs; no result but rounding depends on it."""

    ngpu: int = 0  # GPUs per node; 0 trains on the CPU
    processes: int = 1  # processes per node when there is no GPU
    num_nodes: int = 1  # nodes
    # Number of this node, from 1, where every node is started by itself, the same command on each; 0: srun or
    # Grid Engine's parallel environment says which one it is.
    node: int = 0
    # Name of this attempt to run on several nodes: what is left of another one is told by it.
    attempt: str = ""
    # Seconds that a node waits for the others.
    patience: float = 1800.0
    # threads per process on the CPU; 0 takes the cores this job may use, divided by the processes
    threads: int = 0

    def __post_init__(self) -> None:
        at_least(self, 0, "ngpu", "node", "threads")
        at_least(self, 1, "processes", "num_nodes")
        positive(self, "patience")
        if self.node > self.num_nodes:
            raise ValueError(f"node: there are {self.num_nodes} (num_nodes), found {self.node}")

    @property
    def per_node(self) -> int:
        """Processes of a node."""
        return self.ngpu or self.processes

    @property
    def world(self) -> int:
        """Processes in all."""
        return self.per_node * self.num_nodes


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
    # Tensors of other models to start from, each PATH[:SRC[:DST[:EXCLUDE]]] with the prefixes student and
    # backend, as "exp/a/export:student"; they come last.
    init_param: tuple[str, ...] = ()
    # start the student's front end from the teacher's, where shapes agree
    frontend_from_teacher: bool = False
    freeze_frontend: bool = False  # keep the student's convolutional front end as it starts
    # Data sets, speeds, balance.
    data: DataConfig = field(default_factory=DataConfig)
    # Augmentation of the student's input.
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    # Student and backend: sections or names of YAML files.
    model: ModelConfig = field(default_factory=ModelConfig)
    # The teacher's states on disk.
    teacher_cache: TeacherCacheConfig = field(default_factory=TeacherCacheConfig)
    # Distillation loss.
    distill: DistillConfig = field(default_factory=DistillConfig)
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
        if last > epochs > 0 and not self.loop.phases:
            raise ValueError(
                f"speaker.margin_epochs: {last:g} epochs never come, loop.max_epochs is {epochs}"
            )
        if self.data.windows > 1 and self.teacher_cache.dir:
            raise ValueError("teacher_cache: has states of single windows, and data.windows is more than 1")


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
