"""Add utterances of LibriSpeech to a training set of voices: one recording each, whole."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from svmixer.cli.main import failed
from svmixer.config import parse_args
from svmixer.lists import ListError, read_parts, read_table, write_parts, write_spk2utt, write_table
from svmixer.log import get_logger

logger = get_logger("add_librispeech")

# Apart from the voices' names, and sorted with the utterances.
PREFIX = "libri"


@dataclass(frozen=True)
class AddConfig:
    """Options of the list maker."""

    # Folder with <speaker>-<chapter>-<number>.flac or .wav, in any folders below it.
    corpus_dir: str
    # List of the utterances, one a line; lines with # say something else.
    utterances: str
    # Training set that is added to.
    data_dir: str = "data/train"


def read_ids(path: Path) -> list[str]:
    """The utterances of the list.

    Raises:
        ListError: an id that is not LibriSpeech's, or that is listed twice.
    """
    ids: dict[str, None] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        parts = name.split("-")
        if len(parts) != 3 or not all(part.isdigit() for part in parts):
            raise ListError(f"'{name}' is no utterance of LibriSpeech", path=path, line=number)
        if name in ids:
            raise ListError(f"'{name}' is listed twice", path=path, line=number)
        ids[name] = None
    return list(ids)


def find_files(corpus: Path, ids: list[str]) -> dict[str, str]:
    """Utterance → file, FLAC or WAV.

    Raises:
        SystemExit: some are not there; says how many and where they come from.
    """
    found = {}
    wanted = {f"{name}.{ending}": name for ending in ("flac", "wav") for name in ids}
    for folder, _, files in os.walk(corpus, followlinks=True):
        for file in files:
            if file in wanted:
                # Of several copies the first by name, whatever order the folders come in.
                path = os.path.join(folder, file)
                found[wanted[file]] = min(path, found.get(wanted[file], path))
    missing = [name for name in ids if name not in found]
    if missing:
        raise failed(
            f"{len(missing)} of {len(ids)} utterances are not in {corpus}, "
            f"the first is {missing[0]} (.flac or .wav); "
            "they are part of LibriSpeech's train-clean-100 (https://www.openslr.org/12): unpack it there"
        )
    return found


def add(config: AddConfig) -> None:
    """Write the lists of the training set anew, with the utterances."""
    data = Path(config.data_dir)
    files = find_files(Path(config.corpus_dir), read_ids(Path(config.utterances)))
    wav, parts = read_table(data / "wav.scp"), read_parts(data / "parts")
    utt2spk = read_table(data / "utt2spk")
    for name, path in files.items():
        speaker = PREFIX + name.split("-")[0]
        utterance = f"{speaker}-{name}"
        wav[utterance], parts[utterance], utt2spk[utterance] = path, [(utterance, 0.0, -1.0)], speaker
    write_table(data / "wav.scp", wav)
    write_parts(data / "parts", parts)
    write_table(data / "utt2spk", utt2spk)
    write_spk2utt(data / "spk2utt", utt2spk)
    # Only the voices have these.
    for name in ("spk2gender", "spk2lang"):
        (data / name).unlink(missing_ok=True)
    speakers = len(set(utt2spk.values()))
    logger.info("%s: %d utterances of LibriSpeech added, %d speakers in all", data, len(files), speakers)


def main() -> None:
    """Command line; a user's mistake ends with one line and status 1."""
    config = parse_args(AddConfig, description=__doc__)
    try:
        add(config)
    except (ListError, OSError) as error:
        raise failed(str(error)) from None


if __name__ == "__main__":
    main()
