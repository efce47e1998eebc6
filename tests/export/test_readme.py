"""The commands of README.md and docs/export.md, as they stand there."""

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

ROOT = Path(__file__).resolve().parents[2]


def commands(text: str) -> list[list[str]]:
    """What follows ``svmixer`` in the code of a Markdown text."""
    found = re.findall(r"(?:^|`)svmixer ((?:[^\n`\\]|\\\n)+)", text, re.MULTILINE)
    return [shlex.split(command.replace("\\\n", " "), comments=True) for command in found]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with the recordings that the README names."""
    rng = np.random.default_rng(0)
    for name, rate in (("a.wav", 16000), ("b.mp3", 16000), ("b.flac", 8000), ("c.flac", 44100)):
        soundfile.write(tmp_path / name, 0.1 * rng.standard_normal(2 * rate), rate)
    (tmp_path / "recordings/sub").mkdir(parents=True)
    for name in ("x.wav", "sub/y.wav"):
        shutil.copy(tmp_path / "a.wav", tmp_path / "recordings" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_use_a_model(exported, here, capsys):
    shutil.copytree(exported, here / "exp/voices_compact/export")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = text.partition("## Use a model")[2].partition("```bash\n")[2].partition("```")[0]
    words = commands(block)
    assert [command[0] for command in words] == ["verify", "enrol", "verify", "embed", "embed"]
    for command in words:
        main(command)
    assert re.search(r"^(one|two) speakers?: cosine 0\.\d{4}, threshold ", capsys.readouterr().out)
    assert np.load(here / "ann.npy").shape == (12,)
    with np.load(here / "embeddings.npz") as found:
        assert found.files == ["a.wav", "b.flac"]
    assert {str(path.relative_to(here / "embeddings")) for path in (here / "embeddings").rglob("*.npy")} == {
        "x.npy",
        "sub/y.npy",
    }


def test_the_python_of_the_readme_runs(here, capsys):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2 and "torch" not in blocks[0]
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    first, cosine, shape, *scores = capsys.readouterr().out.splitlines()
    assert re.match(r"(one|two) speakers? -?\d\.\d+ \(.*\)$", first)
    assert -1 <= float(cosine) <= 1 and shape == "torch.Size([2, 3, 149, 192])" and len(scores) == 2


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
