"""A toy model with random weights, exported once, and the speech it was checked on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/training"), str(ROOT / "tests/models")]


@pytest.fixture(scope="session")
def speech(tmp_path_factory):
    """A dumped set of noisy tones."""
    from toy import write_dump

    from svmixer.export.package import Speech

    folder = tmp_path_factory.mktemp("speech")
    write_dump(folder / "test", speakers=3, utterances=5, seed=1)
    return Speech(folder / "test")


@pytest.fixture(scope="session")
def model():
    """Half a second a window, whitened, with the backend that has the fewest parts."""
    import torch
    from random_weights import randomised

    from svmixer.models.config import BackendConfig, FrontendConfig, ModelConfig, StudentConfig
    from svmixer.models.speaker_model import SpeakerModel

    torch.manual_seed(7)
    config = ModelConfig(
        student=StudentConfig(
            frontend=FrontendConfig(channels=(8, 8, 8, 8, 8, 8, 16)),
            layers=2, hidden=32, window=8000, group_width=8, expansion=2,
        ),
        backend=BackendConfig("statistics", embedding=12),
        whiten=True,
    )  # fmt: skip
    return randomised(SpeakerModel(config)).eval()


@pytest.fixture(scope="session", autouse=True)
def few_windows():
    """The quantiser reads every window for every part; weights of the toy model are small."""
    from svmixer.export import check, int8, package

    with pytest.MonkeyPatch.context() as patch:
        for module, name, count in (
            (package, "CHOOSING", 6), (package, "CHECKING", 16), (check, "CHECKING", 16),
            (int8, "LARGE", 256),
        ):  # fmt: skip
            patch.setattr(module, name, count)
        yield


@pytest.fixture(scope="session")
def exported(model, speech, tmp_path_factory):
    """The export directory, with the model directory in it."""
    from svmixer.export.package import write_export
    from svmixer.models.io import save_model

    folder = tmp_path_factory.mktemp("exported") / "toy"
    save_model(model, folder, ["s00#sp0.9", "s01#sp0.9", "s00", "s01"])
    write_export(model, folder, speech, "toy", "## Data\n\nTones.", jobs=2)
    return folder
