"""What an export directory must be, and what is said of one that is not."""

from __future__ import annotations

import json

import pytest

from svmixer.inference.embedding_model import ModelError
from svmixer.inference.onnx_model import read_description
from svmixer.runtime import load_onnx

SOUND = {
    "format": 1, "sample_rate": 16000, "window": 8000, "embedding": 12, "precisions": ["int8", "float32"],
    "threshold": {"cosine": 0.25},
}  # fmt: skip


def write(folder, **changes):
    (folder / "export.json").write_text(json.dumps({**SOUND, **changes}))
    return folder


def test_description(tmp_path):
    found = read_description(write(tmp_path))
    assert (found.sample_rate, found.window, found.embedding, found.threshold) == (16000, 8000, 12, 0.25)
    assert found.precisions == ("int8", "float32")
    assert read_description(write(tmp_path, threshold=None)).threshold is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format 2, this version reads 1"),
        ({"window": "long"}, "not the description of an exported model"),
        ({"threshold": {}}, "not the description of an exported model: cosine is missing"),
        ({"precisions": 3}, "not the description of an exported model"),
    ],
)
def test_bad_descriptions_name_the_file(tmp_path, changes, message):
    with pytest.raises(ModelError, match=rf"export\.json: {message}"):
        read_description(write(tmp_path, **changes))


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ModelError, match="no such export directory"):
        load_onnx(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"no export directory: export\.json is missing"):
        load_onnx(tmp_path)
    with pytest.raises(ModelError, match="there is no float16 model, only int8, float32"):
        load_onnx(write(tmp_path), "float16")
    with pytest.raises(ModelError, match=r"model\.int8\.onnx: not a model that ONNX Runtime reads"):
        load_onnx(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"\0" * 100)
    with pytest.raises(ModelError, match=r"model\.onnx: not a model that ONNX Runtime reads"):
        load_onnx(tmp_path, "float32")
