"""Both forms of a training step, the training's own and the plain one, on the same data, and how they differ.

The data are lists of noise, the model svmixer_tiny, its teacher wavlm_tiny.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from augment import write_lists
from plain_training import PlainDistill, PlainSpeaker
from systems import ROOT
from torch.utils.data import DataLoader

from svmixer.config import load
from svmixer.distributed.device import DeviceConfig, make_fabric
from svmixer.training.config import TrainConfig
from svmixer.training.distill import DistillTask
from svmixer.training.speaker import SpeakerTask

LAYERS = (2, 4)
TASKS = {"distill": DistillTask, "train": SpeakerTask}


def configuration(folder: Path, threads: int, batch_size: int, cached: bool) -> TrainConfig:
    """The training configuration of the default recipe on the lists in ``folder``."""
    values = {
        "model.student": str(ROOT / "conf/student/svmixer_tiny.yaml"),
        "model.backend": str(ROOT / "conf/backend/statistics.yaml"),
        "frontend_from_teacher": "true",
        "data.train": str(folder / "dump"), "data.valid": str(folder / "dump"),
        "data.crops_per_utterance": "1", "distill.kind": "distilhubert", "distill.layers": str(list(LAYERS)),
        "loop.batch_size": str(batch_size), "loop.clip": "5", "loop.lr": "1e-4", "loop.workers": "0",
        "device.threads": str(threads), "teacher_cache.dir": str(folder / "cache") if cached else "",
    }  # fmt: skip
    return load(TrainConfig, None, values)


def write_data(folder: Path, utterances: int) -> None:
    """Lists of noise in ``folder``, ten utterances a speaker, with a trial of each kind."""
    dump = Path(write_lists(folder, np.random.default_rng(0), utterances)[0])
    (dump / "trials").write_text("1 utt000 utt001\n0 utt000 utt010\n")


def plain_module(task: DistillTask | SpeakerTask) -> PlainDistill | PlainSpeaker:
    """The plain form with the weights of ``task``."""
    config = task.config
    if isinstance(task, DistillTask):
        module: Any = PlainDistill(config.model.student, LAYERS)
    else:
        classes = len(task.train_set.counts())
        speaker = type(task.module.speaker)(config.model.backend.embedding, classes, config.speaker)
        module = PlainSpeaker(config.model.student, config.model.backend.embedding, LAYERS, speaker)
    module.load_state_dict(task.module.state_dict())
    return module


@torch.no_grad()
def plain_teacher(task: DistillTask | SpeakerTask, wave: torch.Tensor) -> torch.Tensor:
    """All states of the teacher by torchaudio's own ``extract_features``; state 0 is not read."""
    model = task.teacher.model
    states, _ = model.extract_features(wave)
    states = [states[0], *states]
    if task.teacher.config.encoder_layer_norm_first:
        states[-1] = model.encoder.transformer.layer_norm(states[-1])
    return torch.stack(states, dim=1)


def differences(task: DistillTask | SpeakerTask, batch: dict[str, torch.Tensor]) -> dict[str, float]:
    """Largest difference of loss and of gradients (relative to each one's norm) between the two forms.

    In double precision, where nothing but another computation can differ: some gradients are sums that
    cancel. The teachers compute as in training.
    """
    plain = plain_module(task).double().train()
    task.module.double().train()
    double = {**batch, "noisy": batch["noisy"].double()}
    loss, _ = task.module({**double, "teacher": task.prepare(batch)["teacher"].double()})
    other = plain(double, plain_teacher(task, batch["clean"]).double())["loss"]
    loss.backward()
    other.backward()
    gradients = {name: p.grad for name, p in plain.named_parameters()}
    largest = 0.0
    for name, p in task.module.named_parameters():
        scale = max(float(gradients[name].norm()), 1e-6)
        largest = max(largest, float((p.grad - gradients[name]).norm()) / scale)
    return {"loss": abs(loss.item() - other.item()) / abs(other.item()), "gradient": largest}


def check(stage: str, folder: Path, batch_size: int) -> dict[str, float]:
    """:func:`differences` of a stage on one batch.

    Raises:
        SystemExit: the two forms are not the same mathematics.
    """
    make_fabric(DeviceConfig(threads=1), "32-true")
    task = TASKS[stage](configuration(folder, 1, batch_size, False))
    items = [[(1, number) for number in range(batch_size)]]
    found = differences(task, next(iter(DataLoader(task.train_set, batch_sampler=items))))
    print(f"{stage}: largest differences {found}", file=sys.stderr, flush=True)
    if max(found.values()) > 1e-5:
        raise SystemExit(f"{stage}: the two forms differ: {found}")
    return found
