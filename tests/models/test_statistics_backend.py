"""The statistics backend."""

import numpy as np
import pytest
import torch

from svmixer.models.backends import build_backend
from svmixer.models.config import BackendConfig, StatisticsConfig


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


def test_moments_of_chosen_states_without_a_map():
    config = StatisticsConfig(states=(0, 2), covariance=2, linear=False)
    backend = build_backend(BackendConfig("statistics", 15, statistics=config), states=3, hidden=3).eval()
    assert [name for name, _ in backend.named_parameters()] == ["norm.weight", "norm.bias"]
    states = torch.randn(4, 3, 20, 3, generator=torch.Generator().manual_seed(0))
    # The running mean is 0 and the variance 1.
    embedding = backend(states).detach().numpy() * np.sqrt(1 + 1e-5)
    for row, example in zip(embedding, states.numpy(), strict=True):
        covariance = np.cov(example[0, :, :2].T, bias=True)
        expected = [example[0].mean(0), example[0].std(0), example[2].mean(0), example[2].std(0)]
        expected.append([covariance[0, 0], covariance[0, 1], covariance[1, 1]])
        np.testing.assert_allclose(row, np.concatenate(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("embedding", "values", "message"),
    [
        (12, {"states": (0, 1), "linear": False}, None),
        (13, {"states": (0, 1), "linear": False}, "embedding must be 12 without a linear map, found 13"),
        (12, {"states": (0, 3)}, "no state 3; the student has 0 to 2"),
        (12, {"states": (1, 1)}, "different numbers"),
        (12, {"covariance": 4}, "covariance 4 of 3 channels"),
        (12, {"covariance": -1}, "at least 0"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(embedding, values, message):
    def build():
        config = BackendConfig("statistics", embedding, statistics=StatisticsConfig(**values))
        return build_backend(config, states=3, hidden=3)

    if message is None:
        build()
        return
    with pytest.raises(ValueError, match=message):
        build()
