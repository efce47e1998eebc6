"""What share of the machine's own matrix products a model reaches, measured in the same run.

The peak is the fastest of some square products: float32 and bfloat16 by torch, int8 by ONNX Runtime. The
model's share is its multiply-accumulates (Linear and Conv layers, as the paper counts) a second over those of
the peak. Model, parts and products take turns, so a slow minute of the machine meets all of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from apart import apart, threads
from measure import Result, Timing, command_line, number_formats, paired, write_result
from systems import build_system

from svmixer.config import parse_args


@dataclass(frozen=True)
class PeakConfig:
    """Options of the script."""

    # A student of conf/student and a backend of conf/backend.
    system: str = "svmixer_small+ecapa"
    # Windows of 3 s at once.
    batches: tuple[int, ...] = (1, 8)
    # Rows and columns of the square matrices; the fastest counts.
    sizes: tuple[int, ...] = (1024, 2048, 4096)
    # Numbers of threads.
    threads: tuple[int, ...] = (1, 2)
    # Rounds that are counted.
    rounds: int = 5
    # true: the smallest model, small matrices, two rounds.
    quick: bool = False
    # Folder for the results.
    output: str = "exp/benchmark"


def products(size: int, folder: Path) -> dict[str, Callable[[], object]]:
    """Products of two square matrices: number format → call."""
    import torch

    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(size, size, generator=generator) for _ in range(2))
    out = torch.empty_like(first)
    half = [matrix.bfloat16() for matrix in (first, second, out)]
    calls = {
        "float32": lambda: torch.mm(first, second, out=out),
        "bfloat16": lambda: torch.mm(half[0], half[1], out=half[2]),
        "int8": int8_product(size, folder / f"{size}.onnx"),
    }
    return {kind: calls[kind] for kind in number_formats()}


def int8_product(size: int, path: Path) -> Callable[[], object]:
    """The product of unsigned and signed bytes with constant weights, as in a quantised model."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from svmixer.inference.onnx_model import open_session

    rng = np.random.default_rng(0)
    weights = numpy_helper.from_array(rng.integers(-127, 128, (size, size)).astype(np.int8), "b")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["y"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [size, size])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [size, size])],
        [weights],
    )
    # Versions that ONNX Runtime of setup.cfg's range reads, whatever onnx writes by default.
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), str(path))
    session = open_session(path, threads())
    inputs = {"a": rng.integers(0, 256, (size, size)).astype(np.uint8)}
    return lambda: session.run(None, inputs)


def parts(system: str, batch: int) -> dict[str, tuple[Any, Any]]:
    """The whole model and its parts: name → (module, its input)."""
    import torch
    from torch import nn

    model = build_system(system)
    student = model.student
    wave = 0.1 * torch.randn(batch, model.window, generator=torch.Generator().manual_seed(0))
    front = nn.Sequential(student.conv_layers, student.feat_projection).eval()
    with torch.no_grad():
        features, states = front(wave), student(wave)
    return {
        "whole": (model, wave),
        "front end, projection": (front, wave),
        "layers": (student.layers, features),
        "backend": (model.backend, states),
    }


def run_layers(module: Any, x: Any) -> Any:
    """A module's output; those of a list one after the other."""
    from torch import nn

    if not isinstance(module, nn.ModuleList):
        return module(x)
    for layer in module:
        x = layer(x)
    return x


def measured(system: str, batches: list[int], sizes: list[int], rounds: int) -> dict[str, Any]:
    """MACs a call and seconds of every round, of products (``mm <format> <size>``) and of parts."""
    import torch

    threads()
    macs: dict[str, int] = {}
    calls: dict[str, Callable[[], object]] = {}
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        for size in sizes:
            for kind, call in products(size, Path(folder)).items():
                calls[f"mm {kind} {size}"], macs[f"mm {kind} {size}"] = call, size**3
        for batch in batches:
            for name, (module, x) in parts(system, batch).items():
                macs[f"{name}, batch {batch}"] = layer_macs(module, x)
                calls[f"{name}, batch {batch}"] = lambda m=module, x=x: run_layers(m, x)
        timings = paired(calls, rounds)
    return {name: {"macs": macs[name], "seconds": list(timing.seconds)} for name, timing in timings.items()}


def layer_macs(module: Any, x: Any) -> int:
    """MACs of the Linear and Conv layers in one call."""
    from svmixer.models.costs import LayerCounter

    with LayerCounter(module) as counter:
        run_layers(module, x)
    return counter.macs


def rate(item: dict[str, Any]) -> float:
    """Billions of multiply-accumulates a second, by the median round."""
    return item["macs"] / Timing(tuple(item["seconds"])).median / 1e9


def share(item: dict[str, Any], peak: dict[str, Any]) -> float:
    """Rate of one over that of the other: the median of the rounds' ratios."""
    ratio = Timing(tuple(peak["seconds"])).over(Timing(tuple(item["seconds"])))
    return ratio * item["macs"] / peak["macs"]


def fastest(found: dict[str, dict[str, Any]], kind: str) -> str:
    """Name of the product of this format with the highest rate."""
    return max((name for name in found if name.startswith(f"mm {kind} ")), key=lambda name: rate(found[name]))


def results(by_threads: dict[int, dict[str, dict[str, Any]]], config: PeakConfig) -> list[Result]:
    """The table of the machine's peaks and that of the model."""
    command = command_line()
    peaks, rows, figures = [], [], {}
    for number, found in by_threads.items():
        formats = dict.fromkeys(name.split()[1] for name in found if name.startswith("mm "))
        best = {kind: fastest(found, kind) for kind in formats}
        for kind, name in best.items():
            peaks.append([number, kind, name.rpartition(" ")[2], f"{rate(found[name]):.0f}"])
        shares = {}
        for name, item in found.items():
            if name.startswith("mm "):
                continue
            shares[name] = share(item, found[best["float32"]])
            part, _, batch = name.partition(", batch ")
            rows.append(
                [
                    number, batch, part, f"{item['macs'] / int(batch) / 1e9:.2f}",
                    Timing(tuple(item["seconds"])).milliseconds(), f"{rate(item):.0f}", f"{shares[name]:.0%}",
                ]
            )  # fmt: skip
        figures[str(number)] = {"measured": found, "peak": best, "share": shares}
    turns = "All products and parts take turns in one process a number of threads"
    return [
        Result(
            "peak", f"{config.system}: share of the machine's matrix products", command,
            ["threads", "batch", "part", "GMACs a window", "ms", "GMACs/s", "of the float32 peak"], rows,
            "rrlrrrr", {"system": config.system, "threads": figures},
            [
                f"PyTorch, float32, windows of 3 s. {turns}; the share is the median of the rounds' "
                "ratios. GMACs of Linear and Conv layers; what norms, activations and copies take is "
                "part of the time alone."
            ],
        ),
        Result(
            "peak_machine", "The machine's matrix products", command,
            ["threads", "format", "fastest size", "GMACs/s"], peaks, "rlrr", {},
            [
                f"`torch.mm` and, for int8, ONNX Runtime's `MatMulInteger`; square matrices. {turns}. A "
                "processor without products in bfloat16 has no row of them."
            ],
        ),
    ]  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    config = parse_args(PeakConfig, argv, __doc__)
    if config.quick:
        small = {"system": "svmixer_tiny+statistics", "batches": (1, 2), "sizes": (128, 256), "rounds": 2}
        config = replace(config, **small)
    options = {name: getattr(config, name) for name in ("system", "batches", "sizes", "rounds")}
    by_threads = {number: apart(measured, number, **options) for number in config.threads}
    for item in results(by_threads, config):
        print(write_result(item, config.output))


if __name__ == "__main__":
    main()
