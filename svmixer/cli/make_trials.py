"""Make trials for a data directory: target pairs of each speaker, as many impostor pairs, hard ones first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from svmixer.config import parse_args
from svmixer.limits import not_negative
from svmixer.lists import make_trials, read_table, read_utt2spk, write_trials


@dataclass(frozen=True)
class MakeTrialsConfig:
    """Options of the script."""

    # Directory with utt2spk; trials is written there.
    data_dir: str
    # Lists in data_dir by speaker or utterance, e.g. "[spk2gender, utt2lang]"; impostors alike come first.
    attributes: tuple[str, ...] = ()
    # Utterances of a speaker that take part.
    max_utterances: int = 20
    # Target trials of a speaker.
    max_targets: int = 100
    # Impostor trials between two speakers before others have their turn.
    max_per_impostor: int = 20
    # Seed of the choice.
    seed: int = 0

    def __post_init__(self) -> None:
        not_negative(self, "max_utterances", "max_targets", "max_per_impostor", "seed")


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    config = parse_args(MakeTrialsConfig, argv, __doc__)
    folder = Path(config.data_dir)
    trials = make_trials(
        read_utt2spk(folder / "utt2spk"),
        attributes=[read_table(folder / name) for name in config.attributes],
        max_utterances=config.max_utterances,
        max_targets=config.max_targets,
        max_per_impostor=config.max_per_impostor,
        seed=config.seed,
        path=folder / "utt2spk",
    )
    write_trials(folder / "trials", trials)
    print(f"{folder / 'trials'}: {len(trials)} trials, {int(trials.labels.sum())} of them targets")
