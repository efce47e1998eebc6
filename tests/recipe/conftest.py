"""One toy recipe, and one undisturbed run of it, for all tests of the pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_recipe import HOSTILE, run, write_recipe


@pytest.fixture(scope="session")
def recipe(tmp_path_factory) -> Path:
    """A recipe folder with its lists, audio, configurations and a random teacher."""
    folder = tmp_path_factory.mktemp("recipe") / f"recipe {HOSTILE}"
    write_recipe(folder)
    return folder


@pytest.fixture(scope="session")
def finished(recipe, tmp_path_factory) -> Path:
    """Work directory of an undisturbed run: dumps and results behind symbolic links, a umask of its own."""
    folder = tmp_path_factory.mktemp("work")
    work = folder / f"work {HOSTILE}"
    work.mkdir()
    for name in ("dump", "exp"):
        (folder / "scratch" / name).mkdir(parents=True)
        (work / name).symlink_to(folder / "scratch" / name)
    result = run(recipe, work, umask=0o027)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return work
