"""Recordings that are read where they are sliced: the embeddings are those of the whole waveform."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from svmixer.audio import AudioError, open_wave, read_audio, to_mono_16k
from svmixer.inference.utterance import WINDOWS_AT_ONCE, LongWave, embed_utterance

WINDOW = 6000


def noise(samples: int, channels: int = 1) -> np.ndarray:
    return 0.3 * np.random.default_rng(0).standard_normal((samples, channels))


def spectra(windows: np.ndarray) -> np.ndarray:
    """Something that depends on every sample of a window."""
    return np.abs(np.fft.rfft(windows)).astype(np.float32)


@pytest.mark.parametrize(("ending", "channels"), [("wav", 1), ("wav", 2), ("flac", 1), ("ogg", 1)])
def test_slices_are_those_of_the_whole(tmp_path, ending, channels):
    path = str(tmp_path / f"a.{ending}")
    soundfile.write(path, noise(5000, channels), 16000)
    wave, rate = open_wave(path)
    whole = to_mono_16k(*read_audio(path))
    assert (rate, wave.shape, wave.ndim) == (16000, (5000,), 1)
    assert np.array_equal(wave[1000:1700], whole[1000:1700])
    assert np.array_equal(wave[4900:6000], whole[4900:])
    assert np.array_equal(np.asarray(wave), whole)


@pytest.mark.parametrize("protocol", ["whole", "stream", "crops"])
@pytest.mark.parametrize("samples", [5000, WINDOW, WINDOWS_AT_ONCE * WINDOW, 40 * WINDOW + 7])
def test_embeddings_are_those_of_the_whole(tmp_path, protocol, samples):
    path = str(tmp_path / "a.wav")
    soundfile.write(path, noise(samples), 16000, subtype="PCM_16")
    lazy = embed_utterance(spectra, open_wave(path)[0], WINDOW, protocol)
    assert np.array_equal(lazy, embed_utterance(spectra, read_audio(path)[0][0], WINDOW, protocol))


def test_of_a_long_recording_only_windows_are_read():
    asked = []

    def fetch(start: int, count: int) -> np.ndarray:
        asked.append((start, count))
        return np.arange(start, start + count, dtype=np.float32)

    embed_utterance(spectra, LongWave(1000 * WINDOW - 50, fetch), WINDOW, "stream")
    most = WINDOWS_AT_ONCE * WINDOW
    assert max(count for _, count in asked) == most
    # Each sample once, but those that the last window shares with the one before.
    assert [start for start, _ in asked] == list(range(0, 1000 * WINDOW - 50, most))
    assert 1000 * WINDOW - 50 <= sum(count for _, count in asked) <= 1000 * WINDOW


def test_what_is_wrong_is_told_with_the_file(tmp_path):
    path = str(tmp_path / "a.wav")
    wave = noise(5000)
    wave[4000] = np.nan
    soundfile.write(path, wave, 16000, subtype="FLOAT")
    opened, _ = open_wave(path)
    assert len(opened[:4000]) == 4000
    with pytest.raises(AudioError, match=r"a\.wav: non-finite: 1 of 5000 samples"):
        embed_utterance(spectra, opened, 8000)
    with pytest.raises(AudioError, match=r"a\.wav: non-finite: 1 of 1600 samples"):
        embed_utterance(spectra, opened, 100, "stream")
    soundfile.write(path, wave[:0], 16000)
    with pytest.raises(AudioError, match=r"a\.wav: empty"):
        open_wave(path)
