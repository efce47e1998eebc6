"""The documentation as a site: it builds without a warning, and a dead link fails the build."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT

pytestmark = pytest.mark.slow


def build(project: Path, site: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", site]
    env = {**os.environ, "PYTHONPATH": str(project)}
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_pages_from_all_places_are_there(site):
    for page in ("index", "recipes/voxceleb", "changelog", "reference/cli", "reference/configuration"):
        assert (site / f"{page}.html").is_file(), page
    home = (site / "index.html").read_text(encoding="utf-8")
    assert 'src="images/model.svg"' in home and 'href="own_data.html"' in home
    # What is no page is named instead of linked.
    recipe = (site / "recipes/pocket.html").read_text(encoding="utf-8")
    assert "<code>egs/pocket/sv1/conf/librispeech_utts.txt</code>" in recipe


def test_nothing_is_loaded_from_other_servers(site):
    loaded = re.compile(r"<(?:script|link|img)[^>]+(?:src|href)=\"?(?:https?:)?//[^>]+>")
    found = {
        tag
        for page in site.rglob("*.html")
        for tag in loaded.findall(page.read_text(encoding="utf-8"))
        if "canonical" not in tag
    }
    assert found == set()


def test_dead_links_fail_the_build(tmp_path):
    dead = ("nowhere.md", "start.md#no-part", "../svmixer/no.py")
    project = tmp_path / "project"
    project.mkdir()
    for path in ROOT.iterdir():
        # Of these the build looks for the real place.
        if path.name in ("docs", "tools"):
            shutil.copytree(path, project / path.name)
        elif not path.name.startswith("."):
            (project / path.name).symlink_to(path)
    with (project / "docs/concepts.md").open("a") as page:
        page.writelines(f"\n[x]({link})\n" for link in dead)
    done = build(project, tmp_path / "site")
    assert done.returncode == 1
    assert [link for link in dead if link not in done.stderr] == []
