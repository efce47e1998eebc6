"""Add listed utterances of a corpus to a data directory, which is made if it is not there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from svmixer.cli.main import failed
from svmixer.config import parse_args
from svmixer.errors import SvmixerError
from svmixer.lists import ListError, read_parts, read_table, write_parts, write_spk2utt, write_table
from svmixer.log import get_logger

logger = get_logger("add_speech")

ENDINGS = (".flac", ".wav", ".opus")


@dataclass(frozen=True)
class AddConfig:
    """Options of the list maker."""

    # Folder with UTTERANCE.flac, .wav or .opus, in any folders below it.
    corpus_dir: str
    # List of the utterances and their speakers, one a line; lines with # say something else.
    utterances: str
    # Put in front of the corpus's speakers, apart from the names of other corpora.
    prefix: str
    # Data directory that is added to.
    data_dir: str = "data/train"
    # Where the corpus comes from, for the message when some of it is missing.
    origin: str = ""


def read_list(path: Path) -> dict[str, str]:
    """Utterance → speaker.

    Raises:
        ListError: a line that is not an utterance and a speaker, or an utterance that is listed twice.
    """
    speakers: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2:
            raise ListError("expected an utterance and a speaker", path=path, line=number)
        if words[0] in speakers:
            raise ListError(f"'{words[0]}' is listed twice", path=path, line=number)
        speakers[words[0]] = words[1]
    return speakers


def find_files(corpus: Path, utterances: dict[str, str], origin: str) -> dict[str, str]:
    """Utterance → file.

    Raises:
        SvmixerError: some are not there; says how many, and the first.
    """
    found: dict[str, str] = {}
    for folder, _, files in os.walk(corpus, followlinks=True):
        for file in files:
            name, ending = os.path.splitext(file)
            if name in utterances and ending.lower() in ENDINGS:
                # Of several copies the first by name, whatever order the folders come in.
                path = os.path.join(folder, file)
                found[name] = min(path, found.get(name, path))
    missing = [name for name in utterances if name not in found]
    if missing:
        raise SvmixerError(
            f"{len(missing)} of {len(utterances)} utterances are not in {corpus}, the first is {missing[0]} "
            f"({', '.join(ENDINGS)})" + (f"; they are part of {origin}" if origin else "")
        )
    return found


def add(config: AddConfig) -> None:
    """Write the lists of the data directory again, with the utterances."""
    data = Path(config.data_dir)
    speakers = read_list(Path(config.utterances))
    files = find_files(Path(config.corpus_dir), speakers, config.origin)
    data.mkdir(parents=True, exist_ok=True)
    there = (data / "wav.scp").exists()
    wav = read_table(data / "wav.scp") if there else {}
    utt2spk = read_table(data / "utt2spk") if there else {}
    parts = read_parts(data / "parts") if (data / "parts").exists() else None
    for name, path in files.items():
        speaker = config.prefix + speakers[name]
        utterance = f"{speaker}-{name}"
        wav[utterance], utt2spk[utterance] = path, speaker
        if parts is not None:
            parts[utterance] = [(utterance, 0.0, -1.0)]
    write_table(data / "wav.scp", wav)
    write_table(data / "utt2spk", utt2spk)
    write_spk2utt(data / "spk2utt", utt2spk)
    if parts is not None:
        write_parts(data / "parts", parts)
    # Not every corpus has these.
    for name in ("spk2gender", "spk2lang"):
        (data / name).unlink(missing_ok=True)
    count = len(set(utt2spk.values()))
    logger.info("%s: %d utterances added, %d speakers in all", data, len(files), count)


def main() -> None:
    """Command line; a user's mistake ends with one line and status 1."""
    config = parse_args(AddConfig, description=__doc__)
    try:
        add(config)
    except (SvmixerError, OSError) as error:
        raise failed(str(error)) from None


if __name__ == "__main__":
    main()
