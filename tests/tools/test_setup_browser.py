"""tools/setup_browser.sh and `tests/run.sh --browser`, with programs that note how they are called."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("awk", "bash", "cut", "dirname", "env", "grep", "id", "sed", "tr")


class Place:
    """A checkout of the scripts alone, and a PATH of the programs in a folder."""

    def __init__(self, folder: Path) -> None:
        self.root, self.programs = folder / "checkout", folder / "programs"
        (self.root / "tools").mkdir(parents=True)
        (self.root / "tests").mkdir()
        self.programs.mkdir()
        for name in ("tools/setup_browser.sh", "tools/apt.sh", "tools/parse_options.sh", "tests/run.sh"):
            shutil.copy(ROOT / name, self.root / name)
        for name in NEEDED:
            self.programs.joinpath(name).symlink_to(shutil.which(name))
        self.script("tools/vendor_web.sh", "")

    def script(self, name: str, body: str) -> None:
        """A script of the checkout, in place of the real one."""
        self._write(self.root / name, body)

    def program(self, name: str, body: str = "") -> None:
        """A program on PATH, which notes the words it is given."""
        self._write(self.programs / name, f'echo "{name} $*" >>"{self.programs}/calls"\n{body}')

    def calls(self) -> list[str]:
        found = self.programs / "calls"
        return found.read_text().splitlines() if found.exists() else []

    def run(self, *command: str) -> subprocess.CompletedProcess:
        env = {"PATH": str(self.programs), "HOME": os.environ.get("HOME", "/")}
        name, *options = command
        words = [self.programs / "bash", self.root / name, *options]
        return subprocess.run(words, env=env, capture_output=True, text=True, check=False)

    def _write(self, path: Path, body: str) -> None:
        path.write_text(f"#!{self.programs}/bash\n{body}\n")
        path.chmod(0o755)


@pytest.fixture
def place(tmp_path) -> Place:
    place = Place(tmp_path)
    place.programs.joinpath("id").unlink()
    place.program("id", "echo 0")
    return place


def apt(place: Place) -> list[str]:
    return [call.split(" ", 1)[1] for call in place.calls() if call.startswith("apt-get ")]


def test_nothing_is_installed_where_all_is_there(place):
    for name in ("node", "npm", "google-chrome", "apt-get"):
        place.program(name)
    done = place.run("tools/setup_browser.sh")
    assert (done.returncode, apt(place)) == (0, [])
    assert done.stderr == "[browser] Node, Chromium and onnxruntime-web are there\n"


def test_what_is_missing_is_installed(place):
    place.program("apt-get")
    done = place.run("tools/setup_browser.sh")
    assert done.returncode == 0
    update, install = apt(place)
    assert update.startswith("-qq ") and update.endswith(" update")
    assert install.endswith(" install -y --no-install-recommends nodejs npm chromium")


@pytest.mark.parametrize(
    ("user", "why"),
    [
        ("0", "not installed: npm chromium"),
        ("1000", "Not root and no password-free sudo: install with 'sudo apt"),
    ],
)
def test_what_cannot_be_had_is_said(place, user, why):
    """Without network, and without the right to install."""
    place.program("id", f"echo {user}")
    place.program("node")
    place.program("apt-get", "exit 100")
    place.script("tools/vendor_web.sh", "echo 'vendor_web.sh: npm is not on PATH' >&2; exit 1")
    done = place.run("tools/setup_browser.sh")
    assert done.returncode == 1
    assert why in done.stderr and "[browser] onnxruntime-web was not fetched" in done.stderr


@pytest.fixture
def tests(place) -> Place:
    """`tests/run.sh` of that checkout: its set-up does nothing, its pytest notes that it is called."""
    for name in ("tools/setup.sh", "path.sh"):
        place.script(name, "")
    place.script("tools/setup_browser.sh", 'echo "browser" >>"${BASH_SOURCE[0]}.calls"; exit 1')
    place.program("python")
    return place


def test_fast_tests_fetch_nothing(tests):
    done = tests.run("tests/run.sh", "--checks", "false", "--fast", "true")
    assert done.returncode == 0, done.stderr
    assert not (tests.root / "tools/setup_browser.sh.calls").exists()


@pytest.mark.parametrize(
    ("browser", "status", "fetched", "tested"),
    [("auto", 0, True, True), ("true", 1, True, False), ("false", 0, False, True), ("yes", 1, False, False)],
)
def test_tests_go_on_without_a_browser_unless_it_is_asked_for(tests, browser, status, fetched, tested):
    done = tests.run("tests/run.sh", "--checks", "false", "--browser", browser)
    assert done.returncode == status, done.stderr
    assert (tests.root / "tools/setup_browser.sh.calls").exists() is fetched
    assert any(call.startswith("python -m pytest") for call in tests.calls()) is tested
    assert ("== tests in a browser are skipped" in done.stdout) is (browser == "auto")
    if browser == "yes":
        assert "--browser must be auto, true or false, not 'yes'" in done.stderr
