"""Batch normalisation in trainings with several processes: which form is taken, and that it fits."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from svmixer.models.backends import build_backend
from svmixer.models.config import BackendConfig
from svmixer.models.layers import FrameBatchNorm
from svmixer.training.batch_norm import FrameSyncBatchNorm, synchronise


def fabric(device: str, world: int) -> SimpleNamespace:
    return SimpleNamespace(device=torch.device(device), world_size=world, global_rank=0)


class Model(nn.Module):
    """Both layouts: channels last (frames) and channels in the second place."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = nn.ModuleList([FrameBatchNorm(3), nn.Identity()])
        self.plain = nn.BatchNorm2d(2, eps=1e-3, momentum=0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.plain(self.frames[0](x).unflatten(1, (2, -1)))


def test_gpus_synchronise_both_layouts():
    torch.manual_seed(0)
    model, x = Model(), torch.randn(4, 6, 3)
    # Running statistics and weights that are not those of the beginning.
    model(5 * x + 1)
    nn.init.normal_(model.frames[0].weight)
    before, parameters = model.eval()(x), dict(model.named_parameters())
    state = {name: value.clone() for name, value in model.state_dict().items()}
    assert synchronise(model, fabric("cuda", 2)) is model
    assert type(model.frames[0]) is FrameSyncBatchNorm and type(model.plain) is nn.SyncBatchNorm
    assert (model.plain.eps, model.plain.momentum) == (1e-3, 0.3)
    # The optimiser's tensors, a checkpoint's names and what is computed afterwards stay as they were.
    assert {name: id(value) for name, value in model.named_parameters()} == {
        name: id(value) for name, value in parameters.items()
    }
    assert model.state_dict().keys() == state.keys()
    assert all(torch.equal(model.state_dict()[name], value) for name, value in state.items())
    assert not any(part.training for part in model.modules())
    torch.testing.assert_close(model(x), before)


@pytest.mark.parametrize("name", ["ecapa", "statistics", "redimnet"])
def test_no_plain_one_is_left_in_a_backend(name):
    backend = synchronise(build_backend(BackendConfig(name=name), 3, 16), fabric("cuda", 4))
    plain = [part for part in backend.modules() if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d))]
    assert plain == [] and any(isinstance(part, nn.SyncBatchNorm) for part in backend.modules())


@pytest.mark.parametrize("place", [("cuda", 1), ("cpu", 1), ("cpu", 2)])
def test_one_process_and_cpus_keep_the_plain_one(place):
    model = synchronise(Model(), fabric(*place))
    assert type(model.frames[0]) is FrameBatchNorm and type(model.plain) is nn.BatchNorm2d


def test_a_batch_normalisation_alone():
    assert type(synchronise(nn.BatchNorm1d(2), fabric("cuda", 2))) is nn.SyncBatchNorm
