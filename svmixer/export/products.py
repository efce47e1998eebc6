"""Products in 8 bits in place of operators of a float ONNX graph: opset 20 alone, nothing of one runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto

# Largest weight, see svmixer.export.int8; largest value of a row, to both sides of MIDDLE.
WEIGHTS, ROWS, MIDDLE = 64, 127, 128
DOMAIN, PRODUCT = "svmixer", "Int8Product"


def write_products(source: Path, target: Path, nodes: Collection[str]) -> None:
    """Write the graph ``source`` with these operators, by name, as products in 8 bits.

    Raises:
        KeyError: one that :func:`constant_factors` does not list.
    """
    import onnx
    from onnx import helper

    model, weights = onnx.load(str(source)), constant_factors(source)
    rewriter = _Rewriter()
    rewritten = [
        rewriter.rewritten(node, weights[node.name]) if node.name in nodes else [node]
        for node in model.graph.node
    ]
    model.graph.initializer.extend(rewriter.constants)
    _keep_what_is_used(model.graph, [node for row in rewritten for node in row])
    if nodes:
        model.functions.append(_product())
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    onnx.save(model, str(target))


@dataclass(frozen=True)
class Weight:
    """The constant factor of an operator."""

    values: np.ndarray
    place: int  # which input of the operator it is


def constant_factors(source: Path) -> dict[str, Weight]:
    """The operators of a graph that :func:`write_products` can take, by name."""
    from onnx import numpy_helper

    # What is computed from constants alone is a constant here: transposed weights.
    graph = _folded(source).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    # Expanded over the windows of a batch: a weight that is the first factor.
    for node in graph.node:
        if node.op_type == "Expand" and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
    found = {}
    for node in graph.node:
        places = [place for place, name in enumerate(node.input[:2]) if name in constants]
        if node.op_type not in ("MatMul", "Conv") or not places:
            continue
        values, place = numpy_helper.to_array(constants[node.input[places[-1]]]), places[-1]
        if node.op_type == "Conv":
            fits = _attribute(node, "group", 1) == 1 and (values.ndim == 3 or values.shape[2] == 1)
        else:
            fits = place == 1 or values.ndim == 2
        if fits:
            found[node.name] = Weight(values, place)
    return found


def _folded(source: Path) -> ModelProto:
    """The graph with what is computed from constants alone as constants."""
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


def _keep_what_is_used(graph: GraphProto, nodes: list[NodeProto]) -> None:
    """Make ``nodes`` those of the graph, without what no output depends on."""
    used, kept = {output.name for output in graph.output}, []
    for node in reversed(nodes):
        if used & set(node.output):
            used |= set(node.input)
            kept.append(node)
    tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(tensors)


class _Rewriter:
    """New operators for old ones of one graph, and the constants that they read."""

    def __init__(self) -> None:
        self.constants: list[TensorProto] = []
        self._new: list[NodeProto] = []

    def rewritten(self, node: NodeProto, weight: Weight) -> list[NodeProto]:
        """What takes the place of ``node``."""
        self._new = []
        values = weight.values
        if node.op_type == "Conv":
            # (C_out, C_in, [1,] k) → for rows of k stretches of C_in values.
            flat = values.reshape(*values.shape[:2], -1)
            factors = self._factors(flat.transpose(2, 1, 0).reshape(-1, len(values)))
            self._convolution(node, values, factors)
        elif weight.place == 1:
            self._add(PRODUCT, [node.input[0], *self._factors(values)], node.output[0])
        else:
            rows = self._add("Transpose", [node.input[1]], perm=[0, 2, 1])
            y = self._add(PRODUCT, [rows, *self._factors(values.T)])
            self._add("Transpose", [y], node.output[0], perm=[0, 2, 1])
        for number, new in enumerate(self._new):
            new.name = f"{node.name}_8bit_{number}"
        return self._new

    def _factors(self, weight: np.ndarray) -> list[str]:
        """A weight ``(..., K, N)`` as codes and steps."""
        largest = np.abs(weight).max(axis=-2, keepdims=True)
        steps = np.maximum(largest, np.finfo(np.float32).tiny) / np.float32(WEIGHTS)
        codes = np.round(weight / steps).astype(np.int8)
        return [self._constant(codes), self._constant(steps if weight.ndim > 2 else steps[0])]

    def _convolution(self, node: NodeProto, weight: np.ndarray, factors: list[str]) -> None:
        """``(B, C_in, [1,] T)`` → ``(B, C_out, [1,] T')`` over rows ``(B, T', k · C_in)``."""
        flat = weight.ndim == 3
        x = node.input[0] if flat else self._add("Squeeze", [node.input[0], self._constant(np.int64([2]))])
        x = self._add("Transpose", [x], perm=[0, 2, 1])
        taps = weight.shape[-1]
        stride = _attribute(node, "strides", [1])[-1]
        dilation = _attribute(node, "dilations", [1])[-1]
        pads = _attribute(node, "pads", [0, 0])
        first, last = pads[len(pads) // 2 - 1], pads[-1]
        if first or last:
            x = self._add("Pad", [x, self._constant(np.int64([0, first, 0, 0, last, 0]))])
        if taps > 1 or stride > 1:
            x = self._add(
                "Concat", [self._tap(x, tap, taps, stride, dilation) for tap in range(taps)], axis=2
            )
        y = self._add(PRODUCT, [x, *factors])
        if len(node.input) > 2 and node.input[2]:
            y = self._add("Add", [y, node.input[2]])
        if flat:
            self._add("Transpose", [y], node.output[0], perm=[0, 2, 1])
        else:
            y = self._add("Transpose", [y], perm=[0, 2, 1])
            self._add("Unsqueeze", [y, self._constant(np.int64([2]))], node.output[0])

    def _tap(self, x: str, tap: int, taps: int, stride: int, dilation: int) -> str:
        """The frames ``(B, T', C_in)`` that meet one position of the kernel."""
        behind = dilation * (taps - 1 - tap)
        bounds = [[tap * dilation], [-behind if behind else np.iinfo(np.int64).max], [1], [stride]]
        return self._add("Slice", [x, *(self._constant(np.int64(bound)) for bound in bounds)])

    def _add(self, kind: str, inputs: list[str], output: str = "", **attributes: object) -> str:
        from onnx import helper

        output = output or f"{inputs[0]}_{kind}_{len(self.constants)}_{len(self._new)}"
        domain = {"domain": DOMAIN} if kind == PRODUCT else {}
        self._new.append(helper.make_node(kind, inputs, [output], **domain, **attributes))
        return output

    def _constant(self, values: np.ndarray) -> str:
        from onnx import numpy_helper

        name = f"int8_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name


def _attribute(node: NodeProto, name: str, default: object) -> object:
    from onnx import helper

    return next((helper.get_attribute_value(item) for item in node.attribute if item.name == name), default)


def _product() -> FunctionProto:
    """``x (..., M, K)``, ``w int8 (..., K, N)``, ``scale (..., 1, N)`` or ``(N)`` → ``x · (w · scale)``.

    Every row of x is rounded to steps of a 127th of its largest absolute value.
    """
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        "last": np.int64([-1]), "fraction": np.float32(1 / ROWS), "least": np.finfo(np.float32).tiny,
        "middle": np.uint8(MIDDLE),
    }  # fmt: skip
    nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(value)))
        for name, value in constants.items()
    ]
    for kind, inputs, output, attributes in (
        ("Abs", ["x"], "size", {}),
        ("ReduceMax", ["size", "last"], "largest", {"keepdims": 1}),
        ("Mul", ["largest", "fraction"], "exact", {}),
        ("Max", ["exact", "least"], "step", {}),  # of a row of zeros, too
        ("Reshape", ["step", "last"], "steps", {}),
        ("Shape", ["steps"], "count", {}),
        ("Expand", ["middle", "count"], "middles", {}),
        ("Flatten", ["x"], "rows", {"axis": -1}),
        ("QuantizeLinear", ["rows", "steps", "middles"], "codes", {"axis": 0}),
        ("Shape", ["x"], "shape", {}),
        ("Reshape", ["codes", "shape"], "q", {}),
        ("MatMulInteger", ["q", "w", "middle"], "sum", {}),
        ("Cast", ["sum"], "float", {"to": TensorProto.FLOAT}),
        ("Mul", ["float", "scale"], "scaled", {}),
        ("Mul", ["scaled", "step"], "y", {}),
    ):
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
    return helper.make_function(
        DOMAIN, PRODUCT, ["x", "w", "scale"], ["y"], nodes, [helper.make_opsetid("", 20)]
    )
