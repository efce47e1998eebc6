"""Every format gives the values that went in, at the rate its header names."""

from __future__ import annotations

import logging
import pickle
import subprocess

import numpy as np
import pytest
import soundfile
from audio_files import (
    encode,
    mu_law,
    noise_pcm,
    peak_frequency,
    tone,
    wav_bytes,
    write_gsm,
    write_sphere,
    write_wav,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from svmixer.audio import AudioError, read_audio


@pytest.fixture
def no_processes(monkeypatch):
    """Reading a file must never start a process."""

    def refuse(*args, **kwargs):
        raise AssertionError(f"started {args[0]}")

    monkeypatch.setattr(subprocess, "Popen", refuse)


def test_16_bit_wav_is_exact(tmp_path, no_processes):
    pcm = noise_pcm(1000)
    wave, rate = read_audio(str(write_wav(tmp_path / "a.wav", pcm, rate=22050)))
    assert rate == 22050 and wave.dtype == np.float32 and wave.shape == (1, 1000)
    np.testing.assert_array_equal(wave[0], pcm / 32768)
    assert wave[0, 0] == -1.0 and wave[0, 1] == 32767 / 32768


def test_stereo_has_one_row_a_channel(tmp_path, no_processes):
    pcm = np.stack([noise_pcm(50, 1), noise_pcm(50, 2)], axis=1)
    wave, _ = read_audio(str(write_wav(tmp_path / "a.wav", pcm)))
    np.testing.assert_array_equal(wave, pcm.T / 32768)


def test_8_24_and_32_bit_wav_are_exact(tmp_path, no_processes):
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(bytes([0, 64, 128, 255]), bits=8))
    np.testing.assert_array_equal(read_audio(str(path))[0][0], [-1.0, -0.5, 0.0, 127 / 128])
    values = [0, 1, -1, 0x400000, -0x800000, 0x7FFFFF]
    path.write_bytes(wav_bytes(b"".join(v.to_bytes(3, "little", signed=True) for v in values), bits=24))
    np.testing.assert_array_equal(read_audio(str(path))[0][0], np.array(values) / 2**23)
    path.write_bytes(wav_bytes(np.array([2**30, -(2**31)], "<i4").tobytes(), bits=32))
    np.testing.assert_array_equal(read_audio(str(path))[0][0], [0.5, -1.0])


def test_float_wav_keeps_values_beyond_full_scale(tmp_path, no_processes):
    values = np.array([0.25, -1.5, 1e-6], "<f4")
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(values.tobytes(), bits=32, encoding=3))
    np.testing.assert_array_equal(read_audio(str(path))[0][0], values)


def test_mu_law_wav_agrees_with_the_standard(tmp_path, no_processes):
    codes = np.arange(256, dtype=np.uint8)
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(codes.tobytes(), bits=8, encoding=7, rate=8000))
    wave, rate = read_audio(str(path))
    assert rate == 8000
    np.testing.assert_allclose(wave[0], mu_law(codes), atol=1e-7)


@pytest.mark.parametrize("suffix", ["flac", "aiff", "au", "w64", "caf"])
def test_lossless_formats_are_exact(tmp_path, suffix, no_processes):
    pcm = noise_pcm(5000)
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, pcm, 16000, subtype="PCM_16")
    wave, rate = read_audio(str(path))
    assert rate == 16000
    np.testing.assert_array_equal(wave[0], pcm / 32768)


@pytest.mark.parametrize(("byte_format", "dtype"), [("01", "<i2"), ("10", ">i2")])
def test_sphere_in_both_byte_orders(tmp_path, byte_format, dtype, no_processes):
    pcm = noise_pcm(700)
    path = write_sphere(
        tmp_path / "a.sph",
        pcm.astype(dtype).tobytes(),
        channel_count="-i 1",
        sample_count="-i 700",
        sample_rate="-i 16000",
        sample_n_bytes="-i 2",
        sample_byte_format=f"-s2 {byte_format}",
        sample_sig_bits="-i 16",
    )
    wave, rate = read_audio(str(path))
    assert rate == 16000
    np.testing.assert_array_equal(wave[0], pcm / 32768)


def test_sphere_with_mu_law(tmp_path, no_processes):
    codes = np.arange(256, dtype=np.uint8)
    path = write_sphere(
        tmp_path / "a.sph",
        codes.tobytes(),
        channel_count="-i 1",
        sample_count="-i 256",
        sample_rate="-i 8000",
        sample_n_bytes="-i 1",
        sample_coding="-s4 ulaw",
    )
    wave, rate = read_audio(str(path))
    assert rate == 8000
    np.testing.assert_allclose(wave[0], mu_law(codes), atol=1e-7)


def test_vorbis_at_44100(tmp_path, no_processes):
    sine = tone(44100, 0.5)
    soundfile.write(tmp_path / "a.ogg", sine, 44100)
    wave, rate = read_audio(str(tmp_path / "a.ogg"))
    assert rate == 44100 and wave.shape == (1, 22050)
    error = wave[0] - sine
    assert 10 * np.log10(np.mean(sine**2) / np.mean(error**2)) > 20


def test_headerless_g722(tmp_path, no_processes):
    path = encode(tmp_path / "a.g722", "g722", tone(16000, 1.0), 16000)
    assert path.stat().st_size == 8000  # 64 kbit/s
    wave, rate = read_audio(str(path))
    assert rate == 16000 and wave.shape == (1, 16000)
    assert peak_frequency(wave[0], rate) == pytest.approx(440, abs=1)
    assert np.sqrt(np.mean(wave[0, 1000:] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


def test_headerless_gsm(tmp_path, no_processes):
    path = write_gsm(tmp_path / "a.gsm", tone(8000, 1.0))
    assert path.stat().st_size == 50 * 33
    wave, rate = read_audio(str(path))
    assert rate == 8000 and wave.shape == (1, 8000)
    assert peak_frequency(wave[0], rate) == pytest.approx(440, abs=1)
    assert np.sqrt(np.mean(wave[0, 500:] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize(("name", "codec"), [("a.mp3", "libmp3lame"), ("a.m4a", "aac")])
def test_mp3_and_m4a(tmp_path, name, codec, no_processes):
    wave, rate = read_audio(str(encode(tmp_path / name, codec, tone(44100, 1.0), 44100)))
    assert rate == 44100
    assert wave.shape[1] == pytest.approx(44100, abs=2400)  # encoders pad by up to two frames
    assert peak_frequency(wave[0], rate) == pytest.approx(440, abs=2)


def test_content_counts_and_not_the_name(tmp_path, no_processes):
    pcm = noise_pcm(100)
    for name in ("a.mp3", "a.g722", "a"):
        wave, _ = read_audio(str(write_wav(tmp_path / name, pcm)))
        np.testing.assert_array_equal(wave[0], pcm / 32768)


def test_an_odd_rate_in_the_header_is_believed(tmp_path, no_processes):
    _, rate = read_audio(str(write_wav(tmp_path / "a.wav", noise_pcm(100), rate=128000)))
    assert rate == 128000


def test_names_with_colon_percent_and_umlaut(tmp_path, no_processes):
    for name in ("http:a.mp3", "50%d.mp3", "ä b.mp3"):
        wave, _ = read_audio(str(encode(tmp_path / name, "libmp3lame", tone(16000, 0.3), 16000, "mp3")))
        assert peak_frequency(wave[0], 16000) == pytest.approx(440, abs=4)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """The same 0.2 s in formats that seek and formats that are held, with two channels where possible."""
    folder = tmp_path_factory.mktemp("recordings")
    pcm = np.stack([noise_pcm(3200, 3), noise_pcm(3200, 4)], axis=1)
    paths = [write_wav(folder / "16.wav", pcm)]
    for name, subtype in [("24.wav", "PCM_24"), ("a.flac", "PCM_16"), ("a.ogg", None)]:
        paths.append(folder / name)
        soundfile.write(paths[-1], pcm, 16000, subtype=subtype)
    paths.append(write_gsm(folder / "a.gsm", tone(8000, 0.2)))
    return {str(path): read_audio(str(path)) for path in paths}


@given(first=st.integers(0, 1500), count=st.integers(1, 100))
@settings(max_examples=40, deadline=None)
def test_a_piece_is_a_slice_of_the_whole(recordings, first, count):
    for path, (whole, rate) in recordings.items():
        piece, _ = read_audio(path, start=first / rate, end=(first + count) / rate)
        np.testing.assert_array_equal(piece, whole[:, first : first + count])
        rest, _ = read_audio(path, start=first / rate)
        np.testing.assert_array_equal(rest, whole[:, first:])


def test_times_are_rounded_and_a_small_overshoot_is_cut(tmp_path):
    pcm = noise_pcm(1000)
    path = str(write_wav(tmp_path / "a.wav", pcm, rate=1000))
    # 0.29 · 1000 is 290 − ε in binary: truncation would lose a sample.
    np.testing.assert_array_equal(read_audio(path, start=0.29, end=0.57)[0][0], pcm[290:570] / 32768)
    np.testing.assert_array_equal(read_audio(path, start=0.9, end=1.4)[0][0], pcm[900:] / 32768)


@pytest.mark.parametrize(("start", "end"), [(0.0, 1.6), (1.0, -1.0), (1.2, 1.4), (0.5, 0.5), (-0.1, 0.5)])
def test_a_segment_outside_the_recording(tmp_path, start, end):
    path = str(write_wav(tmp_path / "a.wav", noise_pcm(1000), rate=1000))
    with pytest.raises(AudioError, match=r"bad segment: .* of a recording of 1 s"):
        read_audio(path, start=start, end=end)


def reason(source: str, **options) -> str:
    with pytest.raises(AudioError) as caught:
        read_audio(source, **options)
    assert caught.value.source == source
    return caught.value.what


def test_missing_files_and_folders(tmp_path):
    assert reason(str(tmp_path / "none.wav")) == "missing file"
    assert reason(str(tmp_path)) == "unreadable: Is a directory"
    write_wav(tmp_path / "a.wav", noise_pcm(10))
    assert reason(str(tmp_path / "a.wav" / "b.wav")) == "missing file"
    with pytest.raises(AudioError) as caught:
        read_audio("none.wav")
    assert str(caught.value) == "none.wav: missing file"
    assert str(pickle.loads(pickle.dumps(caught.value))) == "none.wav: missing file"


def test_empty_recordings(tmp_path):
    (tmp_path / "a.wav").touch()
    assert reason(str(tmp_path / "a.wav")) == "empty: no bytes"
    (tmp_path / "a.g722").touch()
    assert reason(str(tmp_path / "a.g722")) == "empty: no bytes"
    assert reason(str(write_wav(tmp_path / "a.wav", np.zeros(0, np.int16)))) == "empty: no samples"


def test_damaged_files(tmp_path):
    path = write_wav(tmp_path / "a.wav", noise_pcm(1000))
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    assert reason(str(path)) == (
        "unreadable: truncated: the WAV header promises 2000 bytes of samples, 956 are there"
    )
    path.write_bytes(whole[:30])
    assert reason(str(path)).startswith("unreadable: WAV header")
    path.write_bytes(b"<html><body>404 not found</body></html>")
    assert reason(str(path)) == "unreadable: no known audio format (begins with b'<html><b')"
    path.write_bytes(wav_bytes(bytes(600), encoding=0x1234))
    assert reason(str(path)).startswith("unreadable: ")
    soundfile.write(tmp_path / "a.flac", noise_pcm(20000), 16000)
    flac = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(flac[: len(flac) // 2])
    assert reason(str(tmp_path / "a.flac")).startswith("unreadable: ")
    (tmp_path / "a.mp3").write_bytes(b"ID3" + bytes(500))
    assert reason(str(tmp_path / "a.mp3")).startswith("unreadable: ")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(tmp_path, bad):
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(np.array([0, bad, 1], "<f4").tobytes(), bits=32, encoding=3))
    assert reason(str(path)) == "non-finite: 1 of 3 samples are NaN or infinite"


def test_pipes_need_permission(tmp_path):
    mark = tmp_path / "mark"
    assert reason(f"touch {mark} |") == "pipe forbidden: commands run only with allow_pipes"
    assert not mark.exists()


def test_pipes_with_any_length_in_the_header(tmp_path):
    pcm = noise_pcm(300)
    for size in (None, 0x7FFFF000, 0xFFFFFFFF):
        path = write_wav(tmp_path / "a.wav", pcm, data_size=size)
        wave, rate = read_audio(f"cat {path} |", allow_pipes=True)
        assert rate == 16000
        np.testing.assert_array_equal(wave[0], pcm / 32768)
        piece, _ = read_audio(f"cat {path} |", allow_pipes=True, start=0.01, end=0.015)
        np.testing.assert_array_equal(piece[0], pcm[160:240] / 32768)


def test_a_file_that_was_written_through_a_pipe(tmp_path):
    pcm = noise_pcm(300)
    wave, _ = read_audio(str(write_wav(tmp_path / "a.wav", pcm, data_size=0xFFFFFFFF)))
    np.testing.assert_array_equal(wave[0], pcm / 32768)


def test_flac_that_was_written_through_a_pipe(tmp_path):
    """Its header says 0 samples, which stands for unknown (bits 108 to 143 of STREAMINFO)."""
    pcm = noise_pcm(10000)
    path = tmp_path / "a.flac"
    soundfile.write(path, pcm, 16000)
    flac = bytearray(path.read_bytes())
    assert (flac[21] & 15, flac[22:26]) == (0, (10000).to_bytes(4, "big"))
    flac[22:26] = bytes(4)
    path.write_bytes(flac)
    for source in (str(path), f"cat {path} |"):
        wave, rate = read_audio(source, allow_pipes=True)
        assert rate == 16000
        np.testing.assert_array_equal(wave[0], pcm / 32768)
    flac[21] |= 15  # and now 2³⁶ − 2³² samples
    path.write_bytes(flac)
    assert reason(str(path)).startswith("unreadable: ")


def test_failing_pipes(tmp_path):
    path = write_wav(tmp_path / "a.wav", noise_pcm(300))
    failing = reason("echo first >&2; echo 'no such channel' >&2; exit 3 |", allow_pipes=True)
    assert failing == "pipe failed: exit status 3: no such channel"
    # The first command of a pipeline counts although the last one succeeds and all samples arrive.
    assert (
        reason(f"(cat {path}; exit 4) | cat |", allow_pipes=True) == "pipe failed: exit status 4: no message"
    )
    assert reason("true |", allow_pipes=True) == "empty: no bytes"


def test_ogg_files_one_after_another(tmp_path, caplog):
    """Read through; where the channels change, to there, with a warning."""
    parts = {}
    for name, channels, seconds in (("one", 1, 1.0), ("two", 1, 0.5), ("stereo", 2, 0.7)):
        wave = tone(16000, seconds)
        soundfile.write(tmp_path / f"{name}.ogg", np.stack([wave] * channels, axis=1), 16000)
        parts[name] = (tmp_path / f"{name}.ogg").read_bytes()
    path = tmp_path / "joined.ogg"
    path.write_bytes(parts["one"] + parts["two"])
    wave, rate = read_audio(str(path))
    assert (wave.shape, rate) == ((1, 24000), 16000)
    np.testing.assert_array_equal(wave[0, 16000:], soundfile.read(tmp_path / "two.ogg", dtype="float32")[0])
    path.write_bytes(parts["one"] + parts["stereo"] + parts["two"])
    logging.getLogger("svmixer").addHandler(caplog.handler)
    assert read_audio(str(path))[0].shape == (1, 16000)
    logging.getLogger("svmixer").removeHandler(caplog.handler)
    assert "1 channels at 16000 Hz become 2 at 16000 Hz after byte" in caplog.text
