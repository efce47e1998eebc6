"""Check a data directory; every problem is one line on standard error, with the command that repairs it."""

from __future__ import annotations

from dataclasses import dataclass

from svmixer.config import parse_args
from svmixer.lists import validate_data_dir


@dataclass(frozen=True)
class ValidateDataDirConfig:
    """Options of the script."""

    # Directory with wav.scp, utt2spk, spk2utt, …
    data_dir: str
    # true: also look whether the files of wav.scp exist.
    check_files: bool = False
    # true: also require utt2spk (sets of noises have none).
    need_speakers: bool = False


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    config = parse_args(ValidateDataDirConfig, argv, __doc__)
    size = validate_data_dir(
        config.data_dir, check_files=config.check_files, need_speakers=config.need_speakers
    )
    counts = (size.utterances, "utterances"), (size.speakers, "speakers"), (size.trials, "trials")
    print(f"{config.data_dir}: valid,", ", ".join(f"{count} {what}" for count, what in counts if count))
