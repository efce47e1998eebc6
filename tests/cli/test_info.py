"""``svmixer info``: figures as in the files that they come from."""

from __future__ import annotations

import json
import shutil

import pytest

from svmixer.cli.main import main
from svmixer.fileio import read_json
from svmixer.inference.embedding_model import ASSETS
from svmixer.scoring.embedder import load_embedder

POCKET = ASSETS / "pocket"


def info(capsys, *words: str) -> dict:
    main(["info", *words, "--json"])
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("name", "parameters", "embedding"), [("pocket", 927130, 1452), ("pocket2", 2405372, 1486)]
)
def test_models_of_the_package(capsys, name, parameters, embedding):
    found, folder = info(capsys, name), ASSETS / name
    assert (found["parameters"], found["embedding"]) == (parameters, embedding)
    assert (found["sample_rate"], found["window"], found["precisions"]) == (16000, 48000, ["int8"])
    assert found["default"] == (name == "pocket2")
    assert found["threshold"] == read_json(folder / "export.json")["threshold"]["cosine"]
    maps = read_json(folder / "calibration.json")["maps"]
    points = found["calibration"]["operating_points"]
    assert points == {sides: values["operating_points"] for sides, values in maps.items()}
    assert found["calibration"]["cohort"] == 251
    assert found["licence"].startswith("The model and the code: MIT. Training speech: LibriSpeech")
    assert found["licence"].endswith("No recording is part of the model.")
    # Digests that another program wrote down.
    sums = dict(line.split("  ")[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert {file: entry["sha256"] for file, entry in found["files"].items() if file in sums} == sums
    assert found["fingerprint"] == sums["model.safetensors"]
    assert found["files"]["cohort.npy"]["bytes"] == (folder / "cohort.npy").stat().st_size


def test_files_that_are_not_those_of_the_sums(capsys, tmp_path):
    assert info(capsys, "pocket")["changed"] == []
    folder = tmp_path / "pocket"
    shutil.copytree(POCKET, folder)
    with open(folder / "README.md", "a") as stream:
        stream.write("\n")
    assert info(capsys, str(folder))["changed"] == ["README.md"]
    main(["info", str(folder)])
    last = capsys.readouterr().out
    assert "  README.md: missing, or not the file that SHA256SUMS was written for\n" in last
    (folder / "SHA256SUMS").unlink()
    assert info(capsys, str(folder))["changed"] is None


def test_the_fingerprint_is_that_of_enrolments(capsys):
    assert info(capsys, "pocket")["fingerprint"] == load_embedder("pocket").fingerprint


def test_the_same_as_text(capsys):
    main(["info", "pocket"])
    lines = capsys.readouterr().out.splitlines()
    assert "model        pocket" in lines
    assert "window       48000 samples, 3 s" in lines and "parameters   927,130" in lines
    # Those of the card.
    assert "  no telephone, standard: ratio 4.34, false accepts 1.00 %, false rejects 55.4 %" in lines


def test_which_models_there_are(capsys):
    found = info(capsys)
    assert found["default"] == "pocket2" and list(found["models"]) == ["pocket", "pocket2"]
    assert found["models"]["pocket2"] == info(capsys, "pocket2")
    main(["info"])
    assert capsys.readouterr().out.splitlines()[1] == (
        "pocket2      2,405,372 parameters, embeddings of 1486 values (the default)"
    )


def test_a_model_that_was_not_exported(tmp_path, capsys):
    for name in ("config.yaml", "model.safetensors"):
        shutil.copy(POCKET / name, tmp_path / name)
    found = info(capsys, str(tmp_path))
    assert (found["embedding"], found["window"], found["threshold"]) == (1452, 48000, None)
    assert (found["precisions"], found["calibration"], found["licence"]) == ([], None, None)
    sums = (POCKET / "SHA256SUMS").read_text()
    assert f"{found['fingerprint']}  model.safetensors" in sums
    main(["info", str(tmp_path)])
    assert "precisions   none exported; PyTorch runs it" in capsys.readouterr().out


def test_what_is_no_model(tmp_path, capsys):
    for words, message in (
        (["nix"], "nix: no such model directory (names: pocket, pocket2)"),
        ([str(tmp_path)], f"{tmp_path}: no model directory: config.yaml is missing"),
        (["pocket", "pocket2"], "one model at a time, found 2: svmixer info [MODEL]"),
    ):
        with pytest.raises(SystemExit):
            main(["info", *words])
        assert capsys.readouterr().err == f"error: {message}\n"
