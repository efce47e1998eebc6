"""Impulse responses of random shoebox rooms (image sources, pyroomacoustics): a list for augmentation."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyroomacoustics
import soundfile

from svmixer.config import parse_args
from svmixer.fileio import atomic_path
from svmixer.lists import write_table
from svmixer.log import get_logger

logger = get_logger("simulate_rirs")

_RATE = 16000
# Length, width and height of a room in metres, and seconds until the sound has fallen by 60 dB: drawn evenly.
_ROOM = ((3.0, 8.0), (2.5, 6.0), (2.4, 3.5))
_RT60 = (0.1, 0.7)
# Metres between a wall and the talker or the microphone, and between these two.
_FROM_WALL = 0.3
_DISTANCE = (0.3, 4.0)
# Reflections followed at most. Sabine's formula leaves rooms with hard walls more reverberant than asked for;
# without the latest reflections the decay over 40 dB comes closer to the drawn RT60, in a fifth of the time.
_MAX_ORDER = 40
# Seconds kept in front of the direct sound.
_LEAD = 0.001


@dataclass(frozen=True)
class RirConfig:
    """Options of the simulation."""

    # Folder that receives wav.scp and the responses.
    output_dir: str = "data/rirs"
    # Responses to simulate, one room each.
    num: int = 200
    # Seed; response k depends on the seed and k only.
    seed: int = 0
    # Processes.
    nj: int = 2

    def __post_init__(self) -> None:
        if self.num < 1 or self.nj < 1:
            raise ValueError("num and nj must be at least 1")
        if self.seed < 0:
            raise ValueError(f"seed: must not be negative, found {self.seed}")


def simulate(rng: np.random.Generator) -> np.ndarray:
    """One response as np.float32 [N] at 16 kHz: peak 1 at ``_LEAD``, cut after the room's RT60.

    The absorption of the walls comes from Sabine's formula; a room too large for its RT60 is drawn again.
    """
    while True:
        size = [rng.uniform(*limits) for limits in _ROOM]
        rt60 = rng.uniform(*_RT60)
        try:
            absorption, order = pyroomacoustics.inverse_sabine(rt60, size)
            break
        except ValueError:
            continue
    while True:
        talker, microphone = ([rng.uniform(_FROM_WALL, side - _FROM_WALL) for side in size] for _ in range(2))
        if _DISTANCE[0] <= np.linalg.norm(np.subtract(talker, microphone)) <= _DISTANCE[1]:
            break
    walls = pyroomacoustics.Material(absorption)
    room = pyroomacoustics.ShoeBox(size, _RATE, materials=walls, max_order=min(order, _MAX_ORDER))
    room.add_source(talker)
    room.add_microphone(microphone)
    room.compute_rir()
    response = room.rir[0][0]
    first = max(0, int(np.argmax(np.abs(response))) - round(_LEAD * _RATE))
    response = response[first : first + round(rt60 * _RATE)]
    return (response / np.abs(response).max()).astype(np.float32)


def main() -> None:
    config = parse_args(RirConfig, description=__doc__)
    begun = time.monotonic()
    folder = Path(config.output_dir)
    names = [f"rir-{index:04d}" for index in range(1, config.num + 1)]
    tasks = [(config.seed, index, folder / f"wav/{name}.wav") for index, name in enumerate(names)]
    with multiprocessing.get_context("spawn").Pool(config.nj, _one_thread) as pool:
        for count, _ in enumerate(pool.imap_unordered(_simulate_to, tasks), 1):
            if count % 50 == 0 or count == len(tasks):
                logger.info("%d/%d responses in %.0f s", count, len(tasks), time.monotonic() - begun)
    write_table(folder / "wav.scp", {name: str(folder / f"wav/{name}.wav") for name in names})


def _one_thread() -> None:
    # Sums over threads would round differently from run to run.
    pyroomacoustics.constants.set("num_threads", 1)


def _simulate_to(task: tuple[int, int, Path]) -> None:
    seed, index, path = task
    response = simulate(np.random.default_rng([seed, index]))
    with atomic_path(path) as temporary:
        soundfile.write(temporary, response, _RATE, "PCM_16", format="WAV")


if __name__ == "__main__":
    main()
