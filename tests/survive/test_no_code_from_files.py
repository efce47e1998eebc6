"""No file can run code: pickles, YAML tags, commands in lists, names that look like shell text."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from svmixer import config as configuration
from svmixer.audio import AudioError, DumpSet, read_audio
from svmixer.audio.decode import ffmpeg_blocks, joined
from svmixer.audio.dump import DumpConfig, dump_job
from svmixer.audio.merge import MergeConfig, merge_jobs
from svmixer.cli.main import run_program
from svmixer.config import ConfigError
from svmixer.inference.utterance import Source
from svmixer.lists import ListError, write_table
from svmixer.lists.table import is_id
from svmixer.models.config import ModelConfig
from svmixer.models.io import InitParam, ModelError, init_param, load_model, save_tensors
from svmixer.models.released import read_checkpoint, read_state_dict
from svmixer.scoring.directories import FAILURES, embed_directory, find_audio
from svmixer.scoring.embedder import Embedder
from svmixer.scoring.vectors import EmbeddingError, load_embeddings
from svmixer.stages import done
from svmixer.teachers.teacher import load_teacher
from svmixer.training.checkpoint import CheckpointError, load_newest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "audio"))
from audio_files import wav_bytes

ROOT = Path(__file__).resolve().parents[2]
TONE = (8000 * np.sin(np.arange(8000) / 5)).astype("<i2")


class Payload:
    """Unpickled, it makes a directory."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return (os.mkdir, (str(self.mark),))


@pytest.fixture
def mark(tmp_path) -> Path:
    """What a payload makes; checked to work, and not to have worked when the test ends."""
    mark = tmp_path / "PWNED"
    pickle.loads(pickle.dumps(Payload(mark)))
    mark.rmdir()
    yield mark
    assert not mark.exists()


def torch_file(mark: Path) -> bytes:
    """What torch.save makes of tensors and a payload."""
    stream = io.BytesIO()
    torch.save({"weight": torch.ones(2), "extra": Payload(mark)}, stream)
    assert zipfile.is_zipfile(stream)
    return stream.getvalue()


def hugging_face(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_text('{"model_type": "wavlm"}')
    (folder / "pytorch_model.bin").write_bytes(content)
    load_teacher(folder)


def as_model(folder: Path, content: bytes) -> None:
    configuration.save(ModelConfig(), folder / "config.yaml")
    (folder / "model.safetensors").write_bytes(content)
    load_model(folder)


def as_teacher(folder: Path, content: bytes) -> None:
    (folder / "config.yaml").write_text("{}\n")
    (folder / "model.safetensors").write_bytes(content)
    load_teacher(folder)


def as_file(read: Callable[[Path], object]) -> Callable[[Path, bytes], None]:
    def put_and_read(folder: Path, content: bytes) -> None:
        (folder / "file").write_bytes(content)
        read(folder / "file")

    return put_and_read


READERS = {
    "checkpoint": (as_file(load_newest), CheckpointError),
    "model": (as_model, ModelError),
    "released": (as_file(read_state_dict), ModelError),
    "released redimnet": (as_file(read_checkpoint), ModelError),
    "teacher": (as_teacher, ModelError),
    "hugging face": (hugging_face, ModelError),
    "init_param": (as_file(lambda path: init_param(torch.nn.Linear(1, 1), InitParam(str(path)))), ModelError),
}


@pytest.mark.parametrize("form", ["torch", "pickle"])
@pytest.mark.parametrize("name", READERS)
def test_a_pickle_is_refused(name, form, tmp_path, mark):
    read, error = READERS[name]
    folder = tmp_path / "given"
    folder.mkdir()
    with pytest.raises(error, match=str(folder)):
        read(folder, torch_file(mark) if form == "torch" else pickle.dumps(Payload(mark)))


def test_a_pickle_in_an_archive_of_embeddings_is_refused(tmp_path, mark):
    """Kaldi archives may hold pickles for some readers."""
    (tmp_path / "a.ark").write_bytes(b"a PKL" + pickle.dumps(Payload(mark)))
    with pytest.raises(EmbeddingError, match="utterance a: no vector of floats at byte 2"):
        load_embeddings({"a": f"{tmp_path}/a.ark:2"}, ["a"], "trials")


TAGS = [
    "!!python/object/apply:os.mkdir ['{mark}']",
    "!!python/object/new:os.mkdir ['{mark}']",
    "!!python/name:os.mkdir",
    "!!python/module:os",
]


@pytest.mark.parametrize("tag", TAGS)
def test_yaml_tags_are_refused(tag, tmp_path, mark):
    tag = tag.format(mark=mark)
    path = tmp_path / "config.yaml"
    path.write_text(f"student: {tag}\n")
    for read in (
        lambda: configuration.load(ModelConfig, path),
        lambda: configuration.load(ModelConfig, overrides={"student.layers": tag}),
        lambda: done.yaml_files(str(path)),
    ):
        with pytest.raises(ConfigError, match="could not determine a constructor for the tag"):
            read()
    save_tensors({"weight": torch.ones(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ConfigError):
        load_model(tmp_path)


def test_a_command_given_to_embed_is_not_run(tmp_path, mark, monkeypatch, capsys):
    model = SimpleNamespace(
        sample_rate=16000, embed_sources=lambda sources, *_: ((s.name, 0) for s in sources)
    )
    embedder = Embedder(model, threshold=None, weights=tmp_path, name="any")
    monkeypatch.setattr("svmixer.scoring.embedder.load_embedder", lambda *_: embedder)
    with pytest.raises(SystemExit) as stop:
        run_program("embed", [f"mkdir {mark} |", "--model", "any", "--output", str(tmp_path / "a.npz")])
    assert stop.value.code == 1
    assert "pipe forbidden: commands run only with allow_pipes" in capsys.readouterr().err
    with pytest.raises(AudioError, match="pipe forbidden"):
        read_audio(f"mkdir {mark} |")


def test_commands_run_in_the_stages_unless_forbidden(tmp_path):
    """The lists of a recipe are its own: there alone commands are allowed unless told otherwise."""
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", TONE, 16000)
        data = tmp_path / f"data/{name}"
        data.mkdir(parents=True)
        (data / "wav.scp").write_text(f"{name} touch PWNED-{name}; cat {name}.wav |\n")
    stage = [ROOT / "stages/02_dump.sh", "--train_set", "", "--valid_set", "", "--nj", "1"]
    refused = subprocess.run(
        [*stage, "--test_sets", "b", "--allow_pipes", "false"], cwd=tmp_path, capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert "data/b/wav.scp:1: utterance b: 'touch PWNED-b; cat b.wav |' is a command" in refused.stderr
    allowed = subprocess.run([*stage, "--test_sets", "a"], cwd=tmp_path, capture_output=True, text=True)
    assert allowed.returncode == 0, allowed.stderr
    assert [path.name for path in tmp_path.glob("PWNED*")] == ["PWNED-a"]
    assert "\nallow_pipes=true\n" in (ROOT / "stages/options.sh").read_text()
    assert DumpConfig("data", "dump").allow_pipes is False


def test_a_playlist_is_no_recording(tmp_path):
    """FFmpeg knows formats that name other files, or addresses; none of them may be taken."""
    soundfile.write(tmp_path / "secret.mp3", TONE, 16000, format="MP3")
    assert joined(ffmpeg_blocks(str(tmp_path / "secret.mp3"), None))[0].shape[1] >= len(TONE)
    (tmp_path / "list.ffconcat").write_text("ffconcat version 1.0\nfile secret.mp3\n")
    (tmp_path / "list.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsecret.mp3\n#EXT-X-ENDLIST\n"
    )
    for name in ("list.ffconcat", "list.m3u8"):
        with pytest.raises(AudioError, match="unreadable"):
            joined(ffmpeg_blocks(str(tmp_path / name), None))


SHELL = ["; mkdir PWNED", "$(mkdir PWNED)", "`mkdir PWNED`", "-rf", "| mkdir PWNED", "&& mkdir PWNED"]
SHELL += ["'", '"', "\\", "*"]
pieces = st.one_of(st.sampled_from(SHELL), st.text(st.characters(exclude_characters="/\0"), max_size=6))
names = st.lists(pieces, min_size=1, max_size=3).map("".join)


@settings(max_examples=40, deadline=None)
@given(names, names)
@example("-a; mkdir PWNED", "s-$(mkdir${IFS}PWNED);&")
@example("a\nb", "u\nv")
@example("a b ", "u")
def test_names_never_become_shell_text(file_name, utterance):
    """From wav.scp to the dumped set: the audio arrives, or the name is refused; no process starts."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.chdir(name)
        patch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process"))
        patch.setattr(os, "system", lambda _: pytest.fail("a shell"))
        folder = Path(name)
        try:
            (path := folder / f"{file_name}.wav").write_bytes(wav_bytes(TONE.tobytes()))
        except (OSError, UnicodeEncodeError):
            return  # no name for a file here
        try:
            write_table(folder / "data/wav.scp", {utterance: str(path)})
        except ListError:
            assert {"\n", "\r"} & set(str(path)) or not is_id(utterance)
            return
        dump_job(DumpConfig("data", "dump"))
        merge_jobs(MergeConfig("data", "dump"))
        dump = DumpSet("dump")
        assert dump.utterances == [utterance]
        np.testing.assert_array_equal(dump.read(0), TONE / np.float32(32768))
        assert not (folder / "PWNED").exists()


def test_any_name_of_a_file_in_a_directory_to_embed(tmp_path):
    """Also names with line breaks, tabs and bytes that are not UTF-8: they keep to one line of the list."""
    root = tmp_path / "in"
    root.mkdir()
    kinds = ["a\nb", "-x", "$(touch PWNED)", "t\tb", os.fsdecode(b"latin-\xe9"), "语"]
    for kind in kinds:
        (root / f"{kind}.wav").touch()

    def refuse(name: str, path: Path) -> Source:
        if path.stem == "-x":
            return Source(name, 1, lambda first, count: np.ones(count, np.float32))
        raise ValueError(f"{path}: empty")

    def embed(sources):
        return ((source.name, np.ones(3, np.float32)) for source in sources)

    outcome = embed_directory(find_audio(root), tmp_path / "out", refuse, embed, {})
    assert outcome.written == 1 and (tmp_path / "out/-x.npy").is_file()
    rows = [line.split("\t") for line in (tmp_path / "out" / FAILURES).read_text().splitlines()]
    assert len(rows) == len(kinds) - 1 and all(len(row) == 2 for row in rows)
    assert [rf"{root}/a\nb.wav", rf"{root}/a\nb.wav: empty"] in rows
    assert rf"{root}/latin-\udce9.wav" in [row[0] for row in rows]
