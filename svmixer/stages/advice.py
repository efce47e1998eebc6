"""Before stage 3: what a model that is there says about the training that is to come."""

from __future__ import annotations

import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path

from svmixer.config import parse_args


@dataclass(frozen=True)
class AdviceConfig:
    """Options of the script."""

    # Dumped set to train on.
    train_dir: str
    # Dumped set to validate with.
    valid_dir: str
    # Dumped test sets in one string, quoted as for a shell.
    test_dirs: str
    # Where the model was scored on them: a folder with the name of each set.
    scores_dir: str


def main(argv: list[str] | None = None) -> None:
    """Print what there is to train with, a model's error rates on it, and whether a training is worth it."""
    config = parse_args(AdviceConfig, argv, main.__doc__)
    from svmixer.report.advice import advice, known_model, set_size

    tests = shlex.split(config.test_dirs)
    known = [known_model(Path(config.scores_dir) / Path(test).name, test) for test in tests]
    sizes = [set_size(test) for test in tests]
    for text in advice(set_size(config.train_dir), set_size(config.valid_dir), sizes, known):
        print(textwrap.fill(text, 118, subsequent_indent="  ", break_on_hyphens=False))
