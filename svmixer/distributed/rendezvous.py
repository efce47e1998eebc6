"""Rendezvous: how the nodes of one training find each other.

Every node runs one launcher (:mod:`svmixer.distributed.launch`). The first node's listens, the others
connect, and the connections stay: each side sends heartbeats, says how it ended, and takes silence for the
other's death. Where the first node listens is found in one of two ways:

- a *file* on the shared file system, which the first node writes with its host, port and a random token. It
  needs nothing but an array of tasks, so it works alike on one machine, on Slurm and on Grid Engine, and on
  clusters without ``srun`` or a parallel environment; this is how the stages start it. A file of an earlier
  attempt is told by the attempt's name in it, a port that somebody else has taken over by the token.
- the *first host* of the scheduler's list (:mod:`svmixer.distributed.cluster`), at a port that follows
  from the job's number, where all nodes are started at once by ``srun`` or in a parallel environment.

Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svmixer.distributed.cluster import Allocation, job_ports
from svmixer.distributed.connection import TIMEOUT, Connection
from svmixer.errors import SvmixerError
from svmixer.fileio import atomic_write

_POLL = 0.2  # seconds between two looks

FILE = ".rendezvous.json"


class RendezvousError(SvmixerError):
    """The nodes did not come together; the message says who is missing, or why this one may not join."""


@dataclass(frozen=True)
class Rendezvous:
    """Which nodes are to come together, and which of them this is."""

    # Number of this node, from 0; node 0 is the one that listens.
    node: int
    # How many there are.
    nodes: int
    # Processes of each, for messages.
    processes: int
    # Name of this attempt, the same on all nodes.
    attempt: str
    # Folder of the rendezvous file, on a shared file system.
    folder: Path
    # Hosts by the scheduler; None: by the file.
    allocation: Allocation | None = None

    def name(self, node: int) -> str:
        """``node 2 (ranks 4-7)``, as messages say it; nodes count from 1, ranks from 0."""
        first, last = node * self.processes, (node + 1) * self.processes - 1
        ranks = f"rank {first}" if first == last else f"ranks {first}-{last}"
        return f"node {node + 1} ({ranks})"


class Host:
    """The first node's side: listens until all others have come.

    A context manager; the rendezvous file is removed and the listener closed at its end.
    """

    def __init__(self, rendezvous: Rendezvous) -> None:
        self.rendezvous, self.token = rendezvous, secrets.token_hex(16)
        self.file = rendezvous.folder / FILE
        allocation = rendezvous.allocation
        self.listener = _listen(job_ports(allocation.job) if allocation else range(1))
        self.listener.setblocking(False)
        if allocation:
            self.token = rendezvous.attempt
            return
        place = {
            "attempt": rendezvous.attempt,
            "token": self.token,
            "addresses": _own_addresses(),
            "port": self.listener.getsockname()[1],
        }
        with atomic_write(self.file) as stream:
            # Whoever reads the token may join.
            Path(stream.name).chmod(0o600)
            json.dump(place, stream)

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()
        if self.rendezvous.allocation is None:
            self.file.unlink(missing_ok=True)

    def gather(self, patience: float, check: Callable[[], None]) -> dict[int, Connection]:
        """Connections to all other nodes, by number.

        Args:
            patience: seconds to wait for all of them.
            check: called often while waiting; may raise to give up.

        Raises:
            RendezvousError: a node did not come in time; all that are missing are named.
        """
        rendezvous, joined = self.rendezvous, {}
        pending: dict[Connection, float] = {}
        deadline = time.monotonic() + patience
        while len(joined) < rendezvous.nodes - 1:
            check()
            if time.monotonic() > deadline:
                missing = ", ".join(rendezvous.name(n) for n in range(1, rendezvous.nodes) if n not in joined)
                reason = f"waited {patience:.0f} s, and these did not come: {missing}"
                for connection in joined.values():
                    connection.send({"end": 1, "reason": reason})
                raise RendezvousError(reason)
            self._accept(pending, joined)
            for node in [node for node, other in joined.items() if other.receive() or other.gone]:
                # It went before the start; another attempt of the same node may come.
                joined.pop(node).close()
        return joined

    def _accept(self, pending: dict[Connection, float], joined: dict[int, Connection]) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.listener, selectors.EVENT_READ)
            for connection in pending:
                selector.register(connection.socket, selectors.EVENT_READ)
            selector.select(_POLL)
        # Nobody there, or gone again already.
        with contextlib.suppress(OSError):
            sock, address = self.listener.accept()
            pending[Connection(sock, str(address[0]))] = time.monotonic()
        for connection, since in list(pending.items()):
            messages = connection.receive()
            if messages:
                del pending[connection]
                self._answer(connection, messages[0], joined)
            elif connection.gone or time.monotonic() - since > TIMEOUT:
                del pending[connection]
                connection.close()

    def _answer(self, connection: Connection, hello: dict[str, Any], joined: dict[int, Connection]) -> None:
        node, token = hello.get("node"), str(hello.get("token"))
        if not secrets.compare_digest(token.encode(), self.token.encode()):
            # Not one of ours, or of another attempt; it learns no more than that.
            connection.send({"refused": "another attempt's token"})
        elif not isinstance(node, int) or not 0 < node < self.rendezvous.nodes:
            connection.send({"refused": f"there are {self.rendezvous.nodes} nodes"})
        elif node in joined:
            connection.send(
                {"refused": f"{self.rendezvous.name(node)} is here already, on {joined[node].host}"}
            )
        else:
            connection.host = str(hello.get("host", connection.address))
            connection.send({"welcome": True})
            joined[node] = connection
            return
        connection.close()


def join(rendezvous: Rendezvous, patience: float, check: Callable[[], None]) -> Connection:
    """The connection to the first node's launcher; for the arguments see :meth:`Host.gather`.

    Raises:
        RendezvousError: it was not found in time (the message says what was tried last), or it refused.
    """
    deadline = time.monotonic() + patience
    while True:
        check()
        try:
            return _connect(rendezvous)
        except _NotYetError as error:
            if time.monotonic() > deadline:
                here, first = rendezvous.name(rendezvous.node), rendezvous.name(0)
                raise RendezvousError(f"{here} waited {patience:.0f} s for {first}: {error}") from None
        time.sleep(_POLL)


class _NotYetError(Exception):
    """The first node is not there yet, or what is found is left from an earlier attempt."""


def _connect(rendezvous: Rendezvous) -> Connection:
    addresses, ports, token = _place(rendezvous)
    hello = {"node": rendezvous.node, "host": socket.gethostname(), "token": token}
    problem = ""
    for address in addresses:
        for port in ports:
            try:
                sock = socket.create_connection((address, port), timeout=5.0)
            except OSError as error:
                problem = f"{address} port {port}: {error.strerror or error}"
                continue
            connection = Connection(sock, address)
            connection.send(hello)
            answer = connection.await_one()
            if "welcome" in answer:
                return connection
            connection.close()
            problem = f"{address} port {port}: {answer.get('refused', 'no answer')}"
            if "is here already" in problem:
                raise RendezvousError(problem)
    raise _NotYetError(problem)


def _place(rendezvous: Rendezvous) -> tuple[list[str], list[int], str]:
    """Addresses and ports at which the first node may listen, and the token that it wants."""
    if rendezvous.allocation:
        allocation = rendezvous.allocation
        return [allocation.hosts[0]], list(job_ports(allocation.job)), rendezvous.attempt
    file = rendezvous.folder / FILE
    try:
        place = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise _NotYetError(f"{file}: {error.strerror}") from None
    if place["attempt"] != rendezvous.attempt:
        raise _NotYetError(f"{file} is of an earlier attempt ({place['attempt']}, not {rendezvous.attempt})")
    return place["addresses"], [place["port"]], place["token"]


def _listen(ports: range) -> socket.socket:
    problem: OSError | None = None
    for port in ports:
        try:
            return socket.create_server(("", port), backlog=128)
        except OSError as error:
            problem = error
    raise RendezvousError(f"no port from {ports[0]} to {ports[-1]} is free: {problem}")


def _own_addresses() -> list[str]:
    """Names and numbers by which others may reach this host, the likeliest first."""
    name = socket.gethostname()
    found = [name]
    # Where a host's own name does not resolve, the routes tell.
    with contextlib.suppress(OSError):
        found += socket.gethostbyname_ex(name)[2]
    # Connecting a datagram socket sends nothing: it asks which address a route outwards would have.
    # A host without a route is alone, and so is the training.
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        found.append(probe.getsockname()[0])
    # Last, for tasks on one host: from another it leads nowhere, or to a port that does not know the token.
    return list(dict.fromkeys([*found, "127.0.0.1"]))
