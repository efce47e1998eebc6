"""How fast recordings become 16 kHz mono audio: stage 2 beside lhotse and the library calls of ESPnet.

``python benchmarks/formatting.py --audio_dir DIR``: recordings of any kind to make the files from. lhotse and
resampy come on top of the project's packages: ``pip install lhotse resampy``. A system whose packages are not
there has no row.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile
import soxr
from measure import Result, command_line, paired, write_result

from svmixer.audio import open_wave
from svmixer.audio.dump import DumpConfig, dump_job
from svmixer.audio.dumpset import RATE
from svmixer.audio.formats import AUDIO_SUFFIXES
from svmixer.audio.merge import MergeConfig, merge_jobs
from svmixer.config import parse_args
from svmixer.errors import SvmixerError
from svmixer.limits import at_least
from svmixer.lists import write_table

# Kind of file → rate, channels, suffix.
KINDS = {
    "WAV, 16 kHz": (16000, 1, "wav"),
    "WAV, 44.1 kHz, stereo": (44100, 2, "wav"),
    "FLAC, 16 kHz": (16000, 1, "flac"),
    "FLAC, 44.1 kHz, stereo": (44100, 2, "flac"),
    "M4A, 44.1 kHz": (44100, 1, "m4a"),
}


@dataclass(frozen=True)
class FormattingConfig:
    """Options of the script."""

    # Folder of recordings, at any depth, that the files are made from; empty: noise.
    audio_dir: str = ""
    # Files of each kind.
    files: int = 100
    # Seconds of a file; the recordings are joined and cut.
    seconds: float = 8.0
    # Rounds that are counted.
    rounds: int = 5
    # true: three files, one round.
    quick: bool = False
    # Folder for the results.
    output: str = "exp/benchmark"

    def __post_init__(self) -> None:
        at_least(self, 1, "files", "rounds")


def sound(config: FormattingConfig, count: int) -> np.ndarray:
    """``float32 (count, N)`` at 44.1 kHz: recordings joined and cut, or noise."""
    length = round(config.seconds * 44100)
    if not config.audio_dir:
        noise = np.random.default_rng(0).standard_normal((count, length))
        return (0.1 * noise).astype(np.float32)
    pieces, total = [], 0
    paths = (
        path for path in sorted(Path(config.audio_dir).rglob("*")) if path.suffix.lower() in AUDIO_SUFFIXES
    )
    for path in paths:
        pieces.append(np.asarray(open_wave(path, 44100)[0]))
        total += len(pieces[-1])
        if total >= count * length:
            return np.concatenate(pieces)[: count * length].reshape(count, length)
    raise SvmixerError(
        f"{config.audio_dir}: {total / 44100:.0f} s of audio, {count * config.seconds:.0f} are needed"
    )


def write_files(waves: np.ndarray, kind: str, folder: Path) -> dict[str, str]:
    """The files of a kind, 16 bit: utterance → path."""
    rate, channels, suffix = KINDS[kind]
    folder.mkdir()
    table = {}
    for number, wave in enumerate(waves):
        path = folder / f"{number:04d}.wav"
        audio = wave if rate == 44100 else soxr.resample(wave, 44100, rate)
        soundfile.write(path, np.stack([audio] * channels, axis=1), rate, subtype="PCM_16")
        if suffix != "wav":
            other = path.with_suffix(f".{suffix}")
            subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", path, other], check=True)
            path.unlink()
            path = other
        table[f"s{number % 10}-{number:04d}"] = str(path)
    return dict(sorted(table.items()))


def stage_2(table: dict[str, str], folder: Path) -> None:
    """What one job of stage 2 and its merge do."""
    data, dump = folder / "data", folder / "dump"
    data.mkdir()
    write_table(data / "wav.scp", table)
    write_table(data / "utt2spk", {name: name[:2] for name in table})
    dump_job(DumpConfig(str(data), str(dump)))
    merge_jobs(MergeConfig(str(data), str(dump)))


def espnet_calls(table: dict[str, str], folder: Path) -> None:
    """What ESPnet's format_wav_scp.py calls for ``--fs 16k``: soundfile, resampy, its writer of WAV files.

    Other formats than those of soundfile come through a pipe from ffmpeg, as a wav.scp for it says.
    """
    import kaldiio
    import resampy
    from espnet2.fileio.sound_scp import SoundScpWriter

    writer = SoundScpWriter(folder / "data_wav", folder / "wav.scp")
    for name, path in table.items():
        if path.endswith(".m4a"):
            with kaldiio.open_like_kaldi(
                f"ffmpeg -v error -i {shlex.quote(path)} -f wav - |", "rb"
            ) as stream:
                wave, rate = soundfile.read(BytesIO(stream.read()), dtype=np.int16)
        else:
            wave, rate = soundfile.read(path, dtype=np.int16)
        if rate != RATE:
            wave = resampy.resample(wave.astype(np.float64), rate, RATE, axis=0).astype(np.int16)
        writer[name] = RATE, wave
    writer.fscp.close()


def lhotse_calls(table: dict[str, str], folder: Path) -> None:
    """A manifest of the recordings, resampled lazily, written as WAV files of one channel."""
    from lhotse import CutSet, Recording, RecordingSet
    from lhotse.audio.backend import audio_backend

    # The one that reads M4A without torchaudio's former reader.
    m4a = any(path.endswith(".m4a") for path in table.values())
    with audio_backend("AudioreadBackend" if m4a else "default"):
        recordings = RecordingSet.from_recordings(
            Recording.from_file(path, recording_id=name) for name, path in table.items()
        )
        cuts = CutSet.from_manifests(recordings=recordings).resample(RATE)
        for cut in cuts:
            wave = (cut.to_mono(mono_downmix=True) if cut.num_channels > 1 else cut).load_audio()
            # Its own writer does not go with that reader.
            soundfile.write(folder / f"{cut.recording_id}.wav", wave[0], RATE, subtype="PCM_16")


def in_a_folder(call: Callable[[dict[str, str], Path], None], table: dict[str, str], place: Path) -> None:
    """Run a system in an empty folder."""
    folder = place / "out"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    call(table, folder)


def systems() -> dict[str, Callable[[dict[str, str], Path], None]]:
    """Those whose packages are there."""
    found: dict[str, Callable[[dict[str, str], Path], None]] = {"svmixer, stage 2": stage_2}
    if find_spec("resampy") and find_spec("espnet2"):
        found["calls of ESPnet's format_wav_scp.py"] = espnet_calls
    if find_spec("lhotse"):
        found["lhotse"] = lhotse_calls
    return found


def main(argv: list[str] | None = None) -> None:
    """Time every system on the files of every kind; print the table."""
    config = parse_args(FormattingConfig, argv, __doc__)
    count, rounds = (3, 1) if config.quick else (config.files, config.rounds)
    waves = sound(config, count)
    hours = count * config.seconds / 3600
    rows, figures = [], {}
    with tempfile.TemporaryDirectory() as place:
        for kind in KINDS:
            table = write_files(waves, kind, Path(place) / kind)
            calls = {name: partial(in_a_folder, call, table, Path(place)) for name, call in systems().items()}
            timed = paired(calls, rounds, warm_up=1)
            ours = timed["svmixer, stage 2"]
            for name, timing in timed.items():
                low, high = timing.quartiles
                speed = f"{60 * hours / timing.median:.1f} [{60 * hours / high:.1f}, {60 * hours / low:.1f}]"
                ratio = "" if timing is ours else f"{timing.over(ours):.2f}"
                rows.append([kind, name, speed, ratio])
                figures[f"{kind}, {name}"] = {"seconds": list(timing.seconds)}
    result = Result(
        name="formatting",
        title="Recordings to 16 kHz mono",
        command=command_line(),
        header=["files", "system", "hours of audio a minute", "its time / ours"],
        rows=rows,
        align="llrr",
        figures={**figures, "hours": hours},
        notes=[
            f"{count} files of {config.seconds:g} s a kind; one process, "
            f"{os.environ.get('OMP_NUM_THREADS', 'all')} threads; medians [quartiles] of {rounds} rounds in "
            "which the systems take turns. Stage 2 also checks what it reads (damage, silence, clipping, "
            "length), mixes channels, and writes lists; the calls of ESPnet's script keep both channels, as "
            "its default is."
        ],
    )
    print(write_result(result, config.output))


if __name__ == "__main__":
    main()
