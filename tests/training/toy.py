"""A toy corpus, teacher and configuration, small enough to train in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch
import yaml

from svmixer.models.teacher_config import TeacherConfig
from svmixer.models.teacher_encoder import build_torchaudio
from svmixer.teachers.teacher import save_teacher

CONV = [[4, 10, 5], [4, 3, 2], [4, 3, 2], [4, 3, 2], [4, 3, 2], [4, 2, 2], [6, 2, 2]]


def write_dump(folder: Path, speakers: int, utterances: int, seconds: float = 1.0, seed: int = 0) -> None:
    """A dumped set of noisy tones, one pitch a speaker, of varying lengths, with all trials."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    names, rows = [], []
    for speaker in range(speakers):
        for number in range(utterances):
            name = f"s{speaker:02d}-{number:03d}"
            samples = int(16000 * seconds * rng.uniform(0.4, 1.6))
            time = np.arange(samples) / 16000
            wave = 0.3 * np.sin(2 * np.pi * (150 + 60 * speaker) * time) + 0.05 * rng.standard_normal(samples)
            path = folder / f"{name}.wav"
            soundfile.write(path, wave, 16000, subtype="PCM_16")
            names.append(name)
            rows.append((name, path, samples, f"s{speaker:02d}"))
    (folder / "wav.scp").write_text("".join(f"{n} {p}\n" for n, p, _, _ in rows))
    (folder / "utt2num_samples").write_text("".join(f"{n} {k}\n" for n, _, k, _ in rows))
    (folder / "utt2spk").write_text("".join(f"{n} {s}\n" for n, _, _, s in rows))
    trials = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    (folder / "trials").write_text("".join(f"{int(a[:3] == b[:3])} {a} {b}\n" for a, b in trials))


def write_teacher(folder: Path, seed: int = 0, layers: int = 2) -> None:
    """A WavLM of a few layers with random weights, as a teacher directory."""
    torch.manual_seed(seed)
    config = TeacherConfig(
        extractor_conv_layer_config=tuple(map(tuple, CONV)),
        encoder_embed_dim=12, encoder_pos_conv_kernel=8, encoder_pos_conv_groups=2, encoder_num_layers=layers,
        encoder_num_heads=2, encoder_ff_interm_features=16,
    )  # fmt: skip
    save_teacher(build_torchaudio(config), config, folder)


def write_config(path: Path, folder: Path, **loop: object) -> None:
    """A training configuration over ``folder``/{train,valid} and ``folder``/teacher."""
    channels, kernels, strides = (list(column) for column in zip(*CONV, strict=True))
    frontend = {"channels": channels, "kernels": kernels, "strides": strides}
    student = {
        "frontend": frontend,
        "layers": 2,
        "hidden": 16,
        "group_width": 8,
        "expansion": 2,
        "window": 8000,
    }
    ecapa = {"channels": 8, "attention_channels": 4, "se_bottleneck": 4, "scale": 2}
    config = {
        "teacher": str(folder / "teacher"),
        "frontend_from_teacher": True,
        "data": {
            "train": str(folder / "train"), "valid": str(folder / "valid"),
            "speeds": [0.9, 1.0], "balance": 0.5,
        },
        "model": {"student": student, "backend": {"embedding": 8, "ecapa": ecapa}, "whiten": True},
        "whiten": {"crops": 60},
        "distill": {"kind": "distilhubert", "layers": [1, 2]},
        "augment": {"prob": 0.8, "sources": [{"kind": "babble"}, {"kind": "coloured"}, {"kind": "clip"}]},
        "valid": {"protocol": "crops", "num_crops": 2},
        "loop": {
            "batch_size": 4, "max_epochs": 3, "lr": 0.003, "workers": 1, "save_every": 2, "log_every": 1,
            "keep_best": 2,
            "schedule": {"kind": "plateau", "patience": 1, "stop_after": 0}, **loop,
        },
    }  # fmt: skip
    path.write_text(yaml.safe_dump(config))
