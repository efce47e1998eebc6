"""How well speech is told from what is none, by levels and by the detector, and at what price.

Takes folders of recordings: ``python benchmarks/speech_detection.py --speech DIR --noise DIR --music DIR``.
Speech is judged as it is, at 10 dB above noise, through a telephone and through both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measure import Result, command_line, write_result

from svmixer.audio import open_wave
from svmixer.audio.augment_config import ChannelConfig, channel_name
from svmixer.audio.channels import prepare, through_channel
from svmixer.audio.formats import AUDIO_SUFFIXES
from svmixer.audio.quality import QualityMeter
from svmixer.config import parse_args
from svmixer.errors import SvmixerError
from svmixer.inference.speech_detection import RATE, speech_detector
from svmixer.inference.speech_parts import speech_parts
from svmixer.inference.utterance import wave_source
from svmixer.limits import at_least, positive

Change = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class SpeechDetectionConfig:
    """Options of the script."""

    # Folders of speech, a row each; the beginning of a recording is taken.
    speech: tuple[str, ...]
    # Folders of noise, which speech is mixed with, too.
    noise: tuple[str, ...]
    # Folders of music, which is cut into pieces.
    music: tuple[str, ...] = ()
    # Recordings of a folder of speech, or pieces of the others, evenly spaced in the list.
    most: int = 400
    # Seconds of a piece.
    seconds: float = 6.0
    # Signal-to-noise ratio of noisy speech, dB.
    snr: float = 10.0
    # Telephone: a family of svmixer/audio/augment_config.py.
    telephone: str = "amrnb"
    # true: three recordings of each folder.
    quick: bool = False
    # Folder for the results.
    output: str = "exp/benchmark"

    def __post_init__(self) -> None:
        at_least(self, 1, "most")
        positive(self, "seconds")
        channel_name(self.telephone)
        for name in ("speech", "noise"):
            if not getattr(self, name):
                raise ValueError(f"{name}: one folder at least")


class Judges:
    """What levels and detector say of recordings, and the processor time of the detector."""

    def __init__(self) -> None:
        began = time.perf_counter()
        if speech_detector(RATE) is None:
            raise SvmixerError("no detector is installed: pip install 'svmixer[vad]'")
        self.load_seconds = time.perf_counter() - began
        self.spent = self.heard = 0.0

    def __call__(self, wave: np.ndarray) -> tuple[bool, bool]:
        """Whether a recording ``float32 (n,)`` is taken for no speech: by levels alone, with the detector."""
        meter = QualityMeter(RATE)
        meter.take(wave)
        quality = meter.quality(len(wave))
        began = time.process_time()
        parts = speech_parts(wave_source(wave), RATE)
        self.spent += time.process_time() - began
        self.heard += len(wave) / RATE
        silent = quality.seconds == 0.0
        return silent or quality.steady, silent or parts.hardly


def main(argv: list[str] | None = None) -> None:
    """Judge everything; print the shares that are taken for no speech."""
    config = parse_args(SpeechDetectionConfig, argv, __doc__)
    prepare(config.telephone)
    judges, rows, figures = Judges(), [], {}

    def row(what: str, condition: str, waves: Iterator[np.ndarray]) -> None:
        found = np.array([judges(wave) for wave in waves])
        shares = [100.0 * float(share) for share in found.mean(axis=0)]
        rows.append([what, condition, len(found), *(f"{share:.1f}" for share in shares)])
        figures[f"{what}, {condition}"] = {
            "recordings": len(found),
            "levels": shares[0],
            "detector": shares[1],
        }

    for folder in config.speech:
        for condition, change in conditions(config).items():
            row(Path(folder).name, condition, (change(wave) for wave in beginnings(folder, config)))
    for folder in (*config.noise, *config.music):
        for condition in ("as it is", "telephone"):
            change = conditions(config)[condition]
            row(
                Path(folder).name,
                condition,
                (change(wave) for wave in pieces(folder, config.seconds, most(config))),
            )
    row("tones, chords, beeps", "as it is", tones(config.seconds))
    row("white, pink, brown noise", "as it is", coloured(config.seconds))
    row("silence", "as it is", iter([np.zeros(round(config.seconds * RATE), np.float32)]))
    cost = 1000.0 * judges.spent / judges.heard
    result = Result(
        name="speech_detection",
        title=f"Recordings taken for no speech, {config.seconds:g} s or less of each",
        command=command_line(),
        header=["recordings", "condition", "number", "by levels, %", "with the detector, %"],
        rows=rows,
        align="llrrr",
        figures={**figures, "ms_per_second": cost, "load_seconds": judges.load_seconds},
        notes=[
            f"The detector takes {cost:.1f} ms of one processor for a second of audio, and "
            f"{judges.load_seconds:.2f} s to load."
        ],
    )
    print(write_result(result, config.output))


def conditions(config: SpeechDetectionConfig) -> dict[str, Change]:
    """What happens to a recording, the same at every call."""
    rng, channel = np.random.default_rng(0), ChannelConfig()
    noises = [
        wave for folder in config.noise for wave in pieces(folder, config.seconds, most(config)) if wave.any()
    ]

    def noisy(wave: np.ndarray) -> np.ndarray:
        noise = np.resize(noises[int(rng.integers(len(noises)))], len(wave))
        scale = np.sqrt(np.mean(wave**2) / max(np.mean(noise**2), 1e-12) / 10 ** (config.snr / 10))
        return wave + np.float32(scale) * noise

    def telephone(wave: np.ndarray) -> np.ndarray:
        return through_channel(wave, config.telephone, channel, rng)

    return {
        "as it is": lambda wave: wave,
        f"{config.snr:g} dB above noise": noisy,
        "telephone": telephone,
        "noise and telephone": lambda wave: telephone(noisy(wave)),
    }


def recordings(folder: str) -> list[Path]:
    """Audio files below a folder."""
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    if not found:
        raise SvmixerError(f"{folder}: no audio files")
    return found


def most(config: SpeechDetectionConfig) -> int:
    """Recordings of a folder."""
    return 3 if config.quick else config.most


def spaced(items: list, count: int) -> list:
    """As many as are wanted, evenly spaced."""
    return [items[at] for at in np.linspace(0, len(items) - 1, min(count, len(items))).astype(int)]


def beginnings(folder: str, config: SpeechDetectionConfig) -> Iterator[np.ndarray]:
    """The first seconds of recordings, ``float32 (n,)`` at 16 kHz."""
    for path in spaced(recordings(folder), most(config)):
        wave, _ = open_wave(path, RATE)
        yield wave[: round(config.seconds * RATE)]


def pieces(folder: str, seconds: float, count: int) -> Iterator[np.ndarray]:
    """Recordings cut into pieces, without rests of less than half a piece that are not whole recordings."""
    size = round(seconds * RATE)
    places = []
    for path in recordings(folder):
        length = open_wave(path, RATE)[0].shape[0]
        places += [(path, first) for first in range(0, max(length - size // 2, 1), size)]
    for path, first in spaced(places, count):
        yield open_wave(path, RATE)[0][first : first + size]


def tones(seconds: float) -> Iterator[np.ndarray]:
    """Sines, saw-teeth, chords, chirps and beeps."""
    at = np.arange(round(seconds * RATE)) / RATE
    for hertz in (50, 110, 220, 440, 1000, 3000):
        yield 0.1 * np.sin(2 * np.pi * hertz * at, dtype=np.float32)
        yield (0.1 * (hertz * at % 1.0 - 0.5)).astype(np.float32)
        yield (0.1 * np.sin(2 * np.pi * hertz * at) * (at % 1.0 < 0.5)).astype(np.float32)
        chord = sum(np.sin(2 * np.pi * hertz * ratio * at) for ratio in (1.0, 1.25, 1.5))
        yield (0.05 * chord).astype(np.float32)
    yield (0.1 * np.sin(2 * np.pi * (100 + 200 * at) * at)).astype(np.float32)


def coloured(seconds: float) -> Iterator[np.ndarray]:
    """Noise whose power falls by 0, 3 and 6 dB an octave: steady, and rising and falling as syllables do."""
    size = round(seconds * RATE)
    hertz = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 1.0)
    for seed in range(5):
        for slope in (0.0, 0.5, 1.0):
            noise = np.random.default_rng(seed).standard_normal(size)
            wave = np.fft.irfft(np.fft.rfft(noise) / hertz**slope, size)
            wave *= 0.1 / wave.std()
            yield wave.astype(np.float32)
            syllables = 0.5 - 0.5 * np.cos(2 * np.pi * (3 + seed / 2) * np.arange(size) / RATE)
            yield (wave * syllables).astype(np.float32)


if __name__ == "__main__":
    main()
