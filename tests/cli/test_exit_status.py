"""The table of exit statuses in docs/use.md, row by row."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = re.search(
    r"^\| exit status \| meaning \|\n\|---\|---\|\n((?:\|.*\n)+)",
    (ROOT / "docs/use.md").read_text(),
    re.MULTILINE,
)[1]
# Statuses of the table → arguments that end with each, in the order of the statuses.
CASES = {
    "0": [["verify", "one.npy", "one.npy", "--threshold", "0.5"], ["verify", "one.npy", "two.npy"]],
    "1": [["verify", "one.npy", "missing.wav"], ["embed", "text.wav"]],
    "2": [["verify"], ["nix"], ["embed", "a.wav", "--outptu", "x"]],
    "3": [["verify", "one.npy", "two.npy", "--threshold", "0.7", "--exit_status"]],
    "4": [["verify", "telephone.wav", "telephone.wav", "--model", "pocket", "--exit_status"]],
}


def start(words: list[str], folder: Path, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "svmixer", *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **options,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import soundfile

    folder = tmp_path_factory.mktemp("statuses")
    for name, vector in (("one", [1.0, 0.0]), ("two", [0.6, 0.8])):
        np.save(folder / f"{name}.npy", np.float32(np.pad(vector, (0, 1484))))
    (folder / "text.wav").write_text("no audio at all")
    # Nothing above 4 kHz, as a telephone has it, which the model pocket is not calibrated for.
    noise = np.random.default_rng(0).standard_normal(4 * 8000)
    swelling = np.sin(2 * np.pi * 2 * np.arange(len(noise)) / 8000) ** 2
    soundfile.write(folder / "telephone.wav", 0.1 * noise * swelling, 8000)
    return folder


def rows() -> dict[str, str]:
    return dict(re.findall(r"^\| ([\d, ]+) \| (.*) \|$", TABLE, re.MULTILINE))


def test_every_status_of_the_table_has_a_case():
    statuses = [number for numbers in rows() for number in numbers.split(", ")]
    assert statuses == [*CASES, "130", "143"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "words"), [(status, words) for status, cases in CASES.items() for words in cases]
)
def test_commands_end_with_it(status, words, folder):
    assert start(words, folder).wait(timeout=60) == int(status)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_signals_while_it_waits_for_a_recording(sent, folder):
    # What a shell prints is 128 and the number of the signal.
    words = ["embed", "-"]
    code = (
        "import os, sys\n"
        "from svmixer.audio import standard_input\n"
        "read = standard_input.os.isatty\n"
        "def isatty(number):\n    print('waits', flush=True)\n    return read(number)\n"
        "standard_input.os.isatty = isatty\n"
        "from svmixer.cli.main import main\n"
        f"main({words!r})\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"waits\n"
        process.send_signal(sent)
        _, said = process.communicate(timeout=60)
    assert process.returncode == -sent and 128 + sent in (130, 143)
    assert said == b""
