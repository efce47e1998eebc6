"""What verification and enrolment take: recordings with a look at their speech, and embeddings in files."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from svmixer.cli.main import main
from svmixer.runtime import load_onnx
from svmixer.scoring.recordings import read_vectors

RATE = 16000


def syllables(seconds: float, seed: int = 0, gain: float = 0.1) -> np.ndarray:
    """Noise that comes and goes four times a second."""
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).standard_normal(len(time))
    return gain * noise * (0.5 - 0.5 * np.cos(2 * np.pi * 4 * time))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {
        "a": syllables(3),
        "b": syllables(3, 1),
        "brief": np.concatenate([np.zeros(RATE), syllables(0.6)]),
        "tone": 0.1 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE),
        "room": 3e-4 * np.random.default_rng(2).standard_normal(RATE),
    }
    for name, wave in files.items():
        soundfile.write(f"{name}.wav", wave, RATE)
    return tmp_path


def verdict(capsys, *words: str) -> dict:
    main(["verify", *words, "--threshold", "-0.9", "--json"])
    return json.loads(capsys.readouterr().out)


def test_how_sure(here, capsys):
    assert verdict(capsys, "a.wav", "b.wav")["doubts"] == []
    assert verdict(capsys, "a.wav", "brief.wav")["doubts"] == ["brief.wav: 0.6 s of speech"]
    assert verdict(capsys, "tone.wav", "a.wav")["doubts"] == ["tone.wav: a steady sound, hardly speech"]
    same = verdict(capsys, "a.wav", "b.wav")["score"]
    main(["verify", "a.wav", "b.wav", f"--threshold={same - 0.01}"])
    assert capsys.readouterr().out.endswith("; unsure: 0.0100 from the threshold\n")


def test_nothing_that_could_be_speech(here, capsys):
    for words in (["verify", "a.wav", "room.wav"], ["enrol", "room.wav", "--output", "r.npy"]):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert stop.value.code == 1
        assert "error: room.wav: no speech: nothing in it is louder than -60 dB" in capsys.readouterr().err
    assert not (here / "r.npy").exists()


@pytest.mark.parametrize(
    "words", [["a.wav", "room.wav", "--output", "r.npz"], ["--input_dir", ".", "--output_dir", "o"]]
)
def test_embed_warns_of_what_has_no_speech(here, words):
    command = [sys.executable, "-m", "svmixer", "embed", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    warnings = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert len(warnings) == 1 and "room.wav: no speech: nothing in it is louder than -60 dB" in warnings[0]


@pytest.mark.parametrize("ending", ["npy", "npz", "ark"])
def test_verify_takes_what_embed_wrote(here, capsys, ending):
    main(["embed", "a.wav", "b.wav", "--output", f"both.{ending}"])
    main(["embed", "a.wav", "--output", f"a.{ending}"])
    both, one = (name.replace(".ark", ".scp") for name in (f"both.{ending}", f"a.{ending}"))
    assert verdict(capsys, one, "a.wav")["score"] == pytest.approx(1, abs=1e-5)
    mean = verdict(capsys, "a.wav", "b.wav", "b.wav")["score"]
    assert verdict(capsys, both, "b.wav")["score"] == pytest.approx(mean, abs=1e-5)
    with pytest.raises(SystemExit):
        main(["verify", "a.wav", both])
    assert f"{both}: 2 embeddings, where one recording is compared" in capsys.readouterr().err


def test_files_that_hold_no_embeddings(here, capsys):
    np.save("other.npy", np.ones(7, np.float32))
    np.save("nan.npy", np.full(1486, np.nan, np.float32))
    np.save("objects.npy", np.array([{}]), allow_pickle=True)
    np.savez("sizes.npz", a=np.ones(2), b=np.ones(3))
    np.save("zero.npy", np.zeros(1486, np.float32))
    np.save("large.npy", np.full(1486, 1e200))
    (here / "wave.npy").write_bytes((here / "a.wav").read_bytes())
    (here / "list.scp").write_text("a gone.ark:3\n")
    (here / "text.npy").write_text("no array")
    (here / "empty.npz").write_bytes(b"")
    unreadable = "no embeddings can be read from it"
    expected = {
        "other.npy": "embeddings of 7 numbers, this model's have 1486: they were made with another model",
        "nan.npy": "not embeddings of finite values",
        "zero.npy": "not embeddings of finite values that are not all zero",
        "large.npy": "not embeddings of finite values",
        "wave.npy": unreadable,
        "list.scp": "missing file: gone.ark",
        "some.ark": "an archive; name the .scp beside it",
        "objects.npy": unreadable,
        "sizes.npz": unreadable,
        "text.npy": unreadable,
        "empty.npz": unreadable,
        "none.npy": "missing file",
    }
    for name, message in expected.items():
        with pytest.raises(SystemExit) as stop:
            main(["verify", name, "a.wav"])
        assert stop.value.code == 1
        error = capsys.readouterr().err
        assert f"error: {name}: {message}" in error and "pickle" not in error


def test_every_file_given_has_its_row(here):
    main(["embed", "a.wav", "b.wav", "a.wav", "--output", "m.npy"])
    found = np.load("m.npy")
    assert len(found) == 3 and np.array_equal(found[0], found[2])
    np.testing.assert_allclose(found[1], load_onnx("pocket2").embed("b.wav"), atol=1e-6)


def test_names_that_numpy_has_for_itself(here):
    for name in ("file", "args", "arr_0"):
        (here / name).write_bytes((here / "a.wav").read_bytes())
    main(["embed", "file", "args", "arr_0", "b.wav", "file", "--output", "m.npz"])
    with np.load("m.npz") as found:
        assert found.files == ["file", "args", "arr_0", "b.wav"]
        np.testing.assert_allclose(found["file"], found["args"], atol=1e-6)
    assert read_vectors("m.npz").shape == (4, 1486)


@pytest.mark.parametrize("output", ["result", "result.txt", "."])
def test_outputs_without_a_form(here, capsys, output):
    with pytest.raises(SystemExit) as stop:
        main(["embed", "a.wav", "--output", output])
    assert stop.value.code == 2
    assert f"output: '{output}' ends with none of .npy, .npz, .ark" in capsys.readouterr().err


def test_windows_side_by_side_are_those_of_one_thread():
    windows = np.random.default_rng(0).standard_normal((5, 48000)).astype(np.float32) / 10
    one, several = (load_onnx("pocket2", threads=threads) for threads in (1, 3))
    np.testing.assert_allclose(
        one.embed_windows(windows), several.embed_windows(windows), rtol=1e-4, atol=1e-4
    )


def test_two_speakers_on_two_channels(here, capsys):
    both = np.stack([syllables(3), syllables(3, 1)], axis=1)
    soundfile.write("both.wav", both, RATE)
    mixed = verdict(capsys, "both.wav", "a.wav")
    what = "both.wav: its channels hold different sounds, which are mixed; choose a channel"
    assert mixed["doubts"] == [what] and mixed["score"] < 0.999
    # A channel is of recordings that have several.
    for channel, (same, other) in enumerate((("a.wav", "b.wav"), ("b.wav", "a.wav"))):
        chosen = ["--channel", str(channel)]
        assert verdict(capsys, "both.wav", same, *chosen)["score"] == pytest.approx(1, abs=1e-4)
        assert verdict(capsys, other, same, *chosen)["score"] < 0.999


def test_recordings_are_named_as_they_are(here, capsys):
    for name in ("x|", " y.wav", "call_12:30"):
        (here / name).write_bytes((here / "a.wav").read_bytes())
        assert verdict(capsys, name, "a.wav")["score"] == pytest.approx(1, abs=1e-5)


def test_speech_between_silence(here, capsys):
    soundfile.write("long.wav", np.concatenate([np.zeros(30 * RATE), syllables(3)]), RATE)
    found = verdict(capsys, "long.wav", "a.wav")
    assert found["score"] > 0.95 and found["doubts"] == []
