"""Where a training runs; nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass

from svmixer.limits import at_least, positive


@dataclass(frozen=True)
class DeviceConfig:
    """Where a training runs."""

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
    # threads per process on the CPU; 0 takes the cores this job may use, divided by the processes
    threads: int = 0

    def __post_init__(self) -> None:
        at_least(self, 0, "ngpu", "node", "threads")
        at_least(self, 1, "processes", "num_nodes")
        positive(self, "patience")
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
