"""``svmixer embed --input_dir``: names, values, resume, failures, Kaldi files."""

import logging
import os
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile

from svmixer.cli.main import run_program
from svmixer.models.config import BackendConfig, FrontendConfig, ModelConfig, StudentConfig
from svmixer.models.io import load_model, save_model
from svmixer.models.speaker_model import SpeakerModel


@pytest.fixture
def model_dir(tmp_path):
    import torch

    torch.manual_seed(0)
    student = StudentConfig(
        FrontendConfig(channels=(8,) * 7), layers=1, hidden=16, group_width=8, expansion=2
    )
    save_model(SpeakerModel(ModelConfig(student, BackendConfig("linear", 6))), tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def audio(tmp_path):
    """Three recordings in two folders, a text file and a file that only looks like audio."""
    rng = np.random.default_rng(1)
    root = tmp_path / "in"
    for name, rate in (("b/x.wav", 16000), ("b/é é.flac", 8000), ("a.OGG", 16000)):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng.standard_normal(20000), rate, format=path.suffix[1:].upper())
    (root / "notes.txt").write_text("no audio")
    return root


def run(audio, output, model_dir, *more):
    where = ["--input_dir", str(audio), "--output_dir", str(output)]
    run_program("embed", [*where, "--model", str(model_dir), *more])


def test_one_file_a_recording_with_the_values_of_the_model(audio, model_dir, tmp_path):
    run(audio, tmp_path / "out", model_dir)
    found = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.npy")}
    assert found == {"a.npy", "b/x.npy", "b/é é.npy"}
    model = load_model(model_dir)
    wave, rate = soundfile.read(audio / "b/é é.flac", dtype="float32")
    np.testing.assert_allclose(np.load(tmp_path / "out/b/é é.npy"), model.embed(wave, rate), atol=1e-6)
    assert (tmp_path / "out/failures.tsv").read_text() == ""


@pytest.fixture
def batches(monkeypatch):
    """Sizes of the batches that went through the model, which are filled in."""
    sizes = []
    forward = SpeakerModel.forward
    monkeypatch.setattr(SpeakerModel, "forward", lambda self, x: sizes.append(len(x)) or forward(self, x))
    return sizes


def test_many_short_files_share_batches(model_dir, batches, tmp_path):
    """With the embeddings of one by one, at any rate and length; a file of three windows is among them."""
    rng = np.random.default_rng(2)
    lengths = {f"{number:02d}": 5000 + 1000 * number for number in range(20)} | {"05x": 100_000}
    (tmp_path / "in").mkdir()
    for name, length in lengths.items():
        rate = 8000 if name == "07" else 16000
        soundfile.write(tmp_path / f"in/{name}.wav", 0.1 * rng.standard_normal(length), rate)
    run(tmp_path / "in", tmp_path / "out", model_dir)
    assert batches == [16, 7]
    model = load_model(model_dir)
    for name in lengths:
        alone = model.embed(*soundfile.read(tmp_path / f"in/{name}.wav", dtype="float32"))
        np.testing.assert_allclose(np.load(tmp_path / f"out/{name}.npy"), alone, rtol=0, atol=1e-6)
    files = sorted(map(str, (tmp_path / "in").iterdir()))
    run_program("embed", [*files, "--output", str(tmp_path / "all.npz"), "--model", str(model_dir)])
    with np.load(tmp_path / "all.npz") as together:
        assert list(together) == files
        for name in files:
            np.testing.assert_array_equal(
                together[name], np.load(tmp_path / "out" / f"{Path(name).stem}.npy")
            )


def test_what_fails_in_the_middle_fails_alone(model_dir, batches, tmp_path, capsys):
    """Damage that no header shows, in the batch that others share: it is named, the others are as alone."""
    root = tmp_path / "in"
    root.mkdir()
    waves = {name: 0.1 * np.random.default_rng(ord(name)).standard_normal(60_000) for name in "abcde"}
    waves["b"][-1] = np.nan
    for name, wave in waves.items():
        soundfile.write(root / f"{name}.wav", wave, 16000, subtype="FLOAT")
    soundfile.write(root / "d.flac", waves.pop("d"), 16000)
    (root / "d.wav").unlink()
    data = (root / "d.flac").read_bytes()
    (root / "d.flac").write_bytes(data[: len(data) // 2])
    # One sample of a high rate: none is left at the model's.
    soundfile.write(root / "f.wav", np.zeros(1), 192_000)
    with pytest.raises(SystemExit):
        run(root, tmp_path / "out", model_dir)
    assert "3 of 6 files could not be embedded" in capsys.readouterr().err
    rows = dict(line.split("\t") for line in (tmp_path / "out/failures.tsv").read_text().splitlines())
    assert list(rows) == [str(root / name) for name in ("b.wav", "d.flac", "f.wav")]
    assert rows[str(root / "b.wav")].startswith(f"{root}/b.wav: non-finite: 1 of ")
    assert rows[str(root / "d.flac")].startswith(f"{root}/d.flac: unreadable: ")
    assert rows[str(root / "f.wav")].startswith(f"{root}/f.wav: too short: ")
    assert {path.name for path in (tmp_path / "out").glob("*.npy")} == {"a.npy", "c.npy", "e.npy"}
    model = load_model(model_dir)
    for name in "ace":
        found = np.load(tmp_path / f"out/{name}.npy")
        np.testing.assert_allclose(found, model.embed(waves[name].astype(np.float32)), rtol=0, atol=1e-6)
    # Of single files nothing is written, and each that fails is named.
    with pytest.raises(SystemExit):
        run_program(
            "embed",
            [
                *map(str, sorted(root.iterdir())),
                "--output",
                str(tmp_path / "x.npy"),
                "--model",
                str(model_dir),
            ],
        )
    lines = capsys.readouterr().err.splitlines()
    starts = [
        f"error: {root}/b.wav: non-finite",
        f"error: {root}/d.flac: unreadable",
        f"error: {root}/f.wav: too short",
    ]
    assert len(lines) == 3 and all(line.startswith(start) for line, start in zip(lines, starts, strict=True))
    assert not (tmp_path / "x.npy").exists()


def test_what_is_there_is_not_done_again(audio, model_dir, tmp_path):
    out = tmp_path / "out"
    run(audio, out, model_dir)
    kept = (out / "a.npy").stat().st_mtime_ns
    (out / "b/x.npy").unlink()
    run(audio, out, model_dir)
    assert (out / "a.npy").stat().st_mtime_ns == kept
    assert (out / "b/x.npy").is_file()


def test_other_settings_are_not_mixed_in(audio, model_dir, tmp_path, capsys):
    run(audio, tmp_path / "out", model_dir)
    with pytest.raises(SystemExit):
        run(audio, tmp_path / "out", model_dir, "--protocol", "crops", "--num_crops", "3")
    assert "holds embeddings made otherwise (num_crops, protocol)" in capsys.readouterr().err


def test_failures_are_listed_and_the_others_done(audio, model_dir, tmp_path, capsys):
    (audio / "broken.wav").write_bytes(b"RIFF nothing")
    soundfile.write(audio / "empty.wav", np.zeros(0), 16000)
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as stop:
        run(audio, out, model_dir, "--kaldi", "false")
    assert stop.value.code == 1
    assert "2 of 5 files could not be embedded" in capsys.readouterr().err
    rows = [line.split("\t") for line in (out / "failures.tsv").read_text().splitlines()]
    assert [row[0] for row in rows] == [str(audio / "broken.wav"), str(audio / "empty.wav")]
    assert all(len(row) == 2 and row[1] for row in rows)
    assert len(list(out.rglob("*.npy"))) == 3
    # Mended, the next run ends well and the list is empty again.
    for name in ("broken.wav", "empty.wav"):
        soundfile.write(audio / name, 0.1 * np.ones(5000), 16000)
    run(audio, out, model_dir)
    assert (out / "failures.tsv").read_text() == "" and len(list(out.rglob("*.npy"))) == 5


def test_kaldi_files(audio, model_dir, tmp_path, capsys):
    out = tmp_path / "out"
    with pytest.raises(SystemExit):
        run(audio, out, model_dir, "--kaldi", "true")
    assert "'b/é é': a key of a Kaldi file has no spaces" in capsys.readouterr().err
    # Before anything is embedded.
    assert not out.exists()
    (audio / "b/é é.flac").rename(audio / "b/é.flac")
    run(audio, out, model_dir, "--kaldi", "true")
    table = kaldiio.load_scp(str(out / "embeddings.scp"))
    assert sorted(table) == ["a", "b/x", "b/é"]
    for name in table:
        np.testing.assert_array_equal(table[name], np.load(out / f"{name}.npy"))


@pytest.mark.parametrize(
    ("words", "status", "what"),
    [
        (["--input_dir", "in"], 2, "input_dir, output_dir: one needs the other"),
        (["--input_dir", "in", "--output_dir", "o", "--output", "a.npy"], 2, "output: not read beside"),
        (["--input_dir", "in", "--output_dir", "o", "a.wav"], 2, "'a.wav': audio files or an"),
        ([], 2, "no audio file given"),
        (["a.wav", "--kaldi", "true"], 2, "kaldi: read beside input_dir alone"),
        (["--input_dir", "nowhere", "--output_dir", "o"], 1, "nowhere: no such directory"),
        (["--input_dir", "bare", "--output_dir", "o"], 1, "bare: no audio files (.3g2"),
        (["--input_dir", "twins", "--output_dir", "o"], 1, "would both be called a.npy"),
    ],
)
def test_mistakes(model_dir, tmp_path, monkeypatch, capsys, words, status, what):
    monkeypatch.chdir(tmp_path)
    for name in ("bare/a.txt", "twins/a.wav", "twins/a.flac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(SystemExit) as stop:
        run_program("embed", [*words, "--model", str(model_dir)])
    assert stop.value.code == status
    assert what in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_every_file_is_embedded_failed_or_ignored(model_dir, tmp_path, capsys):
    root, out = tmp_path / "in", tmp_path / "in/out"
    wave = 0.1 * np.random.default_rng(0).standard_normal(8000)
    for folder in ("in", "elsewhere"):
        (tmp_path / folder).mkdir()
    for name in ("in/a.WAV", "elsewhere/b.flac"):
        soundfile.write(tmp_path / name, wave, 16000)
    (root / "notes.txt").write_text("x")
    (root / "noending").write_text("x")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "round").symlink_to(root)
    (root / "gone.wav").symlink_to(tmp_path / "nothing.wav")
    for _ in range(2):
        with pytest.raises(SystemExit) as stop:
            run(root, out, model_dir)
        assert stop.value.code == 1 and "1 of 3 files could not be embedded" in capsys.readouterr().err
        assert {str(path.relative_to(out)) for path in out.rglob("*.npy")} == {"a.npy", "linked/b.npy"}
        assert (out / "failures.tsv").read_text() == (
            f"{root}/gone.wav\tmissing file: a link to {tmp_path}/nothing.wav, which is not there\n"
        )
        assert (out / "ignored.tsv").read_text() == (
            f"{root}/round\ta link to a folder that it is in\n"
            f"{root}/noending\tno audio file by its ending ''\n"
            f"{root}/notes.txt\tno audio file by its ending '.txt'\n"
        )


def test_a_recording_that_was_replaced_is_embedded_anew(audio, model_dir, tmp_path):
    out = tmp_path / "out"
    run(audio, out, model_dir)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.rglob("*.npy")}
    wave, rate = soundfile.read(audio / "b/x.wav")
    # Of the same length, so that the file has the same size.
    soundfile.write(audio / "b/x.wav", wave[::-1], rate)
    # Copied, with the same bytes and another time.
    os.utime(audio / "b/é é.flac", ns=(5, 5))
    run(audio, out, model_dir)
    changed = {path.name for path, (_, data) in before.items() if path.read_bytes() != data}
    written = {path.name for path, (time, _) in before.items() if path.stat().st_mtime_ns != time}
    assert changed == written == {"x.npy"}
    # One that cannot be read any more leaves nothing of what it was.
    (audio / "b/x.wav").write_bytes(b"RIFF")
    with pytest.raises(SystemExit):
        run(audio, out, model_dir)
    assert not (out / "b/x.npy").exists()


def test_embeddings_from_before_there_was_a_log_are_kept(audio, model_dir, tmp_path):
    out = tmp_path / "out"
    run(audio, out, model_dir)
    (out / "sources.tsv").unlink()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.npy")}
    run(audio, out, model_dir)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len((out / "sources.tsv").read_text().splitlines()) == len(before)


def test_an_embedding_that_no_log_knows_is_made_again(audio, model_dir, tmp_path):
    """As after a kill between the two writings; half a line is none."""
    out = tmp_path / "out"
    run(audio, out, model_dir)
    log = (out / "sources.tsv").read_text()
    (out / "sources.tsv").write_text(log[:-3])
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.npy")}
    run(audio, out, model_dir)
    assert sum(path.stat().st_mtime_ns != time for path, time in before.items()) == 1
    # The half line has not taken the next one with it.
    assert sorted((out / "sources.tsv").read_text().splitlines()) == sorted(log.splitlines())


def test_settings_that_cannot_be_read(audio, model_dir, tmp_path, capsys):
    out = tmp_path / "out"
    run(audio, out, model_dir)
    for damaged in ("{", "[]"):
        (out / "settings.json").write_text(damaged)
        with pytest.raises(SystemExit):
            run(audio, out, model_dir)
        assert f"error: {out}/settings.json: damaged" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(audio, audio / "b/x.wav", model_dir)
    assert f"error: {audio}/b/x.wav: not a directory" in capsys.readouterr().err


def test_embeddings_of_recordings_that_are_gone_are_named(audio, model_dir, tmp_path, caplog):
    out = tmp_path / "out"
    run(audio, out, model_dir)
    (audio / "b/x.wav").unlink()
    logging.getLogger("svmixer").addHandler(caplog.handler)
    run(audio, out, model_dir)
    logging.getLogger("svmixer").removeHandler(caplog.handler)
    assert f"{out}: 1 embeddings are of recordings that are gone, as b/x.npy" in caplog.text
