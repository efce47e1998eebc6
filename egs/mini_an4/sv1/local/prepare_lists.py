"""Data directories of the small AN4: whole recordings to train with, pieces of them to make trials of."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from svmixer.audio.errors import AudioError
from svmixer.audio.read import open_recording
from svmixer.cli.main import failed
from svmixer.config import parse_args
from svmixer.lists import make_trials, write_spk2utt, write_table, write_trials

# AN4's own division, by folder: other speakers in each.
_TRAIN, _TEST = "an4/wav/an4_clstk", "an4/wav/an4test_clstk"
# Sets for augmentation: name → folder.
_AUGMENTATION = {"noise": "noise", "rirs": "rirs"}
_LAYOUT = "give the folder that holds an4, noise and rirs"


@dataclass(frozen=True)
class PrepareConfig:
    """Options of the list maker."""

    # Unpacked corpus: the folder with an4, noise and rirs.
    corpus_dir: str
    # Folder that receives train, valid, test, noise and rirs.
    data_dir: str = "data"
    # Length of the pieces in seconds; the last piece of a recording also has the rest.
    piece: float = 0.7

    def __post_init__(self) -> None:
        if not 0.3 <= self.piece <= 60:
            raise ValueError("piece: must be between 0.3 and 60 seconds")


class CorpusError(ValueError):
    """A corpus that cannot be used; the message names folder or file."""


@dataclass(frozen=True)
class Clip:
    """One recording of the corpus."""

    # Speaker, as AN4 names its folders: f or m, then three letters.
    speaker: str
    # Speaker and name of the file.
    name: str
    # The SPHERE file.
    path: Path


def find_clips(folder: Path) -> list[Clip]:
    """The recordings of one side of AN4's division, sorted by name.

    Raises:
        CorpusError: there are none.
    """
    paths = sorted(folder.glob("*/*.sph"))
    if not paths:
        raise CorpusError(f"{folder}: no <speaker>/<name>.sph in it; {_LAYOUT}")
    return [Clip(path.parent.name, f"{path.parent.name}-{path.stem}", path) for path in paths]


def cut(clip: Clip, length: float) -> dict[str, str]:
    """Pieces of one recording, as ``segments`` has them: utterance → ``recording start end`` (−1: its end).

    Args:
        clip: the recording.
        length: seconds of a piece; what is left at the end belongs to the last one.

    Raises:
        AudioError: the file cannot be read; the message names it.
    """
    recording = open_recording(str(clip.path))
    count = max(1, recording.num_samples // round(length * recording.rate))
    times = [f"{number * length:g}" for number in range(count)] + ["-1"]
    return {f"{clip.name}-{i + 1}": f"{clip.name} {times[i]} {times[i + 1]}" for i in range(count)}


def write_set(folder: Path, clips: list[Clip], length: float | None) -> str:
    """Write one data directory and return its row of the closing table.

    Args:
        folder: the data directory.
        clips: its recordings.
        length: seconds of the pieces that become utterances, with trials; None: whole recordings, without.

    Raises:
        CorpusError: fewer than two speakers with two utterances.
        AudioError: a recording cannot be read.
    """
    utt2spk: dict[str, str] = {}
    segments: dict[str, str] = {}
    for clip in clips:
        pieces = cut(clip, length) if length else {clip.name: clip.name}
        utt2spk |= dict.fromkeys(pieces, clip.speaker)
        segments |= pieces
    counts = Counter(utt2spk.values())
    if sum(count >= 2 for count in counts.values()) < 2:
        raise CorpusError(f"{folder}: two speakers with two utterances are needed, found {dict(counts)}")
    gender = {speaker: speaker[0] for speaker in utt2spk.values()}
    write_table(folder / "wav.scp", {clip.name: str(clip.path) for clip in clips})
    write_table(folder / "utt2spk", utt2spk)
    write_spk2utt(folder / "spk2utt", utt2spk)
    write_table(folder / "spk2gender", gender)
    targets = nontargets = "-"
    if length:
        write_table(folder / "segments", segments)
        trials = make_trials(utt2spk, attributes=(gender,))
        write_trials(folder / "trials", trials)
        targets = int(trials.labels.sum())
        nontargets = len(trials) - targets
    return f"{folder.name:6}{len(gender):9}{len(clips):11}{len(utt2spk):11}{targets:>9}{nontargets:>11}"


def write_augmentation(folder: Path, source: Path) -> None:
    """Write the ``wav.scp`` of a set without speakers.

    Raises:
        CorpusError: there are no WAV files.
    """
    paths = sorted(source.glob("*.wav"))
    if not paths:
        raise CorpusError(f"{source}: no WAV files in it; {_LAYOUT}")
    write_table(folder / "wav.scp", {path.stem: str(path) for path in paths})


def main() -> None:
    config = parse_args(PrepareConfig, description=__doc__)
    corpus, data_dir = Path(config.corpus_dir), Path(config.data_dir)
    try:
        train, test = find_clips(corpus / _TRAIN), find_clips(corpus / _TEST)
        for name, folder in _AUGMENTATION.items():
            write_augmentation(data_dir / name, corpus / folder)
        rows = [
            write_set(data_dir / "train", train, None),
            # The same speakers, in pieces: there are too few for a set of their own.
            write_set(data_dir / "valid", train, config.piece),
            write_set(data_dir / "test", test, config.piece),
        ]
    except (CorpusError, AudioError, OSError) as error:
        raise failed(str(error)) from None
    print("set    speakers recordings utterances  targets nontargets", *rows, sep="\n")


if __name__ == "__main__":
    main()
