"""Make train, valid and test out of one data directory, by speaker, with trials for valid and test."""

from __future__ import annotations

from dataclasses import dataclass

from svmixer.config import parse_args
from svmixer.limits import not_negative
from svmixer.lists import partition_data_dir


@dataclass(frozen=True)
class PartitionDataDirConfig:
    """Options of the script."""

    # Directory with wav.scp and utt2spk; its trials, if there, say what the test set is.
    data_dir: str
    # Where the directories train, valid and test go.
    output_dir: str = "data"
    # Speakers to validate with.
    valid_speakers: int = 5
    # Speakers to test with, unless there are trials.
    test_speakers: int = 10
    # Seed of the choice of speakers and trials.
    seed: int = 0

    def __post_init__(self) -> None:
        not_negative(self, "valid_speakers", "test_speakers", "seed")


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    config = parse_args(PartitionDataDirConfig, argv, __doc__)
    speakers = partition_data_dir(
        config.data_dir,
        config.output_dir,
        valid_speakers=config.valid_speakers,
        test_speakers=config.test_speakers,
        seed=config.seed,
    )
    for name, count in speakers.items():
        print(f"{config.output_dir}/{name}: {count} speakers")
