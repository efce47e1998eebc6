"""The linear backend, with hand-computed numbers."""

import torch

from svmixer.models.backends import build_backend
from svmixer.models.config import BackendConfig


def test_weighted_sum_mean_over_time_and_linear_map_by_hand():
    backend = build_backend(BackendConfig(name="linear", embedding=2), states=2, hidden=2)
    with torch.no_grad():
        backend.w.copy_(torch.tensor([2.0, -1.0]).view(1, 2, 1, 1))
        backend.linear.weight.copy_(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
        backend.linear.bias.copy_(torch.tensor([0.5, 0.0]))
    # Two states of two frames: 2 · first − second is [[2, 1], [0, 3]], its mean over time [1, 2].
    states = torch.tensor([[[[1.0, 1.0], [2.0, 2.0]], [[0.0, 1.0], [4.0, 1.0]]]])
    torch.testing.assert_close(backend(states), torch.tensor([[1.5, 3.0]]))


def test_has_the_parameters_of_the_paper_and_takes_any_number_of_frames():
    backend = build_backend(BackendConfig(name="linear", embedding=192), states=6, hidden=1024)
    assert sum(p.numel() for p in backend.parameters()) == 6 + 1024 * 192 + 192
    assert backend(torch.randn(3, 6, 5, 1024)).shape == (3, 192)
