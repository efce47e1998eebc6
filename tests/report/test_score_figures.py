"""The numbers in the figures of scores are those that svmixer.scoring finds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, ndtri

from svmixer.fileio import write_json
from svmixer.report.curves import histogram, operating_points, probit, thinned
from svmixer.report.eer_figures import condition_figure
from svmixer.report.experiment import read_experiment
from svmixer.report.score_figures import det_figure, drawn, histogram_figure, reliability_figure
from svmixer.scoring.calibration import cross_validated_ratios, reliability
from svmixer.scoring.likelihood_ratio import cllr, min_cllr
from svmixer.scoring.metrics import ErrorRates, error_rates


@pytest.fixture
def experiment(make_run):
    return read_experiment(make_run("exp/toy", with_logs=False), "student")


def result_of(experiment, kind="score", lowpass=0.0):
    return next(r for r in experiment.results if (r.kind, r.condition.lowpass_hz) == (kind, lowpass))


def test_controls_of_several_experiments(make_run):
    """Drawn once where they are the same; else each, for they were fitted on other training speakers."""
    same = [
        read_experiment(make_run(f"exp/{name}", with_logs=False, seed=0), "student") for name in ("a", "b")
    ]
    systems = {one.system for one in drawn(same)}
    assert systems == {"a", "b", "control, no model", "control, whitened"}
    other = read_experiment(make_run("exp/c", with_logs=False, seed=1), "student")
    every = drawn([*same, other])
    assert {one.system for one in every} - systems == {"c", "control, no model, c", "control, whitened, c"}
    lines = [(one.colour, one.dash, one.result.condition) for one in every]
    assert len(set(lines)) == len(lines)


def test_det_points_are_operating_points(experiment):
    (view,) = det_figure(drawn([experiment])).views
    curve = next(t for t in view.traces if t["name"] == "student" and t["mode"] == "lines")
    rates = error_rates(*result_of(experiment).load())
    known = {
        (round(100 * m, 4), round(100 * f, 4)) for m, f in zip(rates.miss, rates.false_alarm, strict=True)
    }
    points = {(round(m, 4), round(f, 4)) for m, f in curve["customdata"]}
    assert len(points) > 50 and points <= known
    shares = np.array(curve["customdata"])[:, ::-1].T / 100
    inside = ((shares > 0) & (shares < 1)).all(axis=0)
    drawn_at = np.array([curve["x"], curve["y"]])[:, inside]
    np.testing.assert_allclose(drawn_at, ndtri(shares[:, inside]), rtol=1e-4, atol=1e-4)


def test_marked_operating_points_are_the_results(experiment):
    (view,) = det_figure(drawn([experiment])).views
    marked = {t["name"]: t["customdata"] for t in view.traces if t["mode"] == "markers"}
    for result in experiment.results:
        label = result.system if result.condition.plain else f"{result.system}, {result.condition.name}"
        (eer, miss, false_alarm, threshold), dcf5, dcf1 = marked[label]
        metrics = result.metrics
        assert eer == f"EER {metrics['eer']:.4g} %" and threshold == f"{metrics['eer_threshold']:.4f}"
        assert miss == false_alarm == pytest.approx(metrics["eer"], abs=1e-5)
        for (name, miss, false_alarm, _), prior in ((dcf5, 0.05), (dcf1, 0.01)):
            cost = metrics["min_dcf"][f"{prior:g}"]
            assert name == f"minDCF({prior:g}) {cost:.4g}"
            assert (prior * miss + (1 - prior) * false_alarm) / prior / 100 == pytest.approx(cost, abs=1e-5)


def test_conditions_beside_the_plain_one_are_switched_off(experiment):
    (view,) = det_figure(drawn([experiment])).views
    shown = {t["name"]: t.get("visible", True) for t in view.traces if t["name"]}
    assert shown["student"] is True and shown["control, whitened"] is True
    assert shown["student, below 3.8 kHz"] == "legendonly" and len(shown) == 6


def test_thinning_keeps_the_ends_and_follows_the_curve():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=20_000), np.arange(20_000) % 3 == 0
    rates = error_rates(scores + labels, labels)
    few = thinned(rates, most=100)
    assert 50 < len(few.miss) <= 100
    assert (few.miss[0], few.miss[-1], few.false_alarm[0], few.false_alarm[-1]) == (0, 1, 1, 0)
    inside = (rates.miss > 0.01) & (rates.false_alarm > 0.01)
    between = np.interp(probit(rates.miss[inside]), probit(few.miss), probit(few.false_alarm))
    assert np.abs(between - probit(rates.false_alarm[inside])).max() < 0.1


def test_a_threshold_that_rejects_all():
    """The best that the costs allow, where the highest score is a non-target's."""
    rates = error_rates(np.array([0.1, 0.2, 0.9, 0.9]), np.array([1, 1, 0, 0]))
    eer, five, one = operating_points(rates)
    assert five.threshold is one.threshold is None and five.at == "rejects all"
    assert (five.value, five.miss, five.false_alarm) == (1.0, 1.0, 0.0)
    assert isinstance(rates, ErrorRates) and eer.value == 100


def test_histograms(experiment):
    figure = histogram_figure(drawn([experiment]))
    assert len(figure.views) == 6 and figure.views[0].name == "test: student"
    scores, labels = result_of(experiment).load()
    traces = {trace["name"]: trace for trace in figure.views[0].traces}
    edges = np.linspace(scores.min(), scores.max(), 51)
    for name, label in (("targets", 1), ("non-targets", 0)):
        counts = np.histogram(scores[labels == label], edges)[0]
        width = edges[1] - edges[0]
        np.testing.assert_allclose(traces[name]["y"], counts / counts.sum() / width, rtol=1e-5)
        np.testing.assert_allclose(traces[name]["x"], (edges[1:] + edges[:-1]) / 2, rtol=1e-5, atol=1e-6)
    threshold = result_of(experiment).metrics["eer_threshold"]
    assert traces["threshold of EER"]["x"] == pytest.approx([threshold] * 2, abs=1e-6)
    found = histogram(scores, labels)
    assert found.targets.sum() * found.width == pytest.approx(1.0)


def test_reliability(experiment):
    views = reliability_figure(drawn([experiment])).views
    assert [view.name for view in views] == ["test: student"]
    result = result_of(experiment)
    scores, labels = result.load()
    ratios = cross_validated_ratios(scores, labels, result.load_speakers())
    found = reliability(ratios, labels)
    points = next(trace for trace in views[0].traces if trace["mode"] == "lines+markers")
    np.testing.assert_allclose(points["x"], found.predicted, rtol=1e-5)
    np.testing.assert_allclose(points["y"], found.observed, rtol=1e-5, atol=1e-9)
    assert sum(int(row[2]) + int(row[3]) for row in views[0].rows) == 400
    assert f"Cllr {cllr(ratios, labels):.4f} bits; at best {min_cllr(scores, labels):.4f}" in views[0].note


def test_pav_steps_go_up_through_the_diagonal(experiment):
    (view,) = reliability_figure(drawn([experiment])).views
    steps = next(trace for trace in view.traces if trace["name"] == "PAV")
    x, y = np.array(steps["x"]), np.array(steps["y"])
    assert (np.diff(x) >= 0).all() and (np.diff(y) >= 0).all() and y[0] == 0 and y[-1] == 1
    result = result_of(experiment)
    ratios = cross_validated_ratios(*result.load(), result.load_speakers())
    assert x[0] == pytest.approx(expit(ratios.min()), abs=1e-6)


def test_error_rates_by_condition(experiment):
    (view,) = condition_figure(drawn([experiment])).views
    assert [row[0] for row in view.rows] == ["full band", "below 3.8 kHz"]
    for trace, kind in zip(view.traces, ("score", "control", "control_whitened"), strict=True):
        for place, lowpass in enumerate((0.0, 3800.0)):
            metrics = result_of(experiment, kind, lowpass).metrics
            low, high = metrics["eer_ci95"]
            value = trace["x"][place]
            assert value == pytest.approx(metrics["eer"], abs=1e-5)
            assert value + trace["error_x"]["array"][place] == pytest.approx(high, abs=1e-4)
            assert value - trace["error_x"]["arrayminus"][place] == pytest.approx(low, abs=1e-4)
            assert round(trace["y"][place]) == place


def test_a_set_without_speakers_has_no_reliability(experiment, eval_set):
    (eval_set / "utt2spk").unlink()
    assert reliability_figure(drawn([experiment])).views == []


def test_error_rates_by_length_of_cut(experiment):
    """Cut utterances by length, then whole ones; what was done to the band as well is no part of it."""
    metrics = result_of(experiment).metrics
    for seconds, eer in ((0.5, 30.0), (2.0, 12.0)):
        folder = experiment.folder / f"score/test_d{seconds:g}"
        folder.mkdir()
        write_json(
            folder / "metrics.json",
            {**metrics, "max_seconds": seconds, "eer": eer, "eer_ci95": [eer - 1, eer + 3]},
        )
    by_condition, by_length = condition_figure(drawn([read_experiment(experiment.folder, "student")])).views
    assert [row[0] for row in by_condition.rows] == [
        "full band",
        "full band, 0.5 s",
        "full band, 2 s",
        "below 3.8 kHz",
    ]
    assert by_length.name == "test, by length of cut"
    student, *controls = by_length.traces
    assert student["x"] == ["0.5 s", "2 s", "whole"]
    assert student["y"] == pytest.approx([30.0, 12.0, metrics["eer"]], abs=1e-5)
    assert student["error_y"]["array"][:2] == [3, 3] and student["error_y"]["arrayminus"][:2] == [1, 1]
    assert [trace["x"] for trace in controls] == [["whole"]] * 2
    assert by_length.rows[0] == ["0.5 s", "30.00 [29.00, 33.00]", "-", "-"]
