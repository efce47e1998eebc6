"""The JavaScript module's reader of .npy files against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from node_side import needs_node, run_js

pytestmark = needs_node

READ = "return data.map((name) => sv.readNpy(array(name, Uint8Array), name));"


def test_every_half_precision_number(tmp_path):
    """All 65,536 of them, as bits, for JSON has neither infinities nor what is no number."""
    values = np.arange(2**16, dtype=np.uint16).reshape(128, 512).view(np.float16)
    np.save(tmp_path / "half.npy", values)
    code = """
    return sv.readNpy(array("half.npy", Uint8Array)).map((row) => new Uint32Array(row.buffer));
    """
    bits = np.array(run_js(tmp_path, code), dtype=np.uint32)
    found, expected = bits.view(np.float32), values.astype(np.float32)
    np.testing.assert_array_equal(found, expected)
    assert (np.signbit(found) == np.signbit(expected))[~np.isnan(expected)].all()


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_versions_of_the_format(tmp_path, kind, version):
    values = np.random.default_rng(0).standard_normal((3, 70001)).astype(kind)
    with open(tmp_path / "a.npy", "wb") as stream:
        np.lib.format.write_array(stream, values, version=version)
    (found,) = run_js(tmp_path, READ, ["a.npy"])
    np.testing.assert_array_equal(np.array(found), values.astype(np.float64))


def test_no_rows(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((0, 5), np.float16))
    assert run_js(tmp_path, READ, ["a.npy"]) == [[]]


def test_other_files_are_refused(tmp_path):
    good = np.ones((2, 3), np.float32)
    arrays = {
        "f8": good.astype(np.float64),
        "big": good.astype(">f4"),
        "whole": good.astype(np.int16),
        "row": good[0],
        "cube": good[None],
        "fortran": np.asfortranarray(good),
        "pickled": np.array([[{}]], dtype=object),
    }
    for name, values in arrays.items():
        np.save(tmp_path / f"{name}.npy", values)
    np.save(tmp_path / "good.npy", good)
    data = (tmp_path / "good.npy").read_bytes()
    files = {
        "cut": data[:-1], "longer": data + b"\0", "header": data[:50], "empty": b"",
        "version": data[:6] + b"\4" + data[7:], "text": b"embedding 1 2 3",
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / f"{name}.npy").write_bytes(content)
    code = "return Promise.all(data.map((name) => refusal(() => sv.readNpy(array(name, Uint8Array), name))));"
    names = [f"{name}.npy" for name in (*arrays, *files)]
    said = dict(zip(names, run_js(tmp_path, code, names), strict=True))
    kind = "not an array (rows, columns) of 16- or 32-bit floats"
    for name in arrays:
        assert said[f"{name}.npy"].startswith(f"{name}.npy: {kind}: its header is {{'descr': "), name
    reasons = {
        "cut": "23 bytes of data, its header says 24",
        "longer": "25 bytes of data, its header says 24",
        "header": "it is cut short",
        "empty": "it is no .npy file",
        "version": "version 4 of the format",
        "text": "it is no .npy file",
    }
    assert {name: said[f"{name}.npy"] for name in files} == {
        name: f"{name}.npy: {kind}: {why}" for name, why in reasons.items()
    }
