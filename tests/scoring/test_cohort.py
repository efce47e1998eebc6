"""The cohort of AS-norm, from its extraction to normalised results, and utterances cut to a length."""

from __future__ import annotations

import json

import numpy as np
import pytest

from svmixer.audio.dumpset import DumpSet
from svmixer.cli.main import run_program
from svmixer.lists import ListError, read_trials
from svmixer.scoring.cohort import cohort_indices, read_cohort, speaker_means, write_cohort
from svmixer.scoring.metrics import summary
from svmixer.scoring.result import read_scores
from svmixer.scoring.vectors import EmbeddingError, load_embeddings, merge_jobs, write_job

SETTINGS = {"model": "m", "protocol": "whole", "num_crops": 10, "lowpass_hz": 0.0, "md5": {"weights": "1"}}


def test_mean_of_a_speaker_by_hand():
    """Unit vectors give a unit vector; shorter ones one of their mean length."""
    vectors = np.array([[1.0, 0.0], [0.0, 0.5], [0.0, 1.0]])
    means = speaker_means(vectors, np.array([0, 1, 0]))
    np.testing.assert_allclose(means, [[0.5**0.5, 0.5**0.5], [0.0, 0.5]], rtol=1e-6)
    assert means.dtype == np.float32
    np.testing.assert_allclose(speaker_means(0.8 * vectors, np.array([0, 1, 0])), 0.8 * means, rtol=1e-6)


def test_utterances_of_each_speaker(make_dump, voices):
    dump = DumpSet(make_dump("train", voices))
    assert list(cohort_indices(dump, 0)) == list(range(12))
    assert list(cohort_indices(dump, 1)) == [0, 4, 8]
    assert list(cohort_indices(dump, 3)) == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert list(cohort_indices(dump, 99)) == list(range(12))
    dump.speakers = None
    with pytest.raises(ListError, match="needs a set with utt2spk"):
        cohort_indices(dump, 0)


@pytest.fixture
def cohort_dir(tmp_path):
    write_job(tmp_path / "cohort", 1, [("a-0", [1, 0]), ("b-0", [0, 1])], SETTINGS)
    write_job(tmp_path / "cohort", 2, [("a-1", [0, 1])], SETTINGS)
    (tmp_path / "utt2spk").write_text("a-0 a\na-1 a\nb-0 b\n")
    return tmp_path / "cohort"


def test_written_and_read(cohort_dir, tmp_path):
    assert write_cohort(cohort_dir, tmp_path, 2, "speakers") == 2
    cohort = read_cohort(cohort_dir, SETTINGS)
    np.testing.assert_allclose(cohort.embeddings, [[0.5**0.5, 0.5**0.5], [0, 1]], rtol=1e-6)
    assert (cohort.kind, cohort.name) == ("speakers", tmp_path.name)
    assert (cohort_dir / "cohort.scp").read_text().split()[::2] == ["a", "b"]
    assert write_cohort(cohort_dir, tmp_path, 2, "utterances") == 3
    np.testing.assert_array_equal(read_cohort(cohort_dir, SETTINGS).embeddings, [[1, 0], [0, 1], [0, 1]])


def test_a_cohort_of_another_model_is_refused(cohort_dir, tmp_path):
    with pytest.raises(EmbeddingError, match=r"cohort\.scp: missing"):
        read_cohort(cohort_dir, SETTINGS)
    write_cohort(cohort_dir, tmp_path, 2, "speakers")
    for key, value, message in (
        ("lowpass_hz", 3800.0, "lowpass_hz of the cohort is 0.0, of the trials 3800.0"),
        ("md5", {"weights": "2"}, "made with another weights"),
    ):
        with pytest.raises(EmbeddingError, match=message):
            read_cohort(cohort_dir, {**SETTINGS, key: value})
    # The lists of the two sets differ, as they should.
    read_cohort(cohort_dir, {**SETTINGS, "md5": {"weights": "1", "dump/test/wav.scp": "3"}})
    (tmp_path / "utt2spk").write_text("a-0 a\na-1 a\n")
    with pytest.raises(ListError, match="utterance b-0: no speaker"):
        write_cohort(cohort_dir, tmp_path, 2, "speakers")


def extract(data, out, train, *more):
    for job in "12":
        options = f"--model control --train_dir {train} --data_dir {data} --output_dir {out} --num_jobs 2"
        run_program("extract", [*options.split(), "--job", job, *more])


@pytest.fixture
def scored(make_dump, voices, trial_text, tmp_path):
    """Sets with trials and of other recordings, both embedded; the training set is also the cohort."""
    rng = np.random.default_rng(5)
    test = make_dump("test", voices, trial_text)
    others = {
        f"t{n:02d}-{name}": wave * rng.uniform(0.3, 1) for n in range(2) for name, wave in voices.items()
    }
    others = {
        name: np.diff(wave, n=int(name[1:3]), append=[0] * int(name[1:3])) / 2
        for name, wave in others.items()
    }
    train = make_dump("train", {name.replace("-", "", 1): wave for name, wave in others.items()})
    extract(test, tmp_path / "raw", train)
    extract(train, tmp_path / "cohort", train, "--as_cohort", "true", "--cohort_utterances", "3")
    return test, train, tmp_path


def run_score(test, raw, out, *more):
    run_program(
        "score",
        [
            "--data_dir",
            str(test),
            "--embeddings_dir",
            str(raw),
            "--output_dir",
            str(out),
            "--replicates",
            "9",
            *more,
        ],
    )
    return json.loads((out / "metrics.json").read_text())


@pytest.mark.parametrize("kind", ["speakers", "utterances"])
def test_end_to_end_by_a_second_implementation(scored, kind):
    test, train, folder = scored
    options = f"--embeddings_dir {folder}/cohort --data_dir {train} --num_jobs 2 --cohort {kind}"
    run_program("cohort", options.split())
    raw = run_score(test, folder / "raw", folder / "raw", "--num_jobs", "2")
    assert raw["normalisation"] == "none" and raw["cohort"] is None
    found = run_score(
        test,
        folder / "raw",
        folder / "norm",
        "--num_jobs",
        "0",
        "--top_k",
        "5",
        "--cohort_dir",
        f"{folder}/cohort",
    )
    size = 6 if kind == "speakers" else 18
    assert found["normalisation"] == f"AS-norm, top 5 of {size} {kind}"
    assert found["cohort"] == {"set": "train", "kind": kind, "size": size, "top_k": 5}

    def embeddings(name):
        table, _ = merge_jobs(folder / name, 2)
        vectors = load_embeddings(table, list(table), "test").astype(float)
        return dict(zip(table, vectors, strict=True))

    utterances, cohort = embeddings("raw"), embeddings("cohort")
    if kind == "speakers":
        means = []
        for speaker in sorted({name.split("-")[0] for name in cohort}):
            rows = [vector for name, vector in cohort.items() if name.split("-")[0] == speaker]
            direction = sum(rows) / np.linalg.norm(sum(rows))
            means.append(direction * np.mean([np.linalg.norm(row) for row in rows]))
        cohort = dict(enumerate(means))
    trials = read_trials(test / "trials")
    expected = []
    for _, first, second in trials.rows():
        score = utterances[first] @ utterances[second]
        sides = []
        for name in (first, second):
            highest = sorted((utterances[name] @ other for other in cohort.values()), reverse=True)[:5]
            sides.append((score - np.mean(highest)) / np.std(highest))
        expected.append(sum(sides) / 2)
    scores = read_scores(folder / "norm/scores", trials)
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-3)
    assert found["eer"] == pytest.approx(summary(scores, trials.labels)["eer"], abs=1e-5)
    # The raw result is still there.
    assert json.loads((folder / "raw/metrics.json").read_text()) == raw


def test_all_of_a_small_cohort(scored):
    test, train, folder = scored
    run_program("cohort", f"--embeddings_dir {folder}/cohort --data_dir {train} --num_jobs 2".split())
    found = run_score(
        test, folder / "raw", folder / "norm", "--num_jobs", "2", "--cohort_dir", f"{folder}/cohort"
    )
    assert found["normalisation"] == "AS-norm, top 6 of 6 speakers"


def test_no_cohort_ends_with_one_line(scored, capsys):
    test, _, folder = scored
    with pytest.raises(SystemExit) as stop:
        run_score(
            test, folder / "raw", folder / "norm", "--num_jobs", "2", "--cohort_dir", str(folder / "none")
        )
    assert stop.value.code == 1
    assert "none/cohort.scp: missing" in capsys.readouterr().err


def test_utterances_cut_to_a_length(make_dump, voices, trial_text, tmp_path):
    """2 s of the middle of the longer ones: the same as a set that holds no more, and its results say so."""
    cut = {}
    for name, wave in voices.items():
        count = min(len(wave), 32000)
        first = (len(wave) - count) // 2
        cut[name] = wave[first : first + count]
    test, train = make_dump("test", voices, trial_text), make_dump("train", voices)
    short = make_dump("short", cut, trial_text)
    extract(test, tmp_path / "cut", train, "--max_seconds", "2")
    extract(short, tmp_path / "short", train)
    extract(test, tmp_path / "all", train)
    figures = run_score(test, tmp_path / "cut", tmp_path / "cut", "--num_jobs", "2")
    assert figures["max_seconds"] == 2.0
    run_score(short, tmp_path / "short", tmp_path / "short", "--num_jobs", "2")
    run_score(test, tmp_path / "all", tmp_path / "all", "--num_jobs", "2")
    scores = {name: (tmp_path / name / "scores").read_text() for name in ("cut", "short", "all")}
    assert scores["cut"] == scores["short"] != scores["all"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--top_k 1", "top_k: at least 2, found 1"),
        ("--cohort_utterances -1", "cohort_utterances: 0 or more"),
        ("--cohort speaker", "'speaker' is not one of"),
    ],
)
def test_wrong_options(option, message, capsys):
    with pytest.raises(SystemExit) as stop:
        run_program("cohort", f"--embeddings_dir e --data_dir d {option}".split())
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
