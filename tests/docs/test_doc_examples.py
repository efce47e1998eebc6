"""docs/adding: the code of each page, put into a copy of the package and run there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT, blocks

sys.path.insert(0, str(ROOT / "tests/training"))
from toy import write_config, write_dump, write_teacher

sys.path.insert(0, str(ROOT / "tools/site"))
from reference import entry_point

pytestmark = pytest.mark.slow


def text_of(page: str) -> str:
    return (ROOT / "docs/adding" / page).read_text(encoding="utf-8")


@pytest.fixture
def copy(tmp_path) -> Path:
    """A copy of the package, in a place of the test's own."""
    shutil.copytree(ROOT / "svmixer", tmp_path / "svmixer", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    return tmp_path


def put_in(page: str, project: Path) -> None:
    """Write the files of a page and apply its changes."""
    for code in blocks(text_of(page), "python"):
        name = re.match(r"# (\S+\.py)\n", code)[1]
        (project / name).write_text(code, encoding="utf-8")
    for diff in blocks(text_of(page), "diff"):
        subprocess.run(["git", "apply", "-"], cwd=project, input=diff, text=True, check=True)


def run(project: Path, *command: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(project), "GIT_CEILING_DIRECTORIES": str(project.parent)}
    done = subprocess.run(
        [sys.executable, *command], cwd=project, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def svmixer(project: Path, *words: str) -> str:
    """What ``svmixer WORDS`` prints with the package of ``project``."""
    start = entry_point()
    return run(project, "-c", f"from {start.__module__} import main; main({list(words)!r})")


def commands(page: str) -> list[list[str]]:
    lines = "\n".join(blocks(text_of(page), "bash")).replace("\\\n", " ").splitlines()
    return [line.split("#")[0].split()[1:] for line in lines if line.startswith("svmixer ")]


FORWARD = """
import torch
from svmixer.models.config import BackendConfig, ModelConfig, StudentConfig
from svmixer.models.speaker_model import SpeakerModel
student = StudentConfig(layers=2, hidden=32, group_width=8, window=8000{student})
model = SpeakerModel(ModelConfig(student=student, backend=BackendConfig({backend}embedding=12)))
embedding = model(torch.randn(2, 8000))
embedding.square().sum().backward()
print(tuple(embedding.shape), all(p.grad is not None for p in model.parameters()))
"""


@pytest.mark.parametrize(
    ("page", "name", "parts"),
    [
        ("student.md", "gated", {"student": ", encoder='gated'", "backend": "name='linear', "}),
        ("backend.md", "peaks", {"student": "", "backend": "name='peaks', "}),
    ],
)
def test_a_part_of_the_model(copy, page, name, parts):
    put_in(page, copy)
    (complexity,) = commands(page)
    assert name in complexity and "parameters" in svmixer(copy, *complexity)
    code = FORWARD.format(**parts)
    assert run(copy, "-c", code) == "(2, 12) True\n"


def test_a_loss(copy):
    put_in("loss.md", copy)
    write_dump(copy / "train", 3, 4)
    write_dump(copy / "valid", 2, 2, seed=1)
    write_teacher(copy / "teacher")
    write_config(copy / "toy.yaml", copy, max_epochs=1)
    kind = re.search(r'distill_args "(--distill\.kind \w+)"', text_of("loss.md"))[1].split()
    svmixer(copy, "distill", "--config", "toy.yaml", "--output_dir", "out", *kind)
    assert (copy / "out/student.safetensors").is_file()
    (log,) = (copy / "out").glob("*.jsonl")
    figures = json.loads(log.read_text().splitlines()[0])
    assert figures["train_loss"] == pytest.approx(1 - figures["train_cosine"], abs=1e-6)


def test_a_teacher(tmp_path):
    put_in("teacher.md", tmp_path)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    for script in ("make_teacher.py", "look.py"):
        done = subprocess.run(
            [sys.executable, script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout == blocks(text_of("teacher.md"), "text")[0]


def test_a_corpus(tmp_path):
    import numpy as np
    import soundfile

    project = tmp_path / "project"
    project.mkdir()
    for name in ("tools", "svmixer", "path.sh"):
        (project / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "egs/TEMPLATE", project / "egs/TEMPLATE")
    start, script, _ = blocks(text_of("corpus.md"), "sh")
    env = {**os.environ, "SVMIXER_VENV": sys.prefix}
    subprocess.run(["bash", "-c", start], cwd=project, env=env, check=True, capture_output=True)
    (project / "egs/birds/sv1/local/data.sh").write_text(script)
    rng = np.random.default_rng(0)
    for speaker in "abcdefgh":
        (tmp_path / "corpus" / speaker).mkdir(parents=True)
        for number in range(3):
            path = tmp_path / "corpus" / speaker / f"{number}.flac"
            soundfile.write(path, 0.1 * rng.standard_normal(800), 16000)
    done = subprocess.run(
        [
            "bash", project / "egs/birds/sv1/local/data.sh", "--corpus", tmp_path / "corpus",
            "--valid_speakers", "2", "--test_speakers", "3",
        ],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    speakers = {
        name: len((tmp_path / f"data/{name}/spk2utt").read_text().splitlines())
        for name in ("train", "valid", "test")
    }
    assert speakers == {"train": 3, "valid": 2, "test": 3}
    assert (tmp_path / "data/test/trials").read_text().startswith(("0 ", "1 "))
    asked = subprocess.run(
        ["bash", project / "egs/birds/sv1/local/data.sh", "--help"],
        env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert re.search(r"--corpus +Folder of the corpus\. \(default: corpus\)", asked.stdout)
