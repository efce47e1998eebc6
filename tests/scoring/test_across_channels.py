"""The condition across channels: seeds of utterances, both sides of trials, controls and cohort, mistakes."""

import json
import zlib

import numpy as np
import pytest

from svmixer.audio.augment_config import ChannelConfig
from svmixer.audio.channels import through_channel
from svmixer.audio.dumpset import DumpSet
from svmixer.cli.main import run_program
from svmixer.scoring.control import fitted_whitening, log_mel_statistics, mean_statistics
from svmixer.scoring.utterances import AcrossChannels, dump_source, parse_channels
from svmixer.scoring.vectors import load_embeddings, merge_jobs

PAIR = "gsm:alaw"  # quick ones


@pytest.fixture
def eval_set(make_dump, voices, trial_text):
    return make_dump("test", voices, trial_text)


@pytest.fixture
def train_set(make_dump, voices):
    return make_dump("train", voices)


def extract(data, out, train, *more, jobs=1, model="control"):
    for job in range(1, jobs + 1):
        options = [
            "--model",
            model,
            "--data_dir",
            str(data),
            "--output_dir",
            str(out),
            "--train_dir",
            str(train),
        ]
        run_program("extract", [*options, "--num_jobs", str(jobs), "--job", str(job), *more])


def score(data, out, *more, jobs=1):
    options = [
        "--data_dir",
        str(data),
        "--output_dir",
        str(out),
        "--num_jobs",
        str(jobs),
        "--replicates",
        "20",
    ]
    run_program("score", [*options, *more])
    return json.loads((out / "metrics.json").read_text())


def score_across(data, out, train, jobs=1, pair=PAIR):
    for side in ("enrol", "test"):
        extract(data, out / side, train, "--channels", pair, "--side", side, jobs=jobs)
    sides = ("--embeddings_dir", str(out / "enrol"), "--test_embeddings_dir", str(out / "test"))
    return score(data, out, *sides, jobs=jobs)


def test_an_utterance_has_one_channel_of_a_family(voices):
    """By the generator whose seed is made of the two names, whatever the other family is."""
    wave = voices["a-2"].astype(np.float32)
    rng = np.random.default_rng([zlib.crc32(b"amrnb"), zlib.crc32(b"a-2")])
    expected = through_channel(wave, "amrnb", ChannelConfig(), rng)
    for enrol, test, side in (
        ("amrnb", "opus", "enrol"),
        ("gsm", "amrnb", "test"),
        ("amrnb", "amrnb", "both"),
    ):
        np.testing.assert_array_equal(AcrossChannels(enrol, test, side)(wave, "a-2"), expected)
    assert not np.array_equal(AcrossChannels("amrnb", "opus", "enrol")(wave, "a-3"), expected)
    assert not np.array_equal(AcrossChannels("amrnb", "opus", "test")(wave, "a-2"), expected)


def test_training_speech_goes_both_ways():
    across = AcrossChannels("amrnb", "opus", "both")
    families = [across.family(f"speaker{k // 10}-{k}") for k in range(400)]
    assert 160 < families.count("amrnb") < 240 and set(families) == {"amrnb", "opus"}


def test_pieces_are_those_of_the_whole(eval_set):
    dump, across = DumpSet(eval_set), AcrossChannels("amrnb", "opus", "test")
    whole = across(dump.read(2), dump.utterances[2])
    source = dump_source(dump, 2, channels=across)
    for first, count in ((0, 48000), (100, 9000), (47000, 1000)):
        np.testing.assert_array_equal(source.read(first, count), whole[first : first + count])
    cut = dump_source(dump, 2, max_seconds=1.5, channels=across)
    middle = across(dump.read(2)[12000:36000], dump.utterances[2])
    np.testing.assert_array_equal(cut.read(0, cut.num_samples), middle)


def test_scores_are_of_one_side_against_the_other(eval_set, train_set, tmp_path):
    out = tmp_path / "out"
    metrics = score_across(eval_set, out, train_set)
    assert metrics["channels"] == PAIR and metrics["trials"] == 66 and metrics["lowpass_hz"] == 0
    tables = {side: merge_jobs(out / side, 1)[0] for side in ("enrol", "test")}
    lines = [line.split() for line in (out / "scores").read_text().splitlines()]
    for enrol, test, value in (lines[0], lines[17], lines[-1]):
        first = load_embeddings(tables["enrol"], [enrol], "x")[0].astype(float)
        second = load_embeddings(tables["test"], [test], "x")[0].astype(float)
        assert value == f"{first @ second:.6f}"


@pytest.mark.slow
def test_number_of_jobs_and_another_try_do_not_change_the_scores(eval_set, train_set, tmp_path):
    for name, jobs in (("one", 1), ("three", 3)):
        score_across(eval_set, tmp_path / name, train_set, jobs)
    found = {(tmp_path / name / "scores").read_bytes() for name in ("one", "three")}
    assert len(found) == 1
    score_across(eval_set, tmp_path / "other", train_set, pair="alaw:gsm")
    assert (tmp_path / "other/scores").read_bytes() not in found


def test_controls_know_both_channels(train_set):
    dump, across = DumpSet(train_set), AcrossChannels("gsm", "hall", "both")
    heard = [across(dump.read(k), name) for k, name in enumerate(dump.utterances)]
    from svmixer.inference.windows import utterance_windows

    rows = [log_mel_statistics(utterance_windows(wave, 48000, "whole")).mean(axis=0) for wave in heard]
    np.testing.assert_allclose(mean_statistics(dump, channels=across), np.mean(rows, axis=0), atol=1e-4)
    plain, through = fitted_whitening(dump), fitted_whitening(dump, channels=across)
    assert not np.allclose(plain.mean.numpy(), through.mean.numpy(), atol=0.1)
    np.testing.assert_allclose(through.mean.numpy(), np.mean(rows, axis=0), atol=1e-3)


def test_whitened_control_and_cohort(eval_set, train_set, tmp_path):
    """AS-norm: training speech through both families is the cohort; another cohort is refused."""
    out, cohort = tmp_path / "out", tmp_path / "cohort"
    score_across(eval_set, out, train_set)
    extract(train_set, cohort, train_set, "--channels", PAIR, "--as_cohort", "true")
    sides = ("--embeddings_dir", str(out / "enrol"), "--test_embeddings_dir", str(out / "test"))
    make = ["--embeddings_dir", str(cohort), "--data_dir", str(train_set)]
    run_program("cohort", make)
    metrics = score(eval_set, tmp_path / "normalised", *sides, "--cohort_dir", str(cohort))
    assert metrics["normalisation"] == "AS-norm, top 3 of 3 speakers" and metrics["channels"] == PAIR
    extract(train_set, cohort, train_set, "--as_cohort", "true")
    run_program("cohort", make)
    with pytest.raises(SystemExit):
        score(eval_set, tmp_path / "normalised", *sides, "--cohort_dir", str(cohort))


def test_sides_that_do_not_belong_together(eval_set, train_set, tmp_path, capsys):
    out = tmp_path / "out"
    score_across(eval_set, out, train_set)
    swapped = ("--embeddings_dir", str(out / "test"), "--test_embeddings_dir", str(out / "enrol"))
    with pytest.raises(SystemExit):
        score(eval_set, out, *swapped)
    assert "expected embeddings for the sides enrol and test, found test and enrol" in capsys.readouterr().err
    extract(eval_set, tmp_path / "mulaw", train_set, "--channels", "gsm:mulaw", "--side", "test")
    mixed = ("--embeddings_dir", str(out / "enrol"), "--test_embeddings_dir", str(tmp_path / "mulaw"))
    with pytest.raises(SystemExit):
        score(eval_set, out, *mixed)
    assert "channels is gsm:mulaw, in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (
            ["--channels", "amrnb"],
            "channels: expected ENROL:TEST, two channel families, as amrnb:opus, found",
        ),
        (["--channels", "amrbn:opus"], "channels: no channel family 'amrbn'; did you mean 'amrnb'?"),
        (["--channels", PAIR, "--lowpass_hz", "3800"], "channels: not together with lowpass_hz"),
        (["--channels", PAIR, "--side", "left"], "side"),
    ],
)
def test_mistakes_end_with_one_line(tmp_path, capsys, options, what):
    with pytest.raises(SystemExit) as stop:
        run_program(
            "extract", ["--model", "m", "--data_dir", "d", "--output_dir", str(tmp_path / "o"), *options]
        )
    assert stop.value.code == 2 and what in capsys.readouterr().err


def test_form_of_a_pair():
    assert parse_channels("gsm:hall", "enrol") == AcrossChannels("gsm", "hall", "enrol")
