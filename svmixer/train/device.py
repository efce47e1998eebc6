"""Where a training runs: one process, or several on one or more nodes, one for each GPU."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment


@dataclass(frozen=True)
class DeviceConfig:
    """Where a training runs; no result but rounding depends on it."""

    ngpu: int = 0  # GPUs per node; 0 trains on the CPU
    processes: int = 1  # processes per node when there is no GPU
    num_nodes: int = 1  # nodes
    # Number of this node, from 1, where every node is started by itself, the same command on each; 0: srun or
    # Grid Engine's parallel environment says which one it is.
    node: int = 0
    # Name of this attempt to run on several nodes: what is left of another one is told by it.
    attempt: str = ""
    # Seconds that a node waits for the others.
    patience: float = 1800.0
    threads: int = (
        0  # threads per process on the CPU; 0 takes the cores this job may use, divided by the processes
    )

    def __post_init__(self) -> None:
        for name, least in (("ngpu", 0), ("processes", 1), ("num_nodes", 1), ("node", 0), ("threads", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: must be at least {least}, found {getattr(self, name)}")
        if self.node > self.num_nodes:
            raise ValueError(f"node: there are {self.num_nodes} (num_nodes), found {self.node}")

    @property
    def per_node(self) -> int:
        """Processes of a node."""
        return self.ngpu or self.processes

    @property
    def world(self) -> int:
        """Processes in all."""
        return self.per_node * self.num_nodes


def start_processes(device: DeviceConfig, folder: str | Path) -> None:
    """If several processes are wanted and this is none of them, become the launcher of this node's.

    A process knows that it is started by LOCAL_RANK and WORLD_SIZE, which torchrun sets as well.

    Raises:
        ValueError: whoever started it started another number.
    """
    if "LOCAL_RANK" in os.environ and "WORLD_SIZE" in os.environ:
        if int(os.environ["WORLD_SIZE"]) != device.world:
            raise ValueError(
                f"started as one of {os.environ['WORLD_SIZE']} processes (WORLD_SIZE), but device.* "
                f"asks for {device.world}"
            )
        return
    if device.world == 1:
        return
    launcher = [
        sys.executable, "-m", "svmixer.bin.launch", "--nodes", str(device.num_nodes),
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
