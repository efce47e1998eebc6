"""Score files of several toolkits, with and without trial lists, and the verb that reads them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from svmixer.cli.main import run_program
from svmixer.lists import ListError, read_trials
from svmixer.scoring.metrics import eer_replicates
from svmixer.scoring.score_file import labelled_scores, read_score_file

TRIALS = "1 a-1 a-2\n0 a-1 b-1\n1 b-1 b-2\n0 b-2 a-2\n"
SCORES = [0.9, 0.2, 0.4, -0.5]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trials").write_text(TRIALS)
    (tmp_path / "kaldi").write_text("a-1 a-2 0.9\na-1 b-1 0.2\nb-1 b-2 0.4\nb-2 a-2 -0.5\n")
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        # WeSpeaker's
        "a-1 a-2 0.9 target\na-1 b-1 2e-1 nontarget\nb-1 b-2 0.4 target\nb-2 a-2 -0.5 nontarget\n",
        "1 a-1 a-2 0.9\n0 a-1 b-1 0.2\n1 b-1 b-2 0.4\n0 b-2 a-2 -0.5\n",
        "0.9 1\n0.2 0\n0.4 1\n-0.5 0\n",
    ],
)
def test_files_with_labels(folder, text):
    (folder / "scores").write_text(text)
    scores, labels = labelled_scores("scores")
    assert scores.tolist() == SCORES and labels.tolist() == [1, 0, 1, 0]


def test_a_trial_list_gives_order_and_labels(folder):
    lines = (folder / "kaldi").read_text().splitlines()
    (folder / "kaldi").write_text("\n".join([*reversed(lines), "x-1 x-2 0.1"]) + "\n")
    scores, labels = labelled_scores("kaldi", "trials")
    assert scores.tolist() == SCORES and labels.tolist() == [1, 0, 1, 0]


def test_paths_of_voxceleb_and_ids_are_the_same(folder):
    (folder / "list").write_text("1 id1/x/01.wav id1/y/02.wav\n0 id1/x/01.wav id2/z/03.wav\n")
    (folder / "scores").write_text("id1-x-01 id2-z-03 0.2\nid1-x-01 id1-y-02 0.9\n")
    assert labelled_scores("scores", "list")[0].tolist() == [0.9, 0.2]
    (folder / "scores").write_text("id1/x/01.wav id2/z/03.wav 0.2\nid1/x/01.wav id1/y/02.wav 0.9\n")
    assert labelled_scores("scores", "list")[0].tolist() == [0.9, 0.2]


@pytest.mark.parametrize(
    ("text", "trials", "message"),
    [
        ("a-1 a-2 0.9\n", "trials", "3 of 4 trials of trials have no score, the first is 'a-1 b-1'"),
        ("a-1 a-2 0.9\na-1 a-2 0.8\n", "trials", "scores:2: two scores of the trial 'a-1 a-2'"),
        ("a-1 a-2 0.9\n", "", "has no labels: name the trial list, too"),
        ("0.9 1\n", "trials", "has no names of utterances; leave the trial list out"),
        ("a-1 a-2 0.9\na-1 b-1\n", "", "scores:2: not of the form of the first line: 'a-1 b-1'"),
        ("a-1 a-2 0.9\na-1 b-1 nan\n", "", "scores:2: the score is nan"),
        ("a-1 a-2\n", "", "scores:1: expected 'utterance1 utterance2 score'"),
        ("a-1 a-2 0.9 target\na-1 a-2 0.9 maybe\n", "", "scores:2: not of the form of the first line"),
        ("", "", "empty list"),
    ],
)  # fmt: skip
def test_faults_are_named(folder, text, trials, message):
    (folder / "scores").write_text(text)
    with pytest.raises(ListError) as caught:
        labelled_scores("scores", trials)
    assert message in str(caught.value)


def test_the_verb_prints_and_gives_json(folder, capsys):
    run_program("metrics", ["kaldi", "trials"])
    assert capsys.readouterr().out == (
        "trials                   4, 2 of them target\n"
        "EER                      0.00 %\n"
        "threshold at the EER     0.3\n"
        "minDCF(0.05)             0.0000\n"
        "minDCF(0.01)             0.0000\n"
        "min Cllr                 0.0000 bits\n"
    )
    run_program("metrics", ["kaldi", "trials", "--llr", "true", "--p_target", "[0.5]", "--json"])
    figures = json.loads(capsys.readouterr().out)
    assert figures["trials"] == 4 and figures["act_dcf"] == {"0.5": 0.5} and 0 < figures["cllr"] < 1


def test_the_verb_s_interval_is_that_of_the_report(folder, capsys):
    names = [f"{s}-{n}" for s in "abcdef" for n in range(4)]
    pairs = [(x, y) for i, x in enumerate(names) for y in names[i + 1 :]]
    rng = np.random.default_rng(0)
    (folder / "trials").write_text("".join(f"{int(x[0] == y[0])} {x} {y}\n" for x, y in pairs))
    scores = [round(rng.normal(float(x[0] == y[0])), 6) for x, y in pairs]
    (folder / "kaldi").write_text("".join(f"{x} {y} {s}\n" for (x, y), s in zip(pairs, scores, strict=True)))
    (folder / "utt2spk").write_text("".join(f"{name} {name[0]}\n" for name in names))
    run_program("metrics", ["kaldi", "trials", "--utt2spk", "utt2spk", "--json", "true"])
    found = json.loads(capsys.readouterr().out)["eer_ci95"]
    trials = read_trials("trials")
    speakers = np.array([["abcdef".index(x[0]), "abcdef".index(y[0])] for x, y in pairs])
    draws = eer_replicates(np.array(scores), trials.labels, speakers, 1000)
    assert found == pytest.approx((100 * np.nanquantile(draws, [0.025, 0.975])).tolist())


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 2, "svmixer metrics SCORES [TRIALS]"),
        (["kaldi", "--utt2spk", "utt2spk"], 2, "the interval needs a trial list"),
        (["kaldi", "trials", "--utt2spk", "none"], 2, "there is no file none"),
        (["kaldi", "trials", "--p_target", "[1.5]"], 2, "a prior lies between 0 and 1, found 1.5"),
        (["none", "trials"], 1, "none"),
        (["kaldi"], 1, "kaldi: has no labels: name the trial list, too"),
    ],
)
def test_mistakes_end_with_one_line(words, status, message, capsys):
    with pytest.raises(SystemExit) as caught:
        run_program("metrics", words)
    assert caught.value.code == status
    assert message in capsys.readouterr().err


def test_many_trials_are_read(folder):
    """None is lost, none is another's."""
    rows = [f"u{n // 1000} v{n % 1000} {n / 1e6}\n" for n in range(100_000)]
    (folder / "many").write_text("".join(rows))
    (folder / "list").write_text("".join(f"{n % 2} u{n // 1000} v{n % 1000}\n" for n in range(100_000)))
    scores, labels = labelled_scores("many", "list")
    assert len(scores) == 100_000 and scores[-1] == 0.099999 and labels.sum() == 50_000
    assert len(read_score_file("many").pairs) == 100_000
