"""The gain of a recording and its embedding: ``python benchmarks/level.py --model NAME --test_dir DUMP``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from measure import Result, command_line, write_result

from svmixer.audio import DumpSet, from_pcm16, to_pcm16
from svmixer.config import parse_args
from svmixer.scoring.embedder import load_embedder

GAINS = (-6, -12, -20, -30)  # dB


@dataclass(frozen=True)
class LevelConfig:
    """Options of the script."""

    # Model directory, or the name of a model that comes with the package.
    model: str
    # Dumped set, as dump/test.
    test_dir: str
    # Utterances of it, evenly spaced in the list.
    utterances: int = 100
    # true: three utterances.
    quick: bool = False
    # Folder for the results.
    output: str = "exp/benchmark"


def main(argv: list[str] | None = None) -> None:
    """Embed each utterance as it is and softer, with 16 bits like a file; print the cosines."""
    config = parse_args(LevelConfig, argv, __doc__)
    model, dump = load_embedder(config.model).model, DumpSet(config.test_dir)
    count = min(3 if config.quick else config.utterances, len(dump))
    cosines: dict[int, list[float]] = {gain: [] for gain in GAINS}
    for index in np.linspace(0, len(dump) - 1, count).astype(int):
        wave = dump.read(int(index))
        exact = model.embed(wave)
        for gain in GAINS:
            softer = from_pcm16(to_pcm16(wave * np.float32(10 ** (gain / 20))))
            cosines[gain].append(float(model.embed(softer) @ exact))
    rows = [
        [f"{gain}", *(f"{np.percentile(cosines[gain], share):.4f}" for share in (50, 5, 0))] for gain in GAINS
    ]
    result = Result(
        name="level",
        title=f"The same recording at other levels, {count} utterances, {config.model}",
        command=command_line(),
        header=["gain, dB", "median cosine", "5th percentile", "lowest"],
        rows=rows,
        align="rrrr",
        figures={str(gain): float(np.median(values)) for gain, values in cosines.items()},
        notes=["Cosines of an utterance with itself; samples are rounded to 16 bits behind the gain."],
    )
    print(write_result(result, config.output))


if __name__ == "__main__":
    main()
