"""Utterance embeddings of a GE2E LSTM (Wan et al., ICASSP 2018) for --teacher_embeddings.

The weights are those of the package Resemblyzer (Apache-2.0), which was trained on thousands of speakers. Its
one file `pretrained.pt` is read, so none of what the package imports is needed: `pip download --no-deps
resemblyzer` gets the wheel.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import torch
from torch import Tensor, nn

from svmixer.cli.main import failed
from svmixer.config import parse_args
from svmixer.errors import SvmixerError
from svmixer.scoring.other_systems import embed_at_speeds

FRAMES = 160  # of 10 ms in a partial utterance
HOP = 160  # samples
STEP = 77  # frames from one partial utterance to the next: 1.3 a second
COVERED = 0.75  # share of the last partial utterance that must be speech, unless it is the only one
LEVEL = -30.0  # dB of full scale; what is quieter is brought up to it


@dataclass(frozen=True)
class EmbeddingsConfig:
    """Options of the helper."""

    # The package's wheel, or its unpacked folder with pretrained.pt.
    resemblyzer: str
    # Dumped set whose utterances are embedded.
    dump_dir: str = "dump/train"
    # Playing speeds; utterances at another one than 1 are named utterance#sp0.9, as training asks for them.
    speeds: tuple[float, ...] = (1.0,)
    # Folder that receives embeddings.scp and its archives.
    output_dir: str = "exp/ge2e"


class GE2E(nn.Module):
    """Three LSTM layers on 40 mel energies, linear map, rectifier; the file's names of the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(40, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    def forward(self, mel: Tensor) -> Tensor:
        """Mel energies (B, T, 40) → embeddings (B, 256) of length 1."""
        _, (hidden, _) = self.lstm(mel)
        return nn.functional.normalize(torch.relu(self.linear(hidden[-1])))


def load(package: Path) -> GE2E:
    """The network with the package's weights.

    Raises:
        SvmixerError: no weights there.
    """
    if package.is_file():
        with zipfile.ZipFile(package) as wheel, wheel.open("resemblyzer/pretrained.pt") as stream:
            saved = torch.load(stream, map_location="cpu", weights_only=True)
    else:
        found = sorted(package.rglob("pretrained.pt"))
        if not found:
            raise SvmixerError(
                f"{package}: no pretrained.pt: pip download --no-deps resemblyzer, and unzip it"
            )
        saved = torch.load(found[0], map_location="cpu", weights_only=True)
    model = GE2E().eval()
    weights = model.state_dict()
    model.load_state_dict({name: saved["model_state"][name] for name in weights})
    return model


def embed(model: GE2E, wave: np.ndarray) -> np.ndarray:
    """An utterance (N,) at 16 kHz → (256,): the mean over partial utterances at length 1."""
    level = 10 * np.log10(np.mean(wave.astype(np.float64) ** 2) + 1e-12)
    wave = wave * np.float32(10 ** (max(LEVEL - level, 0.0) / 20))
    frames = -(-(len(wave) + 1) // HOP)
    starts = list(range(0, max(1, frames - FRAMES + STEP + 1), STEP))
    if len(starts) > 1 and len(wave) / HOP - starts[-1] < COVERED * FRAMES:
        starts.pop()
    wave = np.pad(wave, (0, max(0, (starts[-1] + FRAMES) * HOP - len(wave))))
    mel = librosa.feature.melspectrogram(y=wave, sr=16000, n_fft=400, hop_length=HOP, n_mels=40).T
    parts = np.stack([mel[start : start + FRAMES] for start in starts]).astype(np.float32)
    with torch.inference_mode():
        mean = model(torch.from_numpy(parts)).mean(dim=0).numpy()
    return mean / np.linalg.norm(mean)


def main() -> None:
    """Command line; a user's mistake ends with one line and status 1."""
    config = parse_args(EmbeddingsConfig, description=__doc__)
    try:
        model = load(Path(config.resemblyzer))
        embed_at_speeds(
            config.dump_dir, partial(embed, model), config.speeds, config.output_dir, {"system": "GE2E"}
        )
    except (SvmixerError, OSError) as error:
        raise failed(str(error)) from None


if __name__ == "__main__":
    main()
