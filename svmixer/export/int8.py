"""An ONNX graph whose large products are computed in 8 bits, as far as the embeddings allow it.

A weight has a step for each output. The rows that it is multiplied with (frames, or channels where the
product is over time) have one each, taken from the row as the graph runs: nothing has to be calibrated, a
quiet frame keeps its bits beside a loud one, and other windows of a batch make no difference. A convolution
becomes a product of rows, each what one output frame sees.

Weights have 7 bits and a sign: x86 processors without VNNI add two products of bytes in 16 bits and cut off
what does not fit, and 2 · 255 · 64 fits. With 8 bits they would give other embeddings there than elsewhere.

Which parts of the model bear it is measured: each is computed in 8 bits by itself, and those that change the
embeddings least are taken together. The others keep float weights, in 16 bits in the file.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Collection, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from svmixer.export.check import cosines, run_windows
from svmixer.export.products import constant_factors, write_products
from svmixer.fileio import atomic_path
from svmixer.log import get_logger

logger = get_logger(__name__)

# Weights of an operator from which on 8 bits save more than finding the steps of the rows costs.
LARGE = 1 << 15
# Elements of a tensor that is not worth a cast.
SMALL = 1024
# Where the exporter writes which module an operator comes from.
SCOPES = "pkg.torch.onnx.name_scopes"


@dataclass(frozen=True)
class Bench:
    """What 8-bit graphs are made from and measured on."""

    source: Path  # float graph
    windows: np.ndarray  # of speech, float32 (W, window)
    exact: np.ndarray  # embeddings (W, D) of ``windows`` by the float graph
    fixed: frozenset[str] = frozenset()  # tensors that are not learnt: they keep all their bits
    threads: int = 0  # of one run; 0 takes all processors

    def loss(self, nodes: Collection[str]) -> float:
        """1 − the lowest cosine of the embeddings with these operators in 8 bits with the exact ones."""
        with tempfile.TemporaryDirectory() as folder:
            trial = Path(folder) / "trial.onnx"
            self.write(trial, nodes)
            return 1 - float(cosines(run_windows(trial, self.windows, self.threads), self.exact).min())

    def write(self, target: Path, nodes: Collection[str]) -> None:
        """The graph with these operators in 8 bits; weights of the others have 16 in the file."""
        write_products(self.source, target, nodes)
        store_in_16_bits(target, self.fixed)


class Quantiser:
    """Measures once what each part costs in 8 bits, then writes the graph with those that a budget allows.

    Args:
        source: float graph, as :func:`svmixer.export.graph.write_graph` writes it.
        windows: of speech, ``float32 (W, window)``.
        jobs: processes that measure parts at the same time.
        fixed: names of tensors of the graph that are not learnt; they keep all their bits.
    """

    def __init__(self, source: Path, windows: np.ndarray, jobs: int = 1, fixed: Iterable[str] = ()) -> None:
        exact = run_windows(source, windows)
        self._bench = Bench(source, windows, exact, frozenset(fixed), 1 if jobs > 1 else 0)
        self._parts = find_parts(source)
        losses = zip(self._parts, _one_by_one(self._bench, list(self._parts.values()), jobs), strict=True)
        # Part → 1 − lowest cosine with it alone in 8 bits, the cheapest first.
        self.losses = dict(sorted(losses, key=lambda pair: pair[1]))
        for name, loss in self.losses.items():
            logger.info("8 bits in %s alone: lowest cosine %.6f", name, 1 - loss)

    def write(self, target: Path, budget: float) -> list[str]:
        """Write the graph, which is whole or absent; the names of its 8-bit parts.

        Args:
            target: of the 8-bit graph.
            budget: what the parts may cost when their losses are added up, as those of independent errors
                add; the cheapest are taken.
        """
        within = np.cumsum(list(self.losses.values())) <= budget
        taken = [name for name, fits in zip(self.losses, within, strict=True) if fits]
        with atomic_path(target) as temporary:
            self._bench.write(temporary, [node for name in taken for node in self._parts[name]])
        return taken


def find_parts(source: Path) -> dict[str, list[str]]:
    """Operators that could take 8 bits, by the part of the model that they belong to."""
    import onnx

    able = {name for name, weight in constant_factors(source).items() if weight.values.size >= LARGE}
    found: dict[str, list[str]] = {}
    for node in onnx.load(str(source)).graph.node:
        if node.name in able:
            scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "")
            found.setdefault(_part_of(scopes), []).append(node.name)
    return found


def _part_of(scopes: str) -> str:
    """``['', 'model', …, 'model.student.layers.0.token_mixing.linear1', 'linear']`` → a part's name.

    A product of all encoder layers is one part, a layer of the front end another, a block of the backend.
    """
    modules = [word.strip(" '\"") for word in scopes.strip("[]").split(",")]
    longest = max((word for word in modules if word.startswith("model.")), key=len, default="rest")
    words = longest.removeprefix("model.").split(".")
    if words[:2] == ["student", "layers"]:
        return ".".join([*words[:2], *words[3:]])
    return ".".join(words[:3] if words[0] == "student" else words[:2])


def _one_by_one(bench: Bench, parts: list[list[str]], jobs: int) -> list[float]:
    """The loss with each part alone in 8 bits."""
    if jobs == 1:
        return [bench.loss(nodes) for nodes in parts]
    # Not forked: the threads of torch and onnxruntime do not live on in a copy.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(partial(Bench.loss, bench), parts))


def store_in_16_bits(path: Path, but: Collection[str]) -> None:
    """Halve float weights in a graph's file; they are made float32 again when a session is opened.

    Places that ``Gather`` reads are halved, too: to 32 bits, which it takes as they are.

    Args:
        path: of the graph, which is written again, without the exporter's notes on its operators.
        but: names of tensors that stay as they are, as do small ones and those beyond the range of 16 bits.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(path))
    others = {name for node in model.graph.node if node.op_type != "Gather" for name in node.input}
    casts = []
    for tensor in model.graph.initializer:
        if tensor.name in but or tensor.data_type not in (onnx.TensorProto.FLOAT, onnx.TensorProto.INT64):
            continue
        values = numpy_helper.to_array(tensor)
        if tensor.data_type == onnx.TensorProto.INT64:
            if values.size >= SMALL and tensor.name not in others and np.abs(values).max() < 2**31:
                tensor.CopyFrom(numpy_helper.from_array(values.astype(np.int32), tensor.name))
            continue
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
