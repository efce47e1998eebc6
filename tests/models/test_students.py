"""The compared encoder layers and the ablations: sizes of the paper, and second implementations."""

import itertools
from dataclasses import replace

import pytest
import torch
from random_weights import randomised
from torch import nn
from torch.nn import functional as F

from svmixer.config import ConfigError, load
from svmixer.models.config import StudentConfig
from svmixer.models.costs import measure
from svmixer.models.student import Student
from svmixer.models.students import ENCODER_LAYERS, build_layers
from svmixer.models.students.comparisons import cycle_shift

H, T = 1024, 149
PAPER = StudentConfig()
# Nine frames of 16 channels.
SMALL = StudentConfig(layers=2, hidden=16, group_width=4, window=2960, dropout=0.1)
# Weights and biases of one layer's parts, written out.
NORM = 2 * H
TOKEN_MLP = (T * 4 * T + 4 * T) + (4 * T * T + T)
CHANNEL_MLP = (H * 4 * H + 4 * H) + (4 * H * H + H)
NARROW_MLP = (H * 2 * H + 2 * H) + (2 * H * H + H)
LGM = TOKEN_MLP + (7 * H + H) + (3 * H + H)
GROUPED_MLP = (4 * H * 128 + 4 * H) + (H * 512 + H)
GCM_TAIL = (H * 128 * 3 + H) + (H * H + H)


def layer(encoder, last=False, config=SMALL):
    return ENCODER_LAYERS[encoder](replace(config, encoder=encoder), last)


def on_meta(config):
    with torch.device("meta"):
        return measure(build_layers(replace(config, layers=1))[0], torch.empty(1, T, H))


@pytest.mark.parametrize(
    ("encoder", "params", "macs"),
    [
        # Linear and Conv alone: the two products of the attention are not in the paper's count.
        ("transformer", 8399872, T * (4 * (H * H + H) + NARROW_MLP)),
        ("mlp_mixer", 8576177, H * TOKEN_MLP + T * CHANNEL_MLP),
        ("cycle_mlp", 9448704, T * (3 * H * H + H * H + H + NARROW_MLP) + H * 256 + 256 + 256 * 3072 + 3072),
        ("conv_mixer", 8980657, H * TOKEN_MLP + T * (CHANNEL_MLP + 7 * H + H + H * 128 * 3 + H)),
        ("svmixer", 3745969, H * TOKEN_MLP + T * (12 * H + GCM_TAIL) + (T + T // 2) * GROUPED_MLP),
    ],
)
def test_size_of_a_layer(encoder, params, macs):
    cost = on_meta(replace(PAPER, encoder=encoder))
    assert cost.params == params
    assert cost.macs == macs


def test_sizes_come_out_as_in_table_i():
    costs = {name: on_meta(replace(PAPER, encoder=name)) for name in ENCODER_LAYERS.builders}
    rounded = {name: (f"{c.params / 1e6:.2f}", f"{c.macs / 1e9:.2f}") for name, c in costs.items()}
    assert rounded["transformer"] == ("8.40", "1.25")
    assert rounded["mlp_mixer"] == ("8.58", "1.43")
    assert rounded["svmixer"] == ("3.75", "0.63")
    assert rounded["cycle_mlp"][0] == "9.45"
    assert abs(costs["conv_mixer"].params / 9.02e6 - 1) < 0.02
    assert abs(costs["conv_mixer"].macs / 1.48e9 - 1) < 0.02


ABLATIONS = [mixing for count in range(4) for mixing in itertools.combinations(("lgm", "msm", "gcm"), count)]


@pytest.mark.parametrize("mixing", ABLATIONS, ids="+".join)
def test_size_of_an_ablation(mixing):
    """Table II: each part replaces its own piece of the vanilla layer and nothing else."""
    token = LGM if "lgm" in mixing else TOKEN_MLP
    mlp = GROUPED_MLP if "gcm" in mixing else CHANNEL_MLP
    channel = mlp * (2 if "msm" in mixing else 1) + (GCM_TAIL if "gcm" in mixing else 0)
    assert on_meta(replace(PAPER, mixing=mixing)).params == 2 * NORM + token + channel


def test_order_of_the_parts_does_not_matter():
    torch.manual_seed(1)
    first = build_layers(SMALL)
    torch.manual_seed(1)
    second = build_layers(replace(SMALL, mixing=("gcm", "lgm", "msm")))
    assert list(first.state_dict()) == list(second.state_dict())


def test_mixing_from_a_file(tmp_path):
    (tmp_path / "a.yaml").write_text("encoder: svmixer\nmixing: [msm]\n")
    assert load(StudentConfig, tmp_path / "a.yaml").mixing == ("msm",)
    (tmp_path / "b.yaml").write_text("mixing: []\n")
    assert load(StudentConfig, tmp_path / "b.yaml").mixing == ()
    (tmp_path / "c.yaml").write_text("mixing: [lgn]\n")
    with pytest.raises(ConfigError, match="lgn"):
        load(StudentConfig, tmp_path / "c.yaml")


@pytest.mark.parametrize("encoder", list(ENCODER_LAYERS.builders))
def test_every_student_has_the_same_interface(encoder):
    torch.manual_seed(2)
    student = randomised(Student(replace(SMALL, encoder=encoder)))
    assert SMALL.frames == T_SMALL
    wave = torch.randn(3, SMALL.window)
    states = student(wave)
    assert states.shape == (3, 3, T_SMALL, 16)
    states.square().mean().backward()
    silent = [name for name, p in student.named_parameters() if p.grad is None or p.grad.abs().max() == 0]
    assert silent == []
    student.eval()
    with torch.no_grad():
        torch.testing.assert_close(student(wave)[1:2], student(wave[1:2]), atol=1e-5, rtol=1e-5)


T_SMALL = 9


@pytest.mark.parametrize("encoder", list(ENCODER_LAYERS.builders))
def test_last_layer_ends_without_dropout(encoder):
    """In training, the channel part of the last layer draws no random numbers; that of the others does."""
    for last, expected in ((False, 0.1), (True, 0.0)):
        rates = [m.p for m in layer(encoder, last).modules() if isinstance(m, nn.Dropout)]
        assert rates[-1] == expected
        assert rates[0] == 0.1


@pytest.mark.parametrize("hidden", [16, 128])
def test_transformer_equals_torch(hidden):
    config = replace(SMALL, hidden=hidden)
    ours = randomised(layer("transformer", config=config)).eval()
    heads = max(hidden // 64, 1)
    theirs = nn.TransformerEncoderLayer(
        hidden, heads, 2 * hidden, activation="gelu", batch_first=True, norm_first=True
    ).eval()
    state, a = ours.state_dict(), "attention"
    theirs.load_state_dict(
        {
            **{
                f"self_attn.in_proj_{kind}": torch.cat(
                    [state[f"{a}.{name}.{kind}"] for name in ("query", "key", "value")]
                )
                for kind in ("weight", "bias")
            },
            **{
                f"{there}.{kind}": state[f"{here}.{kind}"]
                for kind in ("weight", "bias")
                for there, here in (
                    ("self_attn.out_proj", f"{a}.out"), ("norm1", f"{a}.norm"),
                    ("norm2", "feed_forward.norm"),
                    ("linear1", "feed_forward.linear1"),
                    ("linear2", "feed_forward.linear2"),
                )
            },
        }
    )  # fmt: skip
    x = torch.randn(2, T_SMALL, hidden)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)


def channel_mlp(x, part):
    inner = F.gelu(F.linear(part.norm(x), part.linear1.weight, part.linear1.bias))
    return x + F.linear(inner, part.linear2.weight, part.linear2.bias)


def token_mlp(x, part):
    inner = F.gelu(
        torch.einsum("bth,st->bsh", part.norm(x), part.linear1.weight) + part.linear1.bias[:, None]
    )
    return x + torch.einsum("bsh,ts->bth", inner, part.linear2.weight) + part.linear2.bias[:, None]


def test_mlp_mixer_equals_the_formulas():
    ours = randomised(layer("mlp_mixer")).eval()
    x = torch.randn(2, T_SMALL, 16)
    expected = channel_mlp(token_mlp(x, ours.token_mixing), ours.channel_mixing)
    torch.testing.assert_close(ours(x), expected, atol=1e-5, rtol=1e-5)


def test_conv_mixer_equals_the_formulas():
    ours = randomised(layer("conv_mixer")).eval()
    conv, mixer = ours
    x = torch.randn(2, T_SMALL, 16)
    u = F.conv1d(
        conv.norm(x).transpose(1, 2), conv.depthwise.weight, conv.depthwise.bias, padding=3, groups=16
    )
    u = F.conv1d(F.gelu(u), conv.grouped.weight, conv.grouped.bias, padding=1, groups=4)
    y = x + F.gelu(u).transpose(1, 2)
    expected = channel_mlp(token_mlp(y, mixer.token_mixing), mixer.channel_mixing)
    torch.testing.assert_close(ours(x), expected, atol=1e-5, rtol=1e-5)


def test_cycle_shift_by_hand():
    """Channels 0, 3 stay; 1, 4 look one frame ahead; 2, 5 one back: (c + 1) mod 3 − 1 = 0, 1, −1."""
    x = torch.arange(1.0, 4.0)[None, :, None].expand(1, 3, 5)
    ahead, back, stay = [2.0, 3.0, 0.0], [0.0, 1.0, 2.0], [1.0, 2.0, 3.0]
    assert cycle_shift(x, 1)[0].T.tolist() == [stay, ahead, back, stay, ahead]
    assert cycle_shift(x, -1)[0].T.tolist() == [stay, back, ahead, stay, back]


def test_cycle_mlp_equals_the_formulas():
    """Split attention: softmax over the three branches, from their sum's mean over time."""
    ours = randomised(layer("cycle_mlp")).eval()
    part, x = ours.token_mixing, torch.randn(2, T_SMALL, 16)
    u = part.norm(x)
    expected = torch.empty_like(x)
    for b in range(2):
        branches = []
        for weight, direction in ((part.forth, 1), (part.back, -1), (part.plain, 0)):
            seen = torch.zeros(T_SMALL, 16)
            for t, c in itertools.product(range(T_SMALL), range(16)):
                source = t + direction * (0, 1, -1)[c % 3]
                if 0 <= source < T_SMALL:
                    seen[t, c] = u[b, source, c]
            branches.append(seen @ weight.weight.T)
        mean = sum(branches).mean(dim=0)
        scores = part.reweight2(F.gelu(part.reweight1(mean))).view(3, 16)
        weights = scores.exp() / scores.exp().sum(dim=0)
        expected[b] = x[b] + part.projection(sum(w * y for w, y in zip(weights, branches, strict=True)))
    torch.testing.assert_close(ours(x), channel_mlp(expected, ours.channel_mixing), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mixing", [("msm",), ("gcm",)])
def test_ablated_channel_mixing_equals_the_formulas(mixing):
    ours = randomised(build_layers(replace(SMALL, mixing=mixing))[0]).eval()
    part, x = ours.channel_mixing, torch.randn(2, T_SMALL, 16)
    y = token_mlp(x, ours.token_mixing)
    v = part.norm1(y).transpose(1, 2)
    groups = 4 if mixing == ("gcm",) else 1

    def mlp(v, expand, reduce):
        inner = F.gelu(F.conv1d(v, expand.weight, expand.bias, groups=groups))
        return F.conv1d(inner, reduce.weight, reduce.bias, groups=groups)

    mixed = mlp(v, part.fc3, part.fc4)
    if mixing == ("msm",):
        half = mlp(F.avg_pool1d(v, 2), part.fc1, part.fc2)
        mixed = mixed + F.interpolate(half, size=T_SMALL, mode="linear", align_corners=False)
    else:
        mixed = F.gelu(F.conv1d(mixed, part.fc5.weight, part.fc5.bias, padding=1, groups=4))
        mixed = F.conv1d(mixed, part.fc6.weight, part.fc6.bias)
    torch.testing.assert_close(ours(x), y + mixed.transpose(1, 2), atol=1e-5, rtol=1e-5)
