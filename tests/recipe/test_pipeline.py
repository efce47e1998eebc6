"""The whole pipeline through run.sh on toy voices: what runs, is skipped, is refused."""

import configparser
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from toy_recipe import HOSTILE, ROOT, command, run

pytestmark = [pytest.mark.slow, pytest.mark.recipe, pytest.mark.timeout(900)]


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
    words = shlex.split(record["command"])
    # Relative to the working directory, so that it can be pasted there; on the page from the checkout.
    assert (finished / words[0]).resolve() == ROOT / "run.sh" and words[1] == "--recipe"
    assert "\n./run.sh --recipe " in results and str(ROOT)[1:] not in results and record["first"] == 3
    assert len((exp / "commands.log").read_text().splitlines()) == 1
    assert words[words.index("--lowpass") + 1] == "3800" and words[-4:-2] == ["--onnx", "false"]
    # The recipe lies outside of the working directory; its name has all that a shell acts upon.
    assert words[2].endswith(HOSTILE)
    # When the run began, not when it came to be recorded.
    started = datetime.fromisoformat(record["started"]).timestamp()
    assert started <= min(path.stat().st_mtime for path in (finished / "data").rglob(".done")) + 1
    assert str(finished) not in results and str(finished) not in (exp / "report.html").read_text()
    assert f"started {record['started']}." in results and str(Path(words[2]).parent) not in results
    assert "--tag toy" in record["command"] and record["options"]["lowpass"] == "3800" and record["commit"]
    assert record["defaults"]["lowpass"] == "" and record["defaults"]["stop_stage"] == "7"
    assert (exp / "export/speakers.txt").read_text().splitlines()[:5] == [
        "s00#sp0.9",
        "s01#sp0.9",
        "s02#sp0.9",
        "s03#sp0.9",
        "s00",
    ]


def test_no_file_name_became_shell_text(finished, recipe):
    """The recipe, its audio and the work directory have blanks, quotes and commands in their names."""
    for folder in (finished.parent, recipe.parent, ROOT):
        assert not [path for path in folder.rglob("*PWNED*") if path.name == "PWNED"]
    assert HOSTILE in (finished / "data/test/wav.scp").read_text()


def test_modes_follow_the_umask(finished):
    """The run had a umask of 027: group reads, others nothing. Links have no mode of their own."""
    paths = [path for folder in ("data", "dump", "exp/toy") for path in (finished / folder).rglob("*")]
    modes = {(path.is_dir(), oct(path.stat().st_mode & 0o777)) for path in paths}
    assert modes == {(True, "0o750"), (False, "0o640")}


def test_the_exported_model_embeds_a_file(finished, recipe):
    audio = recipe / f"audio {HOSTILE}" / "test/s00-000.wav"
    output = subprocess.run(
        ["svmixer", "embed", str(audio), "--output", str(finished / "one.npy"),
         "--model", str(finished / "exp/toy/export")],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert output.returncode == 0, output.stderr
    import numpy as np

    vector = np.load(finished / "one.npy").reshape(-1)
    assert vector.shape == (8,) and abs(np.linalg.norm(vector) - 1) < 1e-5


def test_onnx_export(finished, recipe, torch_install, tmp_path):
    """Stage 7 with graphs: made once, described by what stage 5 found, refused where onnx is missing."""
    work = tmp_path / "work"
    shutil.copytree(finished, work)
    (recipe / "conf/card.md").write_text("## Data\n\nToys.\n")
    options = ("--stage", "7", "--onnx", "true", "--export_args", "--weights float16")
    try:
        refused = run(recipe, work, *options, env=torch_install)
        assert refused.returncode != 0
        assert "svmixer export needs onnx" in refused.stdout + refused.stderr
        assert not (work / "exp/toy/export/.done").exists()
        result = run(recipe, work, *options)
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        again = run(recipe, work, *options)
    finally:
        (recipe / "conf/card.md").unlink()
    assert again.returncode == 0 and "stage 7: exp/toy/export is done" in again.stdout
    export = work / "exp/toy/export"
    assert sorted(path.name for path in export.iterdir()) == [
        ".done", "README.md", "config.yaml", "export.json", "model.int8.onnx", "model.onnx",
        "model.safetensors", "speakers.txt",
    ]  # fmt: skip
    description = json.loads((export / "export.json").read_text())
    metrics = json.loads((work / "exp/toy/score/test/metrics.json").read_text())
    assert description["scored"]["eer"] == metrics["eer"] and description["training_speakers"] == 4
    assert description["threshold"]["cosine"] == description["scored"]["unit_length_threshold"]
    assert description["checks"]["float32"]["cosine_lowest"] >= 0.9999
    assert description["checks"]["int8"]["cosine_lowest"] >= 0.999
    card = (export / "README.md").read_text()
    assert (
        card.endswith("## Data\n\nToys.\n")
        and f"| PyTorch | crops, 10 | test | 3 | 105 | {metrics['eer']:.2f}" in card
    )
    stale = run(recipe, work, *options[:4])
    assert "exp/toy/export: again, because option args" in stale.stdout


def test_a_second_run_does_nothing_whatever_the_clocks_say(finished, recipe):
    """Files of the year 2000, of 2035 and of now: what counts is what is in them."""
    paths = sorted(path for path in finished.parent.rglob("*") if path.is_file())
    for number, path in enumerate(paths):
        moment = (946_684_800, 2_051_222_400, time.time())[number % 3]
        os.utime(path, (moment, moment))
    before = {path: path.stat().st_mtime_ns for path in finished.parent.rglob("*") if path.is_file()}
    started = time.monotonic()
    result = run(recipe, finished)
    assert result.returncode == 0, result.stderr
    assert time.monotonic() - started < 60  # seconds on an idle machine; generous for a busy one
    after = {path: path.stat().st_mtime_ns for path in finished.parent.rglob("*") if path.is_file()}
    changed = {str(path) for path in after if before.get(path) != after[path]}
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


def test_a_replaced_recording_is_scored_again(finished, recipe, tmp_path):
    """Same name, length and lists: dump, embeddings and scores of the set are made anew, nothing else."""
    work = tmp_path / "copy"
    shutil.copytree(finished, work)
    # Recordings of this test's own: others use the recipe's.
    audio = tmp_path / "audio"
    shutil.copytree(recipe / f"audio {HOSTILE}" / "test", audio)
    scp = work / "data/test/wav.scp"
    scp.write_text(scp.read_text().replace(str(recipe / f"audio {HOSTILE}" / "test"), str(audio)))
    options = ("--stage", "2", "--stop_stage", "5", "--control", "false", "--lowpass", "")
    first = run(recipe, work, *options)
    assert first.returncode == 0, first.stderr[-3000:]
    scores = (work / "exp/toy/score/test/scores").read_bytes()
    shutil.copy(audio / "s01-000.wav", audio / "s00-000.wav")
    again = run(recipe, work, *options)
    assert again.returncode == 0, again.stderr[-3000:]
    assert f"dump/test: again, because recording {audio}/s00-000.wav changed" in again.stdout
    assert "exp/toy/score/test: again, because dump/test/.done changed" in again.stdout
    assert again.stdout.count(" is done") == 4
    assert (work / "exp/toy/score/test/scores").read_bytes() != scores


@pytest.fixture
def torch_install(tmp_path):
    """Environment in which Python can import nothing that the extra [torch] lacks."""
    code = "import sys\nfor name in {!r}:\n    sys.modules[name] = None\n"
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extra = setup["options.extras_require"]
    packages = re.findall(r"^[\w-]+", extra["train"] + extra["dev"], re.MULTILINE)
    modules = [{"scikit-learn": "sklearn"}.get(name, name.replace("-", "_")) for name in packages]
    assert {"torchaudio", "espnet", "lightning_fabric", "onnx", "onnxscript"} <= set(modules)
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent/sitecustomize.py").write_text(code.format([*modules, "espnet2", "lightning"]))
    return {**os.environ, "PYTHONPATH": str(tmp_path / "absent")}


def test_evaluation_only(finished, recipe, torch_install, tmp_path):
    """A model directory on the test set alone: the same scores, no data and no packages to train with."""
    refused = run(recipe, tmp_path / "training", "--stop_stage", "3", env=torch_install)
    assert refused.returncode != 0 and re.search(r"needs \w+, which is not installed", refused.stderr)
    work = tmp_path / "evaluation"
    (work / "exp").mkdir(parents=True)
    shutil.copytree(finished / "data/test", work / "data/test")
    shutil.copytree(finished / "exp/toy/export", work / "a model")
    options = ("--model", "a model", "--stage", "2", "--control", "false", "--lowpass", "")
    result = run(recipe, work, *options, "--tag", "other", env=torch_install)
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


def test_normalised_and_cut(finished, recipe, tmp_path):
    """AS-norm and lengths beside the plain results, which are as ever; the second time nothing is done."""
    work = tmp_path / "evaluation"
    (work / "exp").mkdir(parents=True)
    for name in ("train", "test"):
        shutil.copytree(finished / "data" / name, work / "data" / name)
    shutil.copytree(finished / "exp/toy/export", work / "a model")
    options = (
        "--model", "a model", "--stage", "2", "--control", "false", "--score_norm", "asnorm",
        "--durations", "0.5", "--tag", "other",
    )  # fmt: skip
    result = run(recipe, work, *options)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    score = work / "exp/other/score"
    conditions = ("test", "test_d0.5", "test_lp3800")
    names = {*conditions, *(f"{name}_asnorm" for name in conditions)}
    assert {path.name for path in score.iterdir()} == names
    assert {path.name for path in (work / "exp/other/cohort").iterdir()} == {"score", "score_lp3800"}
    metrics = {name: json.loads((score / name / "metrics.json").read_text()) for name in names}
    for name in conditions:
        assert metrics[name]["normalisation"] == "none"
        assert metrics[f"{name}_asnorm"]["normalisation"] == "AS-norm, top 4 of 4 speakers"
    assert metrics["test_d0.5"]["max_seconds"] == metrics["test_d0.5_asnorm"]["max_seconds"] == 0.5
    assert (score / "test/scores").read_bytes() == (finished / "exp/toy/score/test/scores").read_bytes()
    results = (work / "exp/other/RESULTS.md").read_text()
    assert results.count("| AS-norm, top 4 of 4 speakers |") == 3 and "| full band, 0.5 s |" in results
    before = {path: path.stat().st_mtime_ns for path in score.rglob("*") if path.is_file()}
    again = run(recipe, work, *options)
    assert again.returncode == 0 and "is done" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in score.rglob("*") if path.is_file()} == before
    # Other ways to score beside them: nothing else is done again.
    ways = ("--score_norm", "snorm", "--scoring", "mean", "--durations", "", "--lowpass", "")
    other = run(recipe, work, *options, *ways)
    assert other.returncode == 0, other.stdout[-3000:] + other.stderr[-3000:]
    added = {"test_snorm", "test_mean", "test_mean_snorm"}
    assert {path.name for path in score.iterdir()} == names | added
    metrics = {name: json.loads((score / name / "metrics.json").read_text()) for name in added}
    assert {name: (m["scoring"], m["normalisation"]) for name, m in metrics.items()} == {
        "test_snorm": ("cosine", "S-norm, 4 speakers"),
        "test_mean": ("cosine, mean subtracted", "none"),
        "test_mean_snorm": ("cosine, mean subtracted", "S-norm, 4 speakers"),
    }
    # Joining the lists of the jobs writes the same once more.
    touched = {path for path in before if path.stat().st_mtime_ns != before[path]}
    assert {path.name for path in touched} <= {"embeddings.scp"}
    rows = (work / "exp/other/RESULTS.md").read_text()
    assert "| cosine, mean subtracted; S-norm, 4 speakers |" in rows and "| full band, 0.5 s |" in rows
    few = run(recipe, work, *options, *ways[:2], "--scoring", "plda", "--stop_stage", "5")
    assert few.returncode == 1 and "more than" in few.stderr and "training speakers, found 4" in few.stderr
    refused = run(recipe, work, *options, "--scoring", "plda:many")
    assert "--scoring takes mean, plda or plda:DIMENSIONS, found 'plda:many'" in refused.stderr
    refused = run(recipe, work, *options, "--score_norm", "znorm")
    assert (
        refused.returncode == 1 and "--score_norm znorm is not one of none, asnorm, snorm" in refused.stderr
    )


def test_across_channels(finished, recipe, tmp_path):
    """The two sides through held-out channels, model and controls; plain as ever."""
    work = tmp_path / "evaluation"
    (work / "exp").mkdir(parents=True)
    for name in ("train", "test"):
        shutil.copytree(finished / "data" / name, work / "data" / name)
    shutil.copytree(finished / "exp/toy/export", work / "a model")
    options = (
        "--model", "a model", "--stage", "2", "--lowpass", "", "--tag", "other", "--channels", "amrnb:opus",
    )  # fmt: skip
    result = run(recipe, work, *options)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    exp = work / "exp/other"
    names = {"test", "test_amrnb-opus"}
    for system in ("score", "control", "control_whitened"):
        assert {path.name for path in (exp / system).iterdir()} == names
    metrics = json.loads((exp / "score/test_amrnb-opus/metrics.json").read_text())
    assert metrics["channels"] == "amrnb:opus" and metrics["trials"] == 105
    scores = [(exp / f"score/{name}/scores").read_bytes() for name in ("test", "test_amrnb-opus")]
    assert scores[0] == (finished / "exp/toy/score/test/scores").read_bytes() != scores[1]
    results = (exp / "RESULTS.md").read_text()
    # Three systems, and the model minus each control.
    assert results.count("| enrolment amrnb, test opus |") == 5 and "- Channels: " in results
    again = run(recipe, work, *options)
    assert again.returncode == 0 and again.stdout.count(" is done") >= 7
    # Made anew, the channels are the same.
    shutil.rmtree(exp / "score/test_amrnb-opus")
    assert run(recipe, work, *options, "--stop_stage", "5").returncode == 0
    assert (exp / "score/test_amrnb-opus/scores").read_bytes() == scores[1]


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


def test_large_margin_fine_tuning_of_a_finished_training(finished, recipe, tmp_path):
    """A second stage 4 without teacher or speeds, on longer crops; it extends the first configuration."""
    work = tmp_path / "tuned"
    shutil.copytree(finished, work)
    tuned = {
        "base": str(recipe / "conf/train.yaml"), "data": {"speeds": [1.0], "windows": 2},
        "speaker": {"margin": 0.5, "top_k_mode": "none"}, "loop": {"max_epochs": 1, "lr": 1e-4},
    }  # fmt: skip
    (work / "tuned.yaml").write_text(yaml.safe_dump(tuned))
    options = ("--stage", "train", "--stop_stage", "score", "--tag", "tuned", "--teacher", "none")
    config = ("--train_config", "tuned.yaml", "--train_args", "--init_model exp/toy/train")
    result = run(recipe, work, *options, *config, "--control", "false", "--lowpass", "")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert (
        "the centres of 4 of 4 speakers from exp/toy/train"
        in (work / "exp/tuned/train/train.log").read_text()
    )
    first, second = (
        yaml.safe_load((work / f"exp/{tag}/train/config.yaml").read_text()) for tag in ("toy", "tuned")
    )
    assert second["model"] == first["model"] and second["augment"] == first["augment"]
    assert (second["data"]["windows"], second["speaker"]["margin"], second["loop"]["lr"]) == (2, 0.5, 1e-4)
    configs = json.loads((work / "exp/tuned/train/.done").read_text())["configs"]
    assert set(configs) == {"tuned.yaml", "train.yaml"}
    assert (work / "exp/tuned/score/test/metrics.json").is_file()


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
