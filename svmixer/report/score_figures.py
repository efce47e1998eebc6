"""Figures of scores: DET curves, histograms, reliability."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from svmixer.report.curves import det_ticks, histogram, lowest_rate, operating_points, probit, thinned
from svmixer.report.experiment import Experiment
from svmixer.report.figure import COLOURS, DASHES, INK, Figure, View, axis, diagonal, line, numbers
from svmixer.report.results import BASELINE, CONTROLS, MODEL, Result
from svmixer.scoring.calibration import cross_validated_ratios, reliability
from svmixer.scoring.likelihood_ratio import actual_dcf, cllr, min_cllr, pav_ratios
from svmixer.scoring.metrics import P_TARGETS, error_rates, min_dcf


@dataclass(frozen=True)
class Drawn:
    """A result as the figures show it."""

    result: Result
    # Name of its system among all that are shown.
    system: str
    # The same with the condition.
    label: str
    colour: str
    dash: str


def drawn(experiments: Sequence[Experiment]) -> list[Drawn]:
    """All results of the experiments with their names, colours and lines.

    One experiment has a colour for the model, for each control and for the baseline; several have one each.
    Controls and baselines are then in further colours, once if they are the same for all, else with the name
    of their experiment.
    """
    several, found = len(experiments) > 1, []
    others = COLOURS[len(experiments) if several else 1 :]
    colours = dict(zip((*CONTROLS, BASELINE), others, strict=False))
    # Of controls and baselines, by system and condition: whose they are, EER and trial list.
    seen: dict[tuple[object, ...], tuple[object, ...]] = {}
    lines = Counter[str]()
    for number, experiment in enumerate(experiments):
        for result in experiment.results:
            own = result.kind == MODEL
            system = experiment.name if own and several else result.system
            if not own:
                figures = result.metrics["eer"], result.metrics["trials_md5"]
                first = seen.setdefault((system, *result.condition), (number, *figures))
                if first[0] != number:
                    if first[1:] == figures:
                        continue
                    system = f"{system}, {experiment.name}"
            colour = COLOURS[number % len(COLOURS)] if own else colours.get(result.kind, INK)
            line_of = (experiment.name if own else result.kind) + result.condition.set
            dash = DASHES[lines[line_of] % len(DASHES)]
            lines[line_of] += 1
            label = system if result.condition.plain else f"{system}, {result.condition.name}"
            found.append(Drawn(result, system, label, colour, dash))
    return sorted(found, key=lambda one: one.result.kind != MODEL)


def det_figure(every: Sequence[Drawn]) -> Figure:
    """DET curves with operating points, a view for each test set; conditions other than the plain one can be
    switched on.
    """
    about = (
        "Misses against false alarms at every threshold, on axes of the normal distribution; nearer to the "
        "lower left corner is better. Dot: equal error rate; square and diamond: lowest detection cost at "
        "target prior 0.05 and 0.01, at the edge where a rate is 0."
    )
    sets: dict[str, list[Drawn]] = {}
    for one in every:
        sets.setdefault(one.result.condition.set, []).append(one)
    return Figure("det", "Detection error trade-off", about, [_det_view(*item) for item in sets.items()])


def _det_view(name: str, shown: list[Drawn]) -> View:
    traces, rows = [], []
    lowest = min(lowest_rate(one.result.load()[1]) for one in shown)
    plain = any(one.result.condition.plain for one in shown)
    for one in shown:
        rates = error_rates(*one.result.load())
        few, points = thinned(rates), operating_points(rates)
        visible = True if one.result.condition.plain or not plain else "legendonly"
        hover = "misses %{customdata[0]:.2f} %, false alarms %{customdata[1]:.2f} %"
        traces.append(line(
            numbers(probit(few.false_alarm)), numbers(probit(few.miss)), one.label, one.colour, dash=one.dash,
            customdata=[numbers(pair) for pair in 100 * np.stack([few.miss, few.false_alarm], 1)],
            hovertemplate=f"{hover}<extra>{one.label}</extra>", visible=visible,
        ))  # fmt: skip
        traces.append({
            "type": "scatter", "mode": "markers", "name": one.label, "legendgroup": one.label,
            "showlegend": False, "visible": visible, "cliponaxis": False,
            # Rates of 0 are marked at the edge.
            "x": numbers(probit(np.array([max(point.false_alarm, lowest) for point in points]))),
            "y": numbers(probit(np.array([max(point.miss, lowest) for point in points]))),
            "marker": {"color": one.colour, "size": 10, "symbol": ["circle", "square", "diamond"]},
            "customdata": [
                [f"{point.name} {point.value:.4g}{' %' if point.name == 'EER' else ''}",
                 *numbers([100 * point.miss, 100 * point.false_alarm]), point.at]
                for point in points
            ],
            "hovertemplate": "%{customdata[0]}, threshold %{customdata[3]}<br>misses %{customdata[1]:.2f} %, "
            f"false alarms %{{customdata[2]:.2f}} %<extra>{one.label}</extra>",
        })  # fmt: skip
        rows += [
            [one.label, point.name, f"{point.value:.4g}", point.at, f"{100 * point.miss:.2f}",
             f"{100 * point.false_alarm:.2f}"]
            for point in points
        ]  # fmt: skip
    places, texts = det_ticks(lowest)
    ends = probit(np.array([lowest, 0.6])).tolist()
    ticks = {"tickvals": places, "ticktext": texts, "range": ends, "zeroline": False}
    layout = {
        "square": True,
        "xaxis": axis("false alarms, %", **ticks),
        "yaxis": axis("misses, %", **ticks),
    }
    header = ("system", "point", "value", "threshold", "misses %", "false alarms %")
    return View(name, [diagonal(*ends), *traces], layout, header, rows)


def histogram_figure(every: Sequence[Drawn]) -> Figure:
    """Histograms of target and non-target scores with the thresholds, a view for each result."""
    about = (
        "How scores of target trials (one speaker) and of the others are distributed; a trial is accepted "
        "from the threshold on. Each class has area 1."
    )
    return Figure("scores", "Scores", about, [_histogram_view(one) for one in every])


def _histogram_view(one: Drawn) -> View:
    scores, labels = one.result.load()
    found = histogram(scores, labels)
    traces = [
        {
            "type": "bar", "name": name, "legendgroup": name, "x": numbers(found.centres),
            "y": numbers(density), "width": found.width, "opacity": 0.6,
            "marker": {"color": colour, "line": {"width": 0}},
            "hovertemplate": "%{x:.3f}: %{y:.3f}<extra>" + name + "</extra>",
        }
        for name, density, colour in (
            ("targets", found.targets, COLOURS[0]), ("non-targets", found.nontargets, COLOURS[1])
        )
    ]  # fmt: skip
    top = float(max(found.targets.max(), found.nontargets.max()))
    rows = []
    for point, dash in zip(operating_points(error_rates(scores, labels)), DASHES, strict=False):
        rows.append([point.name, f"{point.value:.4g}", point.at])
        if point.threshold is not None:
            x = numbers([point.threshold] * 2)
            name = f"threshold of {point.name}"
            traces.append(line(x, numbers([0.0, top]), name, INK, dash=dash, width=1.5,
                               hovertemplate="%{x:.4f}<extra>" + name + "</extra>"))  # fmt: skip
    layout = {"barmode": "overlay", "xaxis": axis("score"), "yaxis": axis("density", rangemode="tozero")}
    header = ("threshold of", "value", "score")
    return View(f"{one.result.condition.set}: {one.label}", traces, layout, header, rows)


def reliability_figure(every: Sequence[Drawn]) -> Figure:
    """How far calibrated scores can be relied on, a view for each result of a model on whole utterances and
    the full band whose speakers are known and enough.
    """
    about = (
        "Are trials that a score calls 80 % sure target trials in 80 % of cases? Scores became "
        "log-likelihood ratios by logistic regression, cross-validated over speakers: no trial is calibrated "
        "on trials of its own speakers. Posteriors are for a target prior of one half. On the dotted line a "
        "system is calibrated. The steps are the best non-falling map that the labels themselves give "
        "(pool-adjacent-violators, PAV)."
    )
    return Figure("reliability", "Reliability of calibrated scores", about, list(_reliability_views(every)))


def _reliability_views(every: Sequence[Drawn]) -> Iterator[View]:
    for one in every:
        result, speakers = one.result, one.result.load_speakers()
        if result.kind != MODEL or result.band != "full band" or speakers is None:
            continue
        scores, labels = result.load()
        ratios = cross_validated_ratios(scores, labels, speakers)
        if ratios is not None:
            yield _reliability_view(one, scores, ratios, labels)


def _reliability_view(one: Drawn, scores: np.ndarray, ratios: np.ndarray, labels: np.ndarray) -> View:
    found = reliability(ratios, labels)
    steps = _pav_steps(ratios, labels)
    counts = [f"{t:,} of {t + n:,}" for t, n in zip(found.targets, found.nontargets, strict=True)]
    traces = [
        diagonal(0.0, 1.0),
        line(*steps, "PAV", INK, shape="hv", width=1.5, hoverinfo="skip"),
        line(
            numbers(found.predicted), numbers(found.observed), "trials in ten bins", one.colour,
            mode="lines+markers", marker={"size": 9, "color": one.colour}, text=counts,
            hovertemplate="predicted %{x:.3f}, observed %{y:.3f}<br>targets: %{text}<extra></extra>",
        ),
    ]  # fmt: skip
    costs = [f"{actual_dcf(ratios, labels, p):.4f} ({p:g})" for p in P_TARGETS]
    least = [f"{min_dcf(error_rates(scores, labels), p):.4f} ({p:g})" for p in P_TARGETS]
    note = (
        f"Cllr {cllr(ratios, labels):.4f} bits; at best {min_cllr(scores, labels):.4f} for a map that knew "
        f"the labels. Detection cost at Bayes thresholds, by target prior: {', '.join(costs)}; "
        f"lowest: {', '.join(least)}."
    )
    layout = {
        "square": True,
        "xaxis": axis("predicted share of targets", range=[-0.02, 1.02]),
        "yaxis": axis("observed share of targets", range=[-0.02, 1.02]),
    }
    rows = [
        [f"{x:.4f}", f"{y:.4f}", f"{t:,}", f"{n:,}"]
        for x, y, t, n in zip(found.predicted, found.observed, found.targets, found.nontargets, strict=True)
    ]
    header = ("predicted", "observed", "targets", "non-targets")
    return View(f"{one.result.condition.set}: {one.label}", traces, layout, header, rows, note)


def _pav_steps(ratios: np.ndarray, labels: np.ndarray) -> tuple[list[float], list[float]]:
    """Corners of the non-falling map from predicted to observed posteriors, at a prior of one half."""
    with np.errstate(over="ignore"):
        order = np.argsort(ratios, kind="stable")
        x, y = (1 / (1 + np.exp(-values[order])) for values in (ratios, pav_ratios(ratios, labels)))
    # A step begins where the map rises.
    starts = np.flatnonzero(np.diff(y, prepend=-1.0) > 1e-12)
    return numbers([*x[starts], x[-1]]), numbers([*y[starts], y[-1]])
