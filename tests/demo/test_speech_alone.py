"""What the JavaScript module embeds of a recording, against the Python package; Node alone is needed."""

from __future__ import annotations

import numpy as np
from node_side import needs_node, run_js
from voices import HIGH, LOW, RATE, voice

from svmixer.inference.speech_parts import speech_parts
from svmixer.inference.utterance import wave_source

pytestmark = needs_node


def recordings() -> dict[str, np.ndarray]:
    """By what surrounds the speech."""
    rng = np.random.default_rng(0)
    speech = voice(LOW, 0, 3 * RATE)
    long, short = np.zeros(6 * RATE), np.zeros(RATE)
    found = {
        "speech": speech,
        "little": np.concatenate([short, speech, short]),
        "silence": np.concatenate([long, speech, long]),
        "end": np.concatenate([long, speech, short[:333]]),
        "two": np.concatenate([long, speech, long, voice(HIGH, 1, 2 * RATE + 77), long]),
        "nothing": long,
        "no_frame": speech[:500],
        "one_frame": speech[:512],
    }
    found["faint"] = 0.01 * voice(LOW, 6, 100003)
    found["faint, two"] = 0.01 * found["two"]
    for level in (0.001, 0.02, 0.2):
        noise = level * rng.standard_normal(15 * RATE)
        noise[6 * RATE : 9 * RATE] += speech
        found[f"noise {level}"] = noise
    return {name: wave.astype(np.float32) for name, wave in found.items()}


def test_the_same_samples_are_kept(tmp_path):
    waves = recordings()
    found = run_js(
        tmp_path, "return data.map((name) => sv.speechParts(array(name), 16000));", list(waves), **waves
    )
    shares = {}
    for (name, wave), kept in zip(waves.items(), found, strict=True):
        source = speech_parts(wave_source(wave), RATE).source
        np.testing.assert_array_equal(source.read(0, source.num_samples), np.float32(kept), name)
        shares[name] = len(kept) / len(wave)
    whole = {name for name, share in shares.items() if share == 1}
    assert whole == {
        "speech",
        "little",
        "nothing",
        "no_frame",
        "one_frame",
        "faint",
        "noise 0.02",
        "noise 0.2",
    }
    assert max(share for share in shares.values() if share < 1) < 0.4
