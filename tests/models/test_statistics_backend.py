"""The statistics backend."""

import torch

from svmixer.models.backends import build_backend
from svmixer.models.config import BackendConfig


def test_starts_as_the_standardised_mean_and_deviation():
    torch.manual_seed(0)
    backend = build_backend(BackendConfig(name="statistics", embedding=6), states=2, hidden=3)
    states = torch.randn(50, 2, 20, 3) * 2 + 1
    x = backend.w[0, 0] * states[:, 0] + backend.w[0, 1] * states[:, 1]
    pooled = torch.cat([x.mean(1), x.var(1, correction=0).sqrt()], dim=1)
    expected = (pooled - pooled.mean(0)) / pooled.std(0, correction=0)
    torch.testing.assert_close(backend.train()(states), expected, atol=1e-2, rtol=1e-2)


def test_another_size_starts_at_random_and_a_constant_has_finite_gradients():
    backend = build_backend(BackendConfig(name="statistics", embedding=4), states=1, hidden=3)
    states = torch.ones(5, 1, 20, 3, requires_grad=True)
    embedding = backend(states)
    assert embedding.shape == (5, 4)
    embedding.sum().backward()
    assert torch.isfinite(states.grad).all()
