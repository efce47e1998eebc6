"""One node's part of a training with several processes: starts them, and ends them together.

A training with ``device.*`` for more than one process turns into this launcher by itself; see
docs/training_jobs.md. On each node one launcher runs. They find each other by
:mod:`svmixer.distributed.rendezvous`, then each starts ``--processes`` copies of the command with the
variables that torchrun would set: MASTER_ADDR, MASTER_PORT, WORLD_SIZE, LOCAL_WORLD_SIZE, RANK, LOCAL_RANK
and NODE_RANK.

- A process that fails, or a node that vanishes, ends all others on all nodes within seconds: a process that
  waits for a dead one in a collective operation would wait for minutes.
- TERM, USR1 and USR2 are passed on; the processes agree on a step, save, and end with status 75.

Exit status: 0 finished; 75 stopped by a signal, run it again to continue; else that of the process that
failed first (128 + n for signal n), or 1 if it was on another node.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from svmixer.distributed.cluster import ClusterError, allocation
from svmixer.distributed.connection import Connection
from svmixer.distributed.rendezvous import Host, Rendezvous, RendezvousError, join
from svmixer.distributed.signals import INTERRUPTED, MARKER, STOP_SIGNALS, note_interruption
from svmixer.log import get_logger

logger = get_logger(__name__)

POLL = 0.1  # seconds between two looks at processes and nodes
GRACE = 1.5  # seconds that the others get to say why, after one has failed
SAVING = 60.0  # seconds that the others get to save, after one has saved
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


class _StoppedError(Exception):
    """A signal came before the processes were started."""


class Signals:
    """Collects what the scheduler sends."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.all: list[int] = []
        for number in (*STOP_SIGNALS, signal.SIGINT, signal.SIGHUP):
            # Ignored by the caller (nohup) stays ignored.
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._take)

    def _take(self, number: int, _frame: FrameType | None) -> None:
        number = number if number in STOP_SIGNALS else signal.SIGTERM
        self.received.append(number)
        self.all.append(number)

    def check(self) -> None:
        """Give up waiting for other nodes once a signal has come."""
        if self.all:
            raise _StoppedError


class Node:
    """The processes of this node, and the connections to the other nodes' launchers."""

    def __init__(
        self,
        rendezvous: Rendezvous,
        processes: list[subprocess.Popen],
        connections: dict[int, Connection],
        signals: Signals,
    ) -> None:
        self.rendezvous, self.connections, self.signals = rendezvous, connections, signals
        self.waiting = dict(enumerate(processes, rendezvous.node * rendezvous.processes))
        # Status and reason of the end of the whole training, as soon as it is not a good one.
        self.outcome: tuple[int, str] | None = None
        self._deadline = float("inf")
        self._ended: set[int] = set()

    def run(self) -> tuple[int, str]:
        """Wait for the end of all processes of this node, and of the training; status and reason."""
        while self.waiting or (self.outcome is None and len(self._ended) < len(self.connections)):
            self._pass_on()
            self._poll_processes()
            for node, connection in self.connections.items():
                self._receive(node, connection)
            if time.monotonic() > self._deadline:
                for process in self.waiting.values():
                    process.kill()
            time.sleep(POLL)
        for connection in self.connections.values():
            connection.close()
        return self.outcome or (0, "finished")

    def _pass_on(self) -> None:
        while self.signals.received:
            number = self.signals.received.pop(0)
            for process in self.waiting.values():
                process.send_signal(number)

    def _poll_processes(self) -> None:
        ended = {rank: process.poll() for rank, process in self.waiting.items()}
        ended = {rank: status for rank, status in ended.items() if status is not None}
        for rank in ended:
            del self.waiting[rank]
        # The one that a signal killed is the cause where several ended since the last call.
        for rank, status in sorted(ended.items(), key=lambda item: item[1]):
            if status < 0 and -status in self.signals.all:
                # It had no handler yet, so there was nothing to save.
                status = INTERRUPTED
            if status:
                self._end(*self._describe(rank, status))
        if ended and not self.waiting and self.outcome is None:
            for connection in self.connections.values():
                connection.send({"end": 0})

    def _describe(self, rank: int, status: int) -> tuple[int, str]:
        where = f"rank {rank} on node {self.rendezvous.node + 1} ({socket.gethostname()})"
        if status == INTERRUPTED:
            return status, "stopped by a signal; run again to continue"
        if status < 0:
            return 128 - status, f"{where} was killed by {signal.Signals(-status).name}"
        return status, f"{where} ended with status {status}"

    def _receive(self, node: int, connection: Connection) -> None:
        for message in connection.receive():
            if "end" not in message:
                continue
            self._ended.add(node)
            if message["end"]:
                # The status of a process is its own node's to return.
                status = INTERRUPTED if message["end"] == INTERRUPTED else 1
                self._end(status, str(message.get("reason")))
        if connection.gone and node not in self._ended:
            self._ended.add(node)
            self._end(1, f"{self.rendezvous.name(node)} on {connection.host} is gone")

    def _end(self, status: int, reason: str) -> None:
        if self.outcome is not None:
            return
        self.outcome = status, reason
        self._deadline = time.monotonic() + (SAVING if status == INTERRUPTED else GRACE)
        if self.waiting:
            logger.warning("%s; ending the other processes of this node", reason)
        # Through the first node it reaches all.
        for connection in self.connections.values():
            connection.send({"end": status, "reason": reason})


def start(command: list[str], rendezvous: Rendezvous, address: str, port: int) -> list[subprocess.Popen]:
    """Start this node's processes."""
    fixed = {
        "MASTER_ADDR": address,
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(rendezvous.nodes * rendezvous.processes),
        "LOCAL_WORLD_SIZE": str(rendezvous.processes),
        "NODE_RANK": str(rendezvous.node),
    }
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def die_with_launcher() -> None:
        # Nobody else would end a process that waits for one of another node.
        if libc is not None:
            libc.prctl(_DEATH_SIGNAL, signal.SIGKILL)

    processes = []
    for local in range(rendezvous.processes):
        own = {"LOCAL_RANK": str(local), "RANK": str(rendezvous.node * rendezvous.processes + local)}
        processes.append(
            subprocess.Popen(command, env={**os.environ, **fixed, **own}, preexec_fn=die_with_launcher)
        )
    return processes


def run(rendezvous: Rendezvous, command: list[str], patience: float) -> tuple[int, str]:
    """Find the other nodes, start the processes and wait; status and reason."""
    signals = Signals()
    try:
        if rendezvous.node == 0:
            port = free_port()
            with contextlib.ExitStack() as stack:
                connections = {}
                if rendezvous.nodes > 1:
                    connections = stack.enter_context(Host(rendezvous)).gather(patience, signals.check)
                for connection in connections.values():
                    connection.send({"go": port})
            address = "127.0.0.1"
        else:
            first = join(rendezvous, patience, signals.check)
            connections, address = {0: first}, first.address
            port = _await_go(first, patience, signals)
    except _StoppedError:
        return INTERRUPTED, "stopped by a signal while waiting for the other nodes"
    if rendezvous.nodes > 1:
        logger.info("node %d of %d found the others", rendezvous.node + 1, rendezvous.nodes)
    return Node(rendezvous, start(command, rendezvous, address, port), connections, signals).run()


def _await_go(first: Connection, patience: float, signals: Signals) -> int:
    deadline = time.monotonic() + patience + GRACE
    while True:
        signals.check()
        for message in first.receive():
            if "go" in message:
                return int(message["go"])
            raise RendezvousError(str(message.get("reason", message)))
        if first.gone or time.monotonic() > deadline:
            raise RendezvousError(f"the first node ({first.host}) went while it waited for the others")
        time.sleep(POLL)


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.create_server(("", 0)) as listener:
        return int(listener.getsockname()[1])


def main(argv: list[str] | None = None) -> None:
    """Command line, see the module's head."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--nodes", type=int, default=1, help="nodes of the training")
    parser.add_argument("--node", type=int, default=0, help="this one, from 1; 0: ask the scheduler")
    parser.add_argument("--processes", type=int, default=1, help="processes on each node")
    parser.add_argument("--folder", type=Path, required=True, help="the training's, on a shared file system")
    parser.add_argument("--attempt", default="", help="name of this attempt, the same on all nodes")
    parser.add_argument("--patience", type=float, default=1800.0, help="seconds to wait for other nodes")
    parser.add_argument("command", nargs="+", help="after --")
    args = parser.parse_args(argv)
    if args.nodes < 1 or args.processes < 1 or args.node < 0 or not 0 < args.patience < float("inf"):
        parser.error("nodes and processes are at least 1, node at least 0, patience is some seconds")
    try:
        place = None if args.node or args.nodes == 1 else allocation(os.environ, args.nodes)
        node = place.node if place else max(args.node, 1) - 1
        if node >= args.nodes:
            raise ClusterError(f"this is node {node + 1} of {args.nodes}")
        rendezvous = Rendezvous(node, args.nodes, args.processes, args.attempt, args.folder, place)
        status, reason = run(rendezvous, args.command, args.patience)
    except (ClusterError, RendezvousError) as error:
        status, reason = 1, str(error)
    # The training itself says at which step it saved, if it got so far.
    if status == INTERRUPTED and not (args.folder / MARKER).exists():
        note_interruption(args.folder, reason)
    if status:
        logger.error("%s", reason)
    sys.exit(status)
