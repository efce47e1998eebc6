"""Calibrated decisions of the JavaScript module against the Python package's; Node alone is needed."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from node_side import needs_node, run_js

from svmixer.audio.quality import Quality
from svmixer.inference.calibration import probability, read_calibration
from svmixer.inference.embedding_model import ASSETS
from svmixer.inference.verification import Rule, Verdict, enrol, verify_calibrated
from svmixer.scoring.decision import Decider
from svmixer.scoring.sides import Side

pytestmark = needs_node

MODELS = ("pocket", "pocket2")
# The log-likelihood ratios of both may differ by this much; they are products of numbers of 32 bits.
CLOSEST = 1e-4

START = """
const calibration = await sv.readCalibration(data.directory, data.size);
const model = { calibration, threshold: 0.2 };
const all = array("vectors");
const row = (n) => all.slice(n * data.size, (n + 1) * data.size);
"""


def vectors(model: str) -> np.ndarray:
    """``float32 (12, D)``: four groups of three, of one voice each; none has unit length."""
    size = read_calibration(ASSETS / model).cohort.shape[1]
    rng = np.random.default_rng(1)
    centres = np.repeat(rng.standard_normal((4, size)), 3, axis=0)
    spread = np.tile([0.5, 1.0, 1.6], 4)[:, None]
    return (3 * centres + 3 * spread * rng.standard_normal(centres.shape)).astype(np.float32)


def ask(folder: Path, model: str, body: str, **data: Any) -> Any:
    """What the body returns; it has `calibration`, `model` and `row(n)` of :func:`vectors`."""
    rows = vectors(model)
    given = {"directory": str(ASSETS / model), "size": rows.shape[1], **data}
    return run_js(folder, START + body, given, vectors=rows)


@pytest.mark.parametrize("name", MODELS)
def test_ratios_and_probabilities(tmp_path, name):
    calibration, rows = read_calibration(ASSETS / name), vectors(name)
    trials = [(one, two, sides) for one in range(12) for two in range(one + 1) for sides in (0, 1, 2)]
    priors = [1e-4, 0.01, 0.5, 0.9]
    code = """
    return {
      ratios: data.trials.map(([one, two, sides]) => calibration.ratio(row(one), row(two), sides)),
      probabilities: data.ratios.map((ratio) => data.priors.map((prior) => sv.probability(ratio, prior))),
      refused: await refusal(() => sv.probability(0, 1)),
    };
    """
    levels = [-1000.0, -7.5, -0.1, 0.0, 3.3, 40.0, 1000.0]
    found = ask(tmp_path, name, code, trials=trials, ratios=levels, priors=priors)
    expected = [calibration.ratio(rows[one], rows[two], sides) for one, two, sides in trials]
    worst = np.abs(np.subtract(found["ratios"], expected)).max()
    print(f"{name}: largest difference of {len(trials)} ratios {worst:.1e}")
    assert worst <= CLOSEST and max(expected) > 4 and min(expected) < -2
    assert found["probabilities"] == [
        pytest.approx([probability(ratio, prior) for prior in priors], rel=1e-12) for ratio in levels
    ]
    assert found["refused"] == "prior: a probability between 0 and 1, found 1"


GOOD = Quality(seconds=5.0, range_db=40.0, band_db=-20.0, clipped=0.0)
QUALITIES = [
    GOOD,
    Quality(1.25, 40.0, -20.0, 0.0),  # half-way between two digits
    Quality(1.14, 9.0, -60.0, 0.0125),
    Quality(5.0, 40.0, -60.0, 0.0),  # of a telephone
    Quality(2.0, 15.0, -34.0, 0.005),  # at the limits
    Quality(0.0, 0.0, -120.0, 1.0, steady=True),
]


def in_javascript(quality: Quality) -> dict[str, Any]:
    names = {"range_db": "rangeDb", "band_db": "bandDb"}
    return {names.get(key, key): value for key, value in dataclasses.asdict(quality).items()}


def in_python(options: dict[str, Any]) -> dict[str, Any]:
    names = {"operatingPoint": "operating_point", "maxFalseAccepts": "max_false_accepts"}
    return {names.get(key, key): value for key, value in options.items()}


def check_verdict(found: dict[str, Any], expected: Verdict) -> None:
    """The same but for rounding."""
    assert found["decision"] == expected.decision and found["same"] is expected.same
    assert found["doubts"] == list(expected.doubts)
    assert found["threshold"] == expected.threshold
    assert found["ratio"] == pytest.approx(expected.ratio, abs=CLOSEST)
    assert found["probability"] == pytest.approx(expected.probability, abs=CLOSEST)
    assert found["score"] == pytest.approx(expected.score, abs=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_decisions_and_doubts(tmp_path, name):
    """Enrolments of one or two recordings of every quality, tests of every quality, all operating points."""
    calibration, rows = read_calibration(ASSETS / name), vectors(name)
    sides = [[], *([one] for one in QUALITIES), QUALITIES[1:3], QUALITIES[3:5]]
    points = [
        {},
        {"operatingPoint": "strict"},
        {"operatingPoint": "balanced", "prior": 0.01},
        {"maxFalseAccepts": 0.02},
    ]
    trials = [
        {"pair": pair, "enrolled": one, "test": two, "options": options}
        for pair, one, two, options in itertools.product(
            [[0, 1], [0, 3]], range(len(sides)), range(len(QUALITIES) + 1), points
        )
    ]
    code = """
    return data.trials.map(({ pair, enrolled, test, options }) => {
      const qualities = [data.sides[enrolled], data.sides[test]];
      return sv.verify(row(pair[0]), row(pair[1]), model, { ...options, qualities, doubts: ["b.wav: odd"] });
    });
    """
    given = [[in_javascript(one) for one in side] for side in sides]
    found = ask(tmp_path, name, code, trials=trials, sides=given)
    decisions = set()
    for trial, verdict in zip(trials, found, strict=True):
        expected = verify_calibrated(
            calibration, *rows[trial["pair"]], (sides[trial["enrolled"]], sides[trial["test"]]),
            doubts=["b.wav: odd"], rule=Rule(**in_python(trial["options"])),
        )  # fmt: skip
        check_verdict(verdict, expected)
        decisions.add(verdict["decision"])
    assert decisions == {"one speaker", "two speakers", "uncertain"}


def test_the_cosine_decides_where_it_is_asked_for(tmp_path):
    code = """
    const verdict = (options) => sv.verify(row(0), row(1), model, options);
    const short = { seconds: 0.25, rangeDb: 0, bandDb: 0, clipped: 0, steady: true };
    return {
      given: verdict({ threshold: 0.9, doubts: ["odd"], qualities: [[], [short]] }),
      own: verdict({ threshold: null }),
      refused: await Promise.all([
        () => verdict({ threshold: 0.9, operatingPoint: "strict" }),
        () => verdict({ operatingPoint: "strickt" }),
        () => verdict({ maxFalseAccepts: 1e-5 }),
        () => verdict({ maxFalseAccepts: 0 }),
        () => verdict({ prior: 0 }),
      ].map(refusal)),
    };
    """
    found = ask(tmp_path, "pocket", code)
    assert (found["given"]["decision"], found["given"]["ratio"]) == ("two speakers", None)
    # As Python rounds: to the even digit.
    assert found["given"]["doubts"] == ["odd", "test: 0.2 s of speech"]
    assert (found["own"]["threshold"], found["own"]["decision"]) == (0.2, "one speaker")
    assert found["refused"] == [
        "a threshold is given: an operating point or maxFalseAccepts needs a calibration",
        "no operating point 'strickt'; known: standard, strict, balanced",
        "maxFalseAccepts: 0.001 % is less than this model's calibration can promise, which is 0.05 %",
        "maxFalseAccepts: a share between 0 and 1, found 0",
        "prior: a probability between 0 and 1, found 0",
    ]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("count", [1, 4, 30])
def test_identification(tmp_path, name, count):
    """Enrolments of one to three recordings, and others to fill up."""
    calibration, rows = read_calibration(ASSETS / name), vectors(name)
    groups = [[0, 1], [3], [6, 7, 8], [9], *([n % 12] for n in range(26))][:count]
    tests = [(2, GOOD), (5, QUALITIES[3]), (8, QUALITIES[1]), (10, GOOD)]
    points = [{}, {"operatingPoint": "strict"}, {"operatingPoint": "balanced"}, {"maxFalseAccepts": 0.003}]
    code = """
    return data.tests.flatMap(([n, quality]) => data.points.map((options) => {
      const people = data.groups.map((group, number) => ({
        name: `p${number}`,
        embedding: sv.enrol(group.map(row)),
        qualities: [data.good],
        doubts: number === 0 ? ["p0: odd"] : [],
      }));
      return sv.identify(people, { embedding: row(n), quality, doubts: ["odd"] }, model, options);
    }));
    """
    found = ask(
        tmp_path, name, code, groups=groups, points=points, good=in_javascript(GOOD),
        tests=[(n, in_javascript(quality)) for n, quality in tests],
    )  # fmt: skip
    embedder = SimpleNamespace(calibration=calibration, threshold=0.2)
    people = {
        f"p{number}": Side(enrol(rows[group]), (GOOD,), ("p0: odd",) if number == 0 else ())
        for number, group in enumerate(groups)
    }
    for ((n, quality), options), one in zip(itertools.product(tests, points), found, strict=True):
        decider = Decider(embedder, Rule(**in_python(options)))
        expected = decider.rank(people, Side(enrol([rows[n]]), (quality,), ("odd",)), count)
        assert (one["decision"], one["name"]) == (expected.decision, expected.name)
        # Some are enrolled twice, so the order of the rest is nobody's.
        assert one["likeliest"][0]["name"] == expected.ranked[0][0]
        check_verdict(one["likeliest"][0], expected.best)
        for row, (_, verdict) in zip(one["likeliest"], expected.ranked, strict=True):
            assert row["ratio"] == pytest.approx(verdict.ratio, abs=CLOSEST)


def test_damaged_calibrations_are_refused(tmp_path):
    """With the file and the reason; a model that has none goes on without."""
    whole = json.loads((ASSETS / "pocket/calibration.json").read_text())
    cohort = np.load(ASSETS / "pocket/cohort.npy")
    one_map = {**whole["maps"]["0"]}
    cases: dict[str, tuple[dict | str | None, np.ndarray | None]] = {
        "none": (None, None),
        "format": ({**whole, "format": 2}, cohort),
        "text": ("{", cohort),
        "limits": ({**whole, "limits": {"seconds": 2.0, "range_db": 15.0}}, cohort),
        "slope": ({**whole, "maps": {"0": {**one_map, "slope": "1"}}}, cohort),
        "map": ({**whole, "maps": {"1": one_map}}, cohort),
        "table": ({**whole, "maps": {"0": {**one_map, "table": []}}}, cohort),
        "top": ({**whole, "top": 252}, cohort),
        "missing": (whole, None),
        "size": (whole, cohort[:, 1:]),
        "zero": (whole, np.zeros_like(cohort)),
        "double": (whole, cohort.astype(np.float64)),
    }
    for name, (values, array) in cases.items():
        (tmp_path / name).mkdir()
        if values is not None:
            text = values if isinstance(values, str) else json.dumps(values)
            (tmp_path / name / "calibration.json").write_text(text)
        if array is not None:
            np.save(tmp_path / name / "cohort.npy", array)
    code = """
    return Promise.all(data.map((name) => refusal(() => sv.readCalibration(name, 1452))));
    """
    said = run_js(tmp_path, code, [str(tmp_path / name) for name in cases])
    found = {
        name: text and text.replace(f"{tmp_path}/{name}/", "") for name, text in zip(cases, said, strict=True)
    }
    assert found.pop("none") is None
    assert found.pop("text").startswith("calibration.json: damaged, or written by another version: ")
    assert "no such file" in found.pop("missing") and str(tmp_path) in said[list(cases).index("missing")]
    damaged = "calibration.json: damaged, or written by another version"
    assert found == {
        "format": "calibration.json: of format 2, this version reads 1",
        "limits": f"{damaged}: clipped is undefined",
        "slope": f"{damaged}: slope is 1",
        "map": f"{damaged}: there is no map for 0 sides",
        "table": f"{damaged}: a table is empty",
        "top": "calibration.json: top: 252 is not between 2 and the 251 of the cohort",
        "size": "cohort.npy: 251 embeddings of 1451 numbers, this model's have 1452",
        "zero": "cohort.npy: an embedding that is zero or not finite cannot be compared",
        "double": (
            "cohort.npy: not an array (rows, columns) of 16- or 32-bit floats: its header is "
            "{'descr': '<f8', 'fortran_order': False, 'shape': (251, 1452), }"
        ),
    }


def test_a_cohort_of_one_voice(tmp_path):
    shutil.copy(ASSETS / "pocket/calibration.json", tmp_path)
    np.save(tmp_path / "cohort.npy", np.ones((251, 4), np.float16))
    code = """
    const calibration = await sv.readCalibration(data, 4);
    return refusal(() => calibration.ratio([1, 0, 0, 0], [0, 1, 0, 0]));
    """
    what = "an embedding has equal scores against the cohort: it has one embedding several times"
    assert run_js(tmp_path, code, str(tmp_path)) == what
