"""PLDA: ratios against the Gaussians written out, EM against its likelihood and a closed form, LDA."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import block_diag
from scipy.stats import multivariate_normal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from svmixer.errors import SvmixerError
from svmixer.scoring.plda import TwoCovariance, fit_plda, fit_two_covariance


def speech(counts, size: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of speakers with ``counts`` utterances each, far from the origin, unlike in all directions."""
    rng = np.random.default_rng(seed)
    turn = rng.normal(size=(size, size))
    labels = np.repeat(np.arange(len(counts)), counts)
    means = 1.5 * rng.normal(size=(len(counts), size)) @ np.diag(np.linspace(2, 0.5, size))
    return (means[labels] + rng.normal(size=(len(labels), size))) @ turn + 3.0, labels


def likelihood(model: TwoCovariance, vectors: np.ndarray, labels: np.ndarray) -> float:
    """Log-likelihood, a speaker's vectors being one long Gaussian vector."""
    total = 0.0
    for speaker in np.unique(labels):
        own = vectors[labels == speaker]
        covariance = np.kron(np.ones((len(own), len(own))), model.between)
        covariance += block_diag(*[model.within] * len(own))
        total += multivariate_normal.logpdf(own.ravel(), np.tile(model.mean, len(own)), covariance)
    return total


def written_out(model: TwoCovariance, first: np.ndarray, second: np.ndarray) -> float:
    """The log-likelihood ratio of two vectors, from densities of one speaker and of two."""
    every = model.between + model.within
    joint = np.block([[every, model.between], [model.between, every]])
    one = multivariate_normal.logpdf(np.append(first, second), np.tile(model.mean, 2), joint)
    return one - sum(multivariate_normal.logpdf(x, model.mean, every) for x in (first, second))


def prepared(plda, vectors: np.ndarray) -> np.ndarray:
    """What the model sees: unit length, centred, LDA, length."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) - plda.centre
    if plda.lda is not None:
        unit = unit @ plda.lda
    return unit / np.linalg.norm(unit, axis=1, keepdims=True) * np.sqrt(unit.shape[1])


@pytest.mark.parametrize("lda_dim", [0, 2])
def test_scores_are_the_ratios_of_the_gaussians(lda_dim):
    vectors, labels = speech([3, 5, 2, 7, 4, 6, 3, 3])
    plda = fit_plda(vectors, labels, lda_dim)
    enrol, test = plda.sides(vectors)
    scores, seen = enrol @ test.T, prepared(plda, vectors)
    pairs = [(0, 1), (0, 9), (5, 5), (12, 30), (30, 12), (2, 20)]
    expected = [written_out(plda.model, seen[a], seen[b]) for a, b in pairs]
    np.testing.assert_allclose([scores[pair] for pair in pairs], expected, atol=1e-8)
    np.testing.assert_allclose(scores, scores.T, atol=1e-9)


def test_every_pass_of_em_raises_the_likelihood():
    vectors, labels = speech([1, 2, 9, 4, 2, 6, 3, 12, 1, 5], seed=3)
    found = [likelihood(fit_two_covariance(vectors, labels, passes), vectors, labels) for passes in range(8)]
    assert (np.diff(found) > 0).all()
    # It goes towards an end.
    assert found[-1] - found[-2] < 0.2 * (found[1] - found[0])


def test_em_stays_at_the_closed_form_of_balanced_data():
    vectors, labels = speech([6] * 40, size=3, seed=1)
    model = fit_two_covariance(vectors, labels)
    means = np.array([vectors[labels == speaker].mean(axis=0) for speaker in range(40)])
    inner = vectors - means[labels]
    within = inner.T @ inner / (40 * 5)
    between = np.cov(means.T, bias=True) - within / 6
    assert np.linalg.eigvalsh(between).min() > 0
    np.testing.assert_allclose(model.mean, vectors.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(model.within, within, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(model.between, between, rtol=1e-8, atol=1e-9)


def test_em_finds_covariances_that_data_were_drawn_with():
    rng = np.random.default_rng(7)
    between, within = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, -0.3], [-0.3, 0.5]])
    counts = rng.integers(1, 9, 4000)
    labels = np.repeat(np.arange(4000), counts)
    means = rng.multivariate_normal([1.0, -2.0], between, 4000)
    vectors = means[labels] + rng.multivariate_normal([0, 0], within, len(labels))
    model = fit_two_covariance(vectors, labels)
    np.testing.assert_allclose(model.mean, [1.0, -2.0], atol=0.08)
    np.testing.assert_allclose(model.between, between, atol=0.12)
    np.testing.assert_allclose(model.within, within, atol=0.03)


def test_lda_keeps_the_directions_of_another_program():
    vectors, labels = speech([10] * 30, size=5, seed=2)
    plda = fit_plda(vectors, labels, 2)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    other = LinearDiscriminantAnalysis(solver="eigen").fit(unit, labels).scalings_[:, :2]
    for mine, theirs in zip(plda.lda.T, other.T, strict=True):
        cosine = mine @ theirs / np.linalg.norm(mine) / np.linalg.norm(theirs)
        assert abs(cosine) == pytest.approx(1, abs=1e-6)


def test_length_of_an_embedding_does_not_matter():
    vectors, labels = speech([4] * 12)
    plda = fit_plda(vectors, labels)
    np.testing.assert_allclose(plda.project(vectors), plda.project(0.3 * vectors), atol=1e-9)


@pytest.mark.parametrize(
    ("counts", "lda_dim", "message"),
    [
        ([9] * 4, 0, "PLDA of 4 dimensions needs more than 4 training speakers, found 4; take .*plda:1"),
        ([9] * 4, 5, "LDA to 5 dimensions of embeddings that have 4"),
        ([1, 1, 2, 2, 2], 2, "needs 4 training utterances more than speakers, found 8 of 5 speakers"),
    ],
)
def test_too_little_to_fit_on(counts, lda_dim, message):
    with pytest.raises(SvmixerError, match=message):
        fit_plda(*speech(counts), lda_dim)


def test_utterances_listed_twice_are_named_as_a_cause():
    vectors, labels = speech([1] * 9)
    with pytest.raises(SvmixerError, match="do not differ in some dimension"):
        fit_plda(np.repeat(vectors, 3, axis=0), np.repeat(labels, 3))
