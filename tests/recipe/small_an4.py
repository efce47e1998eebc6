"""A corpus laid out like ESPnet's small AN4, with tones in SPHERE files, and ESPnets that have it or not."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import soundfile

MEMBER = "egs3/mini_an4/esp2_asr/downloads.tar.gz"
RATE = 16000
# Recordings and their seconds. Pieces are of 0.7 s, the last one with what is left.
TRAIN = {
    "fabc/one": 1.5,
    "fabc/two": 0.6,
    "fghi/one": 2.2,
    "mdef/one": 1.4,
    "mdef/two": 0.7,
}
TEST = {"fjkl/one": 2.2, "mmno/one": 1.5}


def samples(name: str, seconds: float) -> np.ndarray:
    """A tone in noise as np.int16 [N], of which every recording has its own."""
    rng = np.random.default_rng(list(name.encode()))
    time = np.arange(round(seconds * RATE)) / RATE
    wave = 6000 * np.sin(2 * np.pi * rng.uniform(100, 400) * time) + 600 * rng.standard_normal(len(time))
    return wave.astype(np.int16)


def write_sphere(path: Path, pcm: np.ndarray, order: str) -> None:
    """One channel of 16-bit PCM behind a NIST SPHERE header; ``order`` is 01 (little-endian) or 10."""
    fields = (
        f"channel_count -i 1\nsample_count -i {len(pcm)}\nsample_rate -i {RATE}\nsample_n_bytes -i 2\n"
        f"sample_byte_format -s2 {order}\nsample_sig_bits -i 16\nsample_coding -s3 pcm\nend_head\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    head = f"NIST_1A\n   1024\n{fields}".encode().ljust(1024)
    path.write_bytes(head + pcm.astype("<i2" if order == "01" else ">i2").tobytes())


def write_corpus(folder: Path) -> None:
    for side, recordings in (("an4_clstk", TRAIN), ("an4test_clstk", TEST)):
        for number, (name, seconds) in enumerate(recordings.items()):
            order = "10" if number == 1 else "01"
            write_sphere(folder / f"an4/wav/{side}/{name}.sph", samples(name, seconds), order)
    (folder / "an4/LICENSE").write_text("free\n")
    for name, seconds in (("noise/hum", 1.0), ("noise/hiss", 2.0), ("rirs/room", 0.25)):
        (folder / name).parent.mkdir(exist_ok=True)
        soundfile.write(folder / f"{name}.wav", samples(name, seconds), RATE)


def write_espnet(site: Path, version: str, archive: Path | None) -> None:
    """What an installed ESPnet looks like from outside, with or without the corpus."""
    (site / f"espnet-{version}.dist-info").mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: espnet\nVersion: {version}\n"
    (site / f"espnet-{version}.dist-info/METADATA").write_text(text)
    if archive:
        (site / MEMBER).parent.mkdir(parents=True)
        (site / MEMBER).write_bytes(archive.read_bytes())


def write_wheel(folder: Path, archive: Path) -> Path:
    """A wheel that pip takes for espnet 202611, with the corpus and nothing else."""
    folder.mkdir()
    wheel, info = folder / "espnet-202611-py3-none-any.whl", "espnet-202611.dist-info"
    with zipfile.ZipFile(wheel, "w") as stream:
        stream.write(archive, MEMBER)
        stream.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: espnet\nVersion: 202611\n")
        stream.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        stream.writestr(f"{info}/RECORD", "")
    return wheel
