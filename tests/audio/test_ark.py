"""WAV headers and archive entries: kaldiio's are read as kaldiio reads them, and only the bytes asked for."""

from __future__ import annotations

import os

import kaldiio
import numpy as np
import pytest
from audio_files import noise_pcm, wav_bytes, write_wav

from svmixer.audio import AudioError, read_audio
from svmixer.audio.ark import opened, pread_exactly, wav_header


@pytest.fixture
def ark(tmp_path):
    """An archive by kaldiio and {utterance: (source, samples)}; one entry is stereo."""
    entries = {"a": noise_pcm(500, 1), "b": noise_pcm(2000, 2).reshape(-1, 2), "c": noise_pcm(333, 3)}
    path, scp = tmp_path / "wav.ark", tmp_path / "wav.scp"
    kaldiio.save_ark(str(path), {name: (16000, pcm) for name, pcm in entries.items()}, scp=str(scp))
    sources = dict(line.split() for line in scp.read_text().splitlines())
    return {name: (sources[name], pcm) for name, pcm in entries.items()}


def test_entries_agree_with_kaldiio(ark):
    for source, pcm in ark.values():
        rate_kaldiio, wave_kaldiio = kaldiio.load_mat(source)
        wave, rate = read_audio(source)
        assert (rate, rate_kaldiio, wave_kaldiio.dtype) == (16000, 16000, np.int16)
        np.testing.assert_array_equal(wave_kaldiio, pcm)
        np.testing.assert_array_equal(wave, np.atleast_2d(pcm.T) / 32768)


def test_a_piece_of_an_entry_reads_its_bytes_only(ark, monkeypatch):
    source, pcm = ark["b"]
    sizes = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, n, offset: sizes.append(n) or pread(fd, n, offset))
    wave, _ = read_audio(source, start=0.01, end=0.02)
    np.testing.assert_array_equal(wave, pcm[160:320].T / 32768)
    assert sizes[-1] == 160 * 2 * 2  # samples, channels, bytes
    assert sum(sizes[:-1]) <= 16 + 4096  # what tells the format


def test_entries_of_other_formats(tmp_path):
    pcm = noise_pcm(800)
    path, scp = str(tmp_path / "x.ark"), tmp_path / "x.scp"
    kaldiio.save_ark(
        path,
        {"a": (16000, pcm), "b": (16000, pcm[::-1])},
        scp=str(scp),
        write_function="soundfile",
        write_kwargs={"format": "flac", "subtype": "PCM_16"},
    )
    for line, expected in zip(scp.read_text().splitlines(), [pcm, pcm[::-1]], strict=True):
        np.testing.assert_array_equal(read_audio(line.split()[1])[0][0], expected / 32768)
    values = [0, 0x400000, -0x800000]
    wav24 = wav_bytes(b"".join(v.to_bytes(3, "little", signed=True) for v in values), bits=24)
    (tmp_path / "y.ark").write_bytes(b"u " + wav24 + b"v " + wav24)
    for offset in (2, 4 + len(wav24)):
        wave, _ = read_audio(f"{tmp_path}/y.ark:{offset}")
        np.testing.assert_array_equal(wave[0], np.array(values) / 2**23)


def test_what_is_no_audio_in_an_archive(ark, tmp_path):
    kaldiio.save_ark(str(tmp_path / "m.ark"), {"a": np.ones((3, 4), np.float32)})
    with pytest.raises(AudioError, match="unreadable: no audio at byte 2 of the archive"):
        read_audio(f"{tmp_path}/m.ark:2")
    source, _ = ark["a"]
    path = source.rpartition(":")[0]
    with pytest.raises(AudioError, match="unreadable: no audio at byte 3 of the archive"):
        read_audio(f"{path}:3")
    with pytest.raises(AudioError, match="unreadable: no audio at byte 99999 of the archive"):
        read_audio(f"{path}:99999")


def test_an_archive_that_was_cut_off(ark):
    source, _ = ark["c"]
    path = source.rpartition(":")[0]
    os.truncate(path, os.path.getsize(path) - 100)
    with pytest.raises(AudioError, match=r"unreadable: truncated: .* 666 bytes of samples, 566 are there"):
        read_audio(source)


def test_an_unknown_length_is_no_licence_to_read_the_next_entry(tmp_path):
    data = noise_pcm(100).tobytes()
    (tmp_path / "a.ark").write_bytes(b"a " + wav_bytes(data, data_size=0x7FFFF000) + b"b " + wav_bytes(data))
    with pytest.raises(AudioError, match="truncated"):
        read_audio(f"{tmp_path}/a.ark:2")


def test_chunks_before_the_data_are_skipped(tmp_path):
    pcm = noise_pcm(64)
    odd = b"LIST" + (5).to_bytes(4, "little") + b"INFOx\0"  # odd sizes are padded to even
    long = b"junk" + (9000).to_bytes(4, "little") + bytes(9000)  # beyond the block that is read first
    path = write_wav(tmp_path / "a.wav", pcm, before_data=odd + long)
    np.testing.assert_array_equal(read_audio(str(path))[0][0], pcm / 32768)
    with opened(str(path)) as descriptor:
        header = wav_header(descriptor)
    assert (header.num_samples, header.data_offset) == (64, 44 + 14 + 9008)


def test_extensible_headers(tmp_path):
    """WAVE_FORMAT_EXTENSIBLE with the PCM sub-format is PCM."""
    pcm = noise_pcm(10)
    plain = wav_bytes(pcm.tobytes())
    layout = (0xFFFE).to_bytes(2, "little") + plain[22:36] + (22).to_bytes(2, "little")
    extension = (16).to_bytes(2, "little") + bytes(4) + bytes.fromhex("0100000000001000800000aa00389b71")
    chunk = b"fmt " + (40).to_bytes(4, "little") + layout + extension
    body = b"WAVE" + chunk + plain[36:]
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF" + len(body).to_bytes(4, "little") + body)
    with opened(str(path)) as descriptor:
        assert wav_header(descriptor).is_pcm16
    np.testing.assert_array_equal(read_audio(str(path))[0][0], pcm / 32768)


def test_short_reads_of_the_system_are_continued(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(bytes(range(200)))
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, n, offset: pread(fd, min(n, 7), offset))
    with opened(str(tmp_path / "a")) as descriptor:
        assert pread_exactly(descriptor, 100, 50) == bytes(range(50, 150))
        with pytest.raises(AudioError, match="ends 20 bytes early"):
            pread_exactly(descriptor, 100, 120)
