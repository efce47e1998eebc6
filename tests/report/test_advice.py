"""The baseline in the results, and what it says before a training."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from kaldiio import load_scp
from report_pages import rows_of, without_scripts

from svmixer.cli.main import run_program
from svmixer.fileio import read_json
from svmixer.lists import read_table, write_table
from svmixer.report.advice import SetSize, advice, known_model, set_size
from svmixer.report.differences import Draws
from svmixer.report.document import Extras
from svmixer.report.experiment import read_experiment
from svmixer.report.headline import headlines
from svmixer.report.page import write_report
from svmixer.report.results import ReportError, baseline_name
from svmixer.scoring.metrics import error_rates, summary
from svmixer.scoring.result import read_scores

ROOT = Path(__file__).resolve().parents[2]
POCKET = str(ROOT / "svmixer/assets/pocket")


@pytest.fixture
def scored(eval_set, score_again) -> Path:
    """The shipped model's scores on the test set, or what stands for them."""
    score_again(Path("exp/toy/baseline/score/test"), eval_set, 0.8, 5, 0.0, POCKET)
    return Path("exp/toy/baseline/score/test")


def write_dump(folder: Path, speakers: int, utterances: int, seconds: float) -> None:
    names = {f"s{s}-{u}": f"s{s}" for s in range(speakers) for u in range(utterances)}
    write_table(folder / "utt2spk", names)
    write_table(folder / "utt2num_samples", {name: str(int(16000 * seconds)) for name in names})


@pytest.mark.slow
def test_the_baseline_is_the_first_row_and_has_a_difference(make_run, scored):
    run = make_run("exp/toy")
    experiment = read_experiment(run, "student")
    write_report(experiment, Extras())
    (headline,) = headlines([experiment], None, Draws())
    assert " the shipped model (pocket) (" in headline.standing[0] and len(headline.standing) == 3
    page = without_scripts((run / "report.html").read_text())
    assert "the shipped model (pocket)" in [row[1] for row in rows_of(page, "All results")]
    text = (run / "RESULTS.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| test |")]
    metrics = read_json(scored / "metrics.json")
    assert rows[0][1] == "the shipped model (pocket)"
    assert rows[0][3] == "{:.2f} [{:.2f}, {:.2f}]".format(metrics["eer"], *metrics["eer_ci95"])
    assert rows[1][1] == "student"
    (difference,) = (row for row in rows if row[1] == "student minus the shipped model (pocket)")
    points = read_json(run / "score/test/metrics.json")["eer"] - metrics["eer"]
    assert difference[3].startswith(f"{points:.2f} [")
    assert "- The shipped model (pocket) was scored on the same trials before the training." in text
    # Its size is none of the experiment's model.
    assert "Model: `exp/score`. Scored" in text


def test_names_of_baselines(tmp_path):
    assert baseline_name(POCKET) == "the shipped model (pocket)"
    assert baseline_name(str(tmp_path / "mine")) == "before training (mine)"


def test_size_of_a_dump(tmp_path):
    write_dump(tmp_path, speakers=3, utterances=10, seconds=6.0)
    names = dict(line.split() for line in (tmp_path / "utt2spk").read_text().splitlines())
    del names["s2-9"]
    write_table(tmp_path / "utt2spk", names)
    assert set_size(tmp_path) == SetSize(speakers=3, able=2, utterances=29, hours=pytest.approx(0.05))


def test_thresholds_are_those_of_verification(scored, eval_set):
    """By the rates of the scores themselves: these embeddings have unit length."""
    known = known_model(scored, eval_set)
    scores = read_scores(scored / "scores", known_trials := _trials(eval_set))
    labels = known_trials.labels
    rates = error_rates(scores, labels)
    place = np.argmin(np.abs(rates.thresholds - known.threshold))
    assert abs(rates.miss[place] - rates.false_alarm[place]) < 0.02
    threshold, accepts, rejects = known.own
    assert threshold == read_json(Path(POCKET) / "export.json")["threshold"]["cosine"]
    assert accepts == pytest.approx(100 * np.mean(scores[labels == 0] >= threshold), abs=0.5)
    assert rejects == pytest.approx(100 * np.mean(scores[labels == 1] < threshold), abs=0.9)


def _trials(folder: Path):
    from svmixer.lists import read_trials

    return read_trials(folder / "trials")


def test_other_trials_are_refused(scored, eval_set):
    (eval_set / "trials").write_text("1 s0-u0 s0-u1\n0 s0-u0 s1-u0\n")
    with pytest.raises(ReportError, match="dump/test/trials: has changed since"):
        known_model(scored, eval_set)


def said(train: SetSize, known) -> str:
    return "\n".join(advice(train, SetSize(2, 2, 40, 0.04), [SetSize(3, 3, 60, 0.05)], [known]))


def test_few_speakers_are_told_to_use_what_is_there(scored, eval_set):
    known = known_model(scored, eval_set)
    text = said(SetSize(5, 5, 100, 0.11), known)
    assert text.startswith(
        "your recordings: 0.20 hours, 200 utterances; 5 speakers (0.11 hours, 100 utterances)"
    )
    metrics = known.metrics
    eer = "{:.2f} [{:.2f}, {:.2f}]".format(metrics["eer"], *metrics["eer_ci95"])
    line = f"the shipped model (pocket) on test, without training: EER {eer} % (400 trials of 8 speakers)"
    assert line in text.split("\n")
    assert (
        "advice: use the shipped model (pocket), or adapt pocket2 to your speakers, which takes minutes: "
        "./run.sh --tag adapted --teacher none --train_config conf/train_adapt.yaml. 5 training speakers have"
        in text
    )
    assert "8 test speakers show large differences alone" in text
    assert f"svmixer verify --model pocket --threshold {known.threshold:.4f}; with its own, 0.12" in text


def test_many_speakers_are_told_that_training_may_pay(scored, eval_set):
    known = known_model(scored, eval_set)
    text = said(SetSize(400, 300, 9000, 10.0), known)
    assert "advice: a training may pay. 300 training speakers have 10 utterances or more" in text
    assert "advice: use the shipped model" in said(SetSize(400, 299, 9000, 10.0), known)


@pytest.mark.parametrize(("spread", "many"), [(0.3, False), (3.0, True)])
def test_many_errors_have_advice_of_their_own(scored, eval_set, score_again, spread, many):
    score_again(scored, eval_set, spread, 5, 0.0, POCKET)
    known = known_model(scored, eval_set)
    assert (known.metrics["eer"] >= 10) == many
    assert (
        "are many errors: listen whether every folder holds one voice" in said(SetSize(5, 5, 9, 1), known)
    ) == many


def test_the_figures_that_are_quoted_stand_in_the_documents():
    """Of other trainings, and of pocket across channels."""
    page = (ROOT / "docs/own_data.md").read_text()
    eer = r" \| (\d+\.\d\d) \[[^]]*\]"
    measured = re.findall(rf"^\| (5|17) \| [^|]* others of [^|]*{eer}{eer}{eer} \|$", page, re.MULTILINE)
    assert [(n, *(f"{float(value):.1f}" for value in values)) for n, *values in measured] == [
        ("5", "4.0", "0.7", "0.7"), ("17", "3.8", "3.3", "2.3"),
    ]  # fmt: skip
    pocket2 = (ROOT / "egs/pocket/sv2/README.md").read_text()
    across = re.findall(r"across channels \| (\d+)\.(\d+) [^|]* \| (\d+)\.(\d+) ", pocket2)
    assert [(round(float(f"{a}.{b}")), round(float(f"{c}.{d}"))) for a, b, c, d in across] == [
        (11, 26), (11, 23), (10, 23),
    ]  # fmt: skip


def test_the_program_prints_paragraphs_that_fit_a_terminal(scored, eval_set, capsys):
    for name in ("train", "valid"):
        write_dump(Path("dump") / name, speakers=4, utterances=10, seconds=3.0)
    write_table(
        Path("dump/test/utt2num_samples"), {f"s{s}-u{u}": "48000" for s in range(8) for u in range(6)}
    )
    words = ["--train_dir", "dump/train", "--valid_dir", "dump/valid", "--test_dirs", "dump/test"]
    run_program("advice", [*words, "--scores_dir", "exp/toy/baseline/score"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 118
    assert [line.split(":")[0] for line in lines if not line.startswith("  ")] == [
        "your recordings", "the shipped model (pocket) on test, without training", "advice",
        *(["{:.0f} % are many errors".format(json.loads((scored / "metrics.json").read_text())["eer"])]
          if json.loads((scored / "metrics.json").read_text())["eer"] >= 10 else []),
        "threshold of equal errors on your test set",
    ]  # fmt: skip


def test_what_is_known_of_models_of_several_utterances(eval_set, score_again):
    """Where trials name models of enroll.map, the thresholds are those of their mean embeddings."""
    utterances = list(read_table(eval_set / "utt2spk"))
    models = {f"m{speaker}": [f"s{speaker}-u{number}" for number in range(3)] for speaker in range(8)}
    write_table(eval_set / "enroll.map", {name: " ".join(found) for name, found in models.items()})
    tested = [name for name in utterances if int(name[-1]) >= 3]
    rows = [(int(model[1] == name[1]), model, name) for model in models for name in tested]
    (eval_set / "trials").write_text("".join(f"{label} {model} {name}\n" for label, model, name in rows))
    folder = Path("exp/toy/baseline/score/test")
    score_again(folder, eval_set, 0.8, 5, 0.0, POCKET)
    known = known_model(folder, eval_set)
    vectors = dict(load_scp(str(folder / "embeddings.scp")))
    means = {model: sum(vectors[name] for name in found) for model, found in models.items()}
    cosines = np.array([
        means[model] @ vectors[name] / np.linalg.norm(means[model]) for _, model, name in rows
    ])  # fmt: skip
    labels = np.array([label for label, _, _ in rows])
    expected = summary(cosines, labels)
    assert known.metrics["trials"] == 8 * 24
    assert known.metrics["eer"] == pytest.approx(expected["eer"], abs=1e-6)
    assert known.threshold == pytest.approx(expected["eer_threshold"], abs=1e-5)
    accepted = cosines >= known.own[0]
    assert known.own[1] == pytest.approx(100 * np.mean(accepted[labels == 0]), abs=1e-6)
