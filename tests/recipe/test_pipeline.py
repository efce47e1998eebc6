"""The whole pipeline through run.sh on toy voices: what runs, is skipped, is refused; SIGKILL at random."""

import configparser
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/train"))

pytestmark = [pytest.mark.slow, pytest.mark.recipe, pytest.mark.timeout(900)]

DATA_SH = """#!/usr/bin/env bash
# Copies the toy lists; takes data.sh's usual options.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Where the data goes.
data_dir=data
# Parallel jobs.
nj=1
. "$SVMIXER_ROOT/tools/parse_options.sh"
for set in train valid test; do
    mkdir -p "$data_dir/$set"
    cp "$recipe/lists/$set/"* "$data_dir/$set/"
done
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A recipe folder with its lists, audio, configurations and a random teacher."""
    import yaml
    from toy import write_config, write_dump, write_teacher

    folder = tmp_path_factory.mktemp("recipe folder")  # with a blank, as users have them
    for number, (name, speakers) in enumerate((("train", 4), ("valid", 3), ("test", 3))):
        audio = folder / "audio" / name
        write_dump(audio, speakers=speakers, utterances=5, seed=number)
        lists = folder / "lists" / name
        lists.mkdir(parents=True)
        spk2utt: dict[str, list[str]] = {}
        for line in (audio / "utt2spk").read_text().splitlines():
            utterance, speaker = line.split()
            spk2utt.setdefault(speaker, []).append(utterance)
        for file in ("wav.scp", "utt2spk", "trials"):
            shutil.copy(audio / file, lists / file)
        (lists / "spk2utt").write_text("".join(f"{s} {' '.join(u)}\n" for s, u in sorted(spk2utt.items())))
    write_teacher(folder / "teacher")
    (folder / "conf").mkdir()
    write_config(folder / "conf/train.yaml", folder)
    config = yaml.safe_load((folder / "conf/train.yaml").read_text())
    config["loop"]["workers"] = 0
    (folder / "conf/train.yaml").write_text(yaml.safe_dump(config))
    (folder / "local").mkdir()
    (folder / "local/data.sh").write_text(DATA_SH)
    return folder


def command(recipe: Path, *more: str) -> list[str]:
    return [
        str(ROOT / "run.sh"), "--recipe", str(recipe), "--tag", "toy", "--teacher", str(recipe / "teacher"),
        "--distill_config", "conf/train.yaml", "--train_config", "conf/train.yaml", "--lowpass", "3800",
        "--control", "true", *more,
    ]  # fmt: skip


def run(
    recipe: Path, work: Path, *more: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess:
    work.mkdir(exist_ok=True)
    return subprocess.run(
        command(recipe, *more),
        cwd=work,
        env=env,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=600,
    )


@pytest.fixture(scope="module")
def finished(recipe, tmp_path_factory):
    """Work directory of an undisturbed run."""
    work = tmp_path_factory.mktemp("work")
    result = run(recipe, work)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return work


def test_every_stage_leaves_what_it_promises(finished):
    exp = finished / "exp/toy"
    metrics = json.loads((exp / "score/test/metrics.json").read_text())
    assert metrics["set"] == "test" and metrics["trials"] == 105 and metrics["targets"] == 30
    assert 0 <= metrics["eer"] <= 100 and set(metrics["min_dcf"]) == {"0.05", "0.01"}
    lines = (exp / "score/test/scores").read_text().splitlines()
    assert len(lines) == 105 and len(lines[0].split()) == 3
    for name in ("score/test_lp3800", "control/test", "control/test_lp3800", "control_whitened/test"):
        assert (exp / name / "metrics.json").is_file()
    results = (exp / "RESULTS.md").read_text()
    assert metrics["trials_md5"] in results and "3800" in results
    assert f"{metrics['eer']:.2f}" in results
    record = json.loads((exp / "run.json").read_text())
    assert record["command"].startswith("./run.sh --recipe ") and str(ROOT) not in record["command"]
    assert "--tag toy" in record["command"] and record["options"]["lowpass"] == "3800" and record["commit"]
    assert (exp / "export/speakers.txt").read_text().splitlines()[:5] == [
        "s00#sp0.9",
        "s01#sp0.9",
        "s02#sp0.9",
        "s03#sp0.9",
        "s00",
    ]


def test_the_exported_model_embeds_a_file(finished, recipe):
    output = subprocess.run(
        ["svmixer", "embed", str(recipe / "audio/test/s00-000.wav"), "--output", str(finished / "one.npy"),
         "--model", str(finished / "exp/toy/export")],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert output.returncode == 0, output.stderr
    import numpy as np

    vector = np.load(finished / "one.npy").reshape(-1)
    assert vector.shape == (8,) and abs(np.linalg.norm(vector) - 1) < 1e-5


def test_a_second_run_does_nothing(finished, recipe):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    started = time.monotonic()
    result = run(recipe, finished)
    assert result.returncode == 0, result.stderr
    assert time.monotonic() - started < 60  # seconds on an idle machine; generous for a busy one
    after = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    changed = {str(path.relative_to(finished)) for path in after if before.get(path) != after[path]}
    assert changed == set()


def test_stage_names_and_skips(finished, recipe):
    result = run(recipe, finished, "--stage", "distill", "--stop_stage", "score", "--skip_stages", "4")
    assert result.returncode == 0, result.stderr
    stages = [
        word
        for word in ("stage 1", "stage 2", "stage 3", "stage 4", "stage 5", "stage 6")
        if word in result.stdout
    ]
    assert stages == ["stage 3", "stage 5"]


def test_an_empty_directory_is_told_what_is_missing(recipe, tmp_path):
    result = run(recipe, tmp_path / "empty", "--stage", "5")
    assert result.returncode == 1
    assert "dump/train is missing; it is made by stage 2 (dump): run with --stage 2" in result.stderr
    assert not list((tmp_path / "empty").iterdir())


def test_changed_lists_make_later_stages_stale(finished, recipe, tmp_path):
    work = tmp_path / "copy"
    shutil.copytree(finished, work)
    trials = work / "data/valid/trials"
    trials.write_text("".join(trials.read_text().splitlines(keepends=True)[:-1]))
    stale = run(recipe, work, "--stage", "3")
    assert stale.returncode == 1
    assert "dump/valid is stale: data/valid/trials changed after it was made" in stale.stderr
    assert "--stage 2" in stale.stderr
    # Dumping again is done in silence, training again is not.
    refused = run(recipe, work)
    assert refused.returncode == 1
    assert "again, because data/valid/trials changed" in refused.stdout
    assert "exp/toy/distill was made from other inputs or options" in refused.stderr
    assert "--force true" in refused.stderr


def test_ten_sigkills_end_in_the_same_scores(finished, recipe, tmp_path):
    """The whole run is killed at ten random moments; the tenth continuation ends in the same bytes."""
    work = tmp_path / "killed"
    work.mkdir()
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    moments = random.Random(seed)
    for _ in range(10):
        process = subprocess.Popen(
            command(recipe),
            cwd=work,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(moments.uniform(0.5, 14))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    result = run(recipe, work)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    for condition in ("score/test", "score/test_lp3800", "control/test", "control_whitened/test"):
        one, two = (folder / "exp/toy" / condition / "scores" for folder in (finished, work))
        assert one.read_bytes() == two.read_bytes(), condition
    leftovers = [path for path in work.rglob(".*.tmp") if path.is_file()]
    assert not leftovers


@pytest.fixture
def base_install(tmp_path):
    """Environment in which Python can import nothing that the base install lacks."""
    code = "import sys\nfor name in {!r}:\n    sys.modules[name] = None\n"
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extra = setup["options.extras_require"]
    packages = re.findall(r"^[\w-]+", extra["train"] + extra["dev"], re.MULTILINE)
    modules = [{"scikit-learn": "sklearn"}.get(name, name.replace("-", "_")) for name in packages]
    assert {"torchaudio", "espnet", "lightning_fabric"} <= set(modules)
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent/sitecustomize.py").write_text(code.format([*modules, "espnet2", "lightning"]))
    return {**os.environ, "PYTHONPATH": str(tmp_path / "absent")}


def test_evaluation_only(finished, recipe, base_install, tmp_path):
    """A model directory on the test set alone: the same scores, no data and no packages to train with."""
    refused = run(recipe, tmp_path / "training", "--stop_stage", "3", env=base_install)
    assert refused.returncode != 0 and re.search(r"import of \w+ halted", refused.stderr)
    work = tmp_path / "evaluation"
    (work / "exp").mkdir(parents=True)
    shutil.copytree(finished / "data/test", work / "data/test")
    shutil.copytree(finished / "exp/toy/export", work / "a model")
    options = ("--model", "a model", "--stage", "2", "--control", "false", "--lowpass", "")
    result = run(recipe, work, *options, "--tag", "other", env=base_install)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    scores = [folder / "score/test/scores" for folder in (work / "exp/other", finished / "exp/toy")]
    assert scores[0].read_bytes() == scores[1].read_bytes()
    assert "| test | student | full band |" in (work / "exp/other/RESULTS.md").read_text().replace(
        "distilled ", ""
    )
    assert sorted(path.name for path in (work / "dump").iterdir() if path.is_dir()) == ["test"]
    assert not any((work / "exp/other" / name).exists() for name in ("distill", "train", "export"))
    refused = run(recipe, finished, *options[:1], str(work / "a model"), *options[2:])
    assert refused.returncode == 1
    assert "exp/toy holds a training of its own; take another --tag" in refused.stderr
    missing = run(recipe, work, "--model", "nowhere", *options[2:], "--tag", "third")
    assert "nowhere: no model directory" in missing.stderr and not (work / "exp/third/score").exists()


def test_without_a_teacher(finished, recipe, tmp_path):
    """Nothing is distilled; the speaker training starts from random weights and is scored like any other."""
    work = tmp_path / "alone"
    work.mkdir()
    for name in ("data", "dump"):
        shutil.copytree(finished / name, work / name)
    result = run(recipe, work, "--stage", "3", "--stop_stage", "5", "--tag", "alone", "--teacher", "none",
                 "--train_args", "--loop.max_epochs 1", "--control", "false", "--lowpass", "")  # fmt: skip
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert "no teacher, nothing to distil" in result.stdout
    assert not (work / "exp/alone/distill").exists()
    config = yaml.safe_load((work / "exp/alone/train/config.yaml").read_text())
    assert config["teacher"] == "" and config["init_student"] in ("", None)
    records = [json.loads(line) for line in (work / "exp/alone/train/log.jsonl").read_text().splitlines()]
    assert all("train_distill" not in record for record in records)
    assert (work / "exp/alone/score/test/metrics.json").is_file()


def test_half_written_files_of_a_killed_run_are_removed(finished, recipe, tmp_path):
    work = tmp_path / "copy"
    shutil.copytree(finished, work)
    folders = ("data/test", "dump/test/data", "exp/toy/score/test")
    halves = [work / folder / ".name.a1b2c3_z.tmp" for folder in folders]
    kept = work / "exp/toy/name.tmp"
    for path in (*halves, kept):
        path.write_text("half")
    result = run(recipe, work)
    assert result.returncode == 0, result.stderr[-3000:]
    assert [path.exists() for path in halves] == [False] * 3
    assert kept.exists()


def test_term_saves_the_training_and_the_next_run_continues(finished, recipe, tmp_path):
    work = tmp_path / "terminated"
    work.mkdir()
    for name in ("data", "dump"):
        shutil.copytree(finished / name, work / name)
    process = subprocess.Popen(
        command(recipe, "--stage", "3", "--distill_args", "--loop.max_epochs 500"),
        cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    for line in process.stdout:
        if "epoch 2/" in line:
            break
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=90)
    assert process.returncode != 0
    log = (work / "exp/toy/distill/distill.log").read_text()
    assert "stopped by a signal: saved at epoch" in log
    assert result_of_continuing(recipe, work)


def result_of_continuing(recipe: Path, work: Path) -> bool:
    """Whether the run continues where it was saved (stopped again at once: 500 epochs are not waited for)."""
    process = subprocess.Popen(
        command(recipe, "--stage", "3", "--distill_args", "--loop.max_epochs 500"),
        cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    resumed = any("resumed at epoch" in line for line in process.stdout)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=90)
    return resumed
