"""The error every list reader raises, and the commands that repair a list."""

from __future__ import annotations

import shlex
from pathlib import Path

from svmixer.errors import SvmixerError

_NOUNS = {"reco2": "recording", "spk2": "speaker", "enroll.map": "model"}


class ListError(SvmixerError):
    """A list that cannot be used.

    ``str(error)`` reads ``file:line: utterance ID: what; repair with: command``, without the parts that are
    not known; in lists by recording, speaker or model (``reco2*``, ``spk2*``, ``enroll.map``) the ID is said
    to be one.

    Attributes:
        what: what is wrong.
        path, line, utterance: where; ``None`` when unknown. Lines count from 1.
        repair: a command line that repairs it, or advice; ``None`` when only the owner of the data can tell.
    """

    kind = "list"

    def __init__(
        self,
        what: str,
        *,
        path: str | Path | None = None,
        line: int | None = None,
        utterance: str | None = None,
        repair: str | None = None,
    ) -> None:
        self.what, self.path, self.line, self.utterance, self.repair = what, path, line, utterance, repair
        place = "" if path is None else str(path) if line is None else f"{path}:{line}"
        who = "" if utterance is None else f"{_noun(path)} {utterance}"
        message = ": ".join(part for part in (place, who, what) if part)
        super().__init__(f"{message}; repair with: {repair}" if repair else message)

    def __reduce__(self) -> tuple[object, ...]:
        # Worker processes send exceptions back by pickling; keyword-only arguments need this.
        return (_rebuild, (self.what, self.path, self.line, self.utterance, self.repair))


def _rebuild(
    what: str, path: str | Path | None, line: int | None, utterance: str | None, repair: str | None
) -> ListError:
    return ListError(what, path=path, line=line, utterance=utterance, repair=repair)


def _noun(path: str | Path | None) -> str:
    """What the entries of a list are about."""
    name = "" if path is None else Path(path).name
    return next((noun for start, noun in _NOUNS.items() if name.startswith(start)), "utterance")


def more(count: int) -> str:
    """Behind a fault that ``count`` lines have, of which the first is named."""
    return f" (and {count - 1} more)" if count > 1 else ""


def fix_command(path: str | Path, *options: str) -> str | None:
    """The command that repairs the data directory ``path`` belongs to; ``None`` for other files."""
    name = Path(path).name
    known = name in ("wav.scp", "segments", "parts", "trials", "enroll.map")
    if not known and not name.startswith(("utt2", "spk2", "reco2")):
        return None
    folder = shlex.quote(str(Path(path).parent))
    return " ".join(["svmixer fix_data_dir --data_dir", folder, *options])


def problem(
    path: Path, line: int, utterance: str, what: str, count: int, fixable: bool = True, note: str = ""
) -> ListError:
    """A fault that ``count`` lines have, by its first; ``note`` says more about that one."""
    repair = fix_command(path) if fixable else None
    text = what + more(count) + (f": {note}" if note else "")
    return ListError(text, path=path, line=line, utterance=utterance, repair=repair)
