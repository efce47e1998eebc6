"""Errors under ``--json``: an object on standard output, the words on standard error, one exit status."""

from __future__ import annotations

import json

import pytest

from svmixer.cli.main import main
from svmixer.json_errors import error_fields, wants_json
from svmixer.lists import ListError


def fails(capsys, *words: str) -> tuple[dict, str]:
    """The object and the words; both have the status that the program ended with."""
    with pytest.raises(SystemExit) as stop:
        main([*words])
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert list(found) == ["error"] and found["error"]["status"] == stop.value.code
    assert found["error"]["message"] in err.replace("\nerror: ", "\n")
    return found["error"], err


def test_a_recording_that_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for how in (["--json"], ["--json", "true"], ["--json=yes"], ["--format", "json"], ["--format=json"]):
        found, err = fails(capsys, "verify", "a.wav", "b.wav", *how)
        assert found == {
            "message": "a.wav: missing file",
            "kind": "audio",
            "status": 1,
            "reason": "missing file",
            "file": "a.wav",
        }
        assert err == "error: a.wav: missing file\n"


def test_lists_have_their_line(tmp_path, capsys):
    path = tmp_path / "scores"
    path.write_text("a b 0.5 1\na b\n")
    found, _ = fails(capsys, "metrics", str(path), "--json")
    assert (found["kind"], found["status"], found["file"], found["line"]) == ("list", 1, str(path), 2)
    error = ListError("no speaker", path="wav.scp", line=3, utterance="u1")
    assert error_fields(error, 1) == {
        "message": "wav.scp:3: utterance u1: no speaker",
        "kind": "list",
        "status": 1,
        "file": "wav.scp",
        "line": 3,
        "utterance": "u1",
    }


@pytest.mark.parametrize(
    ("words", "status", "kind", "message"),
    [
        (["verify", "a.wav"], 2, "usage", "two recordings or more are compared, found 1"),
        (
            ["verify", "a.wav", "b.wav", "--modl", "x"],
            2,
            "usage",
            "unknown key 'modl'; did you mean 'model'?",
        ),
        (["verify", "a.wav", "b.wav", "--threshold", "7"], 2, "usage", "a cosine from -1 to 1, found 7"),
        (["identify", "a.wav", "b.wav", "--top", "0"], 2, "usage", "top: must be at least 1, found 0"),
        (["vverify"], 2, "usage", "unknown verb 'vverify'; did you mean 'verify'?"),
        (["identify", "a.wav", "b.wav", "--model", "nix"], 1, "model", "nix: no such model directory"),
        (["complexity", "--student", "nix.yaml"], 2, "usage", "nix.yaml"),
    ],
)
def test_kinds(words, status, kind, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found, _ = fails(capsys, *words, "--json")
    assert (found["status"], found["kind"]) == (status, kind)
    assert message in found["message"]


def test_what_the_system_refuses_has_its_file(monkeypatch, capsys):
    def refuse(argv):
        raise PermissionError(13, "Permission denied", "/locked/a.npy")

    monkeypatch.setattr("svmixer.cli.verify.main", refuse)
    found, _ = fails(capsys, "verify", "--json")
    assert (found["kind"], found["file"], found["status"]) == ("system", "/locked/a.npy", 1)


def test_a_package_that_is_not_installed(monkeypatch, capsys):
    def need(argv):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("svmixer.cli.verify.main", need)
    found, _ = fails(capsys, "verify", "--json")
    assert found["kind"] == "package" and "svmixer[torch]" in found["message"]


def test_nobody_asked_for_json(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for how in ([], ["--json", "false"], ["--format", "text"]):
        with pytest.raises(SystemExit):
            main(["verify", "a.wav", "b.wav", *how])
        assert capsys.readouterr() == ("", "error: a.wav: missing file\n")
    assert not wants_json(["--", "--json"]) and not wants_json(["--json", "--json=no"])
    assert wants_json(["a.wav", "--json", "b.wav"])
