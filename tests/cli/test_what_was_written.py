"""``--json`` of the verbs that write: what went where."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import soundfile

from svmixer.cli.main import main

RATE = 16000


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    time = np.arange(4 * RATE) / RATE
    for number, name in enumerate(("people/ann/a.wav", "people/ann/b.wav", "people/bob/c.wav")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).standard_normal(len(time))
        soundfile.write(name, 0.1 * noise * (0.5 - 0.5 * np.cos(2 * np.pi * 4 * time)), RATE)
    return tmp_path


FILES = ["people/ann/a.wav", "people/bob/c.wav"]


def run(capsys, *words: str) -> dict:
    main([*words, "--json"])
    return json.loads(capsys.readouterr().out)


def test_embeddings_of_files(here, capsys):
    found = run(capsys, "embed", *FILES)
    assert (found["model"], found["size"]) == ("pocket2", 1486)
    assert [row["name"] for row in found["recordings"]] == FILES
    written = run(capsys, "embed", *FILES, "--output", "both.npy")
    assert written == {
        "model": "pocket2",
        "size": 1486,
        "output": "both.npy",
        "recordings": [{"name": name} for name in FILES],
    }
    np.testing.assert_array_equal(
        np.load("both.npy"), np.float32([row["embedding"] for row in found["recordings"]])
    )


def test_names_with_spaces_are_no_trouble_in_json(here, capsys):
    (here / "people/ann/a.wav").rename(here / "a b.wav")
    assert run(capsys, "embed", "a b.wav")["recordings"][0]["name"] == "a b.wav"


def test_embeddings_of_a_directory(here, capsys):
    words = ("embed", "--input_dir", "people", "--output_dir", "out")
    (here / "people/notes.txt").write_text("no recording")
    expected = {"model": "pocket2", "output_dir": "out", "written": 3, "found": 0, "ignored": 1}
    assert run(capsys, *words) == expected
    assert run(capsys, *words) == {**expected, "written": 0, "found": 3}
    (here / "people/bob/bad.wav").write_text("no audio")
    with pytest.raises(SystemExit) as stop:
        main([*words, "--json"])
    assert stop.value.code == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["message"] == "1 of 4 files could not be embedded: out/failures.tsv"


def test_enrolments(here, capsys):
    assert run(capsys, "enrol", *FILES, "--output", "x.npy") == {
        "model": "pocket2",
        "output": "x.npy",
        "doubts": [],
    }
    assert (here / "x.npy").exists()
    found = run(capsys, "enrol", "--audio_dir", "people", "--store", "s.db")
    assert found == {
        "model": "pocket2",
        "speakers": [
            {"name": "ann", "new": 2, "recordings": 2, "doubts": []},
            {"name": "bob", "new": 1, "recordings": 1, "doubts": []},
        ],
        "failures": [],
    }
    # Who was enrolled is said beside who was not.
    shutil.copytree(here / "people", here / "more")
    (here / "more/bob/bad.wav").write_text("no audio")
    with pytest.raises(SystemExit) as stop:
        main(["enrol", "--audio_dir", "more", "--store", "t.db", "--json"])
    assert stop.value.code == 1
    found = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in found["speakers"]] == ["ann"]
    assert len(found["failures"]) == 1 and "bob is not enrolled" in found["failures"][0]
    found = run(capsys, "enrol", "people/bob/c.wav", "people/ann/a.wav", "--name", "bob", "--store", "s.db")
    doubt = "the same recording is enrolled as 'ann'"
    assert found["speakers"] == [{"name": "bob", "new": 1, "recordings": 2, "doubts": [doubt]}]
    with pytest.raises(SystemExit):
        main(["enrol", "missing.wav", "--name", "eve", "--store", "s.db", "--json"])
    assert json.loads(capsys.readouterr().out)["error"]["message"] == "missing.wav: missing file"
    with pytest.raises(SystemExit):
        main(["verify", FILES[0], "--name", "eve", "--store", "s.db", "--json"])
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "store"
