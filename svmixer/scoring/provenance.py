"""Which code made a result."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import svmixer


def code_commit() -> str:
    """The commit of the code that runs, with ``-dirty`` behind it when tracked files differ from it.

    Outside a git checkout (an installed package): ``v`` and the version.
    """
    root = Path(svmixer.__file__).resolve().parent.parent
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        # The package may lie below somebody else's repository; only its own checkout counts.
        if (root / ".git").exists():
            environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
            return subprocess.check_output(
                command, text=True, env=environment, stderr=subprocess.DEVNULL
            ).strip()
    except (OSError, subprocess.CalledProcessError):
        pass
    return f"v{svmixer.__version__}"
