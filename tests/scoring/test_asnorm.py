"""AS-norm, by hand-computed numbers and against the definition written out."""

from __future__ import annotations

import numpy as np
import pytest

from svmixer.inference import normalisation as module
from svmixer.inference.normalisation import cohort_statistics, normalise


def test_by_hand():
    # Scores of e against the cohort: 3, 1, -5; the highest two have mean 2 and deviation 1.
    mean, deviation = cohort_statistics(
        np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[3, 1], [1, 3], [-5, 0]]), 2
    )
    np.testing.assert_allclose(mean, [2, 4])
    np.testing.assert_allclose(deviation, [1, 2])
    # (5 - 2) / 1 = 3 and (5 - 4) / 2 = 0.5.
    np.testing.assert_allclose(
        normalise(np.array([5.0]), np.array([0]), np.array([1]), mean, deviation), [1.75]
    )


def test_blocks_do_not_matter(monkeypatch):
    rng = np.random.default_rng(0)
    embeddings, cohort = rng.standard_normal((23, 8)), rng.standard_normal((40, 8))
    scores = np.sort(embeddings @ cohort.T, axis=1)[:, -10:]
    for rows in (1, 5, 1024):
        monkeypatch.setattr(module, "_ROWS", rows)
        mean, deviation = cohort_statistics(embeddings, cohort, 10)
        np.testing.assert_allclose(mean, scores.mean(axis=1), rtol=1e-5)
        np.testing.assert_allclose(deviation, scores.std(axis=1), rtol=1e-4)


def test_both_sides_count_alike():
    rng = np.random.default_rng(1)
    mean, deviation = rng.standard_normal(9), rng.uniform(0.5, 2, 9)
    scores, enrol, test = rng.standard_normal(30), rng.integers(9, size=30), rng.integers(9, size=30)
    forth = normalise(scores, enrol, test, mean, deviation)
    np.testing.assert_allclose(forth, normalise(scores, test, enrol, mean, deviation))


@pytest.mark.parametrize(
    ("shape", "top", "message"),
    [
        ((5, 3), 6, "not between 2 and the 5"),
        ((5, 3), 1, "not between 2"),
        ((5, 4), 2, "those of the cohort 4"),
    ],
)
def test_bad_input(shape, top, message):
    with pytest.raises(ValueError, match=message):
        cohort_statistics(np.ones((2, 3)), np.random.default_rng(0).standard_normal(shape), top)


def test_a_cohort_of_one_voice_is_refused():
    with pytest.raises(ValueError, match="2 of 2 embeddings have equal scores"):
        cohort_statistics(np.eye(2), np.ones((4, 2)), 3)
