"""The verbs for enrolled speakers: enrol, verify --name, identify, speakers, diarize."""

from __future__ import annotations

import json
import shutil
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from svmixer.cli.main import run_program
from svmixer.inference.embedding_model import ASSETS

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))
from voices import HIGH, LOW, RATE, voice

MID = (160.0, (500.0, 1500.0, 2500.0))
KINDS = {"ann": LOW, "bob": HIGH, "cem": MID}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Folders of two speakers, and one who is in neither."""
    root = tmp_path_factory.mktemp("people")
    for name, kind in KINDS.items():
        (root / "voices" / name).mkdir(parents=True)
        for number in (1, 2, 3):
            soundfile.write(root / f"voices/{name}/{number}.wav", voice(kind, number), RATE)
        (root / f"voices/{name}/3.wav").rename(root / f"{name}.wav")
    (root / "voices/cem").rename(root / "strangers")
    return root


@pytest.fixture
def people(folder, monkeypatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


def run(capsys, *words: str, status: int = 0) -> str:
    if status:
        with pytest.raises(SystemExit) as stop:
            run_program(words[0], [*words[1:]])
        assert stop.value.code == status
    else:
        run_program(words[0], [*words[1:]])
    printed = capsys.readouterr()
    return printed.err if status in (1, 2) else printed.out


def test_from_a_folder_to_a_name(people, capsys, enrolment_store):
    said = run(capsys, "enrol", "--audio_dir", "voices")
    assert said.splitlines() == ["ann: 2 new, 2 recordings in all", "bob: 2 new, 2 recordings in all"]
    assert stat.S_IMODE(enrolment_store.stat().st_mode) == 0o600
    assert run(capsys, "identify", "bob.wav").startswith("bob: log-likelihood ratio ")
    found = json.loads(run(capsys, "identify", "ann.wav", "--json", "--top", "1"))
    assert (found["decision"], found["name"], found["enrolled"]) == ("somebody", "ann", 2)
    assert len(found["likeliest"]) == 1
    assert run(capsys, "identify", "cem.wav", "--exit_status", status=3).startswith("nobody of 2 enrolled")
    # The same once more changes nothing.
    assert "ann: 0 new, 2 recordings in all" in run(capsys, "enrol", "--audio_dir", "voices")


def test_people_are_called_as_their_folders(people, capsys, tmp_path):
    names = {"Ann Lee": "Ann Lee", "bo\x07b": "bo_b", "e\u0301va": "\u00e9va"}
    for folder in names:
        (tmp_path / "in" / folder).mkdir(parents=True)
        (tmp_path / "in" / folder / "1.wav").write_bytes((people / "voices/ann/1.wav").read_bytes())
        with open(tmp_path / "in" / folder / "1.wav", "ab") as stream:
            stream.write(folder.encode())  # not the same file, though the same sound
    found = json.loads(run(capsys, "enrol", "--audio_dir", str(tmp_path / "in"), "--json"))
    assert {row["name"] for row in found["speakers"]} == set(names.values())
    doubts = [doubt for row in found["speakers"] for doubt in row["doubts"]]
    assert sum("the same recording is enrolled as" in doubt for doubt in doubts) == 2
    listed = json.loads(run(capsys, "speakers", "--json"))["speakers"]
    assert {row["name"] for row in listed} == set(names.values())


def test_nothing_is_said_of_training_to_who_enrols(people, caplog, tmp_path):
    for name in ("Ann Lee", "bob"):
        (tmp_path / "in" / name).mkdir(parents=True)
    (tmp_path / "in/Ann Lee/1.wav").write_bytes((people / "voices/ann/1.wav").read_bytes())
    (tmp_path / "in/bob/1.wav").write_bytes((people / "voices/bob/1.wav").read_bytes())
    (tmp_path / "in/bob/notes.txt").write_text("x")
    run_program("enrol", ["--audio_dir", str(tmp_path / "in")])
    said = caplog.text
    assert "notes.txt" in said and "train" not in said and "Ann_Lee" not in said


def test_verify_by_name(people, capsys):
    run(capsys, "enrol", "voices/ann/1.wav", "voices/ann/2.wav", "--name", "ann")
    assert run(capsys, "verify", "ann.wav", "--name", "ann").startswith("one speaker: ")
    found = json.loads(run(capsys, "verify", "bob.wav", "--name", "ann", "--json"))
    assert (found["decision"], found["name"], found["enrolled"]) == ("two speakers", "ann", [])
    # Seconds of speech of both that were enrolled, and of the test.
    assert len(found["speech"]) == 3 and all(5 < seconds <= 6 for seconds in found["speech"])
    files = json.loads(run(capsys, "verify", "voices/ann/1.wav", "voices/ann/2.wav", "bob.wav", "--json"))
    assert files["ratio"] == pytest.approx(found["ratio"], abs=1e-4) and files["name"] is None


def test_list_export_delete(people, capsys, tmp_path, enrolment_store):
    run(capsys, "enrol", "--audio_dir", "voices")
    lines = run(capsys, "speakers").splitlines()
    assert lines[0] == f"{enrolment_store}: 2 enrolled with the model pocket2" and len(lines) == 3
    assert lines[1].startswith("ann: 2 recordings, 1") and "s of speech, 20" in lines[1]
    found = json.loads(run(capsys, "speakers", "--json"))
    assert found["model"] == "pocket2" and len(found["fingerprint"]) == 64
    assert found["speakers"][1]["name"] == "bob"
    assert found["speakers"][1]["sources"] == [str(people / f"voices/bob/{n}.wav") for n in (1, 2)]
    run(capsys, "speakers", "--export", str(tmp_path / "all.npz"))
    with np.load(tmp_path / "all.npz") as arrays:
        assert arrays.files == ["ann", "bob"] and arrays["ann"].shape == (1486,)
        np.save(tmp_path / "ann.npy", arrays["ann"])
    by_file = json.loads(run(capsys, "verify", str(tmp_path / "ann.npy"), "ann.wav", "--json"))
    by_name = json.loads(run(capsys, "verify", "ann.wav", "--name", "ann", "--json"))
    assert by_file["score"] == pytest.approx(by_name["score"], abs=1e-6)
    assert run(capsys, "speakers", "--delete", "ann") == "ann: 2 recordings forgotten\n"
    assert json.loads(run(capsys, "speakers", "--delete", "bob", "--json"))["recordings"] == 2
    assert "nobody is enrolled" in run(capsys, "identify", "ann.wav", status=1)


def test_a_bad_recording_leaves_its_speaker_out(people, capsys, tmp_path):
    for name in ("ann", "bob"):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "1.wav").write_bytes((people / f"voices/{name}/1.wav").read_bytes())
    (tmp_path / "in/bob/2.wav").write_bytes(b"no audio")
    said = run(capsys, "enrol", "--audio_dir", str(tmp_path / "in"), status=1)
    assert f"error: bob is not enrolled: {tmp_path}/in/bob/2.wav: unreadable" in said
    assert [row["name"] for row in json.loads(run(capsys, "speakers", "--json"))["speakers"]] == ["ann"]


def test_stores_and_models(people, capsys, tmp_path):
    store = str(tmp_path / "other.db")
    run(capsys, "enrol", "ann.wav", "--name", "Ann B", "--store", store)
    assert run(capsys, "identify", "voices/ann/1.wav", "--store", store).startswith("Ann B: ")
    said = run(capsys, "identify", "ann.wav", "--store", store, "--model", "pocket", status=1)
    assert "enrolled with the model pocket2" in said and "take --model pocket2" in said


def test_embeddings_in_files_are_their_owners_alone(people, capsys, tmp_path):
    store = str(tmp_path / "m.db")
    run(capsys, "enrol", "ann.wav", "--name", "ann", "--store", store)
    run(capsys, "speakers", "--store", store, "--export", str(tmp_path / "all.npz"))
    run(capsys, "enrol", "ann.wav", "--output", str(tmp_path / "ann.npy"))
    for name in ("all.npz", "ann.npy"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_folder_called_as_a_model_does_not_hide_it(people, capsys, tmp_path, monkeypatch):
    recordings = [str(people / "ann.wav"), str(people / "bob.wav")]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pocket2").mkdir()
    assert "log-likelihood ratio" in run(capsys, "verify", *recordings)


def test_a_model_is_called_as_it_was_given(people, capsys, tmp_path):
    mine, store = tmp_path / "mine/export", str(tmp_path / "mine.db")
    shutil.copytree(ASSETS / "pocket", mine)
    run(capsys, "enrol", "ann.wav", "--name", "ann", "--store", store, "--model", str(mine))
    said = run(capsys, "identify", "ann.wav", "--store", store, status=1)
    assert f"take --model {mine}," in said


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["enrol", "ann.wav"], 2, "name, audio_dir, output: give one of them"),
        (["enrol", "ann.wav", "--name", "a", "--output", "a.npy"], 2, "give one of them"),
        (["enrol", "--name", "a"], 2, "no recording given"),
        (["enrol", "ann.wav", "--audio_dir", "voices"], 2, "recordings or a folder, not both"),
        (["enrol", "ann.wav", "--output", "a.txt"], 2, "output: 'a.txt' does not end with .npy"),
        (["enrol", "ann.wav", "--name", " a"], 1, "1 to 200 printable characters"),
        (["enrol", "none.wav", "--name", "a"], 1, "none.wav: missing file"),
        (["verify", "a.wav", "b.wav", "--name", "a"], 2, "one recording is compared with a name, found 2"),
        (["verify", "ann.wav", "--name", "zed"], 1, "nobody is enrolled"),
        (["speakers"], 1, "no such file: nobody is enrolled"),
        (["speakers", "--export", "a.npy"], 2, "does not end with .npz"),
        (["diarize"], 2, "no recording given"),
        (["diarize", "ann.wav"], 1, "nobody is enrolled"),
        (["diarize", "bob.wav", "ann.wav", "voices/ann.wav"], 2, "speakers are called as their files"),
    ],
)
def test_mistakes(people, capsys, words, status, message):
    assert message in run(capsys, *words, status=status)


def test_who_speaks_when(people, capsys, tmp_path):
    run(capsys, "enrol", "--audio_dir", "voices")
    pause = 1e-4 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    order = [("ann", 10), ("bob", 11), ("cem", 12), ("ann", 13)]
    parts = [part for name, seed in order for part in (voice(KINDS[name], seed, 8 * RATE), pause)]
    soundfile.write(tmp_path / "a meeting.wav", np.concatenate(parts), RATE)
    words = ["diarize", str(tmp_path / "a meeting.wav"), "--operating_point", "standard"]
    run(capsys, *words, "--output", str(tmp_path / "m.rttm"))
    lines = [line.split() for line in (tmp_path / "m.rttm").read_text().splitlines()]
    # The third is of nobody who is enrolled; the others begin every nine seconds.
    assert [line[7] for line in lines] == ["ann", "bob", "ann"]
    assert [float(line[3]) for line in lines] == pytest.approx([0, 9, 27], abs=0.3)
    assert [float(line[4]) for line in lines] == pytest.approx([8, 8, 8], abs=0.5)
    assert all(line[:3] == ["SPEAKER", "a_meeting", "1"] for line in lines)
    found = json.loads(
        run(capsys, "diarize", str(tmp_path / "a meeting.wav"), "ann.wav", "--json", "--threshold", "0.6")
    )
    assert {turn["speaker"] for turn in found} == {"ann"} and len(found) == 2
    assert all(not turn["uncertain"] and isinstance(turn["doubts"], list) for turn in found)


def test_a_meeting_without_sound(people, capsys, tmp_path):
    soundfile.write(tmp_path / "nothing.wav", np.zeros(5 * RATE), RATE)
    noise = 0.1 * np.random.default_rng(0).standard_normal(5 * RATE)
    soundfile.write(tmp_path / "cancelled.wav", np.stack([noise, -noise], axis=1), RATE)
    for name, message in (
        ("nothing", "nothing.wav: all-zero: 5.00 s of digital silence"),
        ("cancelled", "cancel each other"),
    ):
        assert message in run(capsys, "diarize", str(tmp_path / f"{name}.wav"), "ann.wav", status=1)
