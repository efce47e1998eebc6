"""Products in 8 bits: the right ones, also where a processor adds them in 16 bits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from svmixer.export.check import run_windows
from svmixer.export.products import ROWS, WEIGHTS, constant_factors, write_products
from svmixer.inference.onnx_model import open_session, run_session

RNG = np.random.default_rng(0)


def write_operator(path, kind, shape, weights, **attributes):
    """A graph of one operator with the constant inputs ``weights``; None stands for the variable one."""
    names = ["wave" if values is None else f"w{number}" for number, values in enumerate(weights)]
    graph = helper.make_graph(
        [helper.make_node(kind, names, ["embedding"], "product", **attributes)], "g",
        [helper.make_tensor_value_info("wave", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name)
         for name, values in zip(names, weights, strict=True) if values is not None],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)


def whole_numbers(most, shape):
    """Floats that ``most`` steps to both sides hold exactly, with one of the largest everywhere it counts."""
    return RNG.integers(-most, most + 1, shape).astype(np.float32)


def weight(inputs, *shape):
    """Whole numbers, every output's largest being WEIGHTS; ``inputs`` is the axis of the inputs."""
    values = whole_numbers(WEIGHTS, shape)
    first = [slice(None)] * len(shape)
    first[inputs] = 0
    values[tuple(first)] = WEIGHTS
    return values


def conv(*shape):
    """A kernel ``(C_out, C_in, ..., k)``, every output's largest weight being WEIGHTS."""
    values = whole_numbers(WEIGHTS, shape)
    values.reshape(shape[0], -1)[:, 0] = -WEIGHTS
    return values


BIAS = whole_numbers(9, (5,))


@pytest.mark.parametrize(
    ("kind", "shape", "weights", "attributes"),
    [
        ("MatMul", (2, 7, 6), [None, weight(0, 6, 5)], {}),
        ("MatMul", (4, 7, 6), [None, weight(1, 4, 6, 5)], {}),
        ("MatMul", (2, 6, 7), [weight(1, 5, 6), None], {}),
        ("Conv", (2, 6, 17), [None, conv(5, 6, 3)], {"strides": [2]}),
        ("Conv", (2, 6, 17), [None, conv(5, 6, 3), BIAS], {"pads": [2, 2], "dilations": [2]}),
        ("Conv", (2, 6, 1, 17), [None, conv(5, 6, 1, 4), BIAS], {"strides": [1, 3], "pads": [0, 1, 0, 2]}),
        ("Conv", (2, 6, 17), [None, conv(5, 6, 1)], {}),
    ],
)
def test_whole_numbers_are_multiplied_exactly(kind, shape, weights, attributes, tmp_path):
    source, target = tmp_path / "float.onnx", tmp_path / "int8.onnx"
    write_operator(source, kind, shape, weights, **attributes)
    x = whole_numbers(ROWS, shape)
    # Every row has a value that makes its step one; rows are over the second axis but where it is the last.
    rows = 2 if kind == "MatMul" and weights[0] is None else 1
    x[(slice(None),) * rows + (0,)] = ROWS
    x[(slice(None),) * rows + (1,)] = -ROWS
    assert list(constant_factors(source)) == ["product"]
    write_products(source, target, ["product"])
    kinds = {tensor.data_type for tensor in onnx.load(target).graph.initializer}
    assert TensorProto.INT8 in kinds
    expected, found = (run_session(open_session(path, 1), x) for path in (source, target))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-3)


def test_quiet_rows_keep_their_bits_and_silence_is_silence(tmp_path):
    rng = np.random.default_rng(1)
    w = rng.standard_normal((256, 128)).astype(np.float32)
    source, target = tmp_path / "float.onnx", tmp_path / "int8.onnx"
    write_operator(source, "MatMul", ("n", 256), [None, w])
    write_products(source, target, ["product"])
    x = rng.standard_normal((4, 256)).astype(np.float32) * np.float32([[1], [1e-4], [1e4], [0]])
    found = run_session(open_session(target, 1), x)
    error = np.linalg.norm(found - x @ w, axis=1) / np.maximum(np.linalg.norm(x @ w, axis=1), 1e-30)
    assert (error[:3] < 0.03).all() and not found[3].any()
    # The step of a row is its own: alone it gives the same.
    np.testing.assert_array_equal(found[1:2], run_session(open_session(target, 1), x[1:2]))


@pytest.mark.parametrize("kind", ["grouped", "two-dimensional", "variable"])
def test_other_operators_are_left_alone(kind, tmp_path):
    path = tmp_path / "g.onnx"
    if kind == "grouped":
        write_operator(path, "Conv", (1, 6, 17), [None, conv(6, 3, 3)], group=2)
    elif kind == "two-dimensional":
        write_operator(path, "Conv", (1, 6, 5, 17), [None, conv(6, 6, 3, 3)])
    else:
        write_operator(path, "MatMul", (4, 4), [None, None])
    assert constant_factors(path) == {}
    with pytest.raises(KeyError):
        write_products(path, tmp_path / "int8.onnx", ["product"])


def largest_products(folder):
    """A graph whose every product is the largest there is, rows for it, and what it has to give."""
    w = np.ones((128, 16), np.float32)
    w[:, 8:] = -1
    write_operator(folder / "float.onnx", "MatMul", ("n", 128), [None, w])
    write_products(folder / "float.onnx", folder / "int8.onnx", ["product"])
    rows = np.stack([np.ones(128), -np.ones(128), np.tile([1.0, -1.0], 64)]).astype(np.float32)
    return folder / "int8.onnx", rows, rows @ w


def test_the_largest_products_of_bytes_are_not_cut_off(tmp_path):
    path, rows, expected = largest_products(tmp_path)
    np.testing.assert_allclose(run_windows(path, rows), expected, atol=1e-3)
    # As x86 without VNNI adds: two neighbours in 16 bits. Codes of rows are bytes without a sign.
    graph = onnx.load(path).graph
    codes = next(numpy_helper.to_array(t) for t in graph.initializer if t.data_type == TensorProto.INT8)
    pairs = 255 * codes.astype(int).reshape(-1, 2, codes.shape[1]).sum(axis=1)
    assert np.abs(codes.astype(int)).max() == WEIGHTS and np.abs(pairs).max() == 2 * 255 * WEIGHTS < 2**15


OTHER = """
import sys
sys.path[:0] = sys.argv[4].split(":")
import numpy as np, onnxruntime
from numpy._core._multiarray_umath import __cpu_features__ as features
assert features["AVX2"] and not any(features[name] for name in features if name.startswith("AVX512"))
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
windows = np.load(sys.argv[2])
np.save(sys.argv[3], np.concatenate([session.run(None, {"wave": row[None]})[0] for row in windows]))
"""


def run_with_avx2(path, windows, folder):
    """What a graph gives on an emulated processor with AVX2, without AVX-512 and VNNI."""
    np.save(folder / "windows.npy", windows)
    program = [os.path.realpath(sys.executable), "-c", OTHER, str(path), str(folder / "windows.npy")]
    paths = os.pathsep.join(path for path in sys.path if path)
    command = ["qemu-x86_64", "-cpu", "max", *program, str(folder / "found.npy"), paths]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return np.load(folder / "found.npy")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("qemu-x86_64"), reason="needs qemu-x86_64, Debian's package qemu-user")
def test_an_older_processor_gives_the_same(exported, tmp_path):
    """ONNX Runtime's own code for AVX2: the largest products, and embeddings to 1e-3."""
    path, rows, expected = largest_products(tmp_path)
    np.testing.assert_allclose(run_with_avx2(path, rows, tmp_path), expected, atol=1e-3)
    time = np.arange(8000) / 16000
    tones = np.sin(2 * np.pi * RNG.uniform(80, 3000, (8, 1)) * time) * RNG.uniform(0.05, 0.5, (8, 1))
    windows = (tones + 0.02 * RNG.standard_normal((8, 8000))).astype(np.float32)
    here = run_windows(exported / "model.int8.onnx", windows)
    there = run_with_avx2(exported / "model.int8.onnx", windows, tmp_path)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (here, there)]
    np.testing.assert_allclose(*unit, atol=1e-3, rtol=0)
