"""The table of diarisation, on voices made by formula; and its errors, by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))

from table_helpers import cells, run
from voices import HIGH, LOW, RATE, voice

KINDS = (LOW, HIGH, (160.0, (500.0, 1500.0, 2500.0)))


@pytest.mark.slow
def test_diarization(tmp_path):
    for speaker, kind in enumerate(KINDS):
        folder = tmp_path / f"audio/s{speaker}"
        folder.mkdir(parents=True)
        for number in range(4):
            wave = voice(kind, 10 * speaker + number, samples=4 * RATE)
            soundfile.write(folder / f"{number}.wav", wave, RATE)
    words = ["--audio_dir", str(tmp_path / "audio"), "--enrolled", "2", "--strangers", "1"]
    figures = run("diarization", tmp_path, *words, "--points", "[standard]")
    row = cells(tmp_path / "diarization.md")[0]
    assert row[:4] == ["standard", *(f"{value:.1f}" for value in figures["standard"].values())]
    assert figures["standard"]["missed"] < 20 and figures["standard"]["confused"] < 5


def test_errors_by_hand():
    from diarization import PAUSE, Meeting, errors_of

    from svmixer.scoring.diarize import Turn

    # Two seconds of the first, one of nobody, two of the second, one of a stranger.
    truth = np.repeat([0, PAUSE, 1, 2], [200, 100, 200, 100])
    meeting = Meeting(np.zeros(0, np.float32), truth, {"ann": [], "bob": []})
    turns = [Turn(0.0, 1.5, "ann", None), Turn(3.0, 4.0, "bob", None), Turn(4.0, 5.25, "ann", None)]
    # Of four seconds half a second is missed, one second is confused; a quarter of the stranger has a name.
    assert errors_of(turns, meeting).tolist() == [0.125, 0.25, 0.25]
