"""Scores of trials, their file, and the evaluation that training uses."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svmixer.lists import ListError, Trials, write_table
from svmixer.scoring import metrics as module
from svmixer.scoring.metrics import evaluate, score_trials, summary
from svmixer.scoring.result import code_commit, read_scores, trial_speakers, write_scores

ROWS = [(1, "a1", "a2"), (0, "a1", "b1"), (0, "b1", "a2"), (1, "b1", "b2")]


@pytest.fixture
def trials():
    return Trials.from_rows(ROWS)


def test_dot_products_by_hand(trials):
    assert trials.utterances == ["a1", "a2", "b1", "b2"]
    embeddings = np.array([[1, 0], [0.6, 0.8], [0, -1], [0.28, -0.96]], dtype=np.float32)
    scores = score_trials(embeddings, trials.enrol, trials.test)
    assert scores.tolist() == [0.6, 0.0, -0.8, 0.96]
    figures = evaluate(embeddings, trials)
    assert figures == {"eer": 0.0, "eer_threshold": 0.3, "min_dcf": {"0.05": 0.0, "0.01": 0.0}}


def test_one_vector_is_the_mean_cosine_of_all_crop_pairs():
    """The paper's score: means of unit-length crops multiply to the mean over 10 by 10 cosines."""
    random = np.random.default_rng(0)
    crops = random.normal(size=(2, 10, 16))
    crops /= np.linalg.norm(crops, axis=2, keepdims=True)
    score = score_trials(crops.mean(axis=1), np.array([0]), np.array([1]))[0]
    assert score == pytest.approx((crops[0] @ crops[1].T).mean(), abs=1e-6)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.integers(1, 50))
def test_blocks_do_not_change_scores(seed, block):
    random = np.random.default_rng(seed)
    embeddings = random.normal(size=(9, 5)).astype(np.float32)
    enrol, test = random.integers(0, 9, (2, 40))
    products = embeddings.astype(float) @ embeddings.astype(float).T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_TRIALS_AT_A_TIME", block)
        scores = score_trials(embeddings, enrol, test)
    np.testing.assert_allclose(scores, products[enrol, test], atol=0.6e-6)


def test_wrong_number_of_embeddings(trials):
    with pytest.raises(ValueError, match="3 embeddings for 4 utterances"):
        evaluate(np.ones((3, 2)), trials)


def test_scores_file_gives_the_same_figures(trials, tmp_path):
    random = np.random.default_rng(1)
    scores = score_trials(random.normal(size=(4, 3)), trials.enrol, trials.test)
    write_scores(tmp_path / "scores", trials, scores)
    assert (tmp_path / "scores").read_text().splitlines()[1] == f"a1 b1 {scores[1]:.6f}"
    again = read_scores(tmp_path / "scores", trials)
    np.testing.assert_array_equal(again, scores)
    assert summary(again, trials.labels) == summary(scores, trials.labels)


def test_no_negative_zero():
    embeddings = np.array([[1.0, 0.0], [-1e-9, 0.0]])
    assert str(score_trials(embeddings, np.array([0]), np.array([1]))[0]) == "0.0"


def test_scores_of_another_list(trials, tmp_path):
    write_scores(tmp_path / "scores", trials, np.zeros(4))
    text = (tmp_path / "scores").read_text()
    (tmp_path / "scores").write_text(text.replace("b1 a2", "b1 a3"))
    with pytest.raises(ListError, match=r"scores:3: expected the score of 'b1 a2', found 'b1 a3 0\.000000'"):
        read_scores(tmp_path / "scores", trials)
    (tmp_path / "scores").write_text("".join(text.splitlines(keepends=True)[:3]))
    with pytest.raises(ListError, match="3 scores for 4 trials"):
        read_scores(tmp_path / "scores", trials)


def test_speakers_of_trials(trials, tmp_path):
    write_table(tmp_path / "utt2spk", {"a1": "ann", "a2": "ann", "b1": "bob", "b2": "bob", "c": "zoe"})
    pairs = trial_speakers(trials, tmp_path / "utt2spk")
    assert pairs.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    write_table(tmp_path / "utt2spk", {"a1": "ann", "b1": "bob", "b2": "bob"})
    with pytest.raises(ListError, match="utt2spk: utterance a2"):
        trial_speakers(trials, tmp_path / "utt2spk")


def test_commit_names_the_checkout():
    commit = code_commit().removesuffix("-dirty")
    assert len(commit) == 40 or commit.startswith("v")


def test_figures_need_no_torch():
    code = (
        "import svmixer.scoring.metrics, svmixer.scoring.metrics, svmixer.stages.score, sys;"
        "sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
