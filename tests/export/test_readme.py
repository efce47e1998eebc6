"""The commands of README.md, docs/use.md and docs/export.md, as they stand there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from svmixer.cli.main import main
from svmixer.models.io import save_model
from svmixer.runtime import load_onnx

ROOT = Path(__file__).resolve().parents[2]
# Verbs of docs/use.md, in their order.
USE = [
    "verify", "enrol", "verify", "identify", "diarize", "speakers", "embed", "embed", "enrol", "enrol",
    "enrol", "speakers", "similarity", "convert_embeddings", "convert_embeddings", "info", "info", "doctor",
]  # fmt: skip


def commands(text: str) -> list[list[str]]:
    """What follows ``svmixer`` in the code of a Markdown text."""
    found = re.findall(r"(?:^|`)svmixer ((?:[^\n`\\]|\\\n)+)", text, re.MULTILINE)
    return [shlex.split(command.replace("\\\n", " "), comments=True) for command in found]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with the recordings that the pages name."""
    rng = np.random.default_rng(0)
    names = {"a.wav": 16000, "b.wav": 16000, "b.mp3": 16000, "b.flac": 8000, "c.flac": 44100, "c.wav": 16000}
    names["test.wav"] = 16000
    for name, rate in names.items():
        soundfile.write(tmp_path / name, 0.1 * rng.standard_normal(2 * rate), rate)
    for name in ("ann", "bob"):
        (tmp_path / "people" / name).mkdir(parents=True)
        soundfile.write(tmp_path / f"people/{name}/1.wav", 0.1 * rng.standard_normal(32000), 16000)
    (tmp_path / "recordings/sub").mkdir(parents=True)
    for name in ("x.wav", "sub/y.wav"):
        shutil.copy(tmp_path / "a.wav", tmp_path / "recordings" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shell(page: str) -> str:
    """The shell commands of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return "\n".join(re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize(
    ("page", "verbs"),
    [
        ("README.md", ["verify", "verify", "enrol", "verify", "identify", "embed"]),
        ("docs/use.md", USE),
    ],
)
def test_commands_that_use_a_model(exported, here, capsys, page, verbs):
    shutil.copytree(exported, here / "exp/voices_compact/export")
    # The page of the browser is served until somebody ends it.
    words = [command for command in commands(shell(page)) if command[0] != "demo"]
    assert [command[0] for command in words] == verbs
    for command in words:
        main(command)
    answer = r"^(one speaker|two speakers|uncertain).*: .*cosine -?\d\.\d{4}"
    assert re.search(answer, capsys.readouterr().out, re.MULTILINE)
    if "ann.npy" in shell(page):
        assert np.load(here / "ann.npy").ndim == 1
    assert {str(path.relative_to(here / "embeddings")) for path in (here / "embeddings").rglob("*.npy")} == {
        "x.npy",
        "sub/y.npy",
    }
    if "embeddings.npz" in shell(page):
        with np.load(here / "embeddings.npz") as found:
            assert found.files == ["a.wav", "b.flac"]


def test_the_threshold_of_the_output_that_is_shown():
    standard = {
        f"threshold {one.point('standard').ratio:.2f}"
        for name in ("pocket", "pocket2")
        for one in load_onnx(name).calibration.maps.values()
    }
    for page in ("README.md", "docs/use.md", "docs/start.md"):
        # Those of `identify` are of other shares.
        text = (ROOT / page).read_text(encoding="utf-8")
        shown = set(re.findall(r"speakers?: .*(threshold \d\.\d+)", text))
        assert shown and shown <= standard, page


@pytest.mark.parametrize(("page", "count"), [("README.md", 1), ("docs/use.md", 2)])
def test_the_python_of_the_pages_runs(here, capsys, page, count):
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == count and "torch" not in blocks[0]
    for block in blocks:
        exec(compile(block, page, "exec"), {})
    first, *more = capsys.readouterr().out.splitlines()
    assert re.match(r"(one speaker|two speakers|uncertain) -?\d+\.\d+ \(.*\)$", first)
    if count == 2:
        probability, name, embeddings, cosine, shape, *scores = more
        assert 0 <= float(probability) <= 1 and name in ("ann", "None") and embeddings == "(2, 1486)"
        assert -1 <= float(cosine) <= 1 and shape == "torch.Size([2, 5, 149, 192])" and len(scores) == 2


def test_the_figures_of_the_readme_are_those_of_the_pages():
    interval = re.compile(r"\d+\.\d\d \[\d+\.\d\d, \d+\.\d\d\]")
    figures = set(interval.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    pages = (
        "docs/default_run.md", "docs/own_data.md", "egs/pocket/sv1/README.md", "egs/pocket/sv2/README.md",
    )  # fmt: skip
    sources = [ROOT / name for name in pages]
    measured = set(interval.findall("".join(page.read_text(encoding="utf-8") for page in sources)))
    assert len(figures) == 14 and figures <= measured


@pytest.mark.slow
def test_export_and_ship_by_hand(model, speech, exported, here):
    text = (ROOT / "docs/export.md").read_text(encoding="utf-8")
    export, package = (
        next(c for c in commands(text) if c[0] == verb and len(c) > 1) for verb in ("export", "package_model")
    )
    save_model(model, "exp/mine/train/model", ["s00", "s01"])
    (here / "dump").symlink_to(speech.test.parent)
    (here / "conf").mkdir()
    (here / "conf/card.md").write_text("## Data\n\nTones.\n")
    for verb in ("extract", "score"):
        where = ["--data_dir", "dump/test", "--output_dir", "exp/mine/score/test"]
        more = ["--model", "exp/mine/train/model"] if verb == "extract" else ["--embeddings_dir", where[-1]]
        main([verb, *where, *more])
    main(export)
    card = (here / "exp/mine/export/README.md").read_text()
    assert "| PyTorch | crops, 10 | test |" in card and card.endswith("## Data\n\nTones.\n")
    shutil.copytree(here / "exp/mine/export", here / "exp/pocket/export")
    main([*package, "--assets_dir", "assets"])
    main(["verify", "a.wav", "b.mp3", "--model", "assets/pocket"])
