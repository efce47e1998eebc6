"""Options of the recipe's data preparation, shared by its scripts; data.sh fills them in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# In the order of the paper's tables.
TEST_SETS = ("vox1_o", "vox1_e", "vox1_h", "voxsrc23_val", "vcmix", "voices_dev", "voices_eval")
# Sets that augmentation uses, by the category of MUSAN.
MUSAN_SETS = {"speech": "musan_speech", "music": "musan_music", "noise": "musan_noise"}
TRAIN_SET, VALID_SET, RIR_SET = "voxceleb2_dev", "valid", "rirs"


class CorpusError(ValueError):
    """A corpus or a list cannot be used; the message names the file or folder."""


@dataclass(frozen=True)
class PrepareConfig:
    """Where the corpora are and what is made of them."""

    # Folder that receives the data directories.
    data_dir: str = "data"
    # Folder with the corpora under their usual names, for those that have no option of their own.
    corpora: str = "corpora"
    # VoxCeleb1; empty: voxceleb1 in the folder of corpora.
    voxceleb1: str = ""
    # VoxCeleb2 dev; empty: voxceleb2 in the folder of corpora.
    voxceleb2: str = ""
    # MUSAN; empty: musan in the folder of corpora.
    musan: str = ""
    # RIRS_NOISES; empty: none, the responses are simulated.
    rirs: str = ""
    # VoxSRC 2023 validation; empty: voxsrc23 in the folder of corpora.
    voxsrc23: str = ""
    # VCMix's utterances of VoxConverse; empty: vcmix in the folder of corpora.
    vcmix: str = ""
    # VOiCES challenge 2019; empty: voices in the folder of corpora.
    voices: str = ""
    # Trial lists; empty: lists in the folder of corpora.
    lists: str = ""
    # Test sets to make, separated by commas.
    test_sets: str = ",".join(TEST_SETS)
    # Make the training, validation and augmentation sets, too; without them models can be evaluated.
    train: bool = True
    # voxceleb1, voxceleb2, vox1_o, or a trial list with paths of VoxCeleb1.
    valid: str = "voxceleb1"
    # Speakers of a validation set that is made.
    valid_speakers: int = 40
    # Seed of the choice of validation speakers and trials.
    seed: int = 0
    # Largest share of the trials of a list, or of the files to convert, that may be left out.
    max_missing: float = 0.02
    # Folder of converted files; empty: files are used as they are.
    converted_dir: str = ""

    def __post_init__(self) -> None:
        unknown = [name for name in self.test_set_names if name not in TEST_SETS]
        if unknown:
            raise ValueError(f"test_sets: there is no '{unknown[0]}'; known are {', '.join(TEST_SETS)}")
        if not self.test_set_names and not self.train:
            raise ValueError("test_sets: nothing to make")
        if self.valid_speakers < 2:
            raise ValueError(f"valid_speakers: must be at least 2, found {self.valid_speakers}")
        if self.seed < 0:
            raise ValueError(f"seed: must not be negative, found {self.seed}")
        if not 0.0 <= self.max_missing < 1.0:
            raise ValueError(f"max_missing: a share from 0 to below 1, found {self.max_missing}")

    @property
    def test_set_names(self) -> tuple[str, ...]:
        """The chosen test sets, each once."""
        return tuple(dict.fromkeys(name.strip() for name in self.test_sets.split(",") if name.strip()))

    def folder(self, corpus: str) -> Path:
        """Where ``corpus`` (the name of its option) is expected."""
        return Path(getattr(self, corpus) or Path(self.corpora, corpus))

    def local(self, name: str) -> Path:
        """A file of notes beside the data directories."""
        return Path(self.data_dir, "local", name)
