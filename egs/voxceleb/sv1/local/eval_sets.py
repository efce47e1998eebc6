"""What is known about the test sets, and where their lists and recordings are."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from options import PrepareConfig
from trees import find_files


@dataclass(frozen=True)
class EvalSet:
    """What is known about a test set."""

    name: str
    # Where its recordings are: options of the recipe.
    corpora: tuple[str, ...]
    # Names of its trial list; <set>.txt comes before them.
    lists: tuple[str, ...]
    # Trials of the list, 0 where the number is not known.
    trials: int = 0
    # Target trials, 0 where the number is not known.
    targets: int = 0
    # The list before cleaning, by its number of trials.
    uncleaned: dict[int, str] = field(default_factory=dict)

    @property
    def list_names(self) -> tuple[str, ...]:
        return (f"{self.name}.txt", *self.lists)


VOX1 = ("voxceleb1",)
_EVAL_KEYS = "VOiCES_challenge_2019_eval.SID.trial-keys.lst"
KNOWN = {
    item.name: item
    for item in (
        EvalSet("vox1_o", VOX1, ("veri_test2.txt",), 37611, 18802, {37720: "veri_test.txt"}),
        EvalSet("vox1_e", VOX1, ("list_test_all2.txt",), 579818, 289921, {581480: "list_test_all.txt"}),
        EvalSet("vox1_h", VOX1, ("list_test_hard2.txt",), 550894, 275488, {552536: "list_test_hard.txt"}),
        EvalSet("voxsrc23_val", ("voxsrc23",), ("VoxSRC2023_val.txt",), 49987),
        EvalSet("vcmix", ("voxceleb1", "vcmix"), ("vcmix_test.txt",), 159536, 18802),
        EvalSet("voices_dev", ("voices",), ("dev-trial-keys.lst",)),
        EvalSet("voices_eval", ("voices",), (_EVAL_KEYS,)),
    )
}  # fmt: skip


class Places:
    """The corpora of the test sets, each searched once."""

    def __init__(self, config: PrepareConfig) -> None:
        self.config = config
        self._files: dict[str, list[str]] = {}

    def files(self, corpus: str) -> list[str]:
        """All files of a corpus; VoxCeleb1 is not searched this way."""
        if corpus not in self._files:
            self._files[corpus] = find_files(self.config.folder(corpus))
        return self._files[corpus]

    def trial_list(self, known: EvalSet) -> Path | None:
        """The set's list: in the folder of lists, else somewhere in its corpus."""
        for name in known.list_names:
            path = self.config.folder("lists") / name
            if path.is_file():
                return path
        own = known.corpora[-1]
        for name in known.lists if own != "voxceleb1" else ():
            found = [path for path in self.files(own) if os.path.basename(path) == name]
            if found:
                return Path(found[0])
        return None
