"""tools/vendor_web.sh: with an npm that downloads something else, without one, and with nothing to do."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from svmixer.demo.onnxruntime_web import VENDOR, VERSION, RuntimeMissingError, runtime_files

ROOT = Path(__file__).resolve().parents[2]


def vendor(tmp_path: Path, npm: str, *options: str) -> subprocess.CompletedProcess:
    """Run the script with this program as npm; with none of that name if it is empty."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "python", "mktemp", "rm", "du", "cut", "awk", "grep"):
        found = subprocess.check_output(["bash", "-c", f"command -v {name}"], text=True).strip()
        (tools / name).symlink_to(found)
    if npm:
        (tools / "npm").write_text(f"#!/usr/bin/env bash\n{npm}\n")
        (tools / "npm").chmod(0o755)
    # path.sh puts the environment first, which need not be one.
    env = {**os.environ, "PATH": str(tools), "SVMIXER_VENV": str(tmp_path / "none")}
    command = [tools / "bash", ROOT / "tools/vendor_web.sh", *options]
    return subprocess.run(command, env=env, capture_output=True, text=True)


def contents() -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in VENDOR.glob("*")}


def test_another_archive_is_refused(tmp_path):
    before = contents()
    npm = 'echo "$@" >"$0.words"; echo no archive >"$5/onnxruntime-web-' + VERSION + '.tgz"'
    done = vendor(tmp_path, npm, "--force", "true")
    assert done.returncode == 1
    assert done.stderr.startswith("vendor_web.sh: ") and len(done.stderr.splitlines()) == 1
    assert f"not the archive of onnxruntime-web {VERSION}" in done.stderr
    words = (tmp_path / "tools/npm.words").read_text().split()
    assert words[:4] == ["pack", "--loglevel", "error", "--pack-destination"]
    assert words[5] == f"onnxruntime-web@{VERSION}"
    assert contents() == before


def test_npm_is_missing(tmp_path):
    done = vendor(tmp_path, "", "--force", "true")
    assert done.returncode == 1
    assert done.stderr == "vendor_web.sh: npm is not on PATH (Debian: apt-get install npm)\n"


def test_nothing_to_do(tmp_path):
    try:
        runtime_files()
    except RuntimeMissingError:
        pytest.skip("onnxruntime-web is not there: tools/vendor_web.sh")
    done = vendor(tmp_path, "exit 1")
    assert (done.returncode, done.stdout) == (0, f"[vendor] onnxruntime-web {VERSION} is there\n")
