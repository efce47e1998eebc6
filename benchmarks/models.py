"""Students beside each other and beside the teachers: parameters, multiply-accumulates, milliseconds per 3 s.

Encoders alone, waveform → hidden states, and systems with their backend, waveform → embedding. All run in
turn in one process a number of threads. Weights are random, those of ``wavlm_tiny`` excepted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from apart import apart, threads
from measure import Result, Timing, command_line, paired, write_result
from systems import ROOT, build_system

from svmixer.audio.dumpset import RATE
from svmixer.config import load, parse_args

SECONDS = 3.0


@dataclass(frozen=True)
class ModelsConfig:
    """Options of the script."""

    # Students as they are: files of conf/student, without suffix.
    students: tuple[str, ...] = ("svmixer_small", "svmixer_large", "svmixer_tiny")
    # Encoders that take the place of SV-Mixer's layers in the first student.
    encoders: tuple[str, ...] = ("transformer", "mlp_mixer", "cycle_mlp", "conv_mixer")
    # Whole systems: a student and a backend of conf/backend each.
    systems: tuple[str, ...] = ("svmixer_small+ecapa", "svmixer_large+ecapa", "svmixer_tiny+statistics")
    # Teachers: torchaudio bundles, whose configuration alone is taken, or names that load_teacher knows.
    teachers: tuple[str, ...] = ("WAVLM_LARGE", "WAVLM_BASE", "HUBERT_BASE", "WAV2VEC2_BASE", "wavlm_tiny")
    # Numbers of threads.
    threads: tuple[int, ...] = (1, 2)
    # Rounds that are counted.
    rounds: int = 7
    # true: the smallest student and teacher, two rounds.
    quick: bool = False
    # Folder for the results.
    output: str = "exp/benchmark"

    def __post_init__(self) -> None:
        if not self.students:
            raise ValueError("students: at least one is needed")


def build(kind: str, name: str) -> Any:
    """A model in evaluation mode.

    Args:
        kind: ``student``, ``encoder``, ``system`` or ``teacher``.
        name: of a student; student and encoder, or student and backend, joined by ``+``; of a teacher.
    """
    import torch

    from svmixer.models.config import StudentConfig
    from svmixer.models.student import Student
    from svmixer.models.teacher_encoder import build_torchaudio
    from svmixer.teachers.teacher import Teacher, bundle_config, load_teacher

    if kind == "system":
        return build_system(name)
    torch.manual_seed(0)
    if kind == "teacher":
        if not name.isupper():
            return load_teacher(name)
        config = bundle_config(name)
        return Teacher(build_torchaudio(config), config)
    student_name, _, other = name.partition("+")
    student = load(StudentConfig, ROOT / f"conf/student/{student_name}.yaml")
    return Student(replace(student, encoder=other) if kind == "encoder" else student).eval()


def wanted(config: ModelsConfig) -> list[tuple[str, str]]:
    """(kind, name) of every row."""
    rows = [("student", name) for name in config.students]
    rows += [("encoder", f"{config.students[0]}+{encoder}") for encoder in config.encoders]
    rows += [("teacher", name) for name in config.teachers]
    return rows + [("system", name) for name in config.systems]


def costs(rows: list[tuple[str, str]]) -> list[dict[str, int]]:
    """Parameters and MACs of every row for one window, as ``svmixer complexity`` counts them."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from svmixer.models.costs import measure

    threads()
    found = []
    for kind, name in rows:
        model = build(kind, name)
        # Attention in one fused operation would hide its matrix products.
        with sdpa_kernel(SDPBackend.MATH):
            wave = torch.zeros(1, round(SECONDS * RATE))
            cost = measure(visible(model) if kind == "teacher" else model, wave)
        found.append({"params": cost.params, "macs": cost.macs, "operations": cost.operations})
    return found


def visible(teacher: Any) -> Any:
    """A teacher whose layers are seen by what counts them: it keeps them from whoever trains."""
    from torch import nn

    shown = nn.Module()
    shown.model = teacher.model
    shown.forward = teacher.hidden_states
    return shown.eval()


def times(rows: list[tuple[str, str]], rounds: int) -> list[list[float]]:
    """Seconds of one forward pass of one window in every round, row by row."""
    import torch

    threads()
    wave = torch.randn(1, round(SECONDS * RATE), generator=torch.Generator().manual_seed(0))
    calls: dict[str, Callable[[], object]] = {}
    for kind, name in rows:
        calls[f"{kind} {name}"] = functools.partial(build(kind, name), wave)
    with torch.inference_mode():
        timings = paired(calls, rounds)
    return [list(timing.seconds) for timing in timings.values()]


def label(kind: str, name: str) -> str:
    """What the table calls a row."""
    first, _, other = name.partition("+")
    if kind == "encoder":
        return f"{first} with {other} layers"
    return f"{first}, {other}" if kind == "system" else name


def result(
    rows: list[tuple[str, str]], found: list[dict[str, int]], timed: dict[int, list[list[float]]]
) -> Result:
    """The table; ``timed`` has for each number of threads the seconds of all rows' rounds."""
    header = ["model", "gives", "parameters", "GMACs", "Gops"]
    header += [f"ms, {number} thread{'s' * (number > 1)}" for number in timed]
    header += [f"real-time factor, {min(timed)} thread{'s' * (min(timed) > 1)}"]
    cells, figures = [], []
    for place, ((kind, name), cost) in enumerate(zip(rows, found, strict=True)):
        timings = {number: Timing(tuple(seconds[place])) for number, seconds in timed.items()}
        factor = timings[min(timed)].median / SECONDS
        gives = "embedding" if kind == "system" else "states"
        cells.append(
            [
                label(kind, name), gives, f"{cost['params']:,}", f"{cost['macs'] / 1e9:.2f}",
                f"{cost['operations'] / 1e9:.2f}", *(timing.milliseconds() for timing in timings.values()),
                f"{factor:.4f}",
            ]
        )  # fmt: skip
        seconds = {str(number): list(timing.seconds) for number, timing in timings.items()}
        figures.append({"kind": kind, "name": name, **cost, "seconds": seconds, "real_time_factor": factor})
    notes = [
        f"One input of {SECONDS:g} s at 16 kHz, PyTorch, float32: median and quartiles of rounds in which "
        "all models take turns. GMACs: Linear and Conv layers, as the paper counts; Gops: every matrix "
        "product and convolution as executed and one operation an element for all else (`svmixer "
        "complexity`). Attention has projections that are no layers: they are among the Gops alone. "
        "Weights are random but those of `wavlm_tiny`; the cost does not depend on them."
    ]
    return Result(
        "models", "Students and teachers", command_line(), header, cells,
        "llrrr" + "r" * (len(timed) + 1), {"models": figures}, notes,
    )  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    config = parse_args(ModelsConfig, argv, __doc__)
    if config.quick:
        config = replace(
            config, rounds=2, students=config.students[-1:], systems=config.systems[-1:],
            teachers=config.teachers[-1:],
        )  # fmt: skip
    rows = wanted(config)
    found = apart(costs, 1, rows=rows)
    timed = {number: apart(times, number, rows=rows, rounds=config.rounds) for number in config.threads}
    print(write_result(result(rows, found, timed), config.output))


if __name__ == "__main__":
    main()
