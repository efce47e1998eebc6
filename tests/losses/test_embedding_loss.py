"""Distillation of utterance embeddings against hand-computed numbers."""

import math

import pytest
import torch

from svmixer.losses.config import EmbeddingDistillConfig
from svmixer.losses.distillation import EmbeddingDistill


def unit(*degrees):
    """Rows (cos a, sin a) for angles in degrees."""
    angle = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angle.cos(), angle.sin()], dim=1).float()


def make(kind, **more):
    return EmbeddingDistill(EmbeddingDistillConfig(scp="vectors.scp", kind=kind, **more), 2, 2)


def test_cosine_is_of_the_mapped_embedding():
    loss = make("cosine")
    with torch.no_grad():
        loss.projection.weight.copy_(torch.tensor([[0.0, -1.0], [1.0, 0.0]]))  # turns by 90 degrees
    # Turned, 0 and 30 degrees become 90 and 120; their targets are 60 and 0 degrees away.
    value = loss(3 * unit(0, 30), unit(150, 120))
    assert value.item() == pytest.approx((1 - math.cos(math.pi / 3)) / 2, abs=1e-6)


def test_relational_compares_the_angles_between_utterances():
    # Cosines between the embeddings: 0 (0 and 90 degrees), 0.5 (0 and 60), √3/2 (90 and 60); between the
    # targets: 1, 0.5, 0.5. Every pair counts in both orders.
    expected = (1.0 + 0.0 + (math.sqrt(3) / 2 - 0.5) ** 2) / 3
    assert make("relational")(unit(0, 90, 60), 2 * unit(10, 10, 70)).item() == pytest.approx(
        expected, abs=1e-6
    )


def test_relational_needs_no_map():
    assert not list(make("relational").parameters())


@pytest.mark.parametrize("kind", ["cosine", "relational"])
def test_utterances_without_a_target_are_left_out(kind):
    loss = make(kind)
    embedding, target = unit(0, 20, 80, 200).requires_grad_(), unit(5, 0, 90, 300)
    target[1] = 0.0
    value = loss(embedding, target)
    assert value.item() == pytest.approx(loss(embedding[[0, 2, 3]], target[[0, 2, 3]]).item())
    value.backward()
    assert embedding.grad[1].abs().max() == 0.0
    assert embedding.grad[0].abs().max() > 0.0


@pytest.mark.parametrize("kind", ["cosine", "relational"])
def test_no_target_at_all_is_no_loss(kind):
    embedding = unit(0, 90).requires_grad_()
    value = make(kind)(embedding, torch.zeros(2, 2))
    value.backward()
    assert value.item() == 0.0
    assert embedding.grad.abs().max() == 0.0


@pytest.mark.parametrize(("key", "value"), [("weight", 0.0), ("missing", 1.0), ("missing", -0.1)])
def test_values_out_of_range(key, value):
    with pytest.raises(ValueError, match=f"^{key}: "):
        EmbeddingDistillConfig(**{key: value})
