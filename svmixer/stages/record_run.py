"""Save a run's command line, options, environment, commit and start beside its results (``run.json``).

Commit and time are those of the start: the code may change while a run lasts. ``run.json`` is about the run
that trained the model, or evaluated it first where none is trained here. Runs that began at a later stage and
trained or scored are in its list ``later``; those that only reported or exported are in ``commands.log``
alone, which has all of them.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from svmixer.fileio import write_json
from svmixer.report.results import read_run
from svmixer.stages.done import STAGES

# Packages whose versions belong to a result.
PACKAGES = (
    "numpy", "scipy", "torch", "torchaudio", "onnxruntime", "soundfile", "soxr", "av", "kaldiio", "espnet",
    "lightning-fabric", "pyroomacoustics",
)  # fmt: skip


def environment() -> dict[str, str]:
    """Name → version of what runs here: Python, the system, packages; no name of a machine."""
    found = {
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": str(os.cpu_count()),
    }
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def merge(found: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """What ``run.json`` holds after ``run``, if it held ``found`` before (empty: there was none).

    Args:
        found, run: ``command``, ``commit``, ``started``, ``options``, ``defaults``, ``environment``, and
            ``first``: the first stage that the run did. Records of earlier versions have no ``first``: they
            count as those of trainings.
    """
    if found.get("started") == run["started"] and found["command"] == run["command"]:
        return found
    before = found.get("first", STAGES["distill"])
    trained = run["first"] < STAGES["score"]
    if not found or (run["first"] <= before if trained else run["first"] < before):
        return run
    if run["first"] > STAGES["score"]:
        return found
    later = {name: run[name] for name in ("command", "commit", "started")}
    earlier = [item for item in found.get("later", []) if item != later]
    return {**found, "later": [*earlier, later]}


def main(argv: list[str] | None = None) -> None:
    """``record_run.py --exp_dir DIR --command TEXT --commit HASH --started TIME --first STAGE …``."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    for name, about in (
        ("exp_dir", "experiment whose run.json is written"),
        ("command", "command line of the run"),
        ("commit", "of the code"),
        ("started", "when the run began"),
    ):
        parser.add_argument(f"--{name}", required=True, help=about)
    parser.add_argument("--first", type=int, required=True, help="first stage that it did, as a number")
    parser.add_argument("--option", action="append", default=[], help="KEY=VALUE of the run, one each")
    parser.add_argument("--default", action="append", default=[], help="KEY=VALUE without that option")
    args = parser.parse_args(argv)
    record = {
        "command": args.command,
        "commit": args.commit,
        "started": args.started,
        "first": args.first,
        "options": dict(option.split("=", 1) for option in args.option),
        "defaults": dict(option.split("=", 1) for option in args.default),
        "environment": environment(),
    }
    exp_dir = Path(args.exp_dir)
    found = read_run(exp_dir)
    merged = merge(found, record)
    if merged != found:
        write_json(exp_dir / "run.json", merged)
    line = f"{args.started} {args.commit} {args.command}\n"
    log = exp_dir / "commands.log"
    # A run is recorded before its report and at its end.
    if not log.is_file() or not log.read_text(encoding="utf-8").endswith(line):
        with open(log, "a", encoding="utf-8") as stream:
            stream.write(line)
