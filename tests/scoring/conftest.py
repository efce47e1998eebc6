"""Small dumps and trial lists made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import kaldiio
import numpy as np
import pytest

from svmixer.lists import write_table


@pytest.fixture
def make_dump(tmp_path: Path) -> Callable[..., Path]:
    """``make_dump("test", {"speaker-utterance": wave, …})`` writes a dumped set and returns its folder."""

    def make(name: str, waves: dict[str, np.ndarray], trials: str = "") -> Path:
        folder = tmp_path / "dump" / name
        (folder / "data").mkdir(parents=True)
        ark = folder / "data/wav.1.ark"
        sources, lengths, position = {}, {}, 0
        with open(ark, "wb") as stream:
            for utterance, wave in sorted(waves.items()):
                samples = np.round(wave * 32767).astype(np.int16)
                kaldiio.save_ark(stream, {utterance: (16000, samples)})
                sources[utterance] = f"{ark}:{position + len(utterance) + 1}"
                lengths[utterance] = str(len(samples))
                position = stream.tell()
        write_table(folder / "wav.scp", sources)
        write_table(folder / "utt2num_samples", lengths)
        write_table(folder / "utt2spk", {utterance: utterance.split("-")[0] for utterance in waves})
        if trials:
            (folder / "trials").write_text(trials)
        return folder

    return make


@pytest.fixture
def voices() -> dict[str, np.ndarray]:
    """Three "speakers" with noise of their own spectral tilt, four utterances each, 0.5 to 4 s."""
    random = np.random.default_rng(0)
    waves = {}
    for speaker, pole in (("a", 0.9), ("b", 0.0), ("c", -0.7)):
        for number, seconds in enumerate((0.5, 2.0, 3.0, 4.0)):
            noise = random.normal(size=int(16000 * seconds))
            shaped = np.empty_like(noise)
            previous = 0.0
            for index, value in enumerate(noise):
                previous = value + pole * previous
                shaped[index] = previous
            waves[f"{speaker}-{number}"] = 0.3 * shaped / np.abs(shaped).max()
    return waves


@pytest.fixture
def trial_text() -> str:
    """All pairs of the utterances of ``voices``."""
    names = [f"{speaker}-{number}" for speaker in "abc" for number in range(4)]
    pairs = [(first, second) for i, first in enumerate(names) for second in names[i + 1 :]]
    return "".join(f"{int(first[0] == second[0])} {first} {second}\n" for first, second in pairs)
