"""How long one window takes, by part of the model and by form: ``python benchmarks/latency.py``.

All forms run in turn in one process a number of threads; see :mod:`measure`. Weights are random unless
``--model`` names a model directory: time does not depend on them, but how near the forms are to each other
does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from apart import apart, threads
from measure import Result, Timing, command_line, number_formats, paired, write_result
from released import ReleasedModel, released_form
from systems import described, open_model
from torch import nn

from svmixer.audio import read_audio
from svmixer.config import from_dict, parse_args
from svmixer.export.check import cosines
from svmixer.fast import calibrate, optimise
from svmixer.inference.windows import utterance_windows
from svmixer.models.complexity import measure
from svmixer.models.speaker_model import SpeakerModel

PARTS = ("front end", "encoder", "backend", "whole")
# Number format of a form's products, where it is not float32.
DTYPES = {"released_bf16": "bfloat16", "bf16": "bfloat16", "int8": "int8", "int8_all": "int8"}


@dataclass(frozen=True)
class LatencyConfig:
    """Options of the script."""

    # Audio files, or a dumped set: speech of several speakers. Half of its windows calibrate int8, the other
    # half is compared. Without any: noise, on which only the times say something.
    speech: tuple[str, ...] = ()
    # Model directory; without it random weights of the system below.
    model: str = ""
    # A student of conf/student and a backend of conf/backend.
    system: str = "svmixer_small+ecapa"
    # Forms to time, the first is what the others are compared with: released, released_bf16 (autocast), plain
    # (this package's model as it is), float32, bf16 and int8 (optimised), int8_all (every product, however
    # far that leads). released_bf16 is left out where the processor has no such products.
    forms: tuple[str, ...] = ("released", "released_bf16", "plain", "float32", "bf16", "int8")
    # Numbers of threads.
    threads: tuple[int, ...] = (1, 2)
    # Rounds that count.
    rounds: int = 15
    # Windows of speech at most.
    windows: int = 64
    # Rows and columns of the large products that give the peak.
    product: tuple[int, int] = (2048, 1536)
    # true: the smallest model, small products, two rounds.
    quick: bool = False
    # Folder for the results.
    output: str = "exp/benchmark"


def measured(options: dict[str, Any]) -> dict[str, Any]:
    """Everything for this process's number of threads; ``options`` as of :class:`LatencyConfig`."""
    config = from_dict(LatencyConfig, options)
    threads()
    model = open_model(config.model, config.system)
    windows = speech_windows(config, model.window)
    calibration, compared = windows[: len(windows) // 2], windows[len(windows) // 2 :]
    formats = number_formats()
    forms = [form for form in config.forms if form != "released_bf16" or "bfloat16" in formats]
    models = {form: _form(form, model, calibration) for form in forms}
    with torch.inference_mode():
        timings = paired(_calls(models, torch.from_numpy(compared[:1])), config.rounds)
        exact = _embeddings(models[forms[0]], forms[0], compared)
        near = {form: _nearness(_embeddings(models[form], form, compared), exact) for form in forms}
        peaks = {dtype: gemm_peak(dtype, *config.product) for dtype in formats}
    seconds: dict[str, dict[str, list[float]]] = {form: {} for form in forms}
    for (form, part), timing in timings.items():
        seconds[form][part] = list(timing.seconds)
    return {
        "macs": measure(model, torch.zeros(1, model.window)).macs, "gemm_peaks": peaks,
        "windows": len(compared), "seconds": seconds, "nearness": near,
    }  # fmt: skip


def speech_windows(config: LatencyConfig, window: int) -> np.ndarray:
    """Windows ``float32 (W, window)`` from evenly spaced utterances, one each; noise without speech."""
    if not config.speech:
        rng = np.random.default_rng(0)
        return rng.normal(0, 0.1, (config.windows, window)).astype(np.float32)
    if len(config.speech) == 1 and Path(config.speech[0], "wav.scp").exists():
        from svmixer.audio.dumpset import DumpSet

        dump = DumpSet(config.speech[0])
        chosen = np.linspace(0, len(dump) - 1, min(config.windows, len(dump))).round().astype(int)
        waves = [dump.read(int(index)) for index in np.random.default_rng(0).permutation(chosen)]
    else:
        from svmixer.audio.resample import to_mono_16k

        waves = [to_mono_16k(np.atleast_2d(wave), rate) for wave, rate in map(read_audio, config.speech)]
    return np.stack([utterance_windows(wave, window, "crops", 1)[0] for wave in waves])


def _form(form: str, model: SpeakerModel, calibration: np.ndarray) -> nn.Module:
    if form.startswith("released"):
        return released_form(model)
    if form == "plain":
        return model
    if form == "int8_all":
        return optimise(model, "int8", calibrate(model, calibration, limit=0))
    return optimise(model, form, calibrate(model, calibration) if form == "int8" else None)


def _run(form: str, call: Callable[[], Any]) -> Callable[[], Any]:
    if form != "released_bf16":
        return call

    def half() -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return call()

    return half


def _calls(models: dict[str, nn.Module], wave: torch.Tensor) -> dict[tuple[str, str], Callable[[], Any]]:
    """(form, part) → what to time."""
    calls = {}
    for form, model in models.items():
        student = model.student
        front = _front_end(model)
        features = _run(form, lambda front=front: front(wave))()
        states = _run(form, lambda student=student: student(wave))()
        parts = {
            "front end": lambda front=front: front(wave),
            "encoder": lambda model=model, features=features: _encode(model, features),
            "backend": lambda model=model, states=states: model.backend(states),
            "whole": lambda model=model: model(wave),
        }
        for part in PARTS:
            calls[form, part] = _run(form, parts[part])
    return calls


def _front_end(model: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    if isinstance(model, ReleasedModel):
        return model.student.features
    return lambda wave: model.student.feat_projection(model.student.conv_layers(wave))


def _encode(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    if isinstance(model, ReleasedModel):
        return model.student.encode(x)
    states = [x]
    for layer in model.student.layers:
        states.append(layer(states[-1]))
    states[-1] = model.student.layer_norm(states[-1])
    return torch.stack(states, dim=1)


def _embeddings(model: nn.Module, form: str, windows: np.ndarray) -> np.ndarray:
    rows = [_run(form, lambda row=row: model(torch.from_numpy(row[None])))() for row in windows]
    return torch.cat(rows).float().numpy()


def _nearness(found: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """``centred``: after the mean of the exact ones is taken off, which all utterances may have in common."""
    mean = exact.mean(axis=0)
    return {
        "largest_difference": float(np.abs(found - exact).max()),
        "lowest_cosine": float(cosines(found, exact).min()),
        "lowest_cosine_centred": float(cosines(found - mean, exact - mean).min()),
    }


def gemm_peak(dtype: str, rows: int, size: int) -> float:
    """Operations per second (two a multiplication) of a large product of packed weights."""
    if dtype == "int8":
        x = torch.randint(0, 255, (rows, size), dtype=torch.uint8)
        weight = torch.randint(-127, 127, (size, size), dtype=torch.int8)
        packed = torch.ops.onednn.qlinear_prepack(weight, None)
        scales, zeros = torch.ones(size), torch.zeros(size, dtype=torch.int64)
        arguments = (packed, scales, zeros, None, 1.0, 0, torch.float32, "none", [], "")
        seconds = paired({dtype: lambda: torch.ops.onednn.qlinear_pointwise(x, 1.0, 0, *arguments)}, 9)
    else:
        kind = getattr(torch, dtype)
        x = torch.randn(rows, size, dtype=kind)
        packed = torch.ops.mkldnn._reorder_linear_weight(torch.randn(size, size, dtype=kind), None)
        arguments = (packed, None, "none", [], "")
        seconds = paired({dtype: lambda: torch.ops.mkldnn._linear_pointwise(x, *arguments)}, 9)
    return 2 * rows * size * size / min(seconds[dtype].seconds)


def rows_of(number: int, found: dict[str, Any]) -> list[list[Any]]:
    """The table's rows of a number of threads; the first form is what the others are compared with."""
    timings = {
        form: {part: Timing(tuple(seconds)) for part, seconds in parts.items()}
        for form, parts in found["seconds"].items()
    }
    first = next(iter(timings.values()))["whole"]
    rows = []
    for form, times in timings.items():
        share = 2 * found["macs"] / times["whole"].median
        # Where there are no products in bfloat16, those of the form bf16 are in float32.
        peaks = found["gemm_peaks"]
        share /= peaks.get(DTYPES.get(form, "float32"), peaks["float32"])
        near = found["nearness"][form]
        rows.append([
            number, form, *(times[part].milliseconds() for part in PARTS),
            f"{first.over(times['whole']):.2f}", f"{share:.0%}", f"{near['largest_difference']:.1e}",
            f"{near['lowest_cosine']:.6f}", f"{near['lowest_cosine_centred']:.6f}",
        ])  # fmt: skip
    return rows


def result(by_threads: dict[int, dict[str, Any]], config: LatencyConfig) -> Result:
    """The table."""
    found = next(iter(by_threads.values()))
    audio = "speech" if config.speech else "noise"
    notes = [
        "Milliseconds, medians and quartiles of rounds in which all forms take turns. "
        f"{found['macs'] / 1e9:.2f} GMACs. Difference and cosines are those to {config.forms[0]}, on {audio} "
        f"(windows: {found['windows']}); centred: after the mean embedding is taken off."
    ]
    if not (config.speech and config.model):
        notes.append("With noise or random weights they say little of how near the forms are.")
    if "bfloat16" not in found["gemm_peaks"]:
        notes.append(
            "This processor has no products in bfloat16: bf16 rounds their factors and multiplies in float32."
        )
    for number, each in by_threads.items():
        peaks = ", ".join(
            f"{value / 1e9:.0f} GOP/s in {dtype}" for dtype, value in each["gemm_peaks"].items()
        )
        notes.append(f"Products of large matrices, threads: {number}: {peaks}.")
    header = ["threads", "form", *PARTS, "times faster", "of peak"]
    header += ["largest difference", "lowest cosine", "centred"]
    return Result(
        "latency", f"One window of {described(config.model, config.system)}, form by form", command_line(),
        header, [row for number, each in by_threads.items() for row in rows_of(number, each)], "rl" + "r" * 9,
        {"threads": {str(number): each for number, each in by_threads.items()}}, notes,
    )  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    config = parse_args(LatencyConfig, argv, __doc__)
    if config.quick:
        config = replace(config, system="svmixer_tiny+ecapa", rounds=2, windows=2, product=(256, 256))
    by_threads = {number: apart(measured, number, options=asdict(config)) for number in config.threads}
    print(write_result(result(by_threads, config), config.output))


if __name__ == "__main__":
    main()
