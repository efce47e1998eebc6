"""A model goes into the package: what is copied, what is refused, and what an installation holds."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from svmixer.cli import package_model
from svmixer.cli.main import run_program
from svmixer.errors import SvmixerError
from svmixer.export.card import card_name, model_card
from svmixer.inference.embedding_model import ModelError

ROOT = Path(__file__).resolve().parents[2]
CHECK = {"megabytes": 0.5, "ms_per_window": 2.0, "real_time_factor": 0.001, "cosine_lowest": 0.9995,
         "cosine_mean": 0.9999, "windows": 64}  # fmt: skip
RATES = {"set": "test", "trials": 20, "of_trials": 20, "eer": 7.5, "eer_ci95": [5.0, 10.0],
         "min_dcf": {"0.05": 0.4}, "bootstrap": {"speakers": 9, "seed": 0}}  # fmt: skip
DESCRIPTION = {
    "format": 1, "made_by": "svmixer 9, torch 9", "opset": 20, "sample_rate": 16000, "window": 8000,
    "embedding": 12, "parameters": 1234567, "training_speakers": 3, "precisions": ["int8", "float32"],
    "checks": {"pytorch": {**CHECK, "megabytes": 1.5}, "float32": {**CHECK, "megabytes": 2.5, "test": RATES},
               "int8": {**CHECK, "ms_per_window": 1.0, "parts": ["backend.linear"], "test": RATES}},
    "scored": None, "threshold": {"cosine": 0.25, "from": "equal error rate on test"},
    "about": "## Data\n\nTones. Licence: none.",
}  # fmt: skip


@pytest.fixture
def export(tmp_path) -> Path:
    folder = tmp_path / "export"
    folder.mkdir()
    sizes = {"config.yaml": 10, "model.safetensors": 3000, "speakers.txt": 5, "model.onnx": 5000,
             "model.int8.onnx": 2000, "README.md": 1}  # fmt: skip
    for name, size in sizes.items():
        (folder / name).write_bytes(np.random.default_rng(size).bytes(size))
    (folder / "export.json").write_text(json.dumps(DESCRIPTION))
    return folder


def run(export: Path, assets: Path, **options: object) -> None:
    config = package_model.PackageConfig(
        export_dir=str(export), name="mini", assets_dir=str(assets), **options
    )
    package_model.package(config)


def test_files_of_a_shipped_model(export, tmp_path):
    run(export, tmp_path / "assets")
    target = tmp_path / "assets/mini"
    copied = {"config.yaml", "model.safetensors", "speakers.txt", "model.int8.onnx"}
    assert {path.name for path in target.iterdir()} == {*copied, "export.json", "README.md", "SHA256SUMS"}
    for name in copied:
        assert (target / name).read_bytes() == (export / name).read_bytes()
    assert json.loads((target / "export.json").read_text()) == {**DESCRIPTION, "precisions": ["int8"]}
    checked = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=target)
    assert checked.returncode == 0
    assert len((target / "SHA256SUMS").read_text().splitlines()) == 6
    card = (target / "README.md").read_text()
    # Paragraphs are wrapped.
    assert card.startswith("---\nlibrary_name: svmixer\n") and "\n---\n\n# mini\n" in card
    assert "1,234,567 parameters, 3 training speakers" in " ".join(card.split())
    assert "| `model.onnx` (not in this directory) | 2.50 | 2.0 |" in card
    assert "| `model.int8.onnx` | 0.50 | 1.0 | 0.0010 | 0.999500 | 0.999900 |" in card
    assert "| int8 | whole | test | 9 | 20 | 7.50 [5.00, 10.00] | 0.4000 |" in card
    assert "int8 takes 0.50 times as long as float32 here: faster." in card
    assert "Threshold: cosine 0.2500 (equal error rate on test)." in card
    assert card.endswith("## Data\n\nTones. Licence: none.\n")


def test_what_the_card_says_to_the_hub():
    hub = pytest.importorskip("huggingface_hub")
    stated = "---\nlicense: mit\nlanguage: [en]\ndatasets: [openslr/librispeech_asr]\n---\n"
    text = model_card("mini", {**DESCRIPTION, "about": stated + DESCRIPTION["about"]})
    assert text.endswith("## Data\n\nTones. Licence: none.\n") and card_name(text) == "mini"
    card = hub.ModelCard(text).data
    assert (card.license, card.language, card.datasets) == ("mit", ["en"], ["openslr/librispeech_asr"])
    assert (card.library_name, card.metrics) == ("svmixer", ["eer"])
    assert "speaker-verification" in card.tags and card.model_name == "mini"
    found = {
        (one.task_type, one.dataset_name, one.metric_type, one.metric_value) for one in card.eval_results
    }
    assert found == {("speaker-verification", "test", kind, value) for kind, value in
                     (("eer", 7.5), ("min_dcf", 0.4))}  # fmt: skip
    # Nothing is claimed that the recipe did not state.
    card = hub.ModelCard(model_card("mini", DESCRIPTION)).data
    assert (card.license, card.language, card.datasets) == (None, None, None)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ("---\nlicense: mit\n", "begins with --- but no other line of --- follows"),
        ("---\nlicence: mit\n---\n", "licence"),
        ("---\n[\n---\n", "its beginning is not YAML"),
        ("---\ndatasets: {a: b}\n---\n", "datasets"),
    ],
)
def test_a_text_for_the_card_that_states_something_else(about, message):
    with pytest.raises(SvmixerError, match=message):
        model_card("mini", {**DESCRIPTION, "about": about})


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (1.992, "int8 takes as long as float32 here (1.00 times)."),
        (2.008, "int8 takes as long as float32 here (1.00 times)."),
        (1.98, "int8 takes 0.99 times as long as float32 here: faster."),
        (2.02, "int8 takes 1.01 times as long as float32 here: **slower**."),
    ],
)
def test_words_say_no_more_than_the_figure(milliseconds, words):
    checks = {**DESCRIPTION["checks"]}
    checks["int8"] = {**checks["int8"], "ms_per_window": milliseconds}
    card = model_card("mini", {**DESCRIPTION, "checks": checks})
    assert words in card
    assert card.count("float32 here") == 1


def test_a_name_that_is_taken(export, tmp_path):
    run(export, tmp_path)
    (tmp_path / "mini/rest").write_text("")
    with pytest.raises(ModelError, match=r"mini is there already; --force true replaces it"):
        run(export, tmp_path)
    run(export, tmp_path, force=True, graph="float32")
    assert not (tmp_path / "mini/rest").exists() and not (tmp_path / "mini/model.int8.onnx").exists()
    assert (tmp_path / "mini/model.onnx").stat().st_size == 5000


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (0.0025, r"model\.safetensors: 0\.00 MB, at most 0\.0025 are wanted; svmixer export --weights"),
        (0.001, r"model\.safetensors: 0\.00 MB, at most 0\.001 "),
    ],
)
def test_what_is_too_large_is_not_shipped(export, tmp_path, limit, message):
    with pytest.raises(ModelError, match=message):
        run(export, tmp_path, max_megabytes=limit)
    assert not (tmp_path / "mini").exists()


def test_mistakes(export, tmp_path, capsys):
    (export / "model.int8.onnx").unlink()
    options = ["--assets_dir", str(tmp_path / "assets")]
    for words, message in (
        (["--export_dir", str(export), "--name", "mini"], "model.int8.onnx"),
        (["--export_dir", str(export), "--name", "../mini"], "more than letters, digits, _ and -"),
        (["--export_dir", str(tmp_path), "--name", "mini"], "not the description of an exported model"),
    ):
        with pytest.raises(SystemExit):
            run_program("package_model", [*words, *options])
        assert message in capsys.readouterr().err
    assert not (tmp_path / "assets").exists()


def paths(tree: dict, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every key of a tree of dictionaries, as the keys that lead to it."""
    found = []
    for key, value in tree.items():
        found.append((*prefix, key))
        if isinstance(value, dict):
            found += paths(value, (*prefix, key))
    return found


def drop(export: Path, path: tuple[str, ...]) -> None:
    data = section = json.loads(json.dumps(DESCRIPTION))
    for key in path[:-1]:
        section = section[key]
    del section[path[-1]]
    (export / "export.json").write_text(json.dumps(data))


# What no reader of the description asks for.
UNREAD = {("checks", "pytorch", "cosine_lowest"), ("checks", "pytorch", "cosine_mean")}
UNREAD |= {("checks", name, "windows") for name in ("pytorch", "int8")}
for name in ("float32", "int8"):
    UNREAD |= {("checks", name, "test", "of_trials"), ("checks", name, "test", "bootstrap", "seed")}


def test_an_export_of_an_older_version_says_what_is_missing(export, tmp_path, capsys):
    """Whichever key it lacks: one line with its name and how to export anew, and nothing is shipped."""
    asked = [path for path in paths(DESCRIPTION) if path not in UNREAD]
    assert ("checks", "int8", "test", "min_dcf", "0.05") in asked
    for path in asked:
        drop(export, path)
        with pytest.raises(SystemExit) as stop:
            run_program(
                "package_model",
                ["--export_dir", str(export), "--name", "mini", "--assets_dir", str(tmp_path / "assets")],
            )
        message = capsys.readouterr().err
        assert stop.value.code == 1 and message.count("\n") == 1
        assert message.startswith(f"error: {export / 'export.json'}: ") and path[-1] in message
        assert "write the export again: stage 7 with --force true, or svmixer export --onnx true" in message
    assert "/export.json: about is missing; write" in message
    drop(export, ("checks", "int8", "parts"))
    with pytest.raises(
        ModelError, match=r"export\.json: checks\.int8\.parts is missing; write the export again"
    ):
        run(export, tmp_path)
    assert not (tmp_path / "assets").exists() and not (tmp_path / "mini").exists()


def test_an_incomplete_export_leaves_what_was_shipped_before(export, tmp_path):
    run(export, tmp_path)
    for name in ("speakers.txt", "model.int8.onnx"):
        (export / name).unlink()
    with pytest.raises(
        ModelError, match=r"export: speakers\.txt, model\.int8\.onnx missing; write the export "
    ):
        run(export, tmp_path, force=True)
    (export / "export.json").write_text(json.dumps({**DESCRIPTION, "threshold": None}))
    with pytest.raises(ModelError, match="missing; write the export again"):
        run(export, tmp_path, force=True)
    assert len(list((tmp_path / "mini").iterdir())) == 7


@pytest.mark.slow
def test_an_installation_has_the_models(export, tmp_path):
    """What a wheel is made of, from a copy of the package with one model more: with cards and checksums."""
    project = tmp_path / "project"
    project.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, project / name)
    shutil.copytree(ROOT / "svmixer", project / "svmixer", ignore=shutil.ignore_patterns("__pycache__"))
    assets = project / "svmixer/assets"
    run(export, assets)
    code = "import setuptools; setuptools.setup()"
    command = [sys.executable, "-c", code, "-q", "build", "--build-lib", "built"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    built = project / "built/svmixer/assets"
    packed, there = (
        {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (built, assets)
    )
    assert packed == there
    assert {"mini/README.md", "mini/SHA256SUMS", "mini/model.int8.onnx", "wavlm_tiny/README.md"} <= set(
        packed
    )


def test_an_export_is_not_replaced_by_itself(export, tmp_path):
    source = export.rename(tmp_path / "mini")
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    with pytest.raises(ModelError, match="cannot be the place of its copy"):
        run(source, tmp_path, force=True)
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before


def test_what_is_there_stays_until_the_copy_is_whole(export, tmp_path, monkeypatch):
    run(export, tmp_path / "assets")
    before = {path.name: path.read_bytes() for path in (tmp_path / "assets/mini").iterdir()}

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(package_model, "write_card", full)
    (export / "config.yaml").write_bytes(b"another")
    with pytest.raises(OSError, match="No space"):
        run(export, tmp_path / "assets", force=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "assets/mini").iterdir()} == before
