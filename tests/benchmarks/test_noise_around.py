"""The table of verification with noise around the speech, on made-up voices."""

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

from svmixer.runtime import load_onnx


@pytest.mark.slow
def test_noise_around(tmp_path):
    for name, kind in (("low", LOW), ("high", HIGH)):
        for number in range(4):
            path = tmp_path / "talk" / name / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, voice(kind, number, 3 * RATE), RATE)
    (tmp_path / "hum").mkdir()
    soundfile.write(tmp_path / "hum/one.wav", 0.1 * np.sin(np.arange(9 * RATE)), RATE)
    # By level, the hum 40 dB below is none of the speech.
    figures = run(
        "noise_around", tmp_path, "--speech", f"[{tmp_path / 'talk'}]", "--noise", f"[{tmp_path / 'hum'}]",
        "--snr", "40", "--detector", "false",
    )  # fmt: skip
    assert figures["found_by"] == "by its level"
    rows = cells(tmp_path / "noise_around.md")
    assert [row[1] for row in rows] == [*4 * ["noise"], *4 * ["nothing"], *4 * ["silence"]]
    # Speech that nothing surrounds is embedded as it is.
    assert figures["talk, nothing, both, all of it"] == figures["talk, nothing, both, the speech alone"]
    for around in ("noise", "silence"):
        alone = figures[f"talk, {around}, both, the speech alone"]
        assert alone["eer"] == figures["talk, nothing, both, all of it"]["eer"] == 0


@pytest.mark.slow
def test_what_is_embedded():
    from noise_around import Embedded

    model, speech = load_onnx("pocket2"), voice(LOW, 0, 3 * RATE)
    hum = 0.002 * np.sin(np.arange(13 * RATE, dtype=np.float32))
    hum[5 * RATE : 8 * RATE] += speech
    as_it_is, of_all, alone = (
        Embedded(model, [[wave] * 4], alone=how).vectors[0, 0]
        for wave, how in ((speech, True), (hum, False), (hum, True))
    )
    assert as_it_is @ alone > as_it_is @ of_all + 0.1
