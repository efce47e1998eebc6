"""What the JavaScript module measures of recordings against the Python package; Node alone is needed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import soxr
from node_side import needs_node, run_js
from voices import HIGH, LOW, RATE, voice

from svmixer.audio.quality import Quality, QualityMeter

pytestmark = needs_node


def recordings() -> dict[str, np.ndarray]:
    """By what is odd about them."""
    rng = np.random.default_rng(0)
    time = np.arange(2 * RATE) / RATE
    speech = np.concatenate([voice(LOW, 0, RATE), np.zeros(RATE // 2), voice(HIGH, 1, 2 * RATE + 77)])
    narrow = soxr.resample(soxr.resample(speech, RATE, 8000), 8000, RATE)
    found = {
        "speech": speech,
        "odd": voice(HIGH, 2, 77777),
        "telephone": narrow,
        "tone": 0.3 * np.sin(2 * np.pi * 440 * time),
        "noise": 0.1 * rng.standard_normal(2 * RATE),
        "offset": voice(LOW, 4, RATE) + 0.25,
        "silence": np.zeros(RATE),
        "one_frame": voice(LOW, 3, 320),
        "no_frame": voice(LOW, 3, 319),
        "square": np.sign(np.sin(2 * np.pi * 100 * time)),
    }
    for level, snr in itertools.product((0.001, 0.5, 2.0), (40, 20, 5)):
        noise = 10 ** (-snr / 20) * speech.std() * rng.standard_normal(len(speech))
        found[f"level {level}, {snr} dB"] = np.clip(level * 2 * (speech + noise), -1, 1)
    return {name: wave.astype(np.float32) for name, wave in found.items()}


def check(found: dict, expected: Quality, name: str) -> None:
    assert found["seconds"] == pytest.approx(expected.seconds, abs=1e-9), name
    assert found["rangeDb"] == expected.range_db, name
    # Below -100 dB is the rounding of a spectrum of 32 bits, in Python.
    assert max(found["bandDb"], -100) == pytest.approx(max(expected.band_db, -100), abs=1e-3), name
    assert found["clipped"] == pytest.approx(expected.clipped, abs=1e-12), name
    assert found["steady"] is expected.steady, name


def test_a_grid_of_recordings(tmp_path):
    waves = recordings()
    code = """
    return data.map((name) => {
      const meter = new sv.QualityMeter(16000);
      meter.take(array(name));
      return meter.quality(array(name).length);
    });
    """
    found = run_js(tmp_path, code, list(waves), **waves)
    figures = {}
    for (name, wave), measured in zip(waves.items(), found, strict=True):
        meter = QualityMeter(RATE)
        meter.take(wave)
        figures[name] = meter.quality(len(wave))
        check(measured, figures[name], name)
    differences = [
        abs(measured["bandDb"] - figures[name].band_db)
        for name, measured in zip(waves, found, strict=True)
        if figures[name].band_db > -100
    ]
    # Shown by pytest -rP.
    print(f"band: largest difference {max(differences):.1e} dB, {len(differences)} recordings")
    # They are not all alike.
    assert figures["telephone"].band_db < -34 < figures["speech"].band_db
    assert figures["square"].clipped > 0.999 and 0 < figures["level 2.0, 40 dB"].clipped < 0.5
    assert figures["level 0.5, 5 dB"].range_db < 15 < figures["level 0.5, 40 dB"].range_db


@pytest.mark.parametrize("rate", [8100, 11025, 22050])
def test_other_rates_of_a_model(tmp_path, rate):
    """Frames of 162, 220 and 441 samples: lengths of other factors than two."""
    wave = voice(HIGH, 0, 2 * rate, rate)
    code = """
    const meter = new sv.QualityMeter(data);
    meter.take(array("wave"));
    return meter.quality(array("wave").length);
    """
    meter = QualityMeter(rate)
    meter.take(wave)
    check(run_js(tmp_path, code, rate, wave=wave), meter.quality(len(wave)), f"{rate}")


def test_pieces_of_a_recording_have_peaks_of_their_own(tmp_path):
    """As long recordings are read."""
    pieces = [voice(LOW, 0, 32033), np.float32(0.01) * voice(HIGH, 1, 16001), np.zeros(777, np.float32)]
    arrays = {f"piece{n}": piece for n, piece in enumerate(pieces)}
    code = """
    const meter = new sv.QualityMeter(16000);
    for (const name of data.names) meter.take(array(name));
    return meter.quality(data.samples);
    """
    samples = sum(map(len, pieces))
    meter = QualityMeter(RATE)
    for piece in pieces:
        meter.take(piece)
    found = run_js(tmp_path, code, {"names": list(arrays), "samples": samples}, **arrays)
    check(found, meter.quality(samples), "pieces")


@pytest.mark.parametrize("step", [1, 317, 5000])
def test_a_stream_is_measured_as_the_whole(tmp_path, step):
    """However small the pieces are in which it comes."""
    wave = np.clip(3 * voice(LOW, 0, 20011), -1, 1)
    # A peak that rises, so that what was near an earlier one is not near it any more.
    wave *= np.linspace(0.5, 1, len(wave), dtype=np.float32)
    code = """
    const meter = new sv.QualityMeter(data.rate);
    const wave = array("wave");
    for (let at = 0; at < wave.length; at += data.step) meter.extend(wave.slice(at, at + data.step));
    return meter.quality(wave.length);
    """
    meter = QualityMeter(RATE)
    meter.take(wave)
    found = run_js(tmp_path, code, {"step": step, "rate": RATE}, wave=wave)
    check(found, meter.quality(len(wave)), f"{step}")


def test_a_long_stream_has_several_peaks(tmp_path):
    """One for each 48 s, which is what a file is read in: a loud end does not hide a clipped beginning."""
    loud, soft = np.float32([0.5, -0.5] * 10), np.float32([0.1, 0.02] * 10)
    code = """
    const meter = new sv.QualityMeter(1000);
    for (let n = 0; n < 2400; n++) meter.extend(array("soft"));
    for (let n = 0; n < 10; n++) meter.extend(array("loud"));
    return meter.quality(48200).clipped;
    """
    found = run_js(tmp_path, code, loud=loud, soft=soft)
    assert found == pytest.approx((24000 + 200) / 48200)
