"""Error rates within groups of trials, against those that are computed by hand and by svmixer.scoring."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from svmixer.fileio import write_json
from svmixer.lists import write_table
from svmixer.report.eer_figures import group_figure
from svmixer.report.experiment import read_experiment
from svmixer.report.groups import groupings
from svmixer.scoring.metrics import equal_error_rate, error_rates


@pytest.fixture
def run_dir(make_run):
    return make_run("exp/toy", with_logs=False)


def main_result(run_dir):
    return read_experiment(run_dir).main[0]


def trials_of(run_dir):
    """(label, speaker, speaker, score) of each trial, read anew."""
    scores = [float(line.split()[2]) for line in (run_dir / "score/test/scores").read_text().splitlines()]
    rows = [line.split() for line in Path("dump/test/trials").read_text().splitlines()]
    return [(int(w), a, b, s) for (w, a, b), s in zip(rows, scores, strict=True)]


def test_groups_of_a_speaker_list(run_dir):
    """Speakers s0 to s3 are f, the others m: what lies between them are non-targets alone."""
    write_table("dump/test/spk2gender", {f"s{n}": "f" if n < 4 else "m" for n in range(8)})
    found = groupings(main_result(run_dir), None)
    assert list(found) == ["spk2gender"]
    groups = {group.name: group for group in found["spk2gender"]}
    assert list(groups) == ["f", "f, m", "m"]
    rows = trials_of(run_dir)
    women = [row for row in rows if row[1] < "s4" and row[2] < "s4"]
    scores, labels = np.array([row[3] for row in women]), np.array([row[0] for row in women])
    assert (groups["f"].trials, groups["f"].targets) == (len(women), int(labels.sum())) == (len(women), 60)
    assert groups["f"].eer == pytest.approx(100 * equal_error_rate(error_rates(scores, labels))[0])
    low, high = groups["f"].interval
    assert low <= groups["f"].eer <= high
    between = groups["f, m"]
    assert (between.targets, between.eer, between.interval, between.misses) == (0, None, None, None)
    assert sum(group.trials for group in groups.values()) == 400


def test_rates_at_the_threshold_of_all_trials(run_dir):
    """Misses and false alarms of the groups together are those of all trials."""
    write_table("dump/test/spk2gender", {f"s{n}": "f" if n < 4 else "m" for n in range(8)})
    result = main_result(run_dir)
    groups = groupings(result, None)["spk2gender"]
    eer = result.metrics["eer"]
    misses = sum(group.misses * group.targets for group in groups if group.targets) / 120
    others = [(group.trials - group.targets, group.false_alarms) for group in groups]
    alarms = sum(count * rate for count, rate in others if count) / 280
    # The rates at one threshold lie a trial's weight around the equal one.
    assert misses == pytest.approx(eer, abs=100 / 120) and alarms == pytest.approx(eer, abs=100 / 120)


def test_groups_by_the_shorter_side(run_dir):
    """Utterance u0 of each speaker has half a second, the others four: 5 of 15 pairs of a speaker have it."""
    names = [line.split()[0] for line in Path("dump/test/utt2spk").read_text().splitlines()]
    write_table("dump/test/utt2num_samples", {n: "8000" if n.endswith("u0") else "64000" for n in names})
    groups = groupings(main_result(run_dir), None)["length of the shorter side"]
    assert [(group.name, group.targets) for group in groups] == [("under 1 s", 40), ("3 to 5 s", 80)]


def test_a_list_of_many_values_is_same_or_different(run_dir):
    """Three utterances a session, the same numbers for all speakers but in sessions of their own."""
    names = [line.split()[0] for line in Path("dump/test/utt2spk").read_text().splitlines()]
    write_table("dump/test/utt2session", {n: f"{n[:2]}-{int(n[-1]) // 3}" for n in names})
    groups = groupings(main_result(run_dir), None)["utt2session"]
    assert [(group.name, group.targets) for group in groups] == [("the same", 48), ("different", 72)]


def test_lists_of_the_data_directory(run_dir):
    """A dump keeps a few lists; the others are where run.json says that the data were."""
    run = read_experiment(run_dir).run
    write_json(run_dir / "run.json", {**run, "options": {**run["options"], "datadir": "data"}})
    assert group_figure([read_experiment(run_dir)]).views == []
    Path("data/test").mkdir(parents=True)
    write_table("data/test/spk2gender", {f"s{n}": "fm"[n % 2] for n in range(8)})
    (view,) = group_figure([read_experiment(run_dir)]).views
    assert view.name == "test, spk2gender" and [row[1] for row in view.rows] == ["f", "f, m", "m"]
    groups = groupings(main_result(run_dir), Path("data/test"))["spk2gender"]
    assert view.traces[0]["x"] == pytest.approx([groups[0].eer, groups[2].eer], abs=1e-5)
    assert view.rows[1][4:6] == ["-", "-"]


def test_what_divides_nothing_is_left_out(run_dir):
    names = [line.split()[0] for line in Path("dump/test/utt2spk").read_text().splitlines()]
    write_table("dump/test/utt2lang", dict.fromkeys(names, "en"))
    write_table("dump/test/utt2channel", {names[0]: "a", names[1]: "b"})
    Path("dump/test/utt2notes").write_text("a b\na c\n")
    assert groupings(main_result(run_dir), None) == {}
