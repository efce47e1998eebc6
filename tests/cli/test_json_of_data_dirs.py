"""``--json`` of the verbs for data directories: the same counts as their lines."""

from __future__ import annotations

import json

import pytest

from svmixer.cli.main import main


@pytest.fixture
def here(tmp_path, monkeypatch):
    for speaker in ("ann", "bob", "cem", "dan", "eva", "fay", "gil"):
        for number in range(4):
            path = tmp_path / "recordings" / speaker / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{speaker} {number}".encode())
    (tmp_path / "recordings/ann/notes.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(capsys, *words: str) -> dict:
    capsys.readouterr()
    main([*words, "--json"])
    return json.loads(capsys.readouterr().out)


def test_counts(here, capsys):
    made = answer(capsys, "make_data_dir", "--audio_dir", "recordings", "--data_dir", "data/all")
    assert (made["data_dir"], made["utterances"], made["speakers"]) == ("data/all", 28, 7)
    assert made["remarks"] == ["left out 1: no audio by their endings .txt 1 (ann/notes.txt)"]
    trials = answer(capsys, "make_trials", "--data_dir", "data/all")
    assert trials == {"trials": "data/all/trials", "count": 84, "targets": 42}
    valid = answer(capsys, "validate_data_dir", "--data_dir", "data/all")
    counts = {"recordings": 28, "utterances": 28, "speakers": 7, "trials": 84}
    assert valid == {"data_dir": "data/all", **counts}
    divided = answer(
        capsys, "partition_data_dir", "--data_dir", "data/all", "--output_dir", "parts", "--test_only", "true"
    )
    assert divided == {"output_dir": "parts", "speakers": {"test": 7}}


def test_what_was_repaired(here, capsys):
    answer(capsys, "make_data_dir", "--audio_dir", "recordings", "--data_dir", "data/all")
    lines = (here / "data/all/wav.scp").read_text().splitlines()
    (here / "data/all/wav.scp").write_text("\n".join([*lines[1:], lines[1]]) + "\n")
    fixed = answer(capsys, "fix_data_dir", "--data_dir", "data/all")
    assert set(fixed["changed"]) == {"wav.scp", "utt2spk", "spk2utt"} and fixed["sizes"]["utt2spk"] == 27
    assert {(one["name"], one["count"]) for one in fixed["dropped"]} >= {("utt2spk", 1)}
    again = answer(capsys, "fix_data_dir", "--data_dir", "data/all")
    assert again["changed"] == [] and again["dropped"] == []


def test_faults_are_objects_too(here, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["validate_data_dir", "--data_dir", "nothing", "--json"])
    assert stop.value.code == 1
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "list"
