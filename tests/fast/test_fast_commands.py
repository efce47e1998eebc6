"""svmixer calibrate, and embedding and extraction in each precision."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "train"))

from fast_models import toy
from toy import write_dump

from svmixer.cli.main import run_program
from svmixer.export.check import cosines
from svmixer.models.io import save_model


@pytest.fixture
def folder(tmp_path):
    """A model directory and speech beside it."""
    save_model(toy("group_norm", "ecapa"), tmp_path / "model")
    write_dump(tmp_path / "dump", speakers=3, utterances=4, seed=0)
    wave = np.random.default_rng(1).uniform(-0.3, 0.3, 20000)
    soundfile.write(tmp_path / "a.wav", wave, 16000)
    return tmp_path


def embedded(folder, precision):
    output = folder / f"{precision}.npy"
    run_program("embed", [
        str(folder / "a.wav"), "--model", str(folder / "model"), "--output", str(output),
        "--precision", precision,
    ])  # fmt: skip
    return np.load(output)


def test_embed_in_each_precision(folder, capsys):
    exact = embedded(folder, "auto")
    np.testing.assert_allclose(embedded(folder, "float32"), exact, atol=1e-5, rtol=0)
    assert 0.999 < cosines(embedded(folder, "bf16"), exact)[0] < 1 - 1e-8
    with pytest.raises(SystemExit):
        embedded(folder, "int8")
    assert "int8.safetensors: missing; int8 needs it: svmixer calibrate" in capsys.readouterr().err
    words = ["--model", str(folder / "model"), "--data_dir", str(folder / "dump"), "--windows", "8"]
    run_program("calibrate", words)
    assert "cosine of int8 with float32 over 8 windows: lowest 0.99" in capsys.readouterr().out
    assert 0.99 < cosines(embedded(folder, "int8"), exact)[0] < 1 - 1e-8


def test_extraction_is_done_again_in_another_precision(folder):
    def settings(*options):
        run_program("extract", [
            "--model", str(folder / "model"), "--data_dir", str(folder / "dump"),
            "--output_dir", str(folder / "out"), *options,
        ])  # fmt: skip
        return json.loads((folder / "out/embeddings.1.json").read_text())

    plain, fast = settings(), settings("--precision", "float32")
    assert plain != fast and "bf16" in str(settings("--precision", "bf16"))


@pytest.mark.parametrize("options", [["--device", "cuda"], ["--device", "cuda:1"]])
def test_precision_is_for_the_cpu(folder, options, capsys):
    with pytest.raises(SystemExit):
        run_program("embed", [
            str(folder / "a.wav"), "--model", str(folder / "model"), "--precision", "float32", *options
        ])  # fmt: skip
    assert "precision: float32 is computed on the CPU, not on cuda" in capsys.readouterr().err
