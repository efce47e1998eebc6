"""SpecAugment: where masks lie, what they hold, and that only training knows them."""

from __future__ import annotations

import pytest
import torch

from svmixer.models.config import FrontendConfig, StudentConfig
from svmixer.models.spectrum_masks import SpectrumMasks, covered
from svmixer.models.student import Student


def test_a_mask_is_one_stretch_of_every_width_and_place():
    torch.manual_seed(0)
    rows = covered(torch.zeros(4000, 1, 1), size=5, limit=2)
    widths = rows.sum(dim=1)
    # Uniform from 0 to 2 …
    assert torch.bincount(widths).tolist() == pytest.approx([4000 / 3] * 3, rel=0.1)
    # … and one stretch: at most one beginning.
    assert (rows.int().diff(dim=1, prepend=torch.zeros(4000, 1).int()) == 1).sum(dim=1).max() == 1
    single = rows[widths == 1].sum(dim=0).tolist()
    assert single == pytest.approx([sum(single) / 5] * 5, rel=0.2)
    assert covered(torch.zeros(100, 1, 1), size=3, limit=50).sum(dim=1).max() == 3


def test_masked_places_hold_the_crop_s_mean():
    torch.manual_seed(1)
    x = torch.randn(6, 30, 20)
    masked = SpectrumMasks(count=1, bands=6, frames=8)(x)
    means = set()
    for before, after in zip(x, masked, strict=True):
        changed = before != after
        bands, frames = changed.all(dim=0), changed.all(dim=1)
        assert torch.equal(changed, bands[None] | frames[:, None])
        assert bands.sum() <= 6 and frames.sum() <= 8
        if changed.any():
            means.add(round(after[changed].unique().item() - before.mean().item(), 4))
    # The second kind of mask has the mean of the features before the first.
    assert means == {0.0}


def test_masks_are_for_training_and_need_log_mel_bands():
    config = StudentConfig(
        frontend=FrontendConfig(
            channels=(20,), kernels=(400,), strides=(320,), norm="layer_norm", first_layer="log_mel"
        ),
        layers=1, hidden=16, group_width=8, window=8000,
    )  # fmt: skip
    student = Student(config).eval()
    wave = torch.randn(2, 8000)
    plain = student(wave)
    student.conv_layers[0].masks = SpectrumMasks(count=2, bands=8, frames=8)
    assert torch.equal(student(wave), plain)
    student.train()
    assert not torch.equal(student(wave), plain)
    assert student.state_dict().keys() == Student(config).state_dict().keys()
