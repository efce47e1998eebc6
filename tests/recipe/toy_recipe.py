"""A recipe of toy voices for tests of the whole pipeline, in places with names that scripts trip over."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/training"))

# If any script took a piece of a file name for its own text, there would be a file called PWNED somewhere.
HOSTILE = "a é 語 ; touch PWNED; $(touch PWNED) `touch PWNED` & 'q\" *"

DATA_SH = """#!/usr/bin/env bash
# Copies the toy lists; takes data.sh's usual options.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Where the data goes.
data_dir=data
# Parallel jobs.
nj=1
. "$SVMIXER_ROOT/tools/parse_options.sh"
for set in train valid test; do
    mkdir -p "$data_dir/$set"
    cp "$recipe/lists/$set/"* "$data_dir/$set/"
done
"""


def copy_checkout(root: Path) -> None:
    """What a recipe of one's own needs of the checkout; the environment is the tests' own."""
    names = ("conf", "egs/TEMPLATE", "stages", "svmixer", "tools", "cmd.sh", "path.sh", "run.sh")
    for name in names:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, target)
    (root / "tools/setup.sh").write_text("#!/bin/sh\n")


def write_recipe(folder: Path) -> None:
    """Lists, audio behind a symbolic link, configurations and a random teacher, in a new folder."""
    import yaml
    from toy import write_config, write_dump, write_teacher

    folder.mkdir(parents=True)
    (folder / "elsewhere").mkdir()
    (folder / f"audio {HOSTILE}").symlink_to(folder / "elsewhere")
    for number, (name, speakers) in enumerate((("train", 4), ("valid", 3), ("test", 3))):
        audio = folder / f"audio {HOSTILE}" / name
        write_dump(audio, speakers=speakers, utterances=5, seed=number)
        lists = folder / "lists" / name
        lists.mkdir(parents=True)
        spk2utt: dict[str, list[str]] = {}
        for line in (audio / "utt2spk").read_text().splitlines():
            utterance, speaker = line.split()
            spk2utt.setdefault(speaker, []).append(utterance)
        for file in ("wav.scp", "utt2spk", "trials"):
            shutil.copy(audio / file, lists / file)
        (lists / "spk2utt").write_text("".join(f"{s} {' '.join(u)}\n" for s, u in sorted(spk2utt.items())))
    write_teacher(folder / "teacher")
    (folder / "conf").mkdir()
    write_config(folder / "conf/train.yaml", folder)
    config = yaml.safe_load((folder / "conf/train.yaml").read_text())
    config["loop"]["workers"] = 0
    (folder / "conf/train.yaml").write_text(yaml.safe_dump(config))
    (folder / "local").mkdir()
    (folder / "local/data.sh").write_text(DATA_SH)


def command(recipe: Path, *more: str) -> list[str]:
    """The driver's command line for that recipe."""
    return [
        str(ROOT / "run.sh"), "--recipe", str(recipe), "--tag", "toy", "--teacher", str(recipe / "teacher"),
        "--distill_config", "conf/train.yaml", "--train_config", "conf/train.yaml", "--lowpass", "3800",
        "--control", "true", "--onnx", "false", "--nj", "1", *more,
    ]  # fmt: skip


def run(
    recipe: Path,
    work: Path,
    *more: str,
    umask: int = -1,
    before: tuple[str, ...] = (),
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess:
    """Run the driver in ``work``; ``before`` is a command that starts it."""
    work.mkdir(exist_ok=True)
    return subprocess.run(
        [*before, *command(recipe, *more)],
        cwd=work,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=3600,
        umask=umask,
        env=env,
    )


def without_privileges() -> tuple[str, ...]:
    """A command before a command: modes of files hold for it, even if it is root who asks."""
    if os.geteuid():
        return ()
    return ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--")
