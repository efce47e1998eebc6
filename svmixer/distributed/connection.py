"""Connections between the launchers of a training's nodes: lines of JSON over TCP, with heartbeats."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

HEARTBEAT = 1.0  # seconds between two heartbeats
TIMEOUT = 10.0  # seconds without one after which a node counts as gone
_LONGEST = 1 << 16  # bytes of a message, at most


class Connection:
    """A connection to another node's launcher: messages, heartbeats, and whether it is still there."""

    def __init__(self, sock: socket.socket, host: str) -> None:
        sock.setblocking(False)
        self.socket, self.host = sock, host
        # The address by which the other side was reached, or came.
        self.address = str(sock.getpeername()[0])
        self.gone = False
        self._buffer = b""
        self._inbox: list[dict[str, Any]] = []
        self._received = self._sent = self._polled = time.monotonic()

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; a failure shows as ``gone``."""
        self._sent = time.monotonic()
        try:
            self.socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self.gone = True

    def receive(self) -> list[dict[str, Any]]:
        """What has come since the last call, which should not be longer ago than a second."""
        self._poll()
        messages, self._inbox = self._inbox, []
        return messages

    def await_one(self) -> dict[str, Any]:
        """The first message, the others stay; empty if none comes in time."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline and not self.gone:
            self._poll()
            if self._inbox:
                return self._inbox.pop(0)
            time.sleep(0.02)
        return {}

    def _poll(self) -> None:
        now = time.monotonic()
        if now - self._polled > TIMEOUT / 2:
            # This process itself was suspended: the silence may be its own.
            self._received = now
        self._polled = now
        if now - self._sent >= HEARTBEAT and not self.gone:
            self.send({})
        self._read()
        *lines, self._buffer = self._buffer.split(b"\n")
        try:
            messages = [json.loads(line) for line in lines]
        except ValueError:
            messages, self.gone = [], True
        if lines:
            self._received = now
        elif now - self._received > TIMEOUT or len(self._buffer) > _LONGEST:
            self.gone = True
        # A heartbeat is an empty message.
        self._inbox += [message for message in messages if isinstance(message, dict) and message]

    def _read(self) -> None:
        while not self.gone:
            try:
                data = self.socket.recv(4096)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.gone = True
            self._buffer += data

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()
