"""Verification where noise, music or silence surround the speech: with all of it, and with the speech alone.

``python benchmarks/noise_around.py --speech DIR --noise DIR --music DIR``: a folder for each speaker in DIR.
The first two recordings of a speaker enrol, the next two are tested, against all other speakers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from measure import Result, command_line, write_result
from speech_detection import pieces, recordings

from svmixer.audio import open_wave
from svmixer.audio.quality import QualityMeter
from svmixer.config import parse_args
from svmixer.errors import SvmixerError
from svmixer.inference import speech_detection
from svmixer.inference.calibration import STANDARD
from svmixer.inference.onnx_model import OnnxModel, load_onnx
from svmixer.inference.speech_detection import RATE, speech_detector
from svmixer.inference.speech_parts import speech_parts
from svmixer.inference.utterance import wave_source
from svmixer.limits import at_least, positive
from svmixer.scoring.metrics import equal_error_rate, error_rates

PER_SPEAKER = 4
Around = Callable[[np.ndarray, np.random.Generator], np.ndarray]
# dB below full scale; what a quiet room leaves.
SILENCE_DB = -70.0


@dataclass(frozen=True)
class NoiseAroundConfig:
    """Options of the script."""

    # Folders with a folder for each speaker, a row each.
    speech: tuple[str, ...]
    # Folders of noise.
    noise: tuple[str, ...]
    # Folders of music.
    music: tuple[str, ...] = ()
    # Export directory with a calibration, or the name of a model that comes with the package.
    model: str = "pocket2"
    # Seconds of it around the speech, before and behind.
    seconds: float = 10.0
    # Speech over noise or music, dB; they are under the speech, too.
    snr: float = 15.0
    # List of utterances, the first word of a line, whose speakers alone take part; empty: all.
    only: str = ""
    # Speakers of a folder.
    speakers: int = 100
    # Pieces of noise and of music to draw from.
    most: int = 400
    # false: speech is found by its level, as without the extra vad.
    detector: bool = True
    # true: three speakers.
    quick: bool = False
    # Folder for the results.
    output: str = "exp/benchmark"

    def __post_init__(self) -> None:
        at_least(self, 2, "speakers")
        positive(self, "seconds")


def main(argv: list[str] | None = None) -> None:
    """Embed every recording in every surrounding, in both ways; print error rates."""
    config = parse_args(NoiseAroundConfig, argv, __doc__)
    if not config.detector:
        speech_detection.PACKAGES = ()
    model = load_onnx(config.model, threads=1)
    if model.calibration is None:
        raise SvmixerError(f"{config.model}: has no calibration")
    rows, figures = [], {}
    for folder in config.speech:
        waves = speakers(folder, config)
        plain = [Embedded(model, waves, alone=alone) for alone in (False, True)]
        for name, around in surroundings(config).items():
            rng = np.random.default_rng(0)
            heard = [[around(wave, rng) for wave in ones] for ones in waves]
            for alone, how in enumerate(("all of it", "the speech alone")):
                surrounded = Embedded(model, heard, alone=bool(alone))
                # A clean enrolment is what people are asked for.
                for sides, enrolled in (("test", plain[alone]), ("both", surrounded)):
                    eer, rejects, accepts = rates(model, enrolled, surrounded)
                    shown = [f"{eer:.1f}", f"{rejects:.1f}", f"{accepts:.2f}", f"{surrounded.outside:.0f}"]
                    rows.append([Path(folder).name, name, sides, how, *shown])
                    figures[f"{Path(folder).name}, {name}, {sides}, {how}"] = {
                        "eer": eer, "false_rejects": rejects, "false_accepts": accepts,
                        "uncertain": surrounded.outside,
                    }  # fmt: skip
    by = "by its level" if speech_detector(RATE) is None else "by the detector"
    result = Result(
        name="noise_around",
        title=f"{config.seconds:g} s of noise, music or silence around the speech, {config.model}",
        command=command_line(),
        header=["speech", "around it", "of", "embedded", "EER %", "FR %", "FA %", "uncertain %"],
        rows=sorted(rows, key=lambda row: row[:3]),
        align="llllrrrr",
        figures={**figures, "found_by": by},
        notes=[
            f"The speech is found {by}. FR, FA: false rejects and accepts at the standard operating point, "
            "uncertain or not; uncertain: recordings outside the calibration's limits. Noise and music are "
            f"{config.snr:g} dB softer than the speech, and under it, too."
        ],
    )
    print(write_result(result, config.output))


class Embedded:
    """Embeddings ``float32 (S, 4, D)`` of recordings of each speaker, and how many are outside the limits."""

    def __init__(self, model: OnnxModel, waves: list[list[np.ndarray]], alone: bool) -> None:
        rows, doubtful = [], 0
        for wave in (wave for ones in waves for wave in ones):
            source = wave_source(wave)
            source = speech_parts(source, RATE).source if alone else source
            meter = QualityMeter(RATE)
            source = replace(source, read=meter.reading(source.read))
            rows.extend(vector for _, vector in model.embed_sources([source]))
            doubtful += bool(model.calibration.limits.doubts(meter.quality(source.num_samples)))
        self.vectors = np.stack(rows).reshape(len(waves), PER_SPEAKER, -1)
        # Percent of the recordings.
        self.outside = 100.0 * doubtful / len(rows)


def rates(model: OnnxModel, enrolled: Embedded, tested: Embedded) -> tuple[float, float, float]:
    """Equal error rate, and false rejects and accepts at the standard operating point, in percent."""
    half = PER_SPEAKER // 2
    first, second = enrolled.vectors[:, :half], tested.vectors[:, half:]
    names = np.repeat(np.arange(len(first)), half)
    found, _ = model.calibration.map_for(0)
    scores = model.calibration.normalised(np.concatenate(first), np.concatenate(second))
    ratios, same = found.slope * scores + found.offset, names[:, None] == names
    eer, _ = equal_error_rate(error_rates(ratios.ravel(), same.ravel()))
    accepted = ratios >= found.point(STANDARD).ratio
    return 100.0 * eer, 100.0 * float(np.mean(~accepted[same])), 100.0 * float(np.mean(accepted[~same]))


def speakers(folder: str, config: NoiseAroundConfig) -> list[list[np.ndarray]]:
    """Some recordings ``float32 (n,)`` at 16 kHz of each speaker."""
    only = set()
    if config.only:
        lines = Path(config.only).read_text(encoding="utf-8").splitlines()
        only = {line.split()[0] for line in lines if line.strip()}
    chosen = []
    for place in sorted(path for path in Path(folder).iterdir() if path.is_dir()):
        paths = [path for path in recordings(str(place)) if not only or path.stem in only]
        if len(paths) >= PER_SPEAKER:
            chosen.append([paths[at] for at in np.linspace(0, len(paths) - 1, PER_SPEAKER).astype(int)])
    if len(chosen) < 2:
        raise SvmixerError(
            f"{folder}: two speakers with {PER_SPEAKER} recordings are needed, found {len(chosen)}"
        )
    chosen = chosen[: 3 if config.quick else config.speakers]
    return [[np.asarray(open_wave(path, RATE)[0]) for path in paths] for paths in chosen]


def surroundings(config: NoiseAroundConfig) -> dict[str, Around]:
    """What can be around speech: (speech, generator) → both together."""

    def under(kind: Callable[[int, float, np.random.Generator], np.ndarray]) -> Around:
        def add(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            added = round(config.seconds * RATE)
            found = kind(len(wave) + added, float(np.mean(wave**2)), rng)
            place = int(rng.integers(added + 1))
            found[place : place + len(wave)] += wave
            return found

        return add

    def silence(count: int, _: float, rng: np.random.Generator) -> np.ndarray:
        return (10 ** (SILENCE_DB / 20) * rng.standard_normal(count)).astype(np.float32)

    def of(folders: tuple[str, ...]) -> Callable[[int, float, np.random.Generator], np.ndarray]:
        sounds = [wave for folder in folders for wave in pieces(folder, config.seconds, config.most)]
        sounds = [wave for wave in sounds if wave.any()]

        def draw(count: int, power: float, rng: np.random.Generator) -> np.ndarray:
            wave = np.resize(sounds[int(rng.integers(len(sounds)))], count)
            return wave * np.float32(np.sqrt(power / 10 ** (config.snr / 10) / np.mean(wave**2)))

        return draw

    found: dict[str, Around] = {"nothing": lambda wave, rng: wave, "silence": under(silence)}
    found["noise"] = under(of(config.noise))
    return found | ({"music": under(of(config.music))} if config.music else {})


if __name__ == "__main__":
    main()
