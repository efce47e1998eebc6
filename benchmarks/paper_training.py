"""Seconds and GPU memory of a training step of the paper's models, on generated noise.

``python benchmarks/paper_training.py --ngpu 1`` runs both stages as ``conf/paper/`` has them, but for the
augmentation: svmixer_small, ECAPA-TDNN and a teacher of the size of WavLM-Large. The teacher's weights are
random, which changes no time; nothing is downloaded. The training's log has the seconds of a step.
"""

from __future__ import annotations

import sys
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from svmixer.config import load, parse_args
from svmixer.lists import write_table
from svmixer.models.teacher_encoder import build_torchaudio
from svmixer.teachers.teacher import bundle_config, save_teacher
from svmixer.training.config import TrainConfig
from svmixer.training.distill import DistillTask
from svmixer.training.run import run_task
from svmixer.training.speaker import SpeakerTask

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Options:
    """What is measured."""

    # GPUs; 0 trains on the CPU.
    ngpu: int = 0
    # Optimiser steps of each stage.
    steps: int = 30
    # Utterances in a batch.
    batch_size: int = 128
    # 32-true or bf16-mixed.
    precision: str = "32-true"
    # Torchaudio bundle whose size the teacher has.
    teacher: str = "WAVLM_LARGE"
    # Data-loading processes.
    workers: int = 8


def write_noise(folder: Path, utterances: int) -> None:
    """A dump of 4 s utterances, ten a speaker, with a trial of each kind."""
    folder.mkdir()
    names = [f"u{number:04d}" for number in range(utterances)]
    samples = np.random.default_rng(0).integers(-3000, 3000, (utterances, 64000), dtype=np.int16)
    for name, row in zip(names, samples, strict=True):
        with wave.open(str(folder / f"{name}.wav"), "wb") as out:
            out.setparams((1, 2, 16000, 0, "NONE", ""))
            out.writeframes(row.tobytes())
    write_table(folder / "wav.scp", {name: f"{folder}/{name}.wav" for name in names})
    write_table(folder / "utt2num_samples", dict.fromkeys(names, "64000"))
    write_table(folder / "utt2spk", {name: f"s{int(name[1:]) // 10:03d}" for name in names})
    (folder / "trials").write_text("1 u0000 u0001\n0 u0000 u0010\n")


def main(argv: list[str] | None = None) -> None:
    """Print the GPU memory of each stage; the training's log has the time."""
    options = parse_args(Options, argv, __doc__)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_noise(folder / "train", max(40, 2 * options.batch_size))
        config = bundle_config(options.teacher)
        save_teacher(build_torchaudio(config), config, folder / "teacher")
        for stage, task in (("distill", DistillTask), ("speaker", SpeakerTask)):
            values = {
                "data.train": f"{folder}/train", "data.valid": f"{folder}/train",
                "augment": str(ROOT / "conf/augment/synthetic.yaml"), "teacher": f"{folder}/teacher",
                "output_dir": f"{folder}/{stage}", "loop.max_epochs": "1",
                "loop.epoch_steps": str(options.steps), "loop.log_every": "10",
                "loop.batch_size": str(options.batch_size), "loop.precision": options.precision,
                "loop.workers": str(options.workers), "device.ngpu": str(options.ngpu),
            }  # fmt: skip
            run_task(load(TrainConfig, ROOT / f"conf/paper/train_{stage}.yaml", values), task)
            if options.ngpu:
                peak = torch.cuda.max_memory_reserved() / 2**30
                print(f"{stage}: {peak:.1f} GiB of {torch.cuda.get_device_name()}", flush=True)
                torch.cuda.reset_peak_memory_stats()


if __name__ == "__main__":
    main(sys.argv[1:])
