"""Save a run's command line, options and commit beside its results (``run.json``)."""

from __future__ import annotations

import argparse
from datetime import datetime, timezone
from pathlib import Path

from svmixer.fileio import write_json
from svmixer.score.provenance import code_commit


def main(argv: list[str] | None = None) -> None:
    """``record_run.py --exp_dir DIR --command TEXT --option KEY=VALUE…``."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--exp_dir", required=True, help="experiment whose run.json is written")
    parser.add_argument("--command", required=True, help="command line of the run")
    parser.add_argument("--option", action="append", default=[], help="KEY=VALUE of the run, one each")
    args = parser.parse_args(argv)
    record = {
        "command": args.command,
        "commit": code_commit(),
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "options": dict(option.split("=", 1) for option in args.option),
    }
    write_json(Path(args.exp_dir) / "run.json", record)
    with open(Path(args.exp_dir) / "commands.log", "a", encoding="utf-8") as stream:
        stream.write(f"{record['started']} {record['commit']} {args.command}\n")


if __name__ == "__main__":
    main()
