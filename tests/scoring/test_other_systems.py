"""Targets of a training by any ONNX model: what it hears, names at speeds, going on after a stop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torchaudio.compliance.kaldi import fbank

from svmixer.audio.dumpset import DumpSet
from svmixer.cli.main import run_program
from svmixer.inference.embedding_model import ModelError
from svmixer.lists import read_table
from svmixer.scoring.other_systems import OnnxSystem, embed_at_speeds, read_at_speed
from svmixer.scoring.vectors import EmbeddingError, load_embeddings


@pytest.fixture
def dump(make_dump, voices) -> Path:
    """A dumped set of twelve utterances."""
    return make_dump("train", voices)


def write_model(path: Path, shape: list[int | str], outputs: int = 1, scale: float = 1.0) -> Path:
    """Largest and smallest value of the input over time: (1, N) → (1, 2), (1, T, F) → (1, 2 F)."""
    names = [f"embedding{number}" for number in range(outputs)]
    nodes = [
        helper.make_node("Constant", [], ["scale"], value_float=scale),
        helper.make_node("Mul", ["input", "scale"], ["scaled"]),
        helper.make_node("Constant", [], ["axis"], value_ints=[1]),
        helper.make_node("ReduceMax", ["scaled", "axis"], ["most"], keepdims=int(len(shape) == 2)),
        helper.make_node("ReduceMin", ["scaled", "axis"], ["least"], keepdims=int(len(shape) == 2)),
        *(helper.make_node("Concat", ["most", "least"], [name], axis=1) for name in names),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "D"]) for name in names],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def test_a_waveform(tmp_path):
    system = OnnxSystem(write_model(tmp_path / "wave.onnx", [1, "N"]))
    np.testing.assert_array_equal(system.embed(np.float32([0.5, -0.25, 0.125])), np.float32([0.5, -0.25]))


@pytest.mark.parametrize("mean_norm", [True, False])
def test_kaldi_s_filterbank(tmp_path, mean_norm):
    wave = (0.1 * np.random.default_rng(0).standard_normal(8000)).astype(np.float32)
    found = OnnxSystem(write_model(tmp_path / "fbank.onnx", [1, "T", 24]), mean_norm).embed(wave)
    energies = fbank(
        torch.from_numpy(wave[None] * 32768), num_mel_bins=24, window_type="hamming", dither=0.0
    ).numpy()  # fmt: skip
    assert energies.shape == (48, 24)
    expected = energies - energies.mean(axis=0) if mean_norm else energies
    np.testing.assert_allclose(found, [*expected.max(axis=0), *expected.min(axis=0)], atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ([1, 16000], "takes exactly 16000 samples or frames, and utterances have any length"),
        ([1, "T", "F"], "does not say how many mel bands it takes"),
        (
            [1, "T", 24, 2],
            r"expected one input, a waveform \(1, N\) or features \(1, T, F\), found input \[1,",
        ),
    ],
)
def test_other_inputs_are_refused(tmp_path, shape, message):
    with pytest.raises(ModelError, match=message):
        OnnxSystem(write_model(tmp_path / "model.onnx", shape))


def test_what_is_no_embedding_is_refused(tmp_path):
    wave = np.ones(400, np.float32)
    with pytest.raises(EmbeddingError, match=r"expected one output \(1, D\), found \(1, 2\), \(1, 2\)"):
        OnnxSystem(write_model(tmp_path / "two.onnx", [1, "N"], outputs=2)).embed(wave)
    with pytest.raises(EmbeddingError, match="the embedding is not finite"):
        OnnxSystem(write_model(tmp_path / "inf.onnx", [1, "N"], scale=float("inf"))).embed(wave)
    with pytest.raises(EmbeddingError, match="100 samples are less than one frame of 25 ms"):
        OnnxSystem(write_model(tmp_path / "fbank.onnx", [1, "T", 24])).embed(wave[:100])


def test_at_two_speeds_by_the_verb(dump, tmp_path, monkeypatch):
    model = write_model(tmp_path / "wave.onnx", [1, "N"])
    words = ["--model", str(model), "--dump_dir", str(dump), "--output_dir", str(tmp_path / "out")]
    run_program("teacher_embeddings", [*words, "--speeds", "[1.0, 0.9]"])
    table = read_table(tmp_path / "out/embeddings.scp")
    opened = DumpSet(dump)
    assert set(table) == {*opened.utterances, *(f"{name}#sp0.9" for name in opened.utterances)}
    name = opened.utterances[1]
    rows = load_embeddings(table, [name, f"{name}#sp0.9"], "the test")
    waves = [opened.read(1), read_at_speed(opened, 1, 0.9)]
    assert len(waves[1]) == int(len(waves[0]) / 0.9)
    np.testing.assert_array_equal(rows, [[wave.max(), wave.min()] for wave in waves])


def test_a_stopped_run_goes_on(dump, tmp_path, monkeypatch):
    monkeypatch.setattr("svmixer.scoring.other_systems.BLOCK", 2)
    heard = []

    def embed(wave: np.ndarray) -> np.ndarray:
        if len(heard) == 3:
            raise EmbeddingError("enough")
        heard.append(len(wave))
        return np.float32([len(wave), 1.0])

    names = DumpSet(dump).utterances
    with pytest.raises(EmbeddingError, match=f"utterance {names[3]}: enough"):
        embed_at_speeds(dump, embed, (1.0,), tmp_path, {})
    assert not (tmp_path / "embeddings.scp").exists()
    heard.clear()
    heard.extend([0] * 10)  # never three again
    scp = embed_at_speeds(dump, embed, (1.0,), tmp_path, {})
    assert len(heard) - 10 == len(names) - 2
    rows = load_embeddings(read_table(scp), names, "the test")
    np.testing.assert_array_equal(rows[:, 0], DumpSet(dump).num_samples)
    # Nothing is done twice; with another system everything is.
    embed_at_speeds(dump, embed, (1.0,), tmp_path, {})
    assert len(heard) - 10 == len(names) - 2
    embed_at_speeds(dump, embed, (1.0,), tmp_path, {"system": "other"})
    assert len(heard) - 10 == 2 * len(names) - 2


def test_mistakes_of_options_get_one_line(dump, tmp_path, capsys):
    words = ["--dump_dir", str(dump), "--output_dir", str(tmp_path / "out"), "--model"]
    for model, more, message in (
        (str(tmp_path / "none.onnx"), [], "none.onnx: not a model that ONNX Runtime reads"),
        ("pocket2", ["--speeds", "[3.0]"], "speeds: must be between 0.5 and 2, found 3.0"),
    ):
        with pytest.raises(SystemExit):
            run_program("teacher_embeddings", [*words, model, *more])
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
