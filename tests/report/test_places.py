"""Pages of results name no place of the machine that made them."""

import json
import os
import shlex
from pathlib import Path

import pytest

import svmixer
from svmixer.report.compare import write_comparison
from svmixer.report.document import Extras
from svmixer.report.experiment import read_experiment
from svmixer.report.page import write_report
from svmixer.report.places import command_lines, command_without_places, without_places

CHECKOUT = Path(svmixer.__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/a/my model", "…/my model"),
        ("--wav_scp '/x/my lists/wav.scp' --utt2spk /c/utt2spk", "--wav_scp '…/wav.scp' --utt2spk …/utt2spk"),
        ("--a=/b/c --init_param [/d/e:student]", "--a=…/c --init_param […/e:student]"),
        ("exp/a/b ../c 1/2 ~/d", "exp/a/b ../c 1/2 ~/d"),
        ("https://host/a/b", "https://host/a/b"),
        ("pocket", "pocket"),
        (f"{CHECKOUT}/egs/x/sv1", "egs/x/sv1"),
        (f"x {CHECKOUT}/conf/score.yaml", "x conf/score.yaml"),
    ],
)
def test_texts(text, expected):
    assert without_places(text) == expected


def test_the_checkout_from_elsewhere(tmp_path, monkeypatch):
    """The way there from another folder names places; from within it does not."""
    way = os.path.relpath(CHECKOUT, tmp_path)
    monkeypatch.chdir(tmp_path)
    command = f"{way}/run.sh --recipe {way}/egs/x/sv1 --datadir ../data --model {way}2/m"
    assert command_without_places(command).startswith("./run.sh --recipe ./egs/x/sv1 --datadir ../data ")
    monkeypatch.chdir(CHECKOUT / "egs/mini_an4")
    assert command_without_places("../../run.sh --recipe sv1") == "../../run.sh --recipe sv1"


def test_the_working_directory(tmp_path, monkeypatch):
    work = tmp_path / "a b"
    (work / "exp").mkdir(parents=True)
    monkeypatch.chdir(work)
    assert without_places(f"{work}/exp/my model") == "exp/my model"
    assert without_places(str(work)) == "."
    (tmp_path / "link").symlink_to(work)
    monkeypatch.chdir(tmp_path / "link")
    monkeypatch.setenv("PWD", str(tmp_path / "link"))
    assert without_places(f"{tmp_path}/link/exp/m") == "exp/m"


def test_commands_can_still_be_pasted():
    opts = "--wav_scp '/x/my lists/wav.scp'"
    words = ["./run.sh", "--local_data_opts", opts, "--tag", "it's", "--model", "/a b/m"]
    command = command_without_places(shlex.join(words))
    assert shlex.split(command) == [*words[:2], "--wav_scp '…/wav.scp'", *words[3:-1], "…/m"]
    # What an earlier version recorded, without its quotes.
    assert command_without_places("./run.sh --tag it's /a/b") == "./run.sh --tag it's …/b"


def test_long_commands_are_broken_before_options():
    words = shlex.split("./run.sh --tag 'a b' --force true")
    words += ["--local_data_opts", "--wav_scp 'x y'", "--nj", "2"]
    lines = command_lines(shlex.join(words), width=40)
    assert lines == [
        "./run.sh --tag 'a b' --force true \\",
        """    --local_data_opts '--wav_scp '"'"'x y'"'"'' \\""",
        "    --nj 2",
    ]
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == words
    assert command_lines("./run.sh --tag it's /a/b") == ["./run.sh --tag it's …/b"]


@pytest.mark.slow
def test_pages_have_none(make_run):
    """Model, options and command of a run; the comparison of runs that are named by their absolute paths."""
    folder = make_run("exp/toy")
    place = Path.cwd()
    for path in folder.glob("score/*/metrics.json"):
        metrics = json.loads(path.read_text())
        path.write_text(json.dumps({**metrics, "model": f"{place}/exp/toy/train/model"}))
    run = json.loads((folder / "run.json").read_text())
    words = ["./run.sh", "--model", f"{place}/m", "--local_data_opts", "--wav_scp /else/w.scp"]
    run["command"] = shlex.join(words)
    run["options"] = {"recipe": f"{CHECKOUT}/egs/toy/sv1", "model": f"{place}/m", "datadir": "/scratch/data"}
    (folder / "run.json").write_text(json.dumps(run))
    write_report(read_experiment(folder, "student"), Extras())
    write_comparison({"a": [str(folder.resolve())]}, "page.md", "Page", "", 10, 0)
    for name in (folder / "RESULTS.md", folder / "report.html", Path("page.md")):
        text = name.read_text()
        assert not any(root in text for root in (str(place), str(CHECKOUT), "/else", "/scratch"))
        assert "./run.sh --model m --local_data_opts" in text
    text = (folder / "RESULTS.md").read_text()
    assert "./run.sh --model m --local_data_opts '--wav_scp …/w.scp'" in text
    assert "Model: `exp/toy/train/model`" in text and "| `recipe` | `egs/toy/sv1` |" in text
    assert "| `datadir` | `…/data` |" in text and "`exp/toy`:" in Path("page.md").read_text()
