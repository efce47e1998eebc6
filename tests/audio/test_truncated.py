"""A recording that was cut off is an error in every format; one that does not know its length is none."""

from __future__ import annotations

import io
import struct

import kaldiio
import numpy as np
import pytest
import soundfile
from audio_files import encode, noise_pcm, tone, wav_bytes, write_gsm, write_wav

from svmixer.audio import AudioError, open_recording, read_audio

FORMATS = ["WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "NIST"]
CODED = [
    ("a.mp3", "libmp3lame", "mp3"),
    ("a.aac", "aac", "adts"),
    ("a.m4a", "aac", "mp4"),
    ("a.mov", "pcm_s16le", "mov"),
    ("a.mka", "flac", "matroska"),
    ("a.wma", "wmav2", "asf"),
    ("a.wv", "wavpack", "wv"),
    ("a.voc", "pcm_s16le", "voc"),
    ("a.oga", "flac", "ogg"),
    ("mp3.wav", "libmp3lame", "wav"),
]


def reason(source: str) -> str:
    with pytest.raises(AudioError) as caught:
        read_audio(source, allow_pipes=True)
    return caught.value.what


def refuses_a_part(path, kept: float = 0.5) -> None:
    """On disk, through a pipe and in an archive."""
    content = path.read_bytes()
    count = int(len(content) * kept)
    assert reason(f"head -c {count} {path} |").startswith("unreadable: truncated")
    path.write_bytes(content[:count])
    assert reason(str(path)).startswith("unreadable: truncated")
    archive = path.with_name("a.ark")
    archive.write_bytes(b"a AUDIO\4" + struct.pack("<I", count) + content[:count] + b"b AUDIO\4")
    assert reason(f"{archive}:2").startswith("unreadable: truncated")


@pytest.mark.parametrize("kept", [0.3, 0.5, 0.97])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "ULAW"])
@pytest.mark.parametrize("form", FORMATS)
def test_formats_of_libsndfile(tmp_path, form, subtype, kept):
    path = tmp_path / "a"
    soundfile.write(path, 0.1 * tone(16000, 1.0), 16000, format=form, subtype=subtype)
    assert read_audio(str(path))[0].shape == (1, 16000)
    refuses_a_part(path, kept)


@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
@pytest.mark.parametrize("form", ["WAV", "AIFF", "AU", "NIST", "CAF"])
def test_both_byte_orders(tmp_path, form, endian):
    path = tmp_path / "a"
    pcm = noise_pcm(3000)
    soundfile.write(path, pcm, 16000, format=form, subtype="PCM_16", endian=endian)
    np.testing.assert_array_equal(read_audio(str(path))[0][0], pcm / 32768)
    refuses_a_part(path)


@pytest.mark.parametrize(("name", "codec", "container"), CODED)
def test_formats_of_ffmpeg(tmp_path, name, codec, container):
    path = encode(tmp_path / name, codec, tone(16000, 4.0) + 0.01 * noise(64000), 16000, container)
    assert read_audio(str(path))[0].shape[1] == pytest.approx(64000, abs=4000)
    refuses_a_part(path)


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(count)


def test_webm_and_amr(tmp_path):
    refuses_a_part(encode(tmp_path / "a.webm", "libopus", tone(48000, 1.0), 48000))
    refuses_a_part(encode(tmp_path / "a.amr", "libopencore_amrnb", tone(8000, 1.0), 8000))


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg(tmp_path, subtype):
    path = tmp_path / "a.ogg"
    soundfile.write(path, 0.3 * noise(64000), 16000, subtype=subtype)
    assert read_audio(str(path))[0].shape == (1, 64000)
    refuses_a_part(path)


def test_flac_and_gsm(tmp_path):
    soundfile.write(tmp_path / "a.flac", noise_pcm(20000), 16000)
    flac = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(flac[: len(flac) // 2])
    assert reason(str(tmp_path / "a.flac")).startswith("unreadable: ")
    assert reason(f"cat {tmp_path}/a.flac |").startswith("unreadable: ")
    path = write_gsm(tmp_path / "a.gsm", tone(8000, 1.0))
    path.write_bytes(path.read_bytes()[:1000])
    assert reason(str(path)) == "unreadable: truncated: the last frame has 10 of 33 bytes"


def test_damage_in_the_middle_is_not_the_end(tmp_path):
    path = encode(tmp_path / "a.mka", "flac", 0.3 * tone(16000, 4.0), 16000)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 600] = bytes(600)
    path.write_bytes(content)
    assert reason(str(path)).startswith("unreadable: ")


def test_the_words_are_those_of_the_file(tmp_path):
    path = write_wav(tmp_path / "a.wav", noise_pcm(1000))
    words = "unreadable: truncated: the WAV header promises 2000 bytes of samples, 956 are there"
    assert reason(f"head -c 1000 {path} |") == words
    path.write_bytes(path.read_bytes()[:1000])
    assert reason(str(path)) == words


@pytest.mark.parametrize(("bits", "encoding"), [(16, 1), (24, 1), (32, 3), (8, 7)])
@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF - 36])
def test_a_wav_that_does_not_know_its_length(tmp_path, size, bits, encoding):
    """Of a recorder that was stopped, or written into a pipe."""
    rng = np.random.default_rng(0)
    data = rng.integers(1, 60, 4800, np.uint8).tobytes()
    (tmp_path / "whole.wav").write_bytes(wav_bytes(data, bits=bits, encoding=encoding))
    expected, _ = read_audio(str(tmp_path / "whole.wav"))
    assert expected.shape == (1, 4800 // (bits // 8))
    path = tmp_path / "a.wav"
    for riff in (None, 0, 0xFFFFFFFF):
        content = bytearray(wav_bytes(data, bits=bits, encoding=encoding, data_size=size))
        if riff is not None:
            content[4:8] = struct.pack("<I", riff)
        path.write_bytes(content)
        for source in (str(path), f"cat {path} |"):
            np.testing.assert_array_equal(read_audio(source, allow_pipes=True)[0], expected)
    (tmp_path / "a.ark").write_bytes(b"a AUDIO\2" + struct.pack("<H", len(content)) + content + b"b AUDIO")
    np.testing.assert_array_equal(read_audio(f"{tmp_path}/a.ark:2")[0], expected)


def test_a_wav_with_nothing_behind_its_length_of_0(tmp_path):
    title = b"LIST" + struct.pack("<I", 9) + b"INFOhello\0"
    for bits, encoding in ((16, 1), (32, 3)):
        for after in (b"", title, title + b"id3 " + struct.pack("<I", 4) + b"abcd"):
            content = wav_bytes(b"", bits=bits, encoding=encoding) + after
            (tmp_path / "a.wav").write_bytes(content)
            assert reason(str(tmp_path / "a.wav")) == "empty: no samples"
            assert reason(f"cat {tmp_path}/a.wav |") == "empty: no samples"


def test_a_chunk_behind_the_samples_is_no_speech(tmp_path):
    pcm = noise_pcm(300)
    title = b"LIST" + struct.pack("<I", 10) + b"INFOhello!"
    path = write_wav(tmp_path / "a.wav", pcm)
    path.write_bytes(path.read_bytes() + title)
    for source in (str(path), f"cat {path} |"):
        np.testing.assert_array_equal(read_audio(source, allow_pipes=True)[0][0], pcm / 32768)


def test_odd_lengths(tmp_path):
    """Bytes that are not a whole sample are none, whether they are there or not."""
    pcm = noise_pcm(300)
    data = pcm.tobytes()
    for content in (
        wav_bytes(data, data_size=601),
        wav_bytes(data + b"\0"),
        wav_bytes(data + b"\0\0", data_size=601),
    ):
        (tmp_path / "a.wav").write_bytes(content)
        for source in (f"{tmp_path}/a.wav", f"cat {tmp_path}/a.wav |"):
            np.testing.assert_array_equal(read_audio(source, allow_pipes=True)[0][0], pcm / 32768)
    (tmp_path / "a.wav").write_bytes(wav_bytes(data[:-1], data_size=600))
    assert reason(f"{tmp_path}/a.wav").startswith("unreadable: truncated")


def test_more_than_2_gib_is_a_length(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav_bytes(bytes(1000), data_size=0xB0000000))
    assert reason(f"{tmp_path}/a.wav").startswith("unreadable: truncated: the WAV header promises 2952790016")


def test_entries_of_archives_without_a_length(tmp_path):
    """Where one entry ends is told by its header alone."""
    empty, data = wav_bytes(b""), noise_pcm(100).tobytes()
    (tmp_path / "a.ark").write_bytes(b"a " + empty + b"b " + wav_bytes(data))
    assert reason(f"{tmp_path}/a.ark:2") == "empty: no samples"
    (tmp_path / "a.ark").write_bytes(b"a " + wav_bytes(data, data_size=0) + b"b " + wav_bytes(data))
    assert reason(f"{tmp_path}/a.ark:2").startswith("unreadable: truncated")
    pcm24 = bytes(range(1, 61))
    content = bytearray(wav_bytes(pcm24, bits=24))
    content[4:8] = bytes(4)  # the length of the samples is right, that of the file is not
    (tmp_path / "a.ark").write_bytes(b"a " + content + b"b " + wav_bytes(data))
    assert read_audio(f"{tmp_path}/a.ark:2")[0].shape == (1, 20)


def test_a_kaldiio_entry_that_was_cut(tmp_path):
    path, scp = str(tmp_path / "a.ark"), tmp_path / "a.scp"
    options = {"format": "flac", "subtype": "PCM_16"}
    kaldiio.save_ark(
        path, {"a": (16000, noise_pcm(3000))}, scp=str(scp), write_function="soundfile", write_kwargs=options
    )
    content = (tmp_path / "a.ark").read_bytes()
    (tmp_path / "a.ark").write_bytes(content[:-500])
    assert reason(scp.read_text().split()[1]) == "unreadable: truncated: the file ends 500 bytes early"


def unknown_lengths() -> dict[str, tuple[str, int, bytes]]:
    """Format → a mark in its header, where from there the length is, and what stands there instead."""
    return {
        "AU": (".snd", 8, b"\xff\xff\xff\xff"),
        "AU with 0": (".snd", 8, bytes(4)),
        "AIFF": ("SSND", 4, bytes(4)),
        "AIFF by sox": ("SSND", 4, b"\x7f\0\0\x08"),
        "AIFF with 8": ("SSND", 4, b"\0\0\0\x08"),
        "CAF": ("data", 4, b"\xff" * 8),
        "CAF with 0": ("data", 4, bytes(8)),
        "W64": ("data", 16, b"\xff" * 7 + b"\x7f"),
        "W64 with 0": ("data", 16, bytes(8)),
        "RF64": ("ds64", 16, bytes(8)),
        "RF64 with ones": ("ds64", 16, b"\xff" * 8),
    }


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("case", unknown_lengths())
def test_other_formats_that_do_not_know_their_length(tmp_path, case, subtype):
    form = case.split()[0]
    mark, offset, unknown = unknown_lengths()[case]
    pcm, stream = noise_pcm(2000), io.BytesIO()
    soundfile.write(stream, pcm, 16000, format=form, subtype=subtype)
    content = bytearray(stream.getvalue())
    place = content.index(mark.encode()) + offset
    content[place : place + len(unknown)] = unknown
    (tmp_path / "a").write_bytes(content)
    for source in (f"{tmp_path}/a", f"cat {tmp_path}/a |"):
        wave, rate = read_audio(source, allow_pipes=True)
        assert rate == 16000
        np.testing.assert_array_equal(wave[0], pcm / 32768)


def test_a_stream_without_any_length_is_read(tmp_path):
    """Matroska of a live recording: its segment has the size that stands for unknown."""
    path = encode(tmp_path / "a.mka", "flac", tone(16000, 1.0), 16000)
    content = bytearray(path.read_bytes())
    place = content.index(b"\x18\x53\x80\x67") + 4
    content[place : place + 8] = b"\x01" + b"\xff" * 7
    path.write_bytes(content)
    assert read_audio(str(path))[0].shape == (1, 16000)


def test_an_open_recording_of_a_pipe_counts_its_memory(tmp_path):
    path = write_wav(tmp_path / "a.wav", noise_pcm(1000))
    assert open_recording(f"cat {path} |", allow_pipes=True).held_bytes == 2044
    assert open_recording(str(path)).held_bytes == 0
