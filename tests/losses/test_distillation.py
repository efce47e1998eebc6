"""Distillation losses against hand-computed numbers."""

import math

import pytest
import torch
from torch import nn

from svmixer.config import ConfigError, from_dict
from svmixer.losses import DistilHuBERT, DistillConfig, LastMSE, build_distill_loss
from svmixer.losses.distillation import align_frames


def states(seed, *shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def identity_heads(module):
    """Make each head the GELU alone, so that its output can be written down."""
    for head in module.heads:
        for layer in (head[0], head[2]):
            nn.init.eye_(layer.weight)
            nn.init.zeros_(layer.bias)
    return module


def test_last_mse_by_hand():
    student = torch.tensor([[[1.0, 2.0]]])  # (1, 1, 2)
    teacher = torch.tensor([[[[2.0, 5.0]]]])  # (1, 1, 1, 2)
    assert LastMSE.layers == (-1,)
    loss, stats = LastMSE(2, 2)(student, teacher)
    assert loss.item() == pytest.approx((1 + 9) / 2)
    loss, stats = LastMSE(2, 2, weight=0.5)(student, teacher)
    assert loss.item() == pytest.approx(2.5)
    assert stats["mse"].item() == pytest.approx(5.0)
    assert stats["cosine"].item() == pytest.approx(12 / math.sqrt(5 * 29), abs=1e-6)


def test_last_mse_maps_only_when_sizes_differ():
    assert list(LastMSE(4, 4).parameters()) == []
    module = LastMSE(4, 6)
    assert {name: tuple(p.shape) for name, p in module.named_parameters()} == {
        "projection.weight": (6, 4),
        "projection.bias": (6,),
    }
    student, teacher = states(0, 2, 5, 4), states(1, 2, 1, 5, 6)
    expected = (module.projection(student) - teacher[:, 0]).square().mean()
    torch.testing.assert_close(module(student, teacher)[0], expected)


def test_distilhubert_by_hand():
    # One frame, one head that is GELU alone. The student's (1, 0) becomes (0.8413447, 0).
    module = identity_heads(DistilHuBERT(2, 2, layers=(1,)))
    student = torch.tensor([[[1.0, 0.0]]])
    teacher = torch.tensor([[[[1.0, 1.0]]]])
    # L1: (0.1586553 + 1) / 2; cosine: 1 / √2; −log σ(0.7071068) = 0.4008335
    loss, stats = module(student, teacher)
    assert loss.item() == pytest.approx(0.5793276 + math.log1p(math.exp(-math.sqrt(0.5))), abs=1e-6)
    assert loss.item() == pytest.approx(0.9801612, abs=1e-6)
    assert stats["l1"].item() == pytest.approx(0.5793276, abs=1e-6)
    assert stats["cosine"].item() == pytest.approx(0.7071068, abs=1e-6)


def test_distilhubert_has_three_heads_of_two_layers():
    module = DistilHuBERT(6, 10)
    shapes = [tuple(p.shape) for p in module.heads[0].parameters()]
    assert len(module.heads) == 3
    assert shapes == [(10, 6), (10,), (10, 10), (10,)]


def test_distilhubert_sums_over_heads_and_takes_a_state_for_each():
    module = DistilHuBERT(4, 6, layers=(2, 0, 3), cosine_weight=0.7)
    student, teacher = states(0, 2, 5, 4), states(1, 2, 3, 5, 6)
    expected, stats = 0.0, module(student, teacher)[1]
    for number, head in enumerate(module.heads):
        guess, target = head(student), teacher[:, number]
        dot = (guess * target).sum(-1) / guess.norm(dim=-1) / target.norm(dim=-1)
        expected = expected + (guess - target).abs().mean() - 0.7 * torch.sigmoid(dot).log().mean()
        torch.testing.assert_close(stats[f"cosine_layer{module.layers[number]}"], dot.mean())
    torch.testing.assert_close(module(student, teacher)[0], expected)
    with pytest.raises(ValueError, match="zip"):
        module(student, teacher[:, :2])


@pytest.mark.parametrize("frames", [1, 4, 149])
def test_reduction_sum_is_frames_times_mean(frames):
    mean = DistilHuBERT(4, 6, layers=(1, 2), reduction="mean")
    total = DistilHuBERT(4, 6, layers=(1, 2), reduction="sum")
    total.load_state_dict(mean.state_dict())
    student, teacher = states(0, 3, frames, 4), states(1, 3, 2, frames, 6)
    loss_mean, stats = mean(student, teacher)
    loss_sum, _ = total(student, teacher)
    l1 = 2 * stats["l1"]  # two heads
    torch.testing.assert_close(loss_sum - l1, frames * (loss_mean - l1), rtol=1e-4, atol=1e-4)


def test_weight_scales_the_loss_and_its_gradient():
    student = states(0, 2, 3, 4).requires_grad_()
    one = DistilHuBERT(4, 4, layers=(1,))
    half = DistilHuBERT(4, 4, layers=(1,), weight=0.5)
    half.load_state_dict(one.state_dict())
    teacher = states(1, 2, 1, 3, 4)
    (full,) = torch.autograd.grad(one(student, teacher)[0], student)
    (less,) = torch.autograd.grad(half(student, teacher)[0], student)
    torch.testing.assert_close(less, 0.5 * full)


def test_gradcheck():
    student = states(0, 2, 3, 4, dtype=torch.float64).requires_grad_()
    teacher = states(1, 2, 2, 3, 5, dtype=torch.float64)
    for module in (LastMSE(4, 5).double(), DistilHuBERT(4, 5, layers=(1, 2)).double()):
        wanted = teacher[:, : len(module.layers)]
        assert torch.autograd.gradcheck(lambda x, m=module, t=wanted: m(x, t)[0], (student,))


def test_gradients_are_finite_for_zero_states_and_bf16():
    for kind in (LastMSE(4, 5), DistilHuBERT(4, 5, layers=(1,))):
        for student in (torch.zeros(2, 3, 4), states(0, 2, 3, 4)):
            student = student.requires_grad_()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss, _ = kind(student, torch.zeros(2, 1, 3, 5))
            loss.backward()
            assert loss.dtype == torch.float32
            assert student.grad.isfinite().all()
            assert all(p.grad.isfinite().all() for p in kind.parameters())


@pytest.mark.parametrize(
    ("count", "frames", "expected"),
    [
        (3, 3, [0, 1, 2]),
        (6, 3, [1, 3, 5]),  # centres at 1, 3, 5 sixths: the later of two equally near frames
        (3, 6, [0, 0, 1, 1, 2, 2]),
        (5, 3, [0, 2, 4]),
        (9, 3, [1, 4, 7]),
    ],
)
def test_align_frames(count, frames, expected):
    teacher = torch.arange(count, dtype=torch.float32).view(1, count, 1)
    assert align_frames(teacher, frames).flatten().tolist() == expected


@pytest.mark.parametrize(("count", "frames"), [(149, 74), (150, 149), (148, 149), (99, 298)])
def test_align_frames_picks_the_nearest_centre(count, frames):
    chosen = align_frames(torch.arange(count).view(1, count, 1), frames).flatten()
    centre = (torch.arange(frames, dtype=torch.float64) + 0.5) / frames
    distance = (centre[:, None] - (torch.arange(count, dtype=torch.float64) + 0.5) / count).abs()
    best = distance.min(dim=1).values
    torch.testing.assert_close(distance[torch.arange(frames), chosen], best, rtol=0, atol=1e-12)


def test_teacher_with_another_frame_rate():
    student, teacher = states(0, 2, 3, 4), states(1, 2, 1, 6, 4)
    expected = (student - teacher[:, 0, [1, 3, 5]]).square().mean()
    torch.testing.assert_close(LastMSE(4, 4)(student, teacher)[0], expected)


def test_builder():
    assert isinstance(build_distill_loss(DistillConfig(), 4, 8), LastMSE)
    config = DistillConfig(kind="distilhubert", layers=(2, 4), cosine_weight=0.3, reduction="sum", weight=2.0)
    module = build_distill_loss(config, 4, 8)
    assert isinstance(module, DistilHuBERT)
    assert (module.layers, module.cosine_weight, module.reduction, module.weight) == ((2, 4), 0.3, "sum", 2.0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "kd"}, "kind: 'kd' is not one of"),
        ({"weight": 0}, "weight: must be positive"),
        ({"cosine_weight": -1}, "cosine_weight: must not be negative"),
        ({"layers": []}, "layers: expected one or more"),
        ({"layers": [-1]}, "layers: expected one or more"),
        ({"reduction": "max"}, "reduction: 'max' is not one of"),
    ],
)
def test_bad_configuration(data, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(DistillConfig, data)
