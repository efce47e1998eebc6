"""What results are compared under: audio, length and score normalisation, in names and order."""

from __future__ import annotations

import pytest

from svmixer.fileio import write_json
from svmixer.report.results import Condition, find_results
from svmixer.report.tables import condition_name, result_table

METRICS = {
    "set": "test", "eer": 1.0, "eer_ci95": None, "min_dcf": {"0.05": 0.1, "0.01": 0.2}, "eer_threshold": 0.5,
    "protocol": "whole", "lowpass_hz": 0.0, "max_seconds": 0.0, "normalisation": "none",
}  # fmt: skip
NORM = "AS-norm, top 300 of 5994 speakers"


@pytest.mark.parametrize(
    ("condition", "name"),
    [
        (Condition("test"), "test, full band"),
        (Condition("test", 3800.0), "test, below 3.8 kHz"),
        (Condition("test", 0.0, 0.5), "test, full band, 0.5 s"),
        (Condition("test", 3800.0, 2.0, "AS-norm"), "test, below 3.8 kHz, 2 s, AS-norm"),
        (Condition("test", channels="amrnb:opus"), "test, enrolment amrnb, test opus"),
    ],
)
def test_names(condition, name):
    assert condition_name(condition) == name
    assert condition.plain == (name == "test, full band")


def test_order_and_rows(tmp_path):
    changes = {
        "test_asnorm": {"normalisation": NORM},
        "test_amrnb-opus_asnorm": {"channels": "amrnb:opus", "normalisation": NORM},
        "test_amrnb-opus": {"channels": "amrnb:opus"},
        "test_d2": {"max_seconds": 2.0},
        "test_lp3800": {"lowpass_hz": 3800.0},
        "test_d0.5": {"max_seconds": 0.5},
        "test": {},
    }
    for folder, change in changes.items():
        write_json(tmp_path / "score" / folder / "metrics.json", {**METRICS, **change})
    old = {key: value for key, value in METRICS.items() if key != "max_seconds"}
    write_json(tmp_path / "control/test/metrics.json", old)
    results = find_results(tmp_path, "student")
    names = [f"{result.kind}/{result.directory.name}" for result in results]
    assert names == [
        "score/test", "score/test_asnorm", "score/test_d0.5", "score/test_d2", "score/test_lp3800",
        "score/test_amrnb-opus", "score/test_amrnb-opus_asnorm", "control/test",
    ]  # fmt: skip
    lines = result_table(results).splitlines()[2:]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert [(row[2], row[-1]) for row in rows] == [
        ("full band", "none"),
        ("full band", NORM),
        ("full band, 0.5 s", "none"),
        ("full band, 2 s", "none"),
        ("below 3.8 kHz", "none"),
        ("enrolment amrnb, test opus", "none"),
        ("enrolment amrnb, test opus", NORM),
        ("full band", "none"),
    ]
