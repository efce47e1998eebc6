"""Models on the Hugging Face hub: downloading and uploading the files of an export.

Needs huggingface_hub (the extra `hub`), which finds the hub, the cache and the token by its own variables
(HF_ENDPOINT, HF_HOME, HF_TOKEN, HF_HUB_OFFLINE).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from svmixer.errors import SvmixerError
from svmixer.fileio import SUMS, read_sums

# In front of a name on the hub, where a model directory is expected.
PREFIX = "hf:"
# Files that an export has, by their names. Nothing else is fetched or sent: no pickle, no program.
PATTERNS = ["*.safetensors", "*.onnx", "*.json", "*.yaml", "*.md", "*.txt", "*.npy", SUMS]
_NAME = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>[\w./-]+))?", re.ASCII)


class HubError(SvmixerError):
    """What the hub, or its client, refuses; the message names the model and says what to do."""


def parse_name(text: str) -> tuple[str, str | None]:
    """``USER/NAME`` and, if it is given, the revision of ``USER/NAME@REVISION``.

    Raises:
        HubError: another form.
    """
    found = _NAME.fullmatch(text)
    if not found:
        raise HubError(f"'{text}': expected USER/NAME, or USER/NAME@REVISION")
    return found["repo"], found["revision"]


def read_token(path: str) -> str | None:
    """The token in a file; without a file None, for which the client takes HF_TOKEN or that of its login.

    Raises:
        HubError: the file is empty.
        OSError: it cannot be read.
    """
    if not path:
        return None
    token = Path(path).read_text(encoding="utf-8").strip()
    if not token:
        raise HubError(f"{path}: no token in it")
    return token


def download(name: str, token: str | None = None) -> Path:
    """The directory of a model in the hub's cache, brought up to date.

    Raises:
        HubError: no such model or revision, no connection, or huggingface_hub is not installed.
    """
    repo, revision = parse_name(name)
    return _download(repo, revision, token=token)


def find_model(name: str, files: Sequence[str] = ()) -> Path:
    """The directory of a model in the hub's cache, as it was downloaded; what is missing of it is downloaded.

    Args:
        name: ``USER/NAME`` or ``USER/NAME@REVISION``.
        files: what it must have besides those that its sums list.

    Raises:
        HubError: as :func:`download`.
    """
    repo, revision = parse_name(name)
    try:
        found = _download(repo, revision, local_files_only=True)
    except _Absent:
        return _download(repo, revision)
    # A download that was interrupted leaves some of the files.
    if all((found / file).is_file() for file in (*read_sums(found), *files)):
        return found
    try:
        return _download(repo, revision)
    except _Absent:
        return found


def upload(directory: Path, name: str, private: bool, token: str | None = None) -> str:
    """Send the files of an export; a model of that name is made if there is none.

    Returns:
        Where the new version is to be seen.

    Raises:
        HubError: no token, no right to write, no connection, or huggingface_hub is not installed.
    """
    repo, revision = parse_name(name)
    hub = _client()
    from huggingface_hub.constants import HF_HUB_OFFLINE

    if HF_HUB_OFFLINE:
        raise HubError(f"{repo}: HF_HUB_OFFLINE is set: nothing can be sent")
    token = token or hub.get_token()
    if not token:
        raise HubError(f"{repo}: no token: `hf auth login`, HF_TOKEN, or --token_file FILE")
    client = hub.HfApi(token=token)
    with _told(repo):
        client.create_repo(repo, private=private, exist_ok=True)
        if revision:
            client.create_branch(repo, branch=revision, exist_ok=True)
        done = client.upload_folder(
            repo_id=repo, folder_path=str(directory), allow_patterns=sent(directory), revision=revision,
            commit_message=f"Upload of {directory.name} by svmixer",
        )  # fmt: skip
    return str(done.commit_url)


def sent(directory: Path) -> list[str]:
    """Names of the files of an export that are sent, none of folders below it."""
    names = sorted(path.name for path in directory.iterdir() if path.is_file())
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in PATTERNS)]


class _Absent(HubError):
    """It is not in the cache, and was not or could not be looked for elsewhere."""


def _download(repo: str, revision: str | None, **how: Any) -> Path:
    fetch: Callable[..., str] = _client().snapshot_download
    with _told(repo):
        return Path(fetch(repo, revision=revision, allow_patterns=PATTERNS, **how))


def _client() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise HubError("huggingface_hub is not installed: pip install 'svmixer[hub]'") from None
    return huggingface_hub


@contextmanager
def _told(repo: str) -> Iterator[None]:
    """Errors of the client in a line of ours."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError:
        raise HubError(f"{repo}: its terms have to be accepted on its page first") from None
    except errors.RepositoryNotFoundError:
        raise HubError(f"{repo}: no such model, or it is private and there is no token for it") from None
    except errors.RevisionNotFoundError:
        raise HubError(f"{repo}: there is no such revision") from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled):
        raise _Absent(
            f"{repo}: not in the cache, and the hub is out of reach or HF_HUB_OFFLINE is set"
        ) from None
    except Exception as error:  # its HTTP library's own classes, which are others in its next version
        # Some have no words: a timeout, for example.
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise HubError(f"{repo}: the hub cannot be used: {why}") from None
