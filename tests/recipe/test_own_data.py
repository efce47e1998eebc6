"""A recipe for one's own recordings: tools/new_recipe.sh, then lists to data/{train,valid,test}."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from svmixer.lists import (
    fix_data_dir,
    partition_data_dir,
    read_segments,
    read_trials,
    read_utt2spk,
    validate_data_dir,
)

ROOT = Path(__file__).resolve().parents[2]
SETS = ("train", "valid", "test")
KINDS = ("distill", "speaker")


@pytest.fixture
def project(tmp_path) -> Path:
    """The project's scripts and the template, in a place of the test's own."""
    root = tmp_path / "project"
    root.mkdir()
    for name in ("conf", "tools", "svmixer", "path.sh"):
        (root / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "egs/TEMPLATE", root / "egs/TEMPLATE")
    return root


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess:
    env = {**os.environ, "SVMIXER_VENV": sys.prefix}
    return subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def recipe(project) -> Path:
    """A recipe made by the tool."""
    done = run(project / "tools/new_recipe.sh", "toy", cwd=project)
    assert done.returncode == 0, done.stderr
    return project / "egs/toy/sv1"


@pytest.fixture
def corpus(tmp_path) -> Path:
    """Eight speakers, three recordings each; lists as people have them: unsorted, with Windows line ends."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    rng = np.random.default_rng(0)
    names = [f"s{speaker}-{i}" for speaker in range(8) for i in range(3)]
    for name in names:
        soundfile.write(folder / f"{name}.flac", 0.1 * rng.standard_normal(800), 16000)
    (folder / "wav.scp").write_text(
        "".join(f"{name} {folder}/{name}.flac\r\n" for name in reversed(names)), newline=""
    )
    (folder / "utt2spk").write_text("".join(f"{name}\t{name[:2]}\n" for name in [*names, "s9-0"]))
    return folder


def test_lists_that_lie_where_the_copies_go_are_left_alone(recipe, corpus, tmp_path):
    work = tmp_path / "work"
    mine = work / "data/all"
    mine.mkdir(parents=True)
    for name in ("wav.scp", "utt2spk"):
        shutil.copy(corpus / name, mine / name)
    before = contents(mine)
    done = run(
        recipe / "local/data.sh", "--wav_scp", "data/all/wav.scp", "--utt2spk", "data/all/utt2spk", cwd=work
    )
    assert done.returncode == 1 and "data/all/wav.scp lies in data/all, which is made anew" in done.stderr
    assert contents(mine) == before


def options(corpus: Path) -> list[object]:
    lists = ["--wav_scp", corpus / "wav.scp", "--utt2spk", corpus / "utt2spk"]
    return [*lists, "--valid_speakers", 2, "--test_speakers", 3, "--nj", 2]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_new_recipe(project, recipe):
    assert contents(recipe.parent) == contents(project / "egs/TEMPLATE")
    for script in ("run.sh", "local/data.sh"):
        assert os.access(recipe / script, os.X_OK)
    assert sorted(path.name for path in (project / "egs").iterdir()) == ["TEMPLATE", "toy"]
    (recipe / "run.sh").write_text("mine")
    again = run(project / "tools/new_recipe.sh", "toy", cwd=project)
    assert again.returncode == 1
    assert "egs/toy exists already" in again.stderr
    assert (recipe / "run.sh").read_text() == "mine"


@pytest.mark.parametrize(
    "arguments", [[], ["a", "b"], ["../x"], ["a/b"], [""], [".x"], ["a b"], ["TEMPLATE"]]
)
def test_unusable_names(project, arguments):
    done = run(project / "tools/new_recipe.sh", *arguments, cwd=project)
    assert done.returncode == 1
    assert "new_recipe.sh" in done.stderr
    assert [path.name for path in (project / "egs").iterdir()] == ["TEMPLATE"]


def test_run_sh_calls_the_driver(project, recipe):
    """The driver gets the recipe, a tag named after it, and the caller's own options last."""
    driver = project / "run.sh"
    driver.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$PWD" "$@"\n')
    driver.chmod(0o755)
    work = project / "work"
    work.mkdir()
    done = run(recipe / "run.sh", "--stage", "2", "--tag", "mine", cwd=work)
    assert done.returncode == 0, done.stderr
    folder, *arguments = done.stdout.splitlines()
    assert folder == str(work)
    assert len(arguments) % 2 == 0
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert given["--recipe"] == str(recipe)
    assert arguments[arguments.index("--tag") + 1] == "toy"
    assert arguments[-4:] == ["--stage", "2", "--tag", "mine"]
    # Every option is one the real driver has.
    known = run(ROOT / "run.sh", "--help", cwd=work).stdout
    assert all(f"  {option} " in known for option in given)


@pytest.mark.parametrize("name", ["train_distill", "train_speaker", "train_distill_few", "train_speaker_few"])
def test_configurations_load(name):
    from svmixer.config import load
    from svmixer.training.config import TrainConfig

    config = load(TrainConfig, ROOT / f"egs/TEMPLATE/sv1/conf/{name}.yaml")
    assert config.distill.kind == "distilhubert"
    # Own data come without noises and rooms: nothing may be read from a list.
    assert {source.kind for source in config.augment.sources} == {"babble", "coloured", "clip"}


@pytest.mark.slow
@pytest.mark.recipe
def test_lists_to_sets(recipe, corpus, tmp_path):
    originals = contents(corpus)
    work = tmp_path / "work"
    work.mkdir()
    done = run(recipe / "local/data.sh", *options(corpus), cwd=work)
    assert done.returncode == 0, done.stderr
    assert "data/all/utt2spk: left out 1: not in wav.scp (s9-0)" in done.stdout
    assert contents(corpus) == originals
    speakers = {name: set(read_utt2spk(work / "data" / name / "utt2spk").values()) for name in SETS}
    assert {name: len(own) for name, own in speakers.items()} == {"train": 3, "valid": 2, "test": 3}
    assert len(set.union(*speakers.values())) == 8
    for name in SETS:
        size = validate_data_dir(work / "data" / name, need_speakers=True, check_files=True)
        assert size.utterances == 3 * len(speakers[name])
        # Three target pairs a speaker, and as many impostor pairs.
        assert size.trials == (0 if name == "train" else 6 * len(speakers[name]))
    # The scripts add nothing of their own to what the functions do.
    direct = tmp_path / "direct"
    shutil.copytree(corpus, direct / "all", ignore=shutil.ignore_patterns("*.flac"))
    fix_data_dir(direct / "all")
    partition_data_dir(direct / "all", direct, valid_speakers=2, test_speakers=3)
    for name in SETS:
        assert contents(work / "data" / name) == contents(direct / name)


@pytest.mark.slow
@pytest.mark.recipe
def test_lists_folder_segments_and_trials(recipe, corpus, tmp_path):
    """Without options the lists come from lists/, and given trials are the test set."""
    shutil.copy(corpus / "wav.scp", recipe / "lists")
    names = [f"s{speaker}-{i}" for speaker in range(8) for i in range(3)]
    halves = [(f"{name}_{half}", name, half) for name in names for half in (0, 1)]
    segments = "".join(
        f"{utt} {name} {0.025 * half:.3f} {0.025 * half + 0.025:.3f}\n" for utt, name, half in halves
    )
    (recipe / "lists/segments").write_text(segments)
    (recipe / "lists/utt2spk").write_text("".join(f"{utt} {name[:2]}\n" for utt, name, _ in halves))
    (recipe / "lists/trials").write_text("s4-0_0 s4-1_1 target\ns4-0_0 s6-2_0 nontarget\n")
    work = tmp_path / "work"
    work.mkdir()
    done = run(recipe / "local/data.sh", "--valid_speakers", 3, "--data_dir", "lists", cwd=work)
    assert done.returncode == 0, done.stderr
    assert (work / "lists/test/trials").read_text() == "1 s4-0_0 s4-1_1\n0 s4-0_0 s6-2_0\n"
    assert list(read_segments(work / "lists/test/segments")) == ["s4-0_0", "s4-1_1", "s6-2_0"]
    assert set(read_utt2spk(work / "lists/train/utt2spk").values()).isdisjoint({"s4", "s6"})
    assert len(read_trials(work / "lists/valid/trials")) == 3 * 15 * 2
    (recipe / "lists/trials").write_text("M s4-1_1 target\nM s6-2_0 nontarget\n")
    (recipe / "lists/enroll.map").write_text("M s4-0_0 s4-0_1\n")
    done = run(recipe / "local/data.sh", "--valid_speakers", 3, "--data_dir", "lists", cwd=work)
    assert done.returncode == 0, done.stderr
    assert (work / "lists/test/trials").read_text() == "1 M s4-1_1\n0 M s6-2_0\n"
    assert (work / "lists/test/enroll.map").read_text() == "M s4-0_0 s4-0_1\n"
    assert list(read_segments(work / "lists/test/segments")) == ["s4-0_0", "s4-0_1", "s4-1_1", "s6-2_0"]


@pytest.mark.slow
@pytest.mark.recipe
def test_bad_lists_are_explained(recipe, corpus, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    missing = run(recipe / "local/data.sh", cwd=work)
    assert missing.returncode == 1
    assert f"no such list: {recipe}/lists/wav.scp; give it with --wav_scp FILE" in missing.stderr

    (corpus / "s0-0.flac").unlink()
    absent = run(recipe / "local/data.sh", *options(corpus), cwd=work)
    assert absent.returncode == 1
    assert f"data/all/wav.scp:1: utterance s0-0: no such file: {corpus}/s0-0.flac" in absent.stderr
    assert "--drop_missing true leaves out recordings whose file is missing" in absent.stderr
    assert "repair with" not in absent.stderr, "the next run would undo a repair of the copies"
    assert not (work / "data/train").exists()
    dropped = run(recipe / "local/data.sh", *options(corpus), "--drop_missing", "true", cwd=work)
    assert dropped.returncode == 0, dropped.stderr
    assert "left out 1: file is missing (s0-0)" in dropped.stdout

    with open(corpus / "utt2spk", "a") as stream:
        stream.write("s1-0 s2\n")
    conflict = run(recipe / "local/data.sh", *options(corpus), cwd=work)
    assert conflict.returncode == 1
    assert "data/all/utt2spk:26: utterance s1-0: id is listed twice, with different values" in conflict.stderr
    assert f"correct {corpus}/wav.scp {corpus}/utt2spk and run this again" in conflict.stderr
    assert "--drop_missing" not in conflict.stderr


@pytest.mark.slow
@pytest.mark.recipe
def test_numbers_that_do_not_fit_name_the_options(recipe, corpus, tmp_path):
    """15 of 8 speakers: what would fit is named, and how it goes through run.sh; one alone does."""
    lists = options(corpus)[:4]
    asked = ("--valid_speakers", 5, "--test_speakers", 10)
    refused = run(recipe / "local/data.sh", *lists, *asked, cwd=tmp_path)
    assert refused.returncode == 1
    assert f"error: {corpus}/utt2spk: 8 of 8 speakers have two utterances or more" in refused.stderr
    assert "--valid_speakers 5 --test_speakers 10 wants 15 of them" in refused.stderr
    assert "repair with: --valid_speakers 2 --test_speakers 2\n" in refused.stderr
    assert '--local_data_opts "--valid_speakers N --test_speakers N"' in refused.stderr
    fits = run(recipe / "local/data.sh", *lists, "--test_speakers", 3, cwd=tmp_path)
    assert fits.returncode == 0, fits.stderr
    assert [line for line in fits.stdout.splitlines() if "speakers (" in line] == [
        "data/train: 3 speakers (the others)",
        "data/valid: 2 speakers (by the number of speakers; --valid_speakers N: another one)",
        "data/test: 3 speakers (--test_speakers 3)",
    ]


@pytest.mark.slow
@pytest.mark.recipe
def test_trials_of_one_class_are_named(recipe, corpus, tmp_path):
    (corpus / "trials").write_text("1 s1-0 s1-1\n1 s1-0 s1-2\n")
    refused = run(recipe / "local/data.sh", *options(corpus), "--trials", corpus / "trials", cwd=tmp_path)
    assert refused.returncode == 1
    what = "2 of 2 trials are target trials: error rates need both classes"
    assert refused.stderr == f"error: {corpus}/trials: {what}\n"


@pytest.mark.recipe
def test_numbers_are_no_remedy_for_too_few_speakers(recipe, corpus, tmp_path):
    rows = [line.split() for line in (corpus / "utt2spk").read_text().splitlines()]
    (corpus / "utt2spk").write_text("".join(f"{name} s{int(speaker[1]) % 3}\n" for name, speaker in rows))
    refused = run(recipe / "local/data.sh", *options(corpus), cwd=tmp_path)
    assert refused.returncode == 1
    assert (
        f"error: {corpus}/utt2spk: 3 of 3 speakers have two utterances or more: a training" in refused.stderr
    )
    assert "repair with: more speakers; --test_only true makes a test set of all" in refused.stderr
    lists = f"--wav_scp {corpus}/wav.scp --utt2spk {corpus}/utt2spk --valid_speakers 2 --test_speakers 3"
    command = f"./run.sh --model pocket2 --tag pocket2 --local_data_opts '{lists} --test_only true'"
    assert refused.stderr.endswith(f"without training: {command}\n")


FOREIGN = {
    "UTF-16": lambda content: content.decode().encode("utf-16"),
    "gzip": gzip.compress,
    "ISO-8859-1": lambda content: "s0-0 \u00e9\n".encode("latin-1") + content.partition(b"\n")[2],
}


@pytest.mark.slow
@pytest.mark.recipe
@pytest.mark.parametrize("kind", FOREIGN)
def test_the_command_for_a_foreign_list_repairs_your_file(recipe, corpus, tmp_path, kind):
    """Not the copy, which the next run writes again."""
    path = corpus / "utt2spk"
    plain = path.read_bytes()
    path.write_bytes(FOREIGN[kind](plain))
    refused = run(recipe / "local/data.sh", *options(corpus), cwd=tmp_path)
    assert refused.returncode == 1
    assert f"error: {path}:" in refused.stderr and f" {path}" in refused.stderr.partition("repair with: ")[2]
    assert "data/all" not in refused.stderr
    if kind != "ISO-8859-1":  # that one is a guess, into a second file
        subprocess.run(["sh", "-c", refused.stderr.partition("repair with: ")[2]], check=True)
        assert path.read_bytes().decode("utf-8-sig").encode() == plain
        done = run(recipe / "local/data.sh", *options(corpus), cwd=tmp_path)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.recipe
def test_trials_with_names_that_no_list_has(recipe, corpus, tmp_path):
    words = [recipe / "local/data.sh", *options(corpus), "--trials", corpus / "trials"]
    (corpus / "trials").write_text("1 s1-0 s1-1\n1 s1-0 modelX\n0 s1-0 s2-0\n")
    left_out = run(*words, cwd=tmp_path)
    assert "trials:2: utterance modelX: " in left_out.stderr
    assert "left out: 'modelX' is no utterance of the set: trials name utterances by ids" in left_out.stderr
    (corpus / "trials").write_text("1 modelX s1-0\n0 modelX s2-0\n")
    refused = run(recipe / "local/data.sh", *options(corpus), "--trials", corpus / "trials", cwd=tmp_path)
    assert refused.returncode == 1
    assert "data/all/trials:1: utterance modelX: no trial is left: " in refused.stderr
    assert "'modelX' is no utterance of the set: trials name utterances by ids of wav.scp" in refused.stderr
    assert "holds copies: correct" in refused.stderr and "repair with" not in refused.stderr


def test_trials_of_one_speaker_name_the_list(tmp_path, capsys):
    from svmixer.cli.main import run_program

    (tmp_path / "utt2spk").write_text("a-1 a\na-2 a\n")
    with pytest.raises(SystemExit):
        run_program("make_trials", ["--data_dir", str(tmp_path)])
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/utt2spk: trials need two speakers or more, at least one of them with two "
        "utterances; found 1 speaker\n"
    )


def write_speakers(folder: Path, speakers: int, utterances: int, single: int = 0) -> None:
    folder.mkdir(parents=True)
    rows = [f"s{i} " + " ".join(f"s{i}-{j}" for j in range(utterances)) for i in range(speakers)]
    rows += [f"t{i} t{i}-0" for i in range(single)]
    (folder / "spk2utt").write_text("".join(f"{row}\n" for row in rows))


@pytest.mark.parametrize(
    ("speakers", "utterances", "single", "more", "expected"),
    [
        (12, 15, 0, (), "train_speaker_few"),
        (12, 15, 0, ("--kind", "distill"), "train_distill_few"),
        (299, 10, 500, (), "train_speaker_few"),
        (300, 10, 0, (), "train_speaker"),
        (300, 10, 0, ("--kind", "distill"), "train_distill"),
        (400, 9, 0, (), "train_speaker_few"),
        # Nothing was distilled: whitening alone would be that of random weights.
        (12, 15, 0, ("--teacher", "none"), "train_speaker"),
    ],
)
def test_the_configuration_follows_the_data(recipe, tmp_path, speakers, utterances, single, more, expected):
    write_speakers(tmp_path / "set", speakers, utterances, single)
    chosen = run(recipe / "local/choose_config.sh", "--train_dir", tmp_path / "set", *more, cwd=tmp_path)
    assert chosen.returncode == 0, chosen.stderr
    file, why = chosen.stdout.rstrip("\n").split("\t")[:2]
    assert file == f"conf/{expected}.yaml" and (recipe / file).is_file()
    number = speakers * utterances + single
    assert why.startswith(f"{speakers + single} speakers with {number} utterances in {tmp_path}/set, ")


LONGER = "--loop.max_epochs 11 --loop.epoch_steps 20"
SHORT_RISE = " --loop.schedule.warmup_steps 40"


@pytest.mark.parametrize(
    ("speakers", "utterances", "more", "length", "options"),
    [
        (6, 2, (), (11, 20, 50), LONGER),
        (12, 15, (), (11, 20, 50), LONGER),
        (24, 15, (), (7, 33, 50), "--loop.max_epochs 7"),
        # As many as the default recipe distils for, and more: as the configuration says.
        (34, 35, (), (2, 111, 50), ""),
        (1000, 20, (), (2, 1875, 50), ""),
        (1000, 20, ("--many_speakers", "2000"), (2, 1875, 50), ""),
        # One that was chosen already; fewer steps asked for have a shorter warm-up.
        (12, 15, ("--config", "conf/train_distill.yaml"), (11, 20, 50), LONGER),
        (12, 15, ("--steps", "160"), (8, 20, 40), "--loop.max_epochs 8 --loop.epoch_steps 20" + SHORT_RISE),
    ],
)  # fmt: skip
def test_a_student_is_distilled_for_enough_steps(
    recipe, tmp_path, speakers, utterances, more, length, options
):
    from svmixer.config import load
    from svmixer.training.config import TrainConfig

    write_speakers(tmp_path / "set", speakers, utterances)
    script = (recipe / "local/choose_config.sh", "--kind", "distill", "--train_dir", tmp_path / "set")
    chosen = run(*script, *more, cwd=tmp_path)
    assert chosen.returncode == 0, chosen.stderr
    file, why, *rest = chosen.stdout.rstrip("\n").split("\t")
    assert why.endswith("; {} epochs of {} steps, {} steps of warm-up".format(*length))
    assert rest == ([options] if options else [])
    words = options.split()
    overrides = {name[2:]: value for name, value in zip(words[::2], words[1::2], strict=True)}
    config = load(TrainConfig, recipe / file, overrides)
    items = speakers * utterances * len(config.data.speeds)
    steps = config.loop.max_epochs * (config.loop.epoch_steps or items // config.loop.batch_size)
    assert steps == length[0] * length[1] and config.loop.schedule.warmup_steps <= steps / 4
    assert "--steps" in more or steps >= 220


def test_what_the_configuration_says_is_the_least(recipe, tmp_path):
    """Epochs that somebody wrote there are kept; none at all stay none."""
    write_speakers(tmp_path / "set", 12, 15)
    script = (recipe / "local/choose_config.sh", "--kind", "distill", "--train_dir", tmp_path / "set")
    few = recipe / "conf/train_distill_few.yaml"
    text = few.read_text()
    for epochs, expected in (
        (30, "; 30 epochs of 16 steps, 50 steps of warm-up\n"),
        (0, "whitening alone\n"),
    ):
        few.write_text(text.replace("max_epochs: 2", f"max_epochs: {epochs}"))
        assert run(*script, cwd=tmp_path).stdout.endswith(expected)


def test_an_unknown_kind_of_training(recipe, tmp_path):
    write_speakers(tmp_path / "set", 12, 15)
    script = (recipe / "local/choose_config.sh", "--kind", "foo", "--train_dir", tmp_path / "set")
    refused = run(*script, cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "choose_config.sh: --kind must be distill or speaker, not 'foo'\n"


def test_few_speakers_train_nothing_on_labels():
    """What is distilled fits what starts from it; with few speakers it is whitened alone."""
    from svmixer.config import load
    from svmixer.training.config import TrainConfig

    few = {kind: load(TrainConfig, ROOT / f"egs/TEMPLATE/sv1/conf/train_{kind}_few.yaml") for kind in KINDS}
    assert few["speaker"].loop.max_epochs == 0 and few["speaker"].model.whiten
    student, whole = few["speaker"].model.student, few["distill"].model.student
    assert (student.frontend, student.hidden) == (whole.frontend, whole.hidden)
    assert student.layers <= whole.layers


def choose(recipe: Path, cwd: Path, *more: str) -> str:
    """What stage 4 says it takes, in a work directory whose dumps are there by their markers alone."""
    for name in ("train", "valid"):
        if not (cwd / f"dump/{name}").exists():
            write_speakers(cwd / f"dump/{name}", 12, 15)
        marker = ["write", f"dump/{name}/.done", "--stage", "dump"]
        run(sys.executable, "-m", "svmixer", "done", *marker, cwd=cwd)
    done = run(ROOT / "run.sh", "--recipe", recipe, "--stage", "4", "--stop_stage", "4", *more, cwd=cwd)
    assert done.returncode == 1
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.recipe
def test_stages_say_which_configuration_they_take(tmp_path):
    recipe, auto = ROOT / "egs/TEMPLATE/sv1", ("--distill_config", "auto", "--train_config", "auto")
    said = choose(recipe, tmp_path, *auto)
    assert "conf/train_speaker_few.yaml, because of 12 speakers with 180 utterances in dump/train, " in said
    assert "12 speakers with 10 or more, of 300 that training on labels needs" in said
    # One that is given is taken, and the other goes with it.
    given = choose(recipe, tmp_path, *auto, "--train_config", "conf/train_speaker.yaml")
    assert "because of" not in given and "exp/default/distill is missing" in given
    goes_with = choose(recipe, tmp_path, *auto, "--distill_config", "none_such.yaml")
    assert "because of" not in goes_with and "exp/default/distill is missing" in goes_with
    missing = choose(ROOT / "egs/mini_an4/sv1", tmp_path, *auto)
    assert "local/choose_config.sh is missing: it names the configuration where 'auto' is" in missing


FAKE_DISTILL = """import os, sys
if sys.orig_argv[1:4] == ["-m", "svmixer", "distill"]:
    words = sys.orig_argv[sys.orig_argv.index("distill"):]
    open(f"{words[words.index('--output_dir') + 1]}/student.safetensors", "w").close()
    open("words", "w").write("\\n".join(words))
    os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.recipe
@pytest.mark.parametrize(
    ("more", "lasts", "recorded"),
    [
        ((), "--loop.max_epochs 11 --loop.epoch_steps 20", "conf/train_distill_few.yaml"),
        # One of the two is given: the other goes with it, and still lasts as long as it has to.
        (
            ("--train_config", "conf/train_speaker_few.yaml"),
            "--loop.max_epochs 11 --loop.epoch_steps 20",
            "conf/train_distill_few.yaml",
        ),
        (
            ("--distill_args", "--loop.max_epochs 3"),
            "--loop.max_epochs 11 --loop.epoch_steps 20 --loop.max_epochs 3",
            "conf/train_distill_few.yaml",
        ),
        # What is named is taken as it is.
        (("--distill_config", "conf/train_distill_few.yaml"), "", "conf/train_distill_few.yaml"),
    ],
)
def test_what_the_distillation_is_given(tmp_path, monkeypatch, more, lasts, recorded):
    """By a program in its place that notes its words; run.json has the configuration that was chosen."""
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake/sitecustomize.py").write_text(FAKE_DISTILL)
    for name in ("train", "valid"):
        write_speakers(tmp_path / f"dump/{name}", 12, 15)
        marker = ["write", f"dump/{name}/.done", "--stage", "dump"]
        run(sys.executable, "-m", "svmixer", "done", *marker, cwd=tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))
    options = ("--stage", "3", "--stop_stage", "3", "--distill_config", "auto", "--train_config", "auto")
    done = run(ROOT / "run.sh", "--recipe", ROOT / "egs/TEMPLATE/sv1", *options, *more, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    words = (tmp_path / "words").read_text().split("\n")
    assert " ".join(words[words.index("--loop.seed") + 2 : words.index("--device.ngpu")]) == lasts
    record = json.loads((tmp_path / "exp/default/run.json").read_text())
    assert record["options"]["distill_config"] == recorded and record["first"] == 3
    # Pasted where it was given it runs.
    again = run("bash", "-c", record["command"], cwd=tmp_path)
    assert again.returncode == 0 and "exp/default/distill is done" in again.stdout
    assert (tmp_path / "exp/default/commands.log").read_text().count("\n") == 1
