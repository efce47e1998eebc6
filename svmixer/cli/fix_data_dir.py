"""Repair a data directory: sort and clean its lists, keep what all of them have; originals go to .backup."""

from __future__ import annotations

from dataclasses import dataclass

from svmixer.config import parse_args
from svmixer.lists import fix_data_dir


@dataclass(frozen=True)
class FixDataDirConfig:
    """Options of the script."""

    # Directory with wav.scp, utt2spk, spk2utt, …
    data_dir: str
    # true: also leave out recordings whose file is missing.
    check_files: bool = False


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    config = parse_args(FixDataDirConfig, argv, __doc__)
    report = fix_data_dir(config.data_dir, check_files=config.check_files)
    for drop in report.dropped:
        more = ", …" if drop.count > 1 else ""
        print(f"{config.data_dir}/{drop.name}: left out {drop.count}: {drop.reason} ({drop.first}{more})")
    for name in report.changed:
        size = report.sizes[name]
        print(
            f"{config.data_dir}/{name}: {f'written, {size} entries' if size else 'removed, no entry is left'}"
        )
    if not report.changed:
        print(f"{config.data_dir}: nothing to repair")
