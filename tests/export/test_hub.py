"""``svmixer push`` and ``pull`` against a hub on this machine, with the real client."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hub_server import TOKEN, Hub

from svmixer.inference.embedding_model import ASSETS
from svmixer.inference.hub import HubError, _told, parse_name

pytest.importorskip("huggingface_hub")
FILES = {
    "README.md", "SHA256SUMS", "calibration.json", "cohort.npy", "config.yaml", "export.json",
    "model.int8.onnx", "model.safetensors", "speakers.txt",
}  # fmt: skip


@pytest.fixture
def hub():
    hub = Hub()
    yield hub
    hub.close()


@pytest.fixture
def export(tmp_path) -> Path:
    """A model of the package with files beside it that are nobody's business."""
    folder = tmp_path / "export"
    shutil.copytree(ASSETS / "pocket", folder)
    for name in ("train.pt", "notes.pkl", "run.py", "cohort.npy.bak"):
        (folder / name).write_bytes(b"x")
    (folder / "private").mkdir()
    (folder / "private/notes.txt").write_bytes(b"x")
    return folder


@pytest.fixture
def svmixer(tmp_path, hub):
    """Runs the program, the client's cache in a place of its own: status, output and errors."""

    def run(*words: object, **variables: str) -> tuple[int, str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        kept["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
        env = {**kept, "HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "hf"), **variables}
        command = [sys.executable, "-m", "svmixer", *map(str, words)]
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
        return done.returncode, done.stdout.strip(), done.stderr

    return run


@pytest.mark.slow
def test_there_and_back(hub, svmixer, export, tmp_path):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    status, printed, error = svmixer("push", export, "ann/voice", "--token_file", "token", "--private")
    assert status == 0, error
    assert printed.startswith(f"{hub.address}/ann/voice/commit/") and TOKEN not in error
    assert "export/speakers.txt is sent, too: the names of the training speakers" in error
    assert "export/cohort.npy is sent, too: embeddings of training speech" in error
    assert set(hub.models["ann/voice"]) == FILES and hub.private == {"ann/voice"}

    status, printed, error = svmixer("pull", "ann/voice", "--output_dir", "copy", HF_TOKEN=TOKEN)
    assert (status, printed) == (0, "copy"), error
    assert {path.name for path in (tmp_path / "copy").iterdir()} == FILES
    for name in FILES:
        assert (tmp_path / "copy" / name).read_bytes() == (export / name).read_bytes()
        assert not (tmp_path / "copy" / name).is_symlink()
    assert "copy is there already" in svmixer("pull", "ann/voice", "--output_dir", "copy")[2]

    # What was fetched once is used without a connection.
    hub.private.clear()
    (tmp_path / "a.wav").write_bytes(b"")
    hub.asked.clear()
    status, _, error = svmixer("embed", "a.wav", "--model", "hf:ann/voice")
    assert status == 1 and "a.wav: empty" in error and hub.asked == []

    # What an interrupted download left is completed.
    (snapshot,) = (tmp_path / "hf/hub/models--ann--voice/snapshots").iterdir()
    for name in ("model.int8.onnx", "export.json"):
        (snapshot / name).unlink()
        status, _, error = svmixer("embed", "a.wav", "--model", "hf:ann/voice")
        assert status == 1 and "a.wav: empty" in error and (snapshot / name).is_file()

    # Nor is the hub asked about a model that has no sums.
    hub.models["ann/plain"] = {name: (export / name).read_bytes() for name in FILES - {"SHA256SUMS"}}
    assert svmixer("pull", "ann/plain")[0] == 0
    hub.asked.clear()
    status, _, error = svmixer("embed", "a.wav", "--model", "hf:ann/plain")
    assert status == 1 and "a.wav: empty" in error and hub.asked == []


@pytest.mark.slow
def test_what_the_hub_refuses(hub, svmixer, export, tmp_path):
    def refused(*words: object, **variables: str) -> str:
        status, _, error = svmixer(*words, **variables)
        assert status == 1 and error.splitlines()[-1].startswith("error: ") and "Traceback" not in error, (
            error
        )
        return error

    assert "no token: `hf auth login`, HF_TOKEN, or --token_file FILE" in refused("push", export, "ann/voice")
    offline = refused("push", export, "ann/voice", HF_HUB_OFFLINE="1")
    assert "ann/voice: HF_HUB_OFFLINE is set: nothing can be sent" in offline
    assert "ann/voice: the hub cannot be used: " in refused("push", export, "ann/voice", HF_TOKEN="wrong")
    assert "ann/voice: no such model, or it is private" in refused("pull", "ann/voice")
    away = "ann/voice: not in the cache, and the hub is out of reach or HF_HUB_OFFLINE is set"
    assert away in refused("pull", "ann/voice", HF_HUB_OFFLINE="1")
    assert away in refused("verify", "a.wav", "b.wav", "--model", "hf:ann/voice", HF_HUB_OFFLINE="1")
    (tmp_path / "empty").write_text("\n")
    assert "empty: no token in it" in refused("push", export, "ann/voice", "--token_file", "empty")

    hub.models["ann/voice"] = {name: (export / name).read_bytes() for name in FILES}
    assert "ann/voice: there is no such revision" in refused("pull", "ann/voice@v2")
    hub.models["ann/voice"]["speakers.txt"] += b"one more\n"
    message = refused("pull", "ann/voice", "--output_dir", "copy")
    assert "speakers.txt: missing, or not the file whose sum is in" in message
    del hub.models["ann/voice"]["export.json"]
    assert "no export directory: export.json is missing" in refused("pull", "ann/voice")
    assert not (tmp_path / "copy").exists()
    hub.models["ann/pickle"] = {"README.md": b"x", "model.bin": b"x", "train.pt": b"x"}
    assert "no export directory: export.json is missing" in refused("pull", "ann/pickle")
    assert not [path for path in hub.asked if path.endswith((".bin", ".pt"))]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ann/voice", ("ann/voice", None)),
        ("a.b/c-d_1@v1.0", ("a.b/c-d_1", "v1.0")),
        ("a/b@refs/pr/1", ("a/b", "refs/pr/1")),
    ],
)
def test_names(text, found):
    assert parse_name(text) == found


@pytest.mark.parametrize("text", ["voice", "a/b/c", "ann/voice@", "http://x/y", "../etc", "a/b c"])
def test_names_of_another_form(text):
    with pytest.raises(HubError, match="expected USER/NAME"):
        parse_name(text)


def test_errors_without_words():
    with pytest.raises(HubError) as caught, _told("ann/voice"):
        raise TimeoutError
    assert str(caught.value) == "ann/voice: the hub cannot be used: TimeoutError"
