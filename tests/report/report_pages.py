"""What the tests of the reports share: writing one and reading what is in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from svmixer.lists import write_table
from svmixer.report.document import Extras
from svmixer.report.experiment import read_experiment
from svmixer.report.page import write_report


def report(folder: Path, **extras: Any) -> str:
    """Write the report of an experiment; returns the page."""
    write_report(read_experiment(folder, "student"), Extras(**extras))
    return (folder / "report.html").read_text(encoding="utf-8")


def embedded(page: str, key: str) -> Any:
    """The JSON value of a script element."""
    return json.loads(re.search(rf'<script type="application/json" id="{key}">(.*?)</script>', page)[1])


def without_scripts(page: str) -> str:
    """What is read of a page; the library that it carries would make searches slow."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def rows_of(page: str, label: str) -> list[list[str]]:
    """Cells of the table that is called so."""
    body = re.search(rf'aria-label="{re.escape(label)}">(.*?)</table>', page, re.DOTALL)[1]
    rows = re.findall(r"<tr>(.*?)</tr>", body.partition("<tbody>")[2], re.DOTALL)
    return [[cell.strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)] for row in rows]


def add_audio(folder: Path, seconds: float = 1.0) -> None:
    """Recordings, ``wav.scp`` and ``utt2num_samples`` for a dumped set that has ``utt2spk``."""
    names = [line.split()[0] for line in (folder / "utt2spk").read_text().splitlines()]
    rng, samples = np.random.default_rng(0), int(16000 * seconds)
    (folder / "wav").mkdir()
    for name in names:
        wave = 0.1 * rng.normal(size=samples)
        soundfile.write(folder / f"wav/{name}.wav", wave, 16000, subtype="PCM_16")
    write_table(folder / "wav.scp", {name: f"{folder}/wav/{name}.wav" for name in names})
    write_table(folder / "utt2num_samples", dict.fromkeys(names, str(samples)))
