"""Within-speaker whitening of embeddings."""

import pytest
import torch

from svmixer.models.config import ModelConfig
from svmixer.models.speaker_model import SpeakerModel
from svmixer.models.whitening import Whitening


def cloud(speakers: int = 40, each: int = 25, dim: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Speakers scattered unevenly around their means."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(dim, dim, generator=generator)
    means = torch.randn(speakers, dim, generator=generator).repeat_interleave(each, dim=0)
    noise = torch.randn(speakers * each, dim, generator=generator) @ mixing
    return means + noise + 3.0, torch.arange(speakers).repeat_interleave(each)


def scatter_within(x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64)
    for speaker in labels.unique():
        own = x[labels == speaker].double()
        total += (own - own.mean(0)).T @ (own - own.mean(0))
    return total / (len(x) - len(labels.unique()))


def test_by_hand():
    # Two speakers, one spread along each axis: 2² + 2² and 1² + 1², over 4 − 2 degrees of freedom 4 and 1.
    x = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [5.0, 6.0], [5.0, 4.0]])
    whitening = Whitening(2)
    whitening.fit(x, torch.tensor([0, 0, 7, 7]), shrinkage=0.0)
    torch.testing.assert_close(whitening.mean, torch.tensor([2.5, 2.5]))
    torch.testing.assert_close(whitening.matrix, torch.diag(torch.tensor([0.5, 1.0])))
    torch.testing.assert_close(whitening(torch.tensor([[4.5, 3.5]])), torch.tensor([[1.0, 1.0]]))
    # The variances of all are 33 / 3 and 27 / 3, of which 4 / 11 and 1 / 9 lie within speakers, 47 / 198 in
    # the mean. Half-way between 4 and 47 / 198 · 11, and between 1 and 47 / 198 · 9:
    whitening.fit(x, torch.tensor([0, 0, 7, 7]), shrinkage=0.5)
    torch.testing.assert_close(whitening.matrix.diagonal(), torch.tensor([119 / 36, 69 / 44]) ** -0.5)


def test_the_unit_of_a_dimension_does_not_matter():
    x, labels = cloud()
    one, two = Whitening(6), Whitening(6)
    units = torch.tensor([1.0, 100.0, 0.01, 1.0, 5.0, 1.0])
    one.fit(x, labels, 0.3)
    two.fit(x * units, labels, 0.3)
    torch.testing.assert_close(two(x * units), one(x), atol=1e-4, rtol=1e-4)


def test_a_dimension_that_does_not_vary_is_kept_finite():
    x, labels = cloud()
    x[:, 2] = 7.0
    whitening = Whitening(6)
    whitening.fit(x, labels, 0.1)
    assert whitening(x).isfinite().all()


def test_the_scatter_within_speakers_becomes_the_identity():
    x, labels = cloud()
    whitening = Whitening(6)
    assert torch.equal(whitening(x), x)  # as it starts
    whitening.fit(x, labels, shrinkage=0.0)
    y = whitening(x)
    torch.testing.assert_close(
        scatter_within(y, labels), torch.eye(6, dtype=torch.float64), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(y.mean(0), torch.zeros(6), atol=1e-4, rtol=0)


def test_full_shrinkage_only_centres_and_scales():
    x, labels = cloud()
    whitening = Whitening(6)
    whitening.fit(x, labels, shrinkage=1.0)
    total = x.var(0)
    level = (scatter_within(x, labels).diagonal() / total).mean()
    torch.testing.assert_close(whitening.matrix, torch.diag((level * total) ** -0.5).float())


def test_the_order_of_the_embeddings_does_not_matter():
    x, labels = cloud()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    one, two = Whitening(6), Whitening(6)
    one.fit(x, labels, 0.1)
    two.fit(x[order], labels[order] + 100, 0.1)
    torch.testing.assert_close(one.matrix, two.matrix)


@pytest.mark.parametrize(
    ("x", "labels", "message"),
    [
        (torch.randn(3, 2), torch.arange(3), "one embedding only"),
        (torch.ones(4, 2), torch.tensor([0, 0, 1, 1]), "zero or not finite"),
        (torch.full((4, 2), float("nan")), torch.tensor([0, 0, 1, 1]), "zero or not finite"),
    ],
)
def test_refuses_what_has_no_scatter(x, labels, message):
    with pytest.raises(ValueError, match=message):
        Whitening(2).fit(x, labels, 0.1)


def test_a_model_has_one_only_if_asked():
    plain = SpeakerModel(ModelConfig())
    assert plain.whitening is None and not any("whitening" in name for name in plain.state_dict())


def test_a_scatter_that_is_not_full_says_what_to_change():
    x, labels = cloud(speakers=2, each=2)
    with pytest.raises(ValueError, match=r"4 embeddings do not fill their 6 dimensions: .*whiten\.shrinkage"):
        Whitening(6).fit(x, labels, shrinkage=0.0)
    Whitening(6).fit(x, labels, shrinkage=0.1)
