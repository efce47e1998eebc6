"""One result for any number of processes: draws by row, batch statistics and means over all rows."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from svmixer.distributed.global_batch import GlobalBatch

ROOT = Path(__file__).resolve().parents[2]


class Drawing(nn.Module):
    """Everything that draws: dropout (twice), attention dropout, noise by new and by filled tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Dropout(0.5), nn.Dropout(0.25, inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(self.first(x) + 1) + torch.randn_like(x) + torch.rand_like(x)
        x = x + torch.empty(x.shape[0], 1, 1).uniform_(2, 3) + torch.empty(x.shape[0], 1, 1).normal_(5, 0.1)
        return F.scaled_dot_product_attention(x, x, x, dropout_p=0.5 if self.training else 0.0)


def whole_and_parts(module: nn.Module, x: torch.Tensor, world: int, key=(3, 7)) -> tuple:
    with GlobalBatch(key, len(x)):
        whole = module(x.clone())
    parts = torch.empty_like(whole)
    for rank in range(world):
        with GlobalBatch(key, len(x) // world, rank, world):
            parts[rank::world] = module(x[rank::world].clone())
    return whole, parts


@pytest.mark.parametrize("world", [2, 3, 6])
def test_a_row_draws_the_same_wherever_it_is_computed(world):
    x = torch.randn(6, 5, 4, generator=torch.Generator().manual_seed(0))
    whole, parts = whole_and_parts(Drawing(), x, world)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6)
    assert not torch.allclose(whole, whole_and_parts(Drawing(), x, world, key=(3, 8))[0])


def test_draws_do_not_touch_the_global_state_nor_depend_on_it():
    x = torch.ones(4, 6, 8)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = whole_and_parts(Drawing(), x, 2)[0]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(one, whole_and_parts(Drawing(), x, 2)[0])


def test_dropout_drops_its_share_and_keeps_the_mean():
    with GlobalBatch((0,), 50):
        x = torch.ones(50, 400, requires_grad=True)
        y = nn.Dropout(0.25)(x)
    y.sum().backward()
    assert y.detach().unique().tolist() == pytest.approx([0.0, 4 / 3])
    # 20,000 draws: a deviation of 0.003.
    assert (y == 0).float().mean().item() == pytest.approx(0.25, abs=0.015)
    assert torch.equal(x.grad, y.detach())
    # No two rows, and no two draws of a pass, are the same.
    assert len({tuple(row) for row in y.tolist()}) == 50
    with GlobalBatch((0,), 50):
        first, second = F.dropout(torch.ones(50, 400)), F.dropout(torch.ones(50, 400))
    assert not torch.equal(first, second)


def test_draws_follow_the_documented_seeds():
    """A second implementation: row i of draw n from the seed that numpy gives for (key, n)."""
    with GlobalBatch((9, 4), 3, rank=1, world=2):
        torch.randn_like(torch.empty(3, 2))
        found = torch.empty(3, 20).uniform_(-1, 1)
    seeds = np.random.default_rng([9, 4, 1]).integers(1 << 32, size=6)[1::2]
    wanted = [torch.empty(20).uniform_(-1, 1, generator=torch.Generator().manual_seed(int(s))) for s in seeds]
    assert torch.equal(found, torch.stack(wanted))


def test_attention_is_torchs_where_nothing_is_dropped():
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(4, 2, 6, 8, generator=generator) for _ in range(3))
    allowed = torch.rand(6, 6, generator=generator) > 0.2
    allowed.fill_diagonal_(True)
    added = torch.randn(6, 6, generator=generator)
    for mask in (None, allowed, added):
        for scale in (None, 0.3):
            wanted = F.scaled_dot_product_attention(q, k, v, mask, scale=scale)
            with GlobalBatch((0,), 4):
                # So small a share that none of 288 weights is dropped.
                found = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=1e-9, scale=scale)
            torch.testing.assert_close(found, wanted)


def test_evaluation_and_other_shapes_are_left_alone():
    x = torch.ones(4, 3)
    with GlobalBatch((0,), 4):
        assert torch.equal(nn.Dropout(0.5).eval()(x), x)
        torch.manual_seed(0)
        other = F.dropout(torch.ones(3, 4))
    torch.manual_seed(0)
    assert torch.equal(other, F.dropout(torch.ones(3, 4)))


# What two processes check together: argument by argument, everything in double precision.
SCRIPT = """
import torch, torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from svmixer.models.layers import FrameBatchNorm
from svmixer.distributed.global_batch import GlobalBatch

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.frames, self.out = nn.Linear(5, 6), nn.Linear(6, 4)
        self.norm1, self.norm2 = FrameBatchNorm(6), nn.BatchNorm2d(3)
        self.norm3 = nn.BatchNorm1d(4, affine=False, momentum=0.3)
        self.register_buffer("weights", torch.tensor([1.0, 2.0, 3.0, 4.0]))
    def forward(self, x, label):
        y = F.dropout(self.norm1(self.frames(x) + 100.0).relu(), 0.2)
        y = self.norm2(y.unflatten(1, (3, 2))).mean((1, 2))
        y = self.norm3(self.out(y))
        frames = label > 0
        return F.cross_entropy(y, label, weight=self.weights) + F.cross_entropy(y[frames], label[frames])

dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
torch.set_default_dtype(torch.float64)
torch.manual_seed(0)
models = [Model(), Model()]
models[1].load_state_dict(models[0].state_dict())
x, label = torch.randn(8, 6, 5), torch.tensor([0, 1, 0, 2, 3, 3, 0, 1])
x *= torch.linspace(0.1, 5, 8)[:, None, None]
parallel = nn.parallel.DistributedDataParallel(models[1])
for step in range(3):
    with GlobalBatch((step,), 8):
        single = models[0](x, label)
    with GlobalBatch((step,), 8 // world, rank, world):
        part = parallel(x[rank::world], label[rank::world])
    for model, loss in ((models[0], single), (parallel, part)):
        model.zero_grad()
        loss.backward()
    total = part.detach().clone()
    dist.all_reduce(total)
    torch.testing.assert_close(total / world, single.detach(), rtol=0, atol=1e-12)
    for (name, one), two in zip(models[0].named_parameters(), models[1].parameters()):
        torch.testing.assert_close(two.grad, one.grad, rtol=0, atol=1e-12, msg=lambda text: f"{name}: {text}")
        with torch.no_grad():
            one -= 0.1 * one.grad
            two -= 0.1 * two.grad
    for (name, one), two in zip(models[0].named_buffers(), models[1].buffers()):
        torch.testing.assert_close(two, one, rtol=0, atol=1e-12, msg=lambda text: f"{name}: {text}")
# In evaluation each process is on its own again.
models[0].eval(), models[1].eval()
if rank == 0:
    with GlobalBatch((0,), 8, rank, world):
        torch.testing.assert_close(models[1].norm3(torch.ones(8, 4)), models[0].norm3(torch.ones(8, 4)))
dist.barrier()
dist.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_losses_gradients_and_statistics_of_several_processes(tmp_path, processes):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    result = subprocess.run(
        [
            sys.executable, "-m", "svmixer", "launch", "--processes", str(processes),
            "--folder", str(tmp_path), "--", sys.executable, str(script),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
