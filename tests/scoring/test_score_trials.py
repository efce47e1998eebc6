"""``svmixer score_trials``: trial lists of the usual forms, scored as ``svmixer verify`` would."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from svmixer import Rule, Verifier
from svmixer.cli.main import run_program

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))
from voices import HIGH, LOW, RATE, voice

PAIRS = [("ann/1.wav", "ann/2.wav", 1), ("ann/1.wav", "bob/1.wav", 0), ("bob/1.wav", "bob/2.wav", 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("trials")
    for name, kind in (("ann", LOW), ("bob", HIGH)):
        (root / "wav" / name).mkdir(parents=True)
        for number in (1, 2):
            soundfile.write(root / f"wav/{name}/{number}.wav", voice(kind, number), RATE, subtype="FLOAT")
    (root / "voxceleb").write_text("".join(f"{label} {one} {two}\n" for one, two, label in PAIRS))
    words = ("nontarget", "target")
    ids = [(one.replace("/", "-"), two.replace("/", "-"), words[label]) for one, two, label in PAIRS]
    (root / "kaldi").write_text("".join(f"{one} {two} {word}\n" for one, two, word in ids))
    files = sorted((root / "wav").rglob("*.wav"))
    (root / "wav.scp").write_text("".join(f"{p.parent.name}-{p.name} {p}\n" for p in files))
    return root


@pytest.fixture
def here(folder, monkeypatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


def scores_of(path: Path) -> list[float]:
    return [float(line.split()[2]) for line in path.read_text().splitlines()]


def test_two_forms_and_single_verdicts(here, tmp_path, capsys):
    for number, words in enumerate((["voxceleb", "--audio_dir", "wav"], ["kaldi", "--wav_scp", "wav.scp"])):
        run_program("score_trials", [*words, "--output", str(tmp_path / f"{number}"), "--json"])
        figures = json.loads(capsys.readouterr().out)
        assert (figures["scores"], figures["trials"], figures["targets"]) == ("ratio", 3, 2)
        assert figures["eer"] == 0.0 and figures["cllr"] > 0
    verifier = Verifier()
    expected = [verifier.compare(f"wav/{one}", f"wav/{two}").ratio for one, two, _ in PAIRS]
    for number in (0, 1):
        np.testing.assert_allclose(scores_of(tmp_path / f"{number}"), expected, atol=1e-4)
    assert (tmp_path / "0").read_text().startswith("ann/1.wav ann/2.wav ")


def test_cosines(here, tmp_path, capsys):
    words = ["voxceleb", "--audio_dir", "wav", "--scores", "cosine", "--output", str(tmp_path / "s")]
    run_program("score_trials", words)
    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == ["scores", "cosines"] and "Cllr" not in [line.split()[0] for line in said]
    verifier = Verifier(rule=Rule(threshold=0.5))
    expected = [verifier.compare(f"wav/{one}", f"wav/{two}").score for one, two, _ in PAIRS]
    np.testing.assert_allclose(scores_of(tmp_path / "s"), expected, atol=2e-6)


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 2, "expected one trial list, found 0"),
        (["voxceleb", "--audio_dir", "a", "--wav_scp", "b"], 2, "one of them says where the recordings are"),
        (["none"], 1, "none: cannot be read: No such file"),
        (["voxceleb"], 1, "4 of 4 recordings cannot be used:\nerror: ann/1.wav: missing file"),
        (["voxceleb", "--wav_scp", "wav.scp"], 1, "4 of the 4 names in voxceleb are not here: ann/1.wav"),
        (["one_class", "--audio_dir", "wav"], 1, "error rates need both classes"),
    ],
)
def test_mistakes(here, tmp_path, capsys, words, status, message):
    Path("one_class").write_text("1 ann/1.wav ann/2.wav\n")
    with pytest.raises(SystemExit) as stop:
        run_program("score_trials", [*words, "--output", str(tmp_path / "s")])
    assert stop.value.code == status and message in capsys.readouterr().err
    assert not (tmp_path / "s").exists()
