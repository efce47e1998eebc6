"""Bytes that are read by position: of a file, of a part of one, or in memory."""

from __future__ import annotations

import os
from collections.abc import Callable

_BUFFER = 4096  # enough for what stands in front of the samples in most files: one system call


class Span:
    """The bytes of one recording, in an open file or in memory, counted from its first.

    Attributes:
        size: how many there are; in an archive those of later entries are among them.
        base: where it begins in the file or in memory.
    """

    def __init__(self, read: Callable[[int, int], bytes], end: int, base: int = 0):
        self._read = read  # (position in the file, size) → bytes, fewer at its end
        self._end = end
        self._head = b""
        self.base = base
        self.size = max(0, end - base)

    @classmethod
    def of_file(cls, descriptor: int, base: int = 0) -> Span:
        """All of an open file from byte ``base`` on."""
        end = os.fstat(descriptor).st_size

        def read(position: int, size: int) -> bytes:
            size = min(size, end - position)
            data = os.pread(descriptor, size, position)
            while len(data) < size:  # one system call gives 2 GB at most
                more = os.pread(descriptor, size - len(data), position + len(data))
                if not more:
                    break
                data += more
            return data

        return cls(read, end, base)

    @classmethod
    def of_bytes(cls, data: bytes) -> Span:
        def read(position: int, size: int) -> bytes:
            return data[position : position + size]

        return cls(read, len(data))

    def take(self, position: int, size: int) -> bytes:
        """``size`` bytes from ``position`` on, fewer at the end."""
        if position >= self.size:  # also positions that no file has
            return b""
        if position + size > _BUFFER:
            return self._read(self.base + position, size)
        if not self._head:
            self._head = self._read(self.base, _BUFFER)
        return self._head[position : position + size]

    def after(self, count: int) -> Span:
        """What follows the first ``count`` bytes."""
        return Span(self._read, self._end, self.base + count)
