"""Running a benchmark script at its smallest, and reading the table that it wrote."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))


def run(script: str, folder: Path, *options: str) -> dict:
    """The JSON file of a table made with ``--quick``; its Markdown is checked for being a table."""
    from measure import WIDTH, command_lines

    arguments = ["--quick", "true", "--output", str(folder), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, ROOT / f"benchmarks/{script}.py", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shown = "\n".join(command_lines(shlex.join(["python", f"benchmarks/{script}.py", *arguments]), WIDTH))
    for path in folder.glob("*.md"):
        assert path.read_text().startswith("## ") and path.read_text() in done.stdout
        assert f"\n\n```bash\n{shown}\n```\n\n" in path.read_text()
        rows = [line for line in path.read_text().splitlines() if line.startswith("|")]
        assert len(rows) > 2 and len({row.count("|") for row in rows}) == 1
    return json.loads((folder / f"{script}.json").read_text())


def cells(path: Path) -> list[list[str]]:
    """The body of a Markdown table."""
    rows = [line for line in path.read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]
