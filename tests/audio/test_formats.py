"""One list of endings for what can be read, FFmpeg's libraries where libsndfile fails, and tags in front."""

from __future__ import annotations

import base64
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_files import (
    encode,
    noise_pcm,
    peak_frequency,
    tone,
    wav_bytes,
    write_gsm,
    write_sphere,
    write_wav,
)

from svmixer.audio import AudioError, decode, read_audio
from svmixer.audio.formats import AUDIO_SUFFIXES, FORMATS
from svmixer.scoring.directories import AUDIO_SUFFIXES as SCANNED
from svmixer.scoring.directories import find_audio

# 0.3 s of 440 Hz at 8 kHz: nothing here encodes Speex.
SPEEX = """
T2dnUwACAAAAAAAAAAAAAAAAAAAAACp3eOgBUFNwZWV4ICAgMS4yLjEAAAAAAAAAAAAAAAAAAAABAAAAUAAAAEAfAAAAAAAABAAA
AAEAAABAHwAAoAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAT2dnUwAAAAAAAAAAAAAAAAAAAQAAANnNLHsBJwYAAABmZm1wZWcBAAAA
FQAAAGVuY29kZXI9TGF2YyBsaWJzcGVleE9nZ1MABDgJAAAAAAAAAAAAAAIAAAC0O1dEDxQUFBQUFBQUFBQUFBQUFBhUiXAAOc5w
EFP0HNcI+gBvhC4AGFSJU3x9P0JOrIBjskn6Tm+E2QAYVIlbfS/qX2S+kCKXFkgRt6AgHxhUiVN8ROgGRJCVJ7JfSBH/qyAKGFSJ
W30v6TpOk/SdJ0halreKJ+kYVIlUnVkgV/6z/P//T7JObSQD6RhUiV7JWSBH/q2AI/9CQmxvhNkWGFSJXb1ECF/+lL+n/0BIFJOg
IWoYVIlVvETpB/6itC29302R/uAgCBhUiVycAUD/ZJAEAN8KAoGTj6bJGFSJXb09IP/7k/T82kg6Abev2RkYVIleyQEgRkSAgH8i
SfpB24SdIBhUiVNpIB9OTj6Tpt9AQD5tJP02GFSJVJ1H6Vm0vg+n/d9J05EgIB8YVIle3APgs26jZB/9yAfSbSsgCA==
"""
# Ending → how FFmpeg makes such a file: (codec, container, rate).
BY_FFMPEG = {
    ".mp3": ("libmp3lame", "mp3", 16000),
    ".mpga": ("libmp3lame", "mp3", 16000),
    ".mp2": ("mp2", "mp2", 16000),
    ".aac": ("aac", "adts", 16000),
    ".m4a": ("aac", "mp4", 16000),
    ".m4b": ("aac", "mp4", 16000),
    ".mp4": ("aac", "mp4", 16000),
    ".mov": ("pcm_s16le", "mov", 16000),
    ".3gp": ("aac", "3gp", 16000),
    ".3g2": ("aac", "3g2", 16000),
    ".mka": ("flac", "matroska", 16000),
    ".mkv": ("flac", "matroska", 16000),
    ".webm": ("libopus", "webm", 48000),
    ".wma": ("wmav2", "asf", 16000),
    ".asf": ("wmav2", "asf", 16000),
    ".amr": ("libopencore_amrnb", "amr", 8000),
    ".awb": ("libopencore_amrnb", "amr", 8000),
    ".wv": ("wavpack", "wv", 16000),
    ".voc": ("pcm_s16le", "voc", 16000),
    ".g722": ("g722", "g722", 16000),
}
# Ending → libsndfile's name of the format.
BY_SNDFILE = {
    ".wav": "WAV",
    ".wave": "WAVEX",
    ".bwf": "WAV",
    ".rf64": "RF64",
    ".w64": "W64",
    ".aif": "AIFF",
    ".aiff": "AIFF",
    ".aifc": "AIFF",
    ".8svx": "SVX",
    ".svx": "SVX",
    ".au": "AU",
    ".snd": "AU",
    ".caf": "CAF",
    ".sph": "NIST",
    ".nist": "NIST",
    ".wv1": "NIST",
    ".wv2": "NIST",
    ".flac": "FLAC",
    ".ogg": "OGG",
    ".oga": "OGG",
}


def write_format(path) -> int:
    """One second of 440 Hz in the format that the ending of ``path`` stands for; its rate."""
    ending = path.suffix
    if ending in BY_SNDFILE:
        soundfile.write(path, tone(16000, 1.0), 16000, format=BY_SNDFILE[ending])
        return 16000
    if ending in BY_FFMPEG:
        codec, container, rate = BY_FFMPEG[ending]
        encode(path, codec, tone(rate, 1.0), rate, container)
        return rate
    if ending == ".opus":
        soundfile.write(path, tone(16000, 1.0), 16000, format="OGG", subtype="OPUS")
        return 16000
    if ending == ".bw64":
        soundfile.write(path, tone(16000, 1.0), 16000, format="RF64", subtype="PCM_16")
        path.write_bytes(b"BW64" + path.read_bytes()[4:])
        return 16000
    if ending == ".gsm":
        write_gsm(path, tone(8000, 1.0))
    else:
        assert ending == ".spx"
        path.write_bytes(base64.b64decode(SPEEX))
    return 8000


@pytest.mark.parametrize("ending", sorted(AUDIO_SUFFIXES))
def test_a_file_of_every_ending_is_found_and_read(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    rate = write_format(path)
    assert find_audio(tmp_path).files == {"a": path}
    wave, found = read_audio(str(path))
    assert found == rate
    assert wave.shape[1] == pytest.approx(0.3 * rate if ending == ".spx" else rate, abs=0.15 * rate)
    assert peak_frequency(wave[0], rate) == pytest.approx(440, abs=4)


def test_endings_that_were_passed_over_and_one_that_was_never_readable():
    assert SCANNED == AUDIO_SUFFIXES
    assert {".caf", ".w64", ".mp2", ".mov", ".amr"} < AUDIO_SUFFIXES
    assert sum(len(known.endings) for known in FORMATS) == len(AUDIO_SUFFIXES)


@pytest.mark.parametrize(
    ("codec", "container"), [("libmp3lame", "wav"), ("flac", "ogg"), ("g722", "wav"), ("alac", "caf")]
)
def test_ffmpeg_is_asked_where_libsndfile_fails(tmp_path, codec, container):
    path = encode(tmp_path / "a", codec, tone(16000, 1.0), 16000, container)
    for source in (str(path), f"cat {path} |"):
        wave, rate = read_audio(source, allow_pipes=True)
        assert (rate, wave.shape[0]) == (16000, 1)
        assert wave.shape[1] == pytest.approx(16000, abs=1800)
        assert peak_frequency(wave[0], rate) == pytest.approx(440, abs=2)


def test_what_neither_reads_is_told_in_one_sentence(tmp_path):
    pytest.importorskip("av")
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(bytes(600), encoding=0x1234))
    with pytest.raises(AudioError, match=r"unreadable: WAV that libsndfile does not read \(.+\); FFmpeg"):
        read_audio(str(path))


def test_a_tag_in_front(tmp_path):
    """Some programs put MP3's tags in front of everything."""
    pcm = noise_pcm(1000)
    tag = b"ID3\x03\0\0\0\0\x01\x7f" + bytes(255)
    write_wav(tmp_path / "16.wav", pcm)
    for name in ("a.aiff", "a.flac", "24.wav"):
        soundfile.write(tmp_path / name, pcm, 16000, subtype="PCM_24" if name == "24.wav" else "PCM_16")
    for path in sorted(tmp_path.iterdir()):
        path.write_bytes(tag + tag + path.read_bytes())
        for source in (str(path), f"cat {path} |"):
            wave, rate = read_audio(source, allow_pipes=True)
            assert (rate, wave.shape) == (16000, (1, 1000))
            np.testing.assert_array_equal(wave[0], pcm / 32768)
            piece, _ = read_audio(source, allow_pipes=True, start=0.01, end=0.02)
            np.testing.assert_array_equal(piece[0], pcm[160:320] / 32768)


def test_several_ogg_streams_one_after_the_other(tmp_path):
    """libsndfile reads the first alone."""
    pytest.importorskip("av")
    for name, frequency in (("a", 440), ("b", 880)):
        soundfile.write(tmp_path / f"{name}.ogg", tone(16000, 1.0, frequency), 16000)
    (tmp_path / "c.ogg").write_bytes((tmp_path / "a.ogg").read_bytes() + (tmp_path / "b.ogg").read_bytes())
    wave, rate = read_audio(str(tmp_path / "c.ogg"))
    assert rate == 16000 and wave.shape[1] == pytest.approx(32000, abs=1100)
    assert peak_frequency(wave[0, :15000], rate) == pytest.approx(440, abs=2)
    assert peak_frequency(wave[0, 17000:], rate) == pytest.approx(880, abs=2)


def ogg_checksum(page: bytes) -> int:
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 1 << 31 else value << 1) & 0xFFFFFFFF
    return value


def shift_pages(path: Path, shifts: dict[int, int]) -> None:
    """Add samples to the position that pages of an Ogg file have, the header has two."""
    content, position, number = bytearray(path.read_bytes()), 0, 0
    while position < len(content):
        count = content[position + 26]
        size = 27 + count + sum(content[position + 27 : position + 27 + count])
        page = content[position : position + size]
        page[6:14] = struct.pack("<q", struct.unpack("<q", page[6:14])[0] + shifts.get(number, 0))
        page[22:26] = bytes(4)
        page[22:26] = struct.pack("<I", ogg_checksum(page))
        content[position : position + size] = page
        position, number = position + size, number + 1
    path.write_bytes(content)


@pytest.mark.parametrize("shifts", [{2: 488}, {3: -488}, {4: -2000}, {3: 488, 4: 512, 5: 488}, {6: 700}])
def test_opus_whose_pages_are_off_by_some_samples(tmp_path, shifts):
    """libsndfile calls some of them malformed in the middle, others shorter or longer than they are."""
    pytest.importorskip("av")
    path = tmp_path / "a.opus"
    soundfile.write(path, tone(48000, 4.0), 48000, format="OGG", subtype="OPUS")
    whole, _ = read_audio(str(path))
    shift_pages(path, shifts)
    for source in (str(path), f"cat {path} |"):
        wave, rate = read_audio(source, allow_pipes=True)
        assert rate == 48000 and wave.shape[1] == pytest.approx(192000, abs=960)
        assert peak_frequency(wave[0], rate) == pytest.approx(440, abs=2)
        kept = min(wave.shape[1], 96000)
        assert np.abs(wave[0, 4800:kept] - whole[0, 4800:kept]).max() < 0.02


def test_damage_within_opus_is_not_passed_over(tmp_path):
    path = tmp_path / "a.opus"
    soundfile.write(path, tone(48000, 4.0), 48000, format="OGG", subtype="OPUS")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 300] = bytes(300)
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"a.opus: unreadable: truncated: decoding stopped after"):
        read_audio(str(path))


def test_without_ffmpeg_the_one_package_is_named(tmp_path, monkeypatch):
    files = [
        encode(tmp_path / "a.m4a", "aac", tone(16000, 0.3), 16000),
        encode(tmp_path / "a.webm", "libopus", tone(48000, 0.3), 48000),
        encode(tmp_path / "a.oga", "flac", tone(16000, 0.3), 16000, "ogg"),
    ]
    mp3 = encode(tmp_path / "a.mp3", "libmp3lame", tone(16000, 1.0), 16000)
    mp3_in_wav = encode(tmp_path / "a.wav", "libmp3lame", tone(16000, 1.0), 16000)
    monkeypatch.setattr(decode, "find_spec", lambda name: None)
    for path in files:
        with pytest.raises(AudioError, match=r"unreadable: .*needs FFmpeg's libraries.*: pip install av$"):
            read_audio(str(path))
    for path in (mp3, mp3_in_wav):
        wave, rate = read_audio(str(path))
        assert rate == 16000 and wave.shape[1] == pytest.approx(16000, abs=2400)
        assert peak_frequency(wave[0], rate) == pytest.approx(440, abs=2)


def test_blocks_join_to_the_whole(tmp_path):
    """What is decoded block by block, in memory for one block, is the recording."""
    path = tmp_path / "a.ogg"
    soundfile.write(path, np.stack([tone(44100, 3.0), tone(44100, 3.0, 600)], axis=1), 44100)
    blocks = list(decode.sndfile_blocks(str(path)))
    assert len(blocks) > 1 and {rate for _, rate in blocks} == {44100}
    np.testing.assert_array_equal(
        np.concatenate([block for block, _ in blocks], axis=1), read_audio(str(path))[0]
    )
    assert sum(block.shape[1] for block, _ in blocks) == 3 * 44100
    encoded = encode(tmp_path / "a.m4a", "aac", tone(44100, 1.0), 44100)
    blocks = list(decode.ffmpeg_blocks(str(encoded), None))
    assert max(block.shape[1] for block, _ in blocks) <= 2048
    np.testing.assert_array_equal(
        np.concatenate([block for block, _ in blocks], axis=1), read_audio(str(encoded))[0]
    )


def test_sphere_without_a_length(tmp_path):
    pcm = noise_pcm(500)
    fields = {"channel_count": "-i 1", "sample_rate": "-i 16000", "sample_n_bytes": "-i 2"}
    path = write_sphere(
        tmp_path / "a.sph", pcm.astype("<i2").tobytes(), sample_byte_format="-s2 01", **fields
    )
    np.testing.assert_array_equal(read_audio(str(path))[0][0], pcm / 32768)
