"""The JavaScript module against the Python package, apart from the model itself."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from node_side import needs_node, run_js
from voices import HIGH, LOW, RATE, voice

from svmixer.audio.checks import as_channels, check_rate, one_channel
from svmixer.audio.errors import AudioError
from svmixer.audio.speech import SpeechMeter
from svmixer.inference.stream import EmbeddingStream
from svmixer.inference.windows import PROTOCOLS, repeat_pad, utterance_starts
from svmixer.runtime import enrol, verify

pytestmark = needs_node


def test_windows_are_the_same(tmp_path):
    rng = np.random.default_rng(0)
    cases = [(1, 5), (5, 5), (6, 5), (10, 5), (11, 5), (48001, 48000), (96000, 48000), (144001, 48000)]
    cases += [(int(n), int(w)) for n, w in rng.integers(1, (10**7, 10**5), (300, 2))]
    cases = [
        (n, w, p, c)
        for n, w in cases
        for p, c in (*((name, 10) for name in PROTOCOLS), ("crops", 1), ("crops", 7))
    ]
    found = run_js(tmp_path, "return data.map((args) => sv.utteranceStarts(...args));", cases)
    different = [
        case for case, starts in zip(cases, found, strict=True) if utterance_starts(*case).tolist() != starts
    ]
    assert different == []
    # Half-way positions go to the even side: (N - window) / 2 for an odd N - window.
    assert run_js(tmp_path, 'return sv.utteranceStarts(9 + 5, 5, "crops", 3);') == [0, 4, 9]


def test_short_audio_is_repeated_alike(tmp_path):
    wave = voice(LOW, 0, 7)
    for window in (3, 7, 8, 20, 21, 22):
        found = run_js(tmp_path, 'return sv.repeatPad(array("wave"), data);', window, wave=wave)
        np.testing.assert_array_equal(np.float32(found), repeat_pad(wave, window))


@pytest.mark.parametrize("rate", [8000, 11025, 16001, 22050, 44100, 48000, 96000])
def test_resampling_is_that_of_python(tmp_path, rate):
    """Where there is nothing in the transition band of the filters, which each has its own of."""
    wave = np.pad(voice(HIGH, 1, 2 * rate + 77, rate), rate // 10)
    spectrum = np.fft.rfft(wave)
    spectrum[np.fft.rfftfreq(len(wave), 1 / rate) > 0.9 * min(rate, RATE) / 2] = 0
    wave = np.fft.irfft(spectrum, len(wave)).astype(np.float32)
    expected = soxr.resample(wave, rate, RATE, quality="HQ")
    code = """
    const wave = array("wave");
    const resampler = new sv.Resampler(data, 16000);
    const pieces = [];
    for (let at = 0; at < wave.length; at += 1001) pieces.push(resampler.push(wave.slice(at, at + 1001)));
    pieces.push(resampler.push(new Float32Array(0), true));
    return [sv.resample(wave, data, 16000), pieces.flatMap((piece) => Array.from(piece))];
    """
    whole, pieces = map(np.float32, run_js(tmp_path, code, rate, wave=wave))
    assert len(whole) == len(expected)
    np.testing.assert_allclose(whole, expected, atol=1e-5)
    np.testing.assert_array_equal(pieces, whole)


def test_equal_rates_leave_samples_alone(tmp_path):
    wave = voice(LOW, 0, 100)
    found = run_js(tmp_path, 'return sv.resample(array("wave"), 16000, 16000);', wave=wave)
    np.testing.assert_array_equal(np.float32(found), wave)


def test_speech_is_counted_alike(tmp_path):
    rng = np.random.default_rng(0)
    time = np.arange(2 * RATE) / RATE
    waves = {
        "speech": voice(LOW, 0, 3 * RATE + 5),
        "pauses": np.concatenate([np.zeros(RATE), voice(HIGH, 1, RATE), np.full(RATE, 0.1)]),
        "tone": 0.3 * np.sin(2 * np.pi * 440 * time),
        "noise": 0.1 * rng.standard_normal(2 * RATE),
        "silence": np.zeros(RATE),
        "faint": 1e-4 * rng.standard_normal(RATE),
        "short": voice(LOW, 0, 319),
    }
    waves = {name: wave.astype(np.float32) for name, wave in waves.items()}
    code = """
    return data.map((name) => {
      const meter = new sv.SpeechMeter(16000);
      meter.take(array(name));
      return [meter.share(), meter.steady()];
    });
    """
    found = dict(zip(waves, run_js(tmp_path, code, list(waves), **waves), strict=True))
    for name, wave in waves.items():
        meter = SpeechMeter(RATE)
        meter.take(wave)
        assert found[name] == [pytest.approx(meter.share(), abs=1e-9), meter.steady()], name
    assert found["tone"] == [1, True] and found["speech"][1] is False
    assert found["pauses"][0] == pytest.approx(1 / 3, abs=0.02)


WINDOW = 320


def ends(windows: np.ndarray) -> np.ndarray:
    """A model whose embedding shows where its window lay."""
    return np.concatenate([windows[:, :3], windows[:, -3:], windows.mean(axis=1, keepdims=True)], axis=1)


def test_streams_have_the_same_windows(tmp_path):
    rng = np.random.default_rng(0)
    wave = rng.standard_normal(1200).astype(np.float32)
    cases = [
        (int(n), hop, step)
        for n in (300, 319, 320, 321, 640, 1200)
        for hop in (320, 20, 7)
        for step in (1, 37, 900)
    ]
    code = """
    const ends = (window) => {
      const mean = window.reduce((sum, sample) => sum + sample, 0) / window.length;
      return Float32Array.of(...window.slice(0, 3), ...window.slice(-3), mean);
    };
    const model = { window: 320, sampleRate: 1000, embedWindows: async (windows) => windows.map(ends) };
    const found = [];
    for (const [count, hop, step] of data) {
      const stream = new sv.EmbeddingStream(model, { hop });
      const wave = array("wave").slice(0, count);
      for (let at = 0; at < count; at += step) await stream.push(wave.slice(at, at + step));
      await stream.finish();
      found.push([stream.windows, stream.numSamples, await stream.embedding()]);
    }
    return found;
    """
    found = run_js(tmp_path, code, cases, wave=wave)
    for (count, hop, step), (windows, samples, embedding) in zip(cases, found, strict=True):
        stream = EmbeddingStream(ends, WINDOW, hop)
        for at in range(0, count, step):
            stream.push(wave[at : min(at + step, count)])
        assert (windows, samples) == (stream.windows, count)
        np.testing.assert_allclose(embedding, stream.embedding(), atol=2e-6, err_msg=f"{count} {hop} {step}")


def test_enrolment_and_verdicts_are_the_same(tmp_path):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((4, 12)).astype(np.float32)
    code = """
    const all = array("vectors");
    const rows = [0, 1, 2, 3].map((row) => all.slice(12 * row, 12 * row + 12));
    const speaker = sv.enrol(rows.slice(0, 3));
    const model = { calibration: null, threshold: data.score - 0.04 };
    const people = [{ name: "a", embedding: rows[0] }, { name: "b", embedding: rows[1] }];
    const test = { embedding: rows[1] };
    return {
      speaker,
      own: sv.verify(speaker, rows[3], model, { doubts: ["b.wav: 0.4 s of speech"] }),
      given: sv.verify(speaker, rows[3], model, { threshold: 0.9 }),
      none: sv.verify(speaker, rows[3], { calibration: null, threshold: null }),
      somebody: sv.identify(people, test, model),
      nobody: sv.identify(people.slice(0, 1), test, model, { threshold: 0.99 }),
      empty: sv.identify([], test, model),
    };
    """
    speaker = enrol(list(vectors[:3]))
    expected = verify(speaker, vectors[3], 0.5)
    found = run_js(tmp_path, code, {"score": expected.score}, vectors=vectors)
    np.testing.assert_allclose(found["speaker"], speaker, atol=1e-7)
    assert found["own"]["score"] == pytest.approx(expected.score, abs=1e-6)
    assert (found["own"]["same"], found["own"]["decision"]) == (True, "one speaker")
    assert (found["own"]["ratio"], found["own"]["probability"]) == (None, None)
    assert found["own"]["doubts"] == ["b.wav: 0.4 s of speech", "0.0400 from the threshold"]
    assert (found["given"]["same"], found["given"]["threshold"], found["given"]["doubts"]) == (False, 0.9, [])
    assert [found["none"][key] for key in ("same", "threshold", "decision")] == [None, None, None]
    assert (found["somebody"]["decision"], found["somebody"]["name"]) == ("somebody", "b")
    assert [row["name"] for row in found["somebody"]["likeliest"]] == ["b", "a"]
    assert found["somebody"]["likeliest"][0]["score"] == pytest.approx(1, abs=1e-6)
    assert (found["nobody"]["decision"], found["nobody"]["name"]) == ("nobody", None)
    assert found["empty"] == {"decision": "nobody", "name": None, "likeliest": []}


def test_what_cannot_be_compared(tmp_path):
    code = """
    const model = { calibration: null, threshold: null };
    return Promise.all([
      () => sv.enrol([]),
      () => sv.enrol([[1, 0], [1, 0, 0]]),
      () => sv.enrol([[1, 0], [0, 0]]),
      () => sv.verify([1, 0], [NaN, 1], model),
      () => sv.verify([1, 0], [1, 0, 0], model),
      () => sv.verify([1, 0], [1, 0], model, { threshold: 7 }),
      () => sv.verify([1, 0], [1, 0], model, { operatingPoint: "strict" }),
    ].map(refusal));
    """
    assert run_js(tmp_path, code) == [
        "a speaker is enrolled from one recording at least",
        "embeddings of different sizes: 2 and 3",
        "an embedding that is zero or not finite cannot be compared",
        "an embedding that is zero or not finite cannot be compared",
        "embeddings of different sizes: 2 and 3",
        "threshold: a cosine from -1 to 1, found 7",
        "the model has no calibration: an operating point or maxFalseAccepts needs a calibration",
    ]


def refusal(wave: object, rate: int = RATE, channel: int | None = None) -> str:
    with pytest.raises(AudioError) as error:
        one_channel(as_channels(wave), check_rate(rate), channel)
    return str(error.value)


def test_the_same_audio_is_refused_with_the_same_words(tmp_path):
    good = voice(LOW, 0, RATE)
    bad = good.copy()
    bad[:4] = np.nan
    arrays = {
        "good": good,
        "bad": bad,
        "loud": 300 * np.ones(RATE, np.float32),
        "zero": np.zeros(RATE, np.float32),
    }
    code = """
    const model = new sv.Model(null, null, { sample_rate: 16000, window: 48000, threshold: null });
    const good = array("good");
    return Promise.all([
      () => model.embed(new Float32Array(0)),
      () => model.embed(good.slice(0, 3200)),
      () => model.embed(array("bad")),
      () => model.embed(array("zero")),
      () => model.embed([good, good.map((sample) => -sample)]),
      () => model.embed([good, good], 16000, { channel: 2 }),
      () => model.embed(good, 999),
      () => model.embed(array("loud")),
    ].map(refusal));
    """
    found = run_js(tmp_path, code, **arrays)
    assert found[:7] == [
        refusal(good[:0]),
        refusal(good[:3200]),
        refusal(bad),
        refusal(arrays["zero"]),
        refusal(np.stack([good, -good])),
        refusal(np.stack([good, good]), channel=2),
        refusal(good, 999),
    ]
    assert found[7] == refusal(arrays["loud"])
    assert found[0] == "empty: no samples" and found[1] == "too short: 0.2 s, less than 0.3 s"
