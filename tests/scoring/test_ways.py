"""Other scores than the raw cosine, from embeddings on disk to metrics.json: mean, PLDA, S-norm, models."""

from __future__ import annotations

import json

import numpy as np
import pytest

from svmixer.cli.main import run_program
from svmixer.lists import read_trials
from svmixer.scoring.cohort import write_cohort
from svmixer.scoring.plda import fit_plda
from svmixer.scoring.result import read_scores
from svmixer.scoring.vectors import write_job

SETTINGS = {
    "model": "m", "protocol": "whole", "num_crops": 10, "lowpass_hz": 0.0, "max_seconds": 0.0, "num_jobs": 1,
    "md5": {"weights": "1"},
}  # fmt: skip


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Six test speakers and twenty training speakers of five utterances, in five dimensions, far from 0."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    sets = {"test": [f"s{n}" for n in range(6)], "train": [f"t{n:02d}" for n in range(20)]}
    for name, speakers in sets.items():
        means = {speaker: rng.normal([3, 1, 0, 0, 0]) for speaker in speakers}
        vectors = {
            f"{speaker}-{n}": unit(means[speaker] + 0.7 * rng.normal(size=5))
            for speaker in speakers
            for n in range(5)
        }
        write_job(tmp_path / "emb" / name, 1, vectors.items(), SETTINGS)
        (tmp_path / name).mkdir()
        (tmp_path / name / "utt2spk").write_text("".join(f"{u} {u.split('-')[0]}\n" for u in vectors))
        np.savez(tmp_path / f"{name}.npz", **{u: np.float32(v) for u, v in vectors.items()})
    names = list(np.load("test.npz"))
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    (tmp_path / "test/trials").write_text("".join(f"{int(a[:2] == b[:2])} {a} {b}\n" for a, b in pairs))
    write_cohort("emb/train", "train", 1, "speakers")
    return tmp_path


def score(*words: str) -> dict:
    run_program(
        "score",
        [
            "--data_dir",
            "test",
            "--embeddings_dir",
            "emb/test",
            "--output_dir",
            "out",
            "--replicates",
            "9",
            *words,
        ],
    )
    with open("out/metrics.json") as stream:
        return json.load(stream)


def vectors_of(name: str) -> dict[str, np.ndarray]:
    return {key: value.astype(np.float64) for key, value in np.load(f"{name}.npz").items()}


def test_the_mean_of_training_speech_is_taken_off(folder):
    found = score("--cohort_dir", "emb/train", "--score_norm", "none", "--scoring", "mean")
    assert (found["scoring"], found["normalisation"], found["cohort"]) == (
        "cosine, mean subtracted",
        "none",
        None,
    )
    mean = np.mean(list(vectors_of("train").values()), axis=0)
    shifted = {name: unit(vector - mean) for name, vector in vectors_of("test").items()}
    trials = read_trials("test/trials")
    expected = [shifted[a] @ shifted[b] for _, a, b in trials.rows()]
    np.testing.assert_allclose(read_scores("out/scores", trials), expected, atol=2e-6)


def test_snorm_takes_the_whole_cohort(folder):
    found = score("--cohort_dir", "emb/train", "--score_norm", "snorm", "--top_k", "5")
    assert (found["scoring"], found["normalisation"]) == ("cosine", "S-norm, 20 speakers")
    assert found["cohort"] == {"set": "train", "kind": "speakers", "size": 20, "top_k": 20}
    train, test = vectors_of("train"), vectors_of("test")
    cohort = [
        unit(sum(v for u, v in train.items() if u.startswith(speaker)))
        for speaker in sorted({u.split("-")[0] for u in train})
    ]
    trials = read_trials("test/trials")
    expected = []
    for _, a, b in trials.rows():
        sides = [[test[name] @ other for other in cohort] for name in (a, b)]
        expected.append(np.mean([(test[a] @ test[b] - np.mean(side)) / np.std(side) for side in sides]))
    np.testing.assert_allclose(read_scores("out/scores", trials), expected, atol=1e-4)


@pytest.mark.parametrize(("way", "dim", "name"), [("plda", 0, "PLDA"), ("plda:3", 3, "PLDA, LDA to 3")])
def test_plda(folder, way, dim, name):
    options = ("--cohort_dir", "emb/train", "--train_dir", "train", "--scoring", way)
    found = score(*options, "--score_norm", "none")
    assert found["scoring"] == name
    train, test = vectors_of("train"), vectors_of("test")
    labels = np.unique([u.split("-")[0] for u in train], return_inverse=True)[1]
    plda = fit_plda(np.stack(list(train.values())), labels, dim)
    sides = dict(zip(test, zip(*plda.sides(np.stack(list(test.values()))), strict=True), strict=True))
    trials = read_trials("test/trials")
    expected = np.array([sides[a][0] @ sides[b][1] for _, a, b in trials.rows()])
    np.testing.assert_allclose(read_scores("out/scores", trials), expected, atol=1e-5)
    # With AS-norm: what a side has against the cohort are ratios, too.
    found = score(*options, "--top_k", "4")
    assert (found["scoring"], found["normalisation"]) == (name, "AS-norm, top 4 of 20 speakers")
    means = np.stack([unit(np.stack(list(train.values()))[labels == s].sum(axis=0)) for s in range(20)])
    cohort = plda.sides(means)[1]
    normed = []
    for (_, a, b), ratio in zip(trials.rows(), expected, strict=True):
        tops = [np.sort(cohort @ sides[name][0])[-4:] for name in (a, b)]
        normed.append(np.mean([(ratio - top.mean()) / top.std() for top in tops]))
    np.testing.assert_allclose(read_scores("out/scores", trials), normed, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--scoring", "mean"], 2, "cohort_dir: mean needs the embeddings of training speech"),
        (["--scoring", "plda", "--cohort_dir", "emb/train"], 2, "train_dir: plda needs the speakers"),
        (["--scoring", "lda"], 2, "scoring: expected cosine, mean, plda or plda:DIMENSIONS, found 'lda'"),
        (["--scoring", "plda:0"], 2, "found 'plda:0'"),
        (["--scoring", "mean", "--cohort_dir", "none"], 1, "none/cohort.scp: missing"),
        (
            ["--scoring", "plda:6", "--cohort_dir", "emb/train", "--train_dir", "train"], 1,
            "train: LDA to 6 dimensions of embeddings that have 5",
        ),
        (
            ["--scoring", "plda", "--cohort_dir", "emb/train", "--train_dir", "few"], 1,
            "few/utt2spk: utterance t00-0: no speaker",
        ),
    ],
)  # fmt: skip
def test_mistakes_end_with_one_line(folder, words, status, message, capsys):
    (folder / "few").mkdir()
    (folder / "few/utt2spk").write_text("t19-0 t19\n")
    with pytest.raises(SystemExit) as stop:
        score(*words)
    assert stop.value.code == status
    assert message in capsys.readouterr().err


@pytest.fixture
def models(folder):
    """A model of the first two or three utterances of every speaker, against all others."""
    members = {f"m{n}": [f"s{n}-{i}" for i in range(2 + n % 2)] for n in range(6)}
    names = list(vectors_of("test"))
    rows = [
        (int(name[1] == model[1]), model, name)
        for model, own in members.items()
        for name in names
        if name not in own
    ]
    (folder / "test/enroll.map").write_text("".join(f"{m} {' '.join(own)}\n" for m, own in members.items()))
    (folder / "test/trials").write_text("".join(f"{y} {m} {name}\n" for y, m, name in rows))
    return members


def test_models_of_several_utterances(folder, models):
    found = score()
    assert found["bootstrap"]["speakers"] == 6 and found["eer_ci95"] is not None
    assert len(found["enroll_map_md5"]) == 32
    vectors, trials = vectors_of("test"), read_trials("test/trials")
    means = {model: unit(np.mean([vectors[u] for u in own], axis=0)) for model, own in models.items()}
    expected = [means[a] @ vectors[b] for _, a, b in trials.rows()]
    np.testing.assert_allclose(read_scores("out/scores", trials), expected, atol=2e-6)


def test_a_model_may_have_the_name_of_an_utterance(folder, models):
    """The first column is a model wherever there is a map."""
    before = score()
    for name in ("enroll.map", "trials"):
        path = folder / "test" / name
        path.write_text(path.read_text().replace("m0 ", "s3-4 "))
    after = score()
    assert after["eer"] == before["eer"] and after["eer_ci95"] == before["eer_ci95"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("m0 s0-0 s9-9", "test/trials: 1 of 31 utterances have no embedding: s9-9"),
        ("m0", "test/enroll.map:1: model m0: no value behind the id"),
        ("m1 s1-0", "test/enroll.map:2: model m1: is listed twice"),
        ("m0 s0-0 s0-0", "test/enroll.map:1: model m0: has the utterance s0-0 twice"),
        ("m0 s0-0 s1-4", "test/enroll.map: model m0: mixes speakers: s0-0 is of s0, s1-4 of s1"),
        ("m9 s0-0", "test/enroll.map: model m0: is in the trial list and no model here"),
    ],
)
def test_models_that_cannot_be_used(folder, models, line, message, capsys):
    path = folder / "test/enroll.map"
    path.write_text("\n".join([line, *path.read_text().splitlines()[1:]]) + "\n")
    with pytest.raises(SystemExit) as stop:
        score()
    assert stop.value.code == 1
    assert message in capsys.readouterr().err


def test_models_without_speakers(folder, models, capsys):
    (folder / "test/utt2spk").unlink()
    assert score()["eer_ci95"] is None
    path = folder / "test/enroll.map"
    path.write_text(path.read_text().replace("m0 s0-0", "m0 s9-9"))
    with pytest.raises(SystemExit):
        score()
    assert "1 of 31 utterances have no embedding: s9-9" in capsys.readouterr().err
