"""The one exception of audio input."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from svmixer.errors import SvmixerError


class AudioError(SvmixerError):
    """Audio that cannot be used; ``str(error)`` reads ``source: reason: detail``.

    Attributes:
        reason: ``missing file``, ``unreadable``, ``empty``, ``non-finite``, ``all-zero``, ``too short``,
            ``bad segment``, ``no such channel``, ``bad rate``, ``bad shape``, ``bad type``,
            ``over full scale``, ``no speech``, ``pipe failed``, ``pipe forbidden``: what summaries group by.
        detail: what exactly was found, ``truncated: …`` where the end of an unreadable recording is missing;
            may be empty.
        source: the recording; empty where only the caller knows it.
    """

    kind = "audio"

    def __init__(self, reason: str, detail: str = "", source: str = ""):
        super().__init__(reason, detail, source)
        self.reason = reason
        self.detail = detail
        self.source = source

    @property
    def what(self) -> str:
        """Reason and detail without the source."""
        return f"{self.reason}: {self.detail}" if self.detail else self.reason

    def __str__(self) -> str:
        return f"{self.source}: {self.what}" if self.source else self.what


@contextlib.contextmanager
def about(source: str) -> Iterator[None]:
    """Name ``source`` in every AudioError of the block that does not name one yet."""
    try:
        yield
    except AudioError as error:
        error.source = error.source or source
        raise
