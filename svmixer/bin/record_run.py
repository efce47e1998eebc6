"""Save a run's command line, options, commit and start beside its results (``run.json``).

Commit and time are those of the start: the code may change while a run lasts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from svmixer.fileio import write_json


def main(argv: list[str] | None = None) -> None:
    """``record_run.py --exp_dir DIR --command TEXT --commit HASH --started TIME --option KEY=VALUE…``."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    for name, about in (
        ("exp_dir", "experiment whose run.json is written"),
        ("command", "command line of the run"),
        ("commit", "of the code"),
        ("started", "when the run began"),
    ):
        parser.add_argument(f"--{name}", required=True, help=about)
    parser.add_argument("--option", action="append", default=[], help="KEY=VALUE of the run, one each")
    args = parser.parse_args(argv)
    record = {
        "command": args.command,
        "commit": args.commit,
        "started": args.started,
        "options": dict(option.split("=", 1) for option in args.option),
    }
    write_json(Path(args.exp_dir) / "run.json", record)
    with open(Path(args.exp_dir) / "commands.log", "a", encoding="utf-8") as stream:
        stream.write(f"{record['started']} {record['commit']} {args.command}\n")


if __name__ == "__main__":
    main()
