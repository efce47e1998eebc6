"""Whatever is in a file: readers give a result or their own exception, at once and without much memory.

What hypothesis found stays as named cases below.
"""

from __future__ import annotations

import os
import resource
import struct
import sys
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from svmixer import config as configuration
from svmixer.audio import AudioError, DumpSet, read_audio, to_mono_16k
from svmixer.config import ConfigError
from svmixer.lists import (
    ListError,
    parse_source,
    read_parts,
    read_segments,
    read_table,
    read_trials,
    read_utt2spk,
)
from svmixer.models.config import ModelConfig
from svmixer.scoring.vectors import EmbeddingError, load_embeddings
from svmixer.training.checkpoint import CheckpointError, load_tree
from svmixer.training.config import TrainConfig

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "audio"))
from audio_files import wav_bytes

# As many examples as fit into seconds; deadlines are the test's own, machines differ.
few = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
TONE = (8000 * np.sin(np.arange(800) / 5)).astype("<i2")


@pytest.fixture(autouse=True)
def little_memory():
    """Address space for 2 GiB more than there is: an array as large as a header claims would not fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + (2 << 30), hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def encoded(kind: str, subtype: str = "PCM_16") -> bytes:
    stream = BytesIO()
    soundfile.write(stream, TONE, 16000, format=kind, subtype=subtype)
    return stream.getvalue()


# One of each way in which audio is read: our own WAV reader, libsndfile, FFmpeg, entries of archives.
SEEDS = {
    "wav": wav_bytes(TONE.tobytes()),
    "wav24": wav_bytes(bytes(600), bits=24),
    "mulaw": wav_bytes(bytes(range(256)), bits=8, encoding=7),
    "flac": encoded("FLAC"),
    "ogg": encoded("OGG", "VORBIS"),
    "aiff": encoded("AIFF"),
    "au": encoded("AU"),
    "caf": encoded("CAF"),
    "w64": encoded("W64"),
    "rf64": encoded("RF64"),
    "voc": encoded("VOC"),
    "id3 wav": b"ID3\x03\0\0\0\0\0\x05" + bytes(5) + wav_bytes(TONE.tobytes()),
    "amr": b"#!AMR\n" + bytes([0x04, *range(12)]) * 20,
    "wavpack": b"wvpk\x30\0\0\0\x10\x04" + bytes(46),
    "asf": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(100),
    "sphere": b"NIST_1A\n   1024\nsample_rate -i 16000\nend_head\n".ljust(1024) + TONE.tobytes(),
    "mp3": b"\xff\xfb\x50\xc4" + bytes(413) + b"\xff\xfb\x50\xc4" + bytes(413),
    "id3": b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + b"#EXTM3U\n",
    "mp4": b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42\0\0\0\x08moov",
    "webm": b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01",
    "audio entry": b"AUDIO\4" + struct.pack("<I", 2000) + encoded("FLAC"),
}


@st.composite
def damaged(draw, seeds: dict[str, bytes]) -> bytes:
    """A sound file with some bytes changed, cut, repeated or put in."""
    data = bytearray(draw(st.sampled_from(sorted(seeds.values()))))
    for _ in range(draw(st.integers(1, 6))):
        # Mostly in the header, where bytes mean something.
        place = draw(st.integers(0, min(len(data), 80) if draw(st.booleans()) else len(data)))
        size = draw(st.integers(0, 8))
        match draw(st.sampled_from(["change", "largest", "cut", "insert"])):
            case "change":
                data[place : place + size] = draw(st.binary(min_size=size, max_size=size))
            case "largest":
                data[place : place + 4] = b"\xff\xff\xff\x7f"
            case "cut":
                del data[place:]
            case "insert":
                data[place:place] = draw(st.binary(max_size=8))
    return bytes(data)


def read_all(content: bytes, name: str = "a.wav", offset: int | None = None) -> None:
    """Read a file of these bytes as a dump would; AudioError and ListError alone may come out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            wave, rate = read_audio(str(path) if offset is None else f"{path}:{offset}")
            assert wave.dtype == np.float32 and wave.ndim == 2 and np.isfinite(wave).all()
            to_mono_16k(wave, rate)
        except AudioError as error:
            assert error.reason in ("unreadable", "empty", "non-finite", "bad rate", "over full scale")


@few
@given(damaged(SEEDS), st.sampled_from(["a.wav", "a.g722", "a.gsm"]))
@example(SEEDS["wav"][:22] + b"\0\0" + SEEDS["wav"][24:], "a.wav")  # no channel
@example(SEEDS["wav"][:24] + b"\1\0\0\0" + SEEDS["wav"][28:], "a.wav")  # 1 Hz: 16,000 times the samples
@example(SEEDS["wav"][:24] + b"\xff" * 4 + SEEDS["wav"][28:], "a.wav")
@example(SEEDS["flac"][:21] + b"\x0f\xff\xff\xff\xff" + SEEDS["flac"][26:], "a.flac")  # 2^36 samples
@example(b"caff\0\1\0\0desc\x7f" + b"\xff" * 7 + bytes(100), "a.caf")  # a chunk of 2^63 bytes
@example(b"RIFF\xff\xff\xff\xffWAVE" + bytes(200_000), "a.wav")  # nothing but empty chunks
def test_audio(content, name):
    read_all(content, name)


@few
@given(damaged(SEEDS), st.integers(0, 40))
@example(b"AUDIO\xff" + b"\xff" * 300, 0)  # a length of 255 bytes
@example(b"AUDIO\4\xff\xff\xff\x7f" + bytes(50), 0)  # 2 GiB
@example(b"RIFF\xfe\xff\xff\xffWAVX" + bytes(50), 0)  # 4 GiB
def test_archives_of_audio(content, offset):
    read_all(content, "a.ark", offset)


@few
@given(st.text(st.characters(codec="utf-8"), max_size=30))
@example("/a.ark:" + "9" * 30)
@example("/a.ark:" + "9" * 5000)
@example("a\0b")
@example("x" * 5000)
@pytest.mark.slow
def test_sources(text):
    try:
        parse_source(text)
        read_audio(text)
    except (AudioError, ListError):
        pass


NAN = float("nan")


@pytest.mark.parametrize(("start", "end"), [(0.0, 1e308), (1e308, -1.0), (NAN, -1.0), (0.0, NAN)])
def test_times_that_no_recording_has(tmp_path, start, end):
    (tmp_path / "a.wav").write_bytes(SEEDS["wav"])
    with pytest.raises(AudioError, match="bad segment"):
        read_audio(str(tmp_path / "a.wav"), start=start, end=end)


def test_a_named_pipe_without_a_writer_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("svmixer.audio.ark._PATIENCE", 0.1)
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(AudioError, match="unreadable: a named pipe that nobody opened to write"):
        read_audio(str(tmp_path / "a.wav"))


VECTOR = b"a \0BFV \4" + struct.pack("<i4f", 4, 1, 2, 3, 4)


@few
@given(damaged({"vector": VECTOR}))
@example(b"a \0BFM \4\xff\xff\xff\x7f\4\xff\xff\xff\x7f")  # 2^31 rows
@example(b"a \0BFV \4\xff\xff\xff\x7f")
@example(b"a \0BFV \4\xff\xff\xff\xff")  # -1 rows
@example(b"a PKL\x80\x04.")
@example(b"a ")
def test_archives_of_vectors(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.ark"
        path.write_bytes(content)
        try:
            vectors = load_embeddings({"a": f"{path}:2"}, ["a"], "trials")
            assert vectors.ndim == 2 and np.isfinite(vectors).all()
        except EmbeddingError as error:
            assert f"{path}:2: utterance a: " in str(error)


line = st.one_of(
    st.binary(max_size=30),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace")),
    st.sampled_from([b"1 a b", b"a b target", b"a r 0 1", b"a r 0 nan", b"a r 1e999 2", b"a /x:5", b"a x |"]),
)
contents = st.lists(line, max_size=6).map(b"\n".join)


@few
@given(contents)
@pytest.mark.slow
def test_lists(content):
    readers = (
        read_table,
        read_utt2spk,
        read_trials,
        read_segments,
        read_parts,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list"
        path.write_bytes(content)
        for read in readers:
            try:
                read(path)
            except ListError as error:
                assert str(error).startswith(str(path))


@few
@given(contents, contents)
@example(b"a /x:" + b"9" * 25, b"a 1")
@example(b"a /x:5", b"a " + b"9" * 25)
@example(b"a /x:5", "a \u0663".encode())
def test_dumps(scp, lengths):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "wav.scp").write_bytes(scp)
        (Path(folder) / "utt2num_samples").write_bytes(lengths)
        try:
            dump = DumpSet(folder)
            for index in range(len(dump)):
                dump.read(index)
        except (ListError, AudioError) as error:
            assert str(error)


yamls = st.one_of(
    st.binary(max_size=60),
    st.recursive(
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.just("layers")
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from(["student", "layers", "loop", "lr", "model"]), inner, max_size=3),
        ),
        max_leaves=8,
    ).map(lambda value: repr(value).replace("None", "null").encode("utf-8", "replace")),
)
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.slow
@few
@given(yamls)
@example(b"student: 2001-99-99")  # PyYAML's constructors raise what they like
@example(b"student: !!int ''")
@example(b"student: !!bool x")
@example(b"student: !!timestamp x")
@example(b"student: !!float x")
@example(b"? [a]\n: b")
@example(b"[" * 20_000)
@example(BOMB.replace("i:", "student:").encode())
@example(b"student: &a {layers: *a}")
@example(b"\xff\xfe\xfa")
@example(b"student: " + b"x" * 5000 + b".yaml")
@example(b"student: {layers: " + b"9" * 5000 + b"}")
def test_configurations(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_bytes(content)
        for kind in (ModelConfig, TrainConfig):
            try:
                configuration.load(kind, path)
            except ConfigError as error:
                assert "config.yaml" in str(error) and len(str(error)) < 100_000


def test_configurations_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        configuration.load(ModelConfig, tmp_path)


def test_whole_numbers_keep_every_digit():
    """2^53 + 1 is no floating-point number."""
    config = configuration.load(TrainConfig, overrides={"loop.seed": "9007199254740993"})
    assert config.loop.seed == 9007199254740993


@few
@given(st.data())
def test_checkpoints(data):
    from svmixer.training.checkpoint import save_tree

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "last.ckpt"
        save_tree(path, {"a": [1, (2.5, None)], 7: np.float64(3).item()})
        content = data.draw(damaged({"checkpoint": path.read_bytes()}))
        path.write_bytes(content)
        try:
            load_tree(path)
        except CheckpointError as error:
            assert str(path) in str(error)


TREES = ["3", '{"x": 1}', '{"__tensor__": "absent"}', '{"__pairs__": [1]}', "[" * 5000]


@pytest.mark.parametrize("tree", TREES)
def test_checkpoints_with_another_tree(tree, tmp_path):
    from safetensors.torch import save_file

    save_file({}, tmp_path / "last.ckpt", metadata={"tree": tree})
    if tree == "3":
        assert load_tree(tmp_path / "last.ckpt") == 3
        return
    with pytest.raises(CheckpointError):
        load_tree(tmp_path / "last.ckpt")
