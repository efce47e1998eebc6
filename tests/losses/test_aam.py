"""AAM-softmax against hand-computed numbers, brute force and a second implementation."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from svmixer.config import ConfigError, from_dict
from svmixer.losses import AAMConfig, AAMSoftmax, build_speaker_loss


def make(config, weight, class_weights=None):
    """A loss with the given class centres."""
    loss = AAMSoftmax(weight.shape[1], weight.shape[0], config, class_weights)
    with torch.no_grad():
        loss.weight.copy_(weight)
    return loss


def unit(*degrees):
    """Rows (cos a, sin a) for angles in degrees."""
    angle = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angle.cos(), angle.sin()], dim=1).float()


def brute_force(embedding, weight, label, config):
    """Mean loss from angles and explicit sums, one sample at a time, in Python floats."""
    total = 0.0
    for row, own in zip(embedding.double().tolist(), label.tolist(), strict=True):
        cosines = []
        for centre in weight.double().tolist():
            dot = sum(a * b for a, b in zip(row, centre, strict=True))
            cosines.append(dot / math.hypot(*row) / math.hypot(*centre))
        others = sorted((c for c in range(len(cosines)) if c != own), key=lambda c: -cosines[c])
        hardest = set(others[: config.top_k])
        numerator = math.exp(config.scale * math.cos(math.acos(cosines[own]) + config.margin))
        denominator = numerator
        for c in others:
            if c in hardest and config.top_k_mode == "angle":
                shifted = math.cos(math.acos(cosines[c]) - config.top_k_margin)
                denominator += math.exp(config.scale * shifted)
            elif c in hardest and config.top_k_mode == "weight":
                denominator += config.top_k_weight * math.exp(config.scale * cosines[c])
            else:
                denominator += math.exp(config.scale * cosines[c])
        total -= math.log(numerator / denominator)
    return total / len(label)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        # Embedding at 0°; own class at 30°, impostors at 60° and 120°; margin 0.2, scale 4, top 1, 0.1, 10.
        # Logits: 4·cos(30° + 0.2) = 2.997712, 4·cos 60° = 2, 4·cos 120° = −2.
        # log(e^2.997712 + e^2 + e^−2) − 2.997712:
        ("none", 0.318800),
        # the impostor at 60° becomes 4·cos(60° − 0.1) = 2.335841:
        ("angle", 0.420445),
        # log(e^2.997712 + 10·e^2 + e^−2) − 2.997712:
        ("weight", 1.546280),
    ],
)
def test_hand_computed_numbers(mode, expected):
    config = AAMConfig(margin=0.2, scale=4.0, top_k=1, top_k_mode=mode)
    loss, stats = make(config, unit(30, 60, 120))(unit(0), torch.tensor([0]))
    assert loss.item() == pytest.approx(expected, abs=1e-5)
    assert stats["accuracy"].item() == 1.0


def test_target_logit_keeps_falling_beyond_pi_minus_margin():
    # At 175° cos(θ + 0.2) would rise again: the logit is cos 175° − 0.2·sin 0.2 = −1.035929.
    loss, _ = make(AAMConfig(scale=1.0, top_k_mode="none"), unit(175, 90))(unit(0), torch.tensor([0]))
    assert loss.item() == pytest.approx(math.log1p(math.exp(1.0359285)), abs=1e-5)


def test_penalised_logit_keeps_falling_below_the_penalty_angle():
    angles = (0.0, 2.0, 5.0, 5.72, 5.74, 8.0)  # the penalty of 0.1 is 5.7296°
    config = AAMConfig(scale=1.0, margin=0.0, top_k=1)
    values = [make(config, unit(90, a))(unit(0), torch.tensor([0]))[0].item() for a in angles]
    assert values == sorted(values, reverse=True)
    # 2 − cos 0.1 at θ = 0; own class at 90° gives logit 0
    assert values[0] == pytest.approx(math.log1p(math.exp(2 - math.cos(0.1))), abs=1e-6)


@pytest.mark.parametrize("mode", ["angle", "weight", "none"])
@pytest.mark.parametrize("classes", [2, 4, 6, 23])
def test_matches_brute_force(mode, classes, top_k=5):
    generator = torch.Generator().manual_seed(classes)
    weight = torch.randn(classes, 8, generator=generator)
    embedding = torch.randn(16, 8, generator=generator)
    label = torch.randint(classes, (16,), generator=generator)
    config = AAMConfig(top_k=top_k, top_k_mode=mode, scale=30.0)
    loss, _ = make(config, weight)(embedding, label)
    assert loss.item() == pytest.approx(brute_force(embedding, weight, label, config), rel=2e-5)


def test_equals_espnet_where_both_are_regular():
    espnet = pytest.importorskip("espnet2.spk.loss.aamsoftmax")
    generator = torch.Generator().manual_seed(0)
    other = espnet.AAMSoftmax(nout=16, nclasses=40, margin=0.2, scale=30)
    ours = make(AAMConfig(top_k_mode="none"), other.weight.detach())
    embedding = torch.randn(64, 16, generator=generator)
    label = torch.randint(40, (64,), generator=generator)
    embedding[:4] = -other.weight.detach()[label[:4]] + 0.001 * embedding[:4]  # θ beyond π − margin
    expected, accuracy, _ = other(embedding, label)
    loss, stats = ours(embedding, label)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(stats["accuracy"], accuracy)


def test_top_k_equals_espnets_penalty():
    module = pytest.importorskip("espnet2.spk.loss.aamsoftmax_subcenter_intertopk")
    other = module.ArcMarginProduct_intertopk_subcenter(16, 40, scale=30.0, margin=0.2, K=1, mp=0.1, k_top=5)
    other.update(0.2)
    generator = torch.Generator().manual_seed(1)
    embedding = torch.randn(64, 16, generator=generator)
    label = torch.randint(40, (64,), generator=generator)
    expected, _, _ = other(embedding, label)
    loss, _ = make(AAMConfig(top_k_mode="angle"), other.weight.detach())(embedding, label)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", ["angle", "weight", "none"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_finite_at_cosine_one(mode, dtype):
    weight = torch.eye(3)
    # own class at cos 1 and −1, impostor at 1 and −1, a zero embedding, and an exactly shared direction
    embedding = torch.tensor([[1.0, 0, 0], [-2, 0, 0], [0, 3, 0], [0, -1, 0], [0, 0, 0], [1, 1, 1]])
    embedding = embedding.to(dtype).requires_grad_()
    loss_module = make(AAMConfig(top_k_mode=mode), weight)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        loss, _ = loss_module(embedding, torch.zeros(6, dtype=torch.int64))
    loss.backward()
    assert loss.isfinite()
    assert embedding.grad.isfinite().all()
    assert loss_module.weight.grad.isfinite().all()
    assert loss_module.weight.grad.abs().sum() > 0


def test_values_at_cosine_one_are_exact():
    # Own class at 0°, impostor opposite: logits 30·cos 0.2 and −30.
    loss, _ = make(AAMConfig(scale=1.0, top_k_mode="none"), unit(0, 180))(unit(0), torch.tensor([0]))
    assert loss.item() == pytest.approx(math.log1p(math.exp(-1.0 - math.cos(0.2))), abs=1e-6)


def test_autocast_does_not_change_the_loss():
    generator = torch.Generator().manual_seed(2)
    loss_module = AAMSoftmax(32, 50)
    embedding, label = torch.randn(8, 32, generator=generator), torch.arange(8)
    plain, _ = loss_module(embedding, label)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed, _ = loss_module(embedding, label)
    assert mixed.dtype == torch.float32
    assert torch.equal(plain, mixed)


@pytest.mark.parametrize("mode", ["angle", "weight", "none"])
def test_gradcheck(mode):
    generator = torch.Generator().manual_seed(3)
    loss_module = AAMSoftmax(5, 9, AAMConfig(top_k=3, top_k_mode=mode)).double()
    embedding = torch.randn(4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    label = torch.tensor([0, 3, 8, 3])

    def function(values, weight):
        return torch.func.functional_call(loss_module, {"weight": weight}, (values, label))[0]

    assert torch.autograd.gradcheck(function, (embedding, loss_module.weight))


def test_class_weights_make_a_weighted_mean():
    counts = [30, 10]
    weighted = build_speaker_loss(AAMConfig(top_k_mode="none", class_weights=True), 2, 2, counts)
    plain = build_speaker_loss(AAMConfig(top_k_mode="none"), 2, 2, counts)
    assert plain.class_weights is None
    torch.testing.assert_close(weighted.class_weights, torch.tensor([40 / 30, 40 / 10]))
    for module in (weighted, plain):
        module.weight.data = unit(0, 90)
    embedding, label = unit(40, 10, 80), torch.tensor([0, 1, 1])
    single = [plain(embedding[i : i + 1], label[i : i + 1])[0].item() for i in range(3)]
    expected = (4 / 3 * single[0] + 4 * single[1] + 4 * single[2]) / (4 / 3 + 8)
    assert weighted(embedding, label)[0].item() == pytest.approx(expected, rel=1e-5)
    assert plain(embedding, label)[0].item() == pytest.approx(sum(single) / 3, rel=1e-5)


def test_a_margin_on_its_way_stands_in_place_of_the_configurations():
    module = make(AAMConfig(scale=4.0, top_k_mode="none"), unit(30, 60, 120))
    logits = torch.tensor([[4 * math.cos(math.radians(30) + 0.5), 2.0, -2.0]])
    expected = F.cross_entropy(logits, torch.tensor([0])).item()
    assert module(unit(0), torch.tensor([0]), 0.5)[0].item() == pytest.approx(expected, abs=1e-5)
    assert module(unit(0), torch.tensor([0]), 0.0)[0] < module(unit(0), torch.tensor([0]))[0]


@pytest.mark.parametrize(
    ("epochs", "after", "expected"),
    [
        ((0.0, 0.0), 0.0, 0.2),
        ((20.0, 40.0), 0.0, 0.0),
        ((20.0, 40.0), 20.0, 0.0),
        # A third of the way: 1 − 0.001^(1/3) = 0.9 of it; two thirds: 0.99; half: 1 − 0.0316228.
        ((20.0, 40.0), 20.0 + 20.0 / 3, 0.18),
        ((20.0, 40.0), 30.0, 0.1936754),
        ((20.0, 40.0), 20.0 + 40.0 / 3, 0.198),
        ((20.0, 40.0), 40.0, 0.2),
        ((20.0, 40.0), math.inf, 0.2),
        ((5.0, 5.0), 4.99, 0.0),
        ((5.0, 5.0), 5.0, 0.2),
    ],
)
def test_the_margin_rises_between_two_epochs(epochs, after, expected):
    assert AAMConfig(margin=0.2, margin_epochs=epochs).margin_after(after) == pytest.approx(
        expected, abs=1e-7
    )


def test_accuracy_ignores_the_margin():
    # Own class at 30°, impostor at 35°: nearest without margin, not with it.
    _, stats = make(AAMConfig(), unit(30, 35, 180))(unit(0, 0), torch.tensor([0, 1]))
    assert stats["accuracy"].item() == 0.5


def test_state_dict_holds_the_centres_only():
    module = build_speaker_loss(AAMConfig(class_weights=True), 4, 3, [1, 2, 3])
    assert list(module.state_dict()) == ["weight"]


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.integers(1, 8), st.integers(0, 2**31 - 1))
def test_penalty_never_lowers_the_loss_and_scale_of_embedding_is_irrelevant(classes, top_k, seed):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(classes, 6, generator=generator)
    embedding = torch.randn(5, 6, generator=generator)
    label = torch.randint(classes, (5,), generator=generator)
    values = {
        mode: make(AAMConfig(top_k=top_k, top_k_mode=mode), weight)(embedding, label)[0].item()
        for mode in ("angle", "weight", "none")
    }
    assert values["angle"] >= values["none"] - 1e-4
    assert values["weight"] >= values["none"] - 1e-4
    scaled = make(AAMConfig(top_k=top_k), weight)(7.0 * embedding, label)[0].item()
    assert scaled == pytest.approx(values["angle"], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"margin": -0.1}, "margin: must be at least 0"),
        ({"margin_epochs": [3, 2]}, "margin_epochs: expected first and last, from 0, found 3, 2"),
        ({"margin_epochs": [-1, 2]}, "margin_epochs: expected first and last, from 0, found -1, 2"),
        ({"scale": 0}, "scale: must be positive"),
        ({"top_k": 0}, "top_k: must be at least 1"),
        ({"top_k_mode": "both"}, "top_k_mode: 'both' is not one of"),
        ({"top_k_wieght": 3}, "top_k_weight"),
    ],
)
def test_bad_configuration(data, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(AAMConfig, data)


def test_bad_arguments():
    with pytest.raises(ValueError, match="at least 2 speakers"):
        AAMSoftmax(4, 1)
    with pytest.raises(ValueError, match=r"expected shape \(3,\), found \(2,\)"):
        AAMSoftmax(4, 3, class_weights=torch.ones(2))
    with pytest.raises(ValueError, match="positive and finite"):
        build_speaker_loss(AAMConfig(class_weights=True), 4, 3, [5, 0, 2])
    with pytest.raises(ValueError, match="utterances per speaker"):
        build_speaker_loss(AAMConfig(class_weights=True), 4, 3)


def test_the_nearest_sub_centre_counts():
    """Class 0 has centres at 40 and 10 degrees, class 1 at 170 and 90: as one centre each at 10 and at 90."""
    config = AAMConfig(scale=4.0, top_k_mode="none", sub_centres=2)
    loss = AAMSoftmax(2, 2, config)
    with torch.no_grad():
        loss.weight.copy_(unit(40, 10, 170, 90))
    embedding, label = unit(0, 0), torch.tensor([0, 1])
    plain = AAMConfig(scale=4.0, top_k_mode="none")
    value, metrics = loss(embedding, label)
    assert value.item() == pytest.approx(brute_force(embedding, unit(10, 90), label, plain), rel=1e-6)
    assert metrics["accuracy"].item() == 0.5


def test_sub_centres_must_be_one_or_more():
    with pytest.raises(ValueError, match=r"^sub_centres: must be at least 1, found 0"):
        AAMConfig(sub_centres=0)
