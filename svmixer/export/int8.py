"""An ONNX graph with 8-bit weights and activations, as far as the embeddings allow it.

Static quantisation: ranges of activations come from training speech. Which parts of the model bear it is
measured: each is quantised by itself, and those that change the embeddings least are taken together, as many
as the limit allows. The others keep float weights, in 16 bits in the file.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import tempfile
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from svmixer.export.check import cosines, run_windows
from svmixer.fileio import atomic_path
from svmixer.inference.onnx_model import INPUT
from svmixer.log import get_logger

logger = get_logger(__name__)

OPERATORS = ("Conv", "MatMul", "Gemm")
# Elements of a tensor that is not worth a cast.
SMALL = 1024
# Where the exporter writes which module an operator comes from.
SCOPES = "pkg.torch.onnx.name_scopes"


@dataclass(frozen=True)
class Part:
    """Operators of one part of the model."""

    name: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Bench:
    """What 8-bit graphs are made from and measured on."""

    source: Path  # float graph in the textbook form
    # Windows of training speech float32 (C, window) that the ranges are taken from, and others (W, window).
    calibration: np.ndarray
    windows: np.ndarray
    exact: np.ndarray  # embeddings (W, D) of ``windows`` by the float graph
    fixed: frozenset[str] = frozenset()  # tensors that are not learnt: they keep all their bits
    threads: int = 0  # of one run; 0 takes all processors

    def lowest_cosine(self, parts: list[Part]) -> float:
        """Between the embeddings of ``windows`` with 8 bits in these parts and the exact ones."""
        with tempfile.TemporaryDirectory() as folder:
            trial = Path(folder) / "trial.onnx"
            self.write(trial, parts)
            return float(cosines(run_windows(trial, self.windows, self.threads), self.exact).min())

    def write(self, target: Path, parts: list[Part]) -> None:
        """The graph with 8 bits in these parts; weights of the others have 16 in the file."""
        if parts:
            self._quantise(target, parts)
        else:
            target.write_bytes(self.source.read_bytes())
        store_in_16_bits(target, self.fixed)

    def _quantise(self, target: Path, parts: list[Part]) -> None:
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

        # The quantiser leaves a file beside what it reads.
        with _quiet(), tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "source.onnx"
            source.symlink_to(self.source.resolve())
            quantize_static(
                str(source),
                str(target),
                _Reader(self.calibration),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                # Signed weights are faster with VNNI; but without it x86 adds their products in 16 bits and
                # cuts off what does not fit, so that a file would be checked here and wrong elsewhere.
                weight_type=QuantType.QUInt8,
                nodes_to_quantize=[node for part in parts for node in part.nodes],
            )


class Quantiser:
    """Ranks the parts of a graph once, then writes it with as many 8-bit parts as a limit allows.

    Args:
        source: float graph in the textbook form.
        calibration: windows of training speech ``float32 (C, window)`` that the ranges are taken from.
        windows: other windows ``float32 (W, window)`` of training speech, on which the cost is measured.
        jobs: processes that measure parts at the same time.
        fixed: names of tensors of the graph that are not learnt; they keep all their bits.
    """

    def __init__(
        self,
        source: Path,
        calibration: np.ndarray,
        windows: np.ndarray,
        jobs: int = 1,
        fixed: Iterable[str] = (),
    ) -> None:
        exact = run_windows(source, windows)
        threads = 1 if jobs > 1 else 0
        self._bench = Bench(source, calibration, windows, exact, frozenset(fixed), threads)
        found = find_parts(source)
        ranked = sorted(
            zip(_one_by_one(self._bench, found, jobs), found, strict=True), key=lambda pair: -pair[0]
        )
        for cosine, part in ranked:
            logger.info("8 bits in %s alone: lowest cosine %.6f", part.name, cosine)
        # What each costs alone, the cheapest first.
        self.parts = [part for _, part in ranked]
        self.alone = [cosine for cosine, _ in ranked]
        # Number of parts taken together → lowest cosine.
        self._together: dict[int, float] = {}

    def write(self, target: Path, limit: float) -> list[str]:
        """Write the graph, which is whole or absent, with its names of 8-bit parts as the result.

        Args:
            target: of the 8-bit graph.
            limit: lowest cosine with the float embeddings, on the windows that the parts were ranked on.
        """
        taken = self.parts[: self._most(limit)]
        with atomic_path(target) as temporary:
            self._bench.write(temporary, taken)
        return [part.name for part in taken]

    def _most(self, limit: float) -> int:
        """How many parts, the cheapest first, stay within the limit together; found by halving."""
        low, high = 0, sum(cosine >= limit for cosine in self.alone)
        middle = high
        while low < high:
            if middle not in self._together:
                self._together[middle] = self._bench.lowest_cosine(self.parts[:middle])
                logger.info("8 bits in %d parts: lowest cosine %.6f", middle, self._together[middle])
            if self._together[middle] >= limit:
                low = middle
            else:
                high = middle - 1
            middle = (low + high + 1) // 2
        return low


def store_in_16_bits(path: Path, but: Collection[str]) -> None:
    """Halve float weights in a graph's file; they are made float32 again when a session is opened.

    Args:
        path: of the graph, which is written anew, without the exporter's notes on its operators.
        but: names of tensors that stay as they are, as do small ones and those beyond the range of 16 bits.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(path))
    casts = []
    for tensor in model.graph.initializer:
        if tensor.name in but or tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < SMALL or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_16"))
        casts.append(
            helper.make_node("Cast", [f"{name}_16"], [name], f"{name}_cast", to=onnx.TensorProto.FLOAT)
        )
    nodes = list(model.graph.node)
    for node in nodes:
        del node.metadata_props[:]
    del model.graph.node[:]
    model.graph.node.extend(casts + nodes)
    onnx.save(model, str(path))


def find_parts(source: Path) -> list[Part]:
    """Operators with weights, by the layer, or the part of a layer, that they belong to."""
    import onnx

    found: dict[str, list[str]] = {}
    for node in onnx.load(str(source), load_external_data=False).graph.node:
        if node.op_type not in OPERATORS:
            continue
        scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "")
        found.setdefault(_part_of(scopes), []).append(node.name)
    return [Part(name, tuple(nodes)) for name, nodes in found.items()]


def _part_of(scopes: str) -> str:
    """``['', 'model', …, 'model.student.layers.0.token_mixing.linear1', 'linear']`` → a part's name."""
    modules = [word.strip(" '\"") for word in scopes.strip("[]").split(",")]
    longest = max((word for word in modules if word.startswith("model.")), key=len, default="rest")
    words = longest.removeprefix("model.").split(".")
    return ".".join(words[:4] if words[:2] == ["student", "layers"] else words[:3])


def _one_by_one(bench: Bench, parts: list[Part], jobs: int) -> list[float]:
    """Lowest cosine with each part alone in 8 bits."""
    alone = [[part] for part in parts]
    if jobs == 1:
        return [bench.lowest_cosine(one) for one in alone]
    # Not forked: the threads of torch and onnxruntime do not live on in a copy.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(partial(Bench.lowest_cosine, bench), alone))


class _Reader:
    """What the quantiser reads: one window at a time."""

    def __init__(self, windows: np.ndarray) -> None:
        self._windows: Iterator[np.ndarray] = iter(windows)

    def get_next(self) -> dict[str, np.ndarray] | None:
        window = next(self._windows, None)
        return None if window is None else {INPUT: window[None]}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser advises steps that have been taken, or would slow the graph down."""

    def ours(record: logging.LogRecord) -> bool:
        return record.name != "root"

    logging.root.addFilter(ours)
    try:
        yield
    finally:
        logging.root.removeFilter(ours)
