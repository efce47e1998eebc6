"""Find the corpora, name everything that is missing at once, and list what is there.

Writes data/local/voxceleb1.scp and voxceleb2.scp (utterance, file), and the data directories of MUSAN and of
the room impulse responses.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from eval_sets import KNOWN, Places
from options import MUSAN_SETS, RIR_SET, CorpusError, PrepareConfig
from trees import (
    VOXCELEB1,
    VOXCELEB2_DEV,
    Counts,
    count,
    musan_folders,
    recordings,
    rir_folder,
    scan_voxceleb,
    speaker_parents,
)

from svmixer.cli.main import failed
from svmixer.config import parse_args
from svmixer.lists import ListError, write_table
from svmixer.log import get_logger

logger = get_logger("find_corpora")

_VOX_TREE = "idXXXXX/VIDEO/00001.{} in it, or below {}"
# Corpus → (what it looks like, what to get).
_LOOKS = {
    "voxceleb1": (
        _VOX_TREE.format("wav", "wav/, dev/wav/, test/wav/"),
        "VoxCeleb1: vox1_dev_wav.zip (four parts to join) and vox1_test_wav.zip",
    ),
    "voxceleb2": (
        _VOX_TREE.format("m4a (or .wav)", "aac/, wav/, dev/aac/, dev/wav/"),
        "VoxCeleb2, development part: vox2_aac.zip (eight parts to join)",
    ),
    "musan": ("{speech,music,noise}/SOURCE/*.wav in it, or below musan/", "MUSAN (OpenSLR 17): musan.tar.gz"),
    "rirs": ("simulated_rirs/{small,medium,large}room/RoomXXX/*.wav", "RIRS_NOISES (OpenSLR 28)"),
    "voxsrc23": ("the recordings that its trial list names", "the validation set of VoxSRC 2023"),
    "vcmix": ("the utterances of VoxConverse that its trial list names", "VCMix: voxconverse_test_SV"),
    "voices": (
        "…/sid_dev/spXXXX/*.wav, …/sid_eval/*.wav and their lists",
        "VOiCES challenge 2019: development and evaluation data, keys of the evaluation",
    ),
}  # fmt: skip
_LIST_SOURCES = {
    "voxceleb1": "the trial lists of VoxCeleb1 (cleaned)",
    "voxsrc23": "the validation set of VoxSRC 2023",
    "vcmix": "VCMix",
    "voices": "VOiCES challenge 2019",
}


def main() -> None:
    config = parse_args(PrepareConfig, description=__doc__)
    try:
        missing = list(find_missing(config))
        if missing:
            lines = "\n".join(f"  {number}. {what}" for number, what in enumerate(missing, 1))
            raise failed(f"{len(missing)} missing (nothing is downloaded; README.md says more):\n{lines}")
        if "voxceleb1" in needed(config):
            _list_voxceleb(config, "voxceleb1", VOXCELEB1)
        if not config.train:
            return
        _list_voxceleb(config, "voxceleb2", VOXCELEB2_DEV)
        for category, folder in musan_folders(config.folder("musan"), MUSAN_SETS).items():
            _list_recordings(config, MUSAN_SETS[category], folder)
        if config.rirs:
            _list_recordings(config, RIR_SET, rir_folder(Path(config.rirs)))
    except (CorpusError, ListError, OSError) as error:
        raise failed(str(error)) from None


def needed(config: PrepareConfig) -> dict[str, list[str]]:
    """Corpus → what it is for."""
    uses: dict[str, list[str]] = {}
    if config.train:
        uses = {"voxceleb2": ["training"], "musan": ["augmentation"]}
    if config.train and config.rirs:
        uses["rirs"] = ["augmentation"]
    for name in config.test_set_names:
        for corpus in KNOWN[name].corpora:
            uses.setdefault(corpus, []).append(name)
    if config.train and config.valid != "voxceleb2":
        uses.setdefault("voxceleb1", []).append("validation")
    return uses


def find_missing(config: PrepareConfig) -> Iterator[str]:
    """One line for every corpus and list that is needed and not where it is expected."""
    places = Places(config)
    for corpus, uses in needed(config).items():
        if not _is_there(config, corpus):
            looks, get = _LOOKS[corpus]
            folder = config.rirs if corpus == "rirs" else config.folder(corpus)
            what = f"holds no {looks}" if os.path.isdir(folder) else f"is not there ({looks})"
            yield f"{folder} {what}: get {get}; another place: --{corpus} DIR; for {', '.join(uses)}"
    wanted = [KNOWN[name] for name in config.test_set_names]
    if not config.train:
        pass
    elif config.valid == "vox1_o" and KNOWN["vox1_o"] not in wanted:
        wanted.append(KNOWN["vox1_o"])
    elif config.valid not in ("voxceleb1", "voxceleb2", "vox1_o") and not os.path.isfile(config.valid):
        yield f"{config.valid} is not there: --valid names a trial list, voxceleb1, voxceleb2 or vox1_o"
    for known in wanted:
        if not places.trial_list(known):
            corpus = known.corpora[-1]
            names = f"{config.folder('lists')}/{{{','.join(known.list_names)}}}"
            inside = "" if corpus == "voxceleb1" else f", nor {known.lists[0]} below {config.folder(corpus)}"
            yield (
                f"no trial list of {known.name}: none of {names}{inside}: "
                f"get {_LIST_SOURCES[corpus]}; another place: --lists DIR"
            )


def _is_there(config: PrepareConfig, corpus: str) -> bool:
    if corpus.startswith("voxceleb"):
        return bool(speaker_parents(config.folder(corpus), dev_only=corpus == "voxceleb2"))
    if corpus == "musan":
        return musan_folders(config.folder(corpus), MUSAN_SETS).keys() == MUSAN_SETS.keys()
    if corpus == "rirs":
        return rir_folder(Path(config.rirs)) is not None
    return config.folder(corpus).is_dir()


def _list_voxceleb(config: PrepareConfig, corpus: str, whole: Counts) -> None:
    root = config.folder(corpus)
    parents = speaker_parents(root, dev_only=corpus == "voxceleb2")
    logger.info("%s: reading %s", corpus, ", ".join(map(str, parents)))
    found = scan_voxceleb(parents)
    if not found:
        raise CorpusError(f"{', '.join(map(str, parents))}: no recording in any idXXXXX/VIDEO folder")
    have = count(found)
    (logger.info if have == whole else logger.warning)(
        "%s: %d of %d speakers, %d of %d videos, %d of %d utterances",
        *(
            corpus,
            have.speakers,
            whole.speakers,
            have.videos,
            whole.videos,
            have.utterances,
            whole.utterances,
        ),
    )
    write_table(config.local(f"{corpus}.scp"), found)


def _list_recordings(config: PrepareConfig, name: str, folder: Path) -> None:
    found = recordings(folder)
    if not found:
        raise CorpusError(f"{folder}: no recordings")
    logger.info("%s: %d recordings in %s", name, len(found), folder)
    write_table(Path(config.data_dir, name, "wav.scp"), found)


if __name__ == "__main__":
    main()
