"""LGM, MSM and GCM: numbers worked out by hand, and a second implementation from the formulas."""

import pytest
import torch
from random_weights import randomised
from torch.nn import functional as F

from svmixer.models.layers import TimeGroupNorm, upsampling_matrix
from svmixer.models.students.mixer import LocalGlobalMixing, MultiScaleGroupMixing

B, T, H, G = 3, 9, 16, 4


def constant_norm(norm):
    """A layer norm whose output is 1 everywhere."""
    torch.nn.init.zeros_(norm.weight)
    torch.nn.init.ones_(norm.bias)


def fill(layer, weight, bias=0.0):
    torch.nn.init.constant_(layer.weight, weight)
    torch.nn.init.constant_(layer.bias, bias)


def test_lgm_by_hand():
    """Weights of one: gelu(3) = 2.99595; local 2, 3, 2 times that (borders lose a tap), global 12 times."""
    mixing = LocalGlobalMixing(hidden=2, frames=3, expansion=4, dropout=0.1).eval()
    constant_norm(mixing.norm)
    for layer in (mixing.local_mix1, mixing.local_mix2, mixing.linear1, mixing.linear2):
        fill(layer, 1.0)
    x = torch.tensor([[[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]])
    expected = torch.tensor([41.94330, 44.93925, 41.94330])[:, None] + torch.tensor([0.0, 1.0])
    torch.testing.assert_close(mixing(x)[0], expected, atol=1e-4, rtol=0)


def test_gcm_by_hand():
    """Full rate 2·gelu(1), half rate 0.5, sum s = 2.18269; 1 + 2·gelu(0.6·s), borders 1 + 2·gelu(0.4·s)."""
    mixing = MultiScaleGroupMixing(hidden=4, frames=4, groups=2, expansion=4, dropout=0.1).eval()
    constant_norm(mixing.norm1)
    fill(mixing.fc1, 0.0)
    fill(mixing.fc2, 1.0, bias=0.5)
    fill(mixing.fc3, 0.5)
    fill(mixing.fc4, 0.25)
    fill(mixing.fc5, 0.1)
    fill(mixing.fc6, 0.0)
    with torch.no_grad():
        mixing.fc6.weight.copy_(2 * torch.eye(4)[:, :, None])
    x = torch.ones(1, 4, 4)
    expected = torch.tensor([2.41209, 3.36997, 3.36997, 2.41209])[:, None].expand(4, 4)
    torch.testing.assert_close(mixing(x)[0], expected, atol=1e-4, rtol=0)


def gelu(x):
    return 0.5 * x * (1 + torch.erf(x / 2**0.5))


def layer_norm(x, weight, bias):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight + bias


def lgm_reference(x, p):
    """Local-global mixing, every sum written as a loop over taps or a product with a matrix."""
    u = layer_norm(x, p["norm.weight"], p["norm.bias"]).permute(0, 2, 1)  # (B, H, T)

    def depthwise(u, weight, bias):
        reach = weight.shape[2] // 2
        padded = torch.cat([u.new_zeros(B, H, reach), u, u.new_zeros(B, H, reach)], dim=2)
        taps = [weight[None, :, 0, k, None] * padded[:, :, k : k + T] for k in range(weight.shape[2])]
        return sum(taps) + bias[None, :, None]

    local = depthwise(u, p["local_mix1.weight"], p["local_mix1.bias"])
    local = depthwise(gelu(local), p["local_mix2.weight"], p["local_mix2.bias"])
    inner = gelu(u @ p["linear1.weight"].T + p["linear1.bias"])
    everywhere = inner @ p["linear2.weight"].T + p["linear2.bias"]
    return x + (local + everywhere).permute(0, 2, 1)


def msm_reference(x, p):
    """Multi-scale and group mixing, group by group with ordinary matrices on (B, H, T)."""
    v = layer_norm(x, p["norm1.weight"], p["norm1.bias"]).permute(0, 2, 1)

    def grouped(v, name):
        weight, bias = p[f"{name}.weight"], p[f"{name}.bias"]
        outs = []
        for part, matrix in zip(v.chunk(G, dim=1), weight.chunk(G, dim=0), strict=True):
            reach = matrix.shape[2] // 2
            padded = F.pad(part, (reach, reach))
            frames = part.shape[2]
            outs.append(sum(matrix[:, :, k] @ padded[:, :, k : k + frames] for k in range(matrix.shape[2])))
        return torch.cat(outs, dim=1) + bias[None, :, None]

    pooled = torch.stack([v[:, :, 2 * i : 2 * i + 2].mean(2) for i in range(T // 2)], dim=2)
    half = grouped(gelu(grouped(pooled, "fc1")), "fc2")
    # Linear interpolation: output frame t sits at (t + 1/2) · (T // 2) / T − 1/2 of the half-rate frames.
    columns = []
    for t in range(T):
        place = max((t + 0.5) * (T // 2) / T - 0.5, 0)
        left = int(place)
        right = min(left + 1, T // 2 - 1)
        columns.append((1 - (place - left)) * half[:, :, left] + (place - left) * half[:, :, right])
    total = torch.stack(columns, dim=2) + grouped(gelu(grouped(v, "fc3")), "fc4")
    mixed = gelu(grouped(total, "fc5"))
    mixed = p["fc6.weight"][:, :, 0] @ mixed + p["fc6.bias"][None, :, None]
    return x + mixed.permute(0, 2, 1)


@pytest.mark.parametrize(
    ("module", "reference"),
    [
        (lambda: LocalGlobalMixing(H, T, 4, 0.1), lgm_reference),
        (lambda: MultiScaleGroupMixing(H, T, G, 4, 0.1), msm_reference),
    ],
    ids=["lgm", "msm-gcm"],
)
def test_equals_the_formulas(module, reference):
    module = randomised(module()).eval()
    x = torch.randn(B, T, H)
    result = module(x)
    assert (result - x).abs().max() > 0.1
    torch.testing.assert_close(result, reference(x, dict(module.named_parameters())), atol=1e-5, rtol=1e-5)


def test_groups_do_not_meet_before_the_last_layer():
    module = randomised(MultiScaleGroupMixing(H, T, G, 4, 0.0))
    constant_norm(module.norm1)
    seen = []
    module.fc6.register_forward_pre_hook(lambda layer, args: seen.append(args[0]))
    with torch.no_grad():
        module(torch.randn(1, T, H))
        module.fc3.weight[: H * 4 // G] += 1
        module(torch.randn(1, T, H))
    changed = (seen[0] != seen[1]).any(dim=1)[0]
    assert changed.tolist() == [True] * (H // G) + [False] * (H - H // G)


@pytest.mark.parametrize(("frames_in", "frames_out"), [(74, 149), (75, 150), (1, 3), (4, 9)])
def test_upsampling_matrix(frames_in, frames_out):
    x = torch.randn(2, 5, frames_in)
    expected = F.interpolate(x, size=frames_out, mode="linear", align_corners=False)
    torch.testing.assert_close(x @ upsampling_matrix(frames_in, frames_out).T, expected)


def test_time_group_norm():
    norm = randomised(TimeGroupNorm(3))
    x = torch.randn(2, 50, 3)
    expected = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(norm(x), expected * norm.weight + norm.bias)
