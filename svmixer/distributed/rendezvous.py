"""How the nodes of one training find each other, and notice within seconds that one of them is gone.

Every node runs one launcher (:mod:`svmixer.distributed.launch`). The first node's listens, the others
connect, and the connections stay: each side sends a sign of life every second, says how it ended, and
takes silence for the other's death. Where the first node listens is found in one of two ways:

- a *file* on the shared file system, which the first node writes with its host, port and a random token. It
  needs nothing but an array of tasks, so it works alike on one machine, on Slurm and on Grid Engine, and on
  clusters without ``srun`` or a parallel environment; this is how the stages start it. A file of an earlier
  attempt is told by the attempt's name in it, a port that somebody else has taken over by the token.
- the *first host* of the scheduler's list (:mod:`svmixer.distributed.cluster`), at a port that follows
  from the job's number, where all nodes are started at once by ``srun`` or in a parallel environment.

The messages are lines of JSON. Standard library only.
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
from svmixer.fileio import atomic_write

BEAT = 1.0  # seconds between signs of life
SILENCE = 10.0  # seconds without one after which a node counts as gone
_LOOK = 0.2  # seconds between two looks
_LONGEST = 1 << 16  # characters of a message, at most

FILE = ".meeting.json"


class MeetingError(RuntimeError):
    """The nodes did not come together; the message says who is missing, or why this one may not join."""


@dataclass(frozen=True)
class Party:
    """Who is to meet."""

    # Number of this node, from 0; node 0 is the one that listens.
    node: int
    # How many there are.
    nodes: int
    # Processes of each, for messages.
    processes: int
    # Name of this attempt, the same on all nodes.
    attempt: str
    # Folder of the meeting file, on a shared file system.
    folder: Path
    # Hosts by the scheduler; None: meet by the file.
    allocation: Allocation | None = None

    def name(self, node: int) -> str:
        """``node 2 (ranks 4-7)``, as messages say it; nodes count from 1, ranks from 0."""
        first, last = node * self.processes, (node + 1) * self.processes - 1
        ranks = f"rank {first}" if first == last else f"ranks {first}-{last}"
        return f"node {node + 1} ({ranks})"


class Line:
    """A connection to another node's launcher: messages, signs of life, and whether it still lives."""

    def __init__(self, connection: socket.socket, host: str) -> None:
        connection.setblocking(False)
        self.connection, self.host = connection, host
        # The address by which the other side was reached, or came.
        self.address = str(connection.getpeername()[0])
        self.gone = False
        self._buffer = b""
        self._inbox: list[dict[str, Any]] = []
        self._heard = self._sent = self._looked = time.monotonic()

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; a failure shows as ``gone``."""
        self._sent = time.monotonic()
        try:
            self.connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self.gone = True

    def receive(self) -> list[dict[str, Any]]:
        """What has come since the last call, which should not be longer ago than a second."""
        self._look()
        messages, self._inbox = self._inbox, []
        return messages

    def first(self) -> dict[str, Any] | None:
        """The first message that has come, if there is any; the others stay."""
        self._look()
        return self._inbox.pop(0) if self._inbox else None

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked > SILENCE / 2:
            # This process itself was suspended: the silence may be its own.
            self._heard = now
        self._looked = now
        if now - self._sent >= BEAT and not self.gone:
            self.send({})
        self._read()
        *lines, self._buffer = self._buffer.split(b"\n")
        try:
            messages = [json.loads(line) for line in lines]
        except ValueError:
            messages, self.gone = [], True
        if lines:
            self._heard = now
        elif now - self._heard > SILENCE or len(self._buffer) > _LONGEST:
            self.gone = True
        # A sign of life is an empty message.
        self._inbox += [message for message in messages if isinstance(message, dict) and message]

    def _read(self) -> None:
        while not self.gone:
            try:
                data = self.connection.recv(4096)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.gone = True
            self._buffer += data

    def close(self) -> None:
        """Hang up."""
        self.connection.close()


class Host:
    """The first node's side: listens until all others have come.

    A context manager; the meeting file is removed and the listener closed at its end.
    """

    def __init__(self, party: Party) -> None:
        self.party, self.token = party, secrets.token_hex(16)
        self.file = party.folder / FILE
        ports = job_ports(party.allocation.job) if party.allocation else range(1)
        self.listener = _listen(ports)
        self.listener.setblocking(False)
        if party.allocation:
            self.token = party.attempt
            return
        place = {
            "attempt": party.attempt,
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
        if self.party.allocation is None:
            self.file.unlink(missing_ok=True)

    def gather(self, patience: float, check: Callable[[], None]) -> dict[int, Line]:
        """Connections to all other nodes, by number.

        Args:
            patience: seconds to wait for all of them.
            check: called often while waiting; may raise to give up.

        Raises:
            MeetingError: somebody did not come in time; all that are missing are named.
        """
        party, found = self.party, {}
        knocking: dict[Line, float] = {}
        deadline = time.monotonic() + patience
        while len(found) < party.nodes - 1:
            check()
            if time.monotonic() > deadline:
                missing = ", ".join(party.name(n) for n in range(1, party.nodes) if n not in found)
                reason = f"waited {patience:.0f} s, and these did not come: {missing}"
                for line in found.values():
                    line.send({"end": 1, "reason": reason})
                raise MeetingError(reason)
            self._admit(knocking, found)
            for node in [node for node, line in found.items() if line.receive() or line.gone]:
                # It went before the start; another attempt of the same node may come.
                found.pop(node).close()
        return found

    def _admit(self, knocking: dict[Line, float], found: dict[int, Line]) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.listener, selectors.EVENT_READ)
            for line in knocking:
                selector.register(line.connection, selectors.EVENT_READ)
            selector.select(_LOOK)
        # Nobody there, or gone again already.
        with contextlib.suppress(OSError):
            connection, address = self.listener.accept()
            knocking[Line(connection, str(address[0]))] = time.monotonic()
        for line, since in list(knocking.items()):
            messages = line.receive()
            if messages:
                del knocking[line]
                self._answer(line, messages[0], found)
            elif line.gone or time.monotonic() - since > SILENCE:
                del knocking[line]
                line.close()

    def _answer(self, line: Line, hello: dict[str, Any], found: dict[int, Line]) -> None:
        node, token = hello.get("node"), str(hello.get("token"))
        if not secrets.compare_digest(token.encode(), self.token.encode()):
            # Not one of ours, or of another attempt; it learns no more than that.
            line.send({"refused": "another attempt's token"})
        elif not isinstance(node, int) or not 0 < node < self.party.nodes:
            line.send({"refused": f"there are {self.party.nodes} nodes"})
        elif node in found:
            line.send({"refused": f"{self.party.name(node)} is here already, on {found[node].host}"})
        else:
            line.host = str(hello.get("host", line.address))
            line.send({"welcome": True})
            found[node] = line
            return
        line.close()


def join(party: Party, patience: float, check: Callable[[], None]) -> Line:
    """The connection to the first node's launcher; for the arguments see :meth:`Host.gather`.

    Raises:
        MeetingError: it was not found in time (the message says what was tried last), or it refused.
    """
    deadline = time.monotonic() + patience
    while True:
        check()
        try:
            return _knock(party)
        except _NotYetError as error:
            if time.monotonic() > deadline:
                raise MeetingError(
                    f"{party.name(party.node)} waited {patience:.0f} s for {party.name(0)}: {error}"
                ) from None
        time.sleep(_LOOK)


class _NotYetError(Exception):
    """The first node is not there yet, or what is found is left from an earlier attempt."""


def _knock(party: Party) -> Line:
    hello = {"node": party.node, "host": socket.gethostname()}
    if party.allocation:
        addresses, ports = [party.allocation.hosts[0]], list(job_ports(party.allocation.job))
        hello["token"] = party.attempt
    else:
        file = party.folder / FILE
        try:
            place = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise _NotYetError(f"{file}: {error.strerror}") from None
        if place["attempt"] != party.attempt:
            raise _NotYetError(f"{file} is of an earlier attempt ({place['attempt']}, not {party.attempt})")
        addresses, ports, hello["token"] = place["addresses"], [place["port"]], place["token"]
    problem = ""
    for address in addresses:
        for port in ports:
            try:
                connection = socket.create_connection((address, port), timeout=5.0)
            except OSError as error:
                problem = f"{address} port {port}: {error.strerror or error}"
                continue
            line = Line(connection, address)
            line.send(hello)
            answer = _answer_to(line)
            if "welcome" in answer:
                return line
            line.close()
            problem = f"{address} port {port}: {answer.get('refused', 'no answer')}"
            if "is here already" in problem:
                raise MeetingError(problem)
    raise _NotYetError(problem)


def _answer_to(line: Line) -> dict[str, Any]:
    deadline = time.monotonic() + SILENCE
    while time.monotonic() < deadline and not line.gone:
        message = line.first()
        if message is not None:
            return message
        time.sleep(0.02)
    return {}


def _listen(ports: range) -> socket.socket:
    problem: OSError | None = None
    for port in ports:
        try:
            return socket.create_server(("", port), backlog=128)
        except OSError as error:
            problem = error
    raise MeetingError(f"no port from {ports[0]} to {ports[-1]} is free: {problem}")


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
