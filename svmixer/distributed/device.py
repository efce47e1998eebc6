"""Where a training runs: one process, or several on one or more nodes, one for each GPU."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from svmixer.distributed.config import DeviceConfig
from svmixer.errors import SvmixerError

# Fabric finds the version of torchmetrics by importing it, and with it transformers where espnet has brought
# both: three seconds a process, for a part of Fabric that is not used. Hidden, it counts as not installed.
_HIDDEN = "torchmetrics" not in sys.modules
if _HIDDEN:
    sys.modules["torchmetrics"] = None  # type: ignore[assignment]
try:
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import LightningEnvironment
finally:
    if _HIDDEN:
        del sys.modules["torchmetrics"]


def start_processes(device: DeviceConfig, folder: str | Path) -> None:
    """If several processes are wanted and this is none of them, become the launcher of this node's.

    A process knows that it is started by LOCAL_RANK and WORLD_SIZE, which torchrun sets as well.

    Raises:
        SvmixerError: whoever started it started another number.
    """
    if "LOCAL_RANK" in os.environ and "WORLD_SIZE" in os.environ:
        if int(os.environ["WORLD_SIZE"]) != device.world:
            raise SvmixerError(
                f"started as one of {os.environ['WORLD_SIZE']} processes (WORLD_SIZE), but device.* "
                f"asks for {device.world}"
            )
        return
    if device.world == 1:
        return
    launcher = [
        sys.executable, "-m", "svmixer", "launch", "--nodes", str(device.num_nodes),
        "--node", str(device.node), "--processes", str(device.per_node), "--folder", str(folder),
        f"--attempt={device.attempt}", "--patience", str(device.patience), "--",
    ]  # fmt: skip
    sys.stdout.flush()
    sys.stderr.flush()
    # In this process's place: the launcher needs none of what is loaded here.
    os.execv(sys.executable, [*launcher, sys.executable, *sys.orig_argv[1:]])


def make_fabric(device: DeviceConfig, precision: str) -> Fabric:
    """Launched Fabric: DDP (NCCL on GPUs, gloo on CPUs) as soon as there is more than one process."""
    fabric = Fabric(
        accelerator="cuda" if device.ngpu else "cpu",
        devices=device.per_node,
        num_nodes=device.num_nodes,
        strategy="ddp" if device.world > 1 else "auto",
        precision=precision,
        # Left alone, Fabric takes its ranks from Slurm's variables wherever it finds some, also in a job that
        # only holds our one process, and refuses those that srun did not set.
        plugins=[LightningEnvironment()],
    )
    fabric.launch()
    if not device.ngpu:
        # The affinity, not the machine's count: a scheduler or taskset may have given this job fewer.
        torch.set_num_threads(device.threads or max(1, len(os.sched_getaffinity(0)) // device.processes))
    return fabric


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """The global random states, on ``device``: what a checkpoint must hold of a process."""
    states = {"cpu": torch.get_rng_state().to(device)}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device).to(device)
    return states


def set_random_state(states: dict[str, torch.Tensor], device: torch.device) -> None:
    """Put back what :func:`random_state` gave."""
    torch.set_rng_state(states["cpu"].cpu().clone())
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"].cpu().clone(), device)
