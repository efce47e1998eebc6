"""Prepare a model for int8 on CPUs: svmixer calibrate --model DIR --data_dir dump/train

Runs the model on windows of speech and writes the ranges of its activations to DIR/int8.safetensors, which
`svmixer embed --precision int8` reads. Prints how near int8 is to float32 on other windows of that speech.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from svmixer.config import parse_args
from svmixer.limits import at_least


@dataclass(frozen=True)
class CalibrateConfig:
    """Options of ``svmixer calibrate``."""

    # Model directory.
    model: str
    # Dumped set of speech like that to come, not the one that is tested on.
    data_dir: str
    # Windows that the ranges are taken from; as many others are compared.
    windows: int = 48

    def __post_init__(self) -> None:
        at_least(self, 1, "windows")


def main(argv: list[str] | None = None) -> None:
    """Command line; a user's mistake ends with one line and status 1."""
    config = parse_args(CalibrateConfig, argv, __doc__)
    run(config)


def run(config: CalibrateConfig) -> None:
    """Calibrate, write, compare."""
    from svmixer.audio.dumpset import DumpSet
    from svmixer.export.check import cosines
    from svmixer.export.windows import speech_windows
    from svmixer.fast import CALIBRATION, calibrate, optimise, save_calibration
    from svmixer.inference.model_dir import find_directory
    from svmixer.models.embedding import window_embedder
    from svmixer.models.io import load_model

    model = load_model(config.model)
    windows = speech_windows(DumpSet(config.data_dir), model.window, 2 * config.windows, seed=0)
    calibration = calibrate(model, windows[: config.windows])
    path = find_directory(config.model, "model") / CALIBRATION
    save_calibration(calibration, path)
    exact, ours = (window_embedder(each) for each in (model, optimise(model, "int8", calibration)))
    others = windows[config.windows :]
    near = cosines(*(np.concatenate([embed(row[None]) for row in others]) for embed in (ours, exact)))
    print(
        f"{path}: cosine of int8 with float32 over {len(near)} windows: lowest {near.min():.6f}, "
        f"mean {near.mean():.6f}"
    )
