"""Figures of equal error rates: by condition, by group of trials, against what a model costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from svmixer.audio.dumpset import RATE
from svmixer.report.experiment import Experiment
from svmixer.report.figure import COLOURS, Estimate, Figure, View, axis, dots, error_bars, numbers
from svmixer.report.groups import Group, groupings
from svmixer.report.score_figures import Drawn

WHOLE = "whole"


def condition_figure(every: Sequence[Drawn]) -> Figure:
    """EER under every condition (band, length, channels, way of scoring, score normalisation), a view for
    each test set and one for lengths that utterances were cut to.
    """
    about = (
        "Equal error rate with 95 % interval over test speakers, for the audio as it is and for what the run "
        "changed in it: frequency band, length, channels, and with other or normalised scores."
    )
    views = []
    for name in dict.fromkeys(one.result.condition.set for one in every):
        of_set = [one for one in every if one.result.condition.set == name]
        views.append(_condition_view(name, of_set))
        if any(one.result.condition.max_seconds for one in of_set):
            views.append(_length_view(name, of_set))
    return Figure("conditions", "Error rates by condition", about, views)


def _condition_view(name: str, of_set: list[Drawn]) -> View:
    conditions = dict.fromkeys(one.result.condition for one in of_set)
    order = sorted(conditions, key=lambda condition: condition.order)
    series: dict[str, tuple[str, list[Estimate | None]]] = {}
    for one in of_set:
        series.setdefault(one.system, (one.colour, [None] * len(order)))
        series[one.system][1][order.index(one.result.condition)] = _estimate(one)
    return replace(dots([condition.name for condition in order], series), name=name)


def _length_view(name: str, of_set: list[Drawn]) -> View:
    """EER over the seconds that utterances were cut to; not cut comes last."""
    cut = [one for one in of_set if one.result.condition._replace(max_seconds=0.0).plain]
    lengths = sorted({one.result.condition.max_seconds for one in cut}, key=lambda seconds: seconds or 1e9)
    texts = [f"{seconds:g} s" if seconds else WHOLE for seconds in lengths]
    traces, cells = [], {}
    for system in dict.fromkeys(one.system for one in cut):
        of_system = {one.result.condition.max_seconds: one for one in cut if one.system == system}
        found = [(text, of_system[s]) for s, text in zip(lengths, texts, strict=True) if s in of_system]
        estimates = [_estimate(one) for _, one in found]
        colour = found[0][1].colour
        traces.append({
            "type": "scatter", "mode": "lines+markers", "name": system, "legendgroup": system,
            "x": [text for text, _ in found], "y": numbers([estimate.value for estimate in estimates]),
            "line": {"color": colour, "width": 2}, "marker": {"color": colour, "size": 8},
            "error_y": error_bars(estimates, colour),
            "hovertemplate": "%{x}: %{y:.2f} %<extra>" + system + "</extra>",
        })  # fmt: skip
        cells[system] = {text: str(estimate) for (text, _), estimate in zip(found, estimates, strict=True)}
    layout = {
        "xaxis": axis("utterances cut to", type="category", categoryarray=texts),
        "yaxis": axis("EER, %", rangemode="tozero"),
    }
    rows = [[text, *(of.get(text, "-") for of in cells.values())] for text in texts]
    header = ("cut to", *(f"{system}, EER % [95 %]" for system in cells))
    return View(f"{name}, by length of cut", traces, layout, header, rows)


def _estimate(one: Drawn) -> Estimate:
    return Estimate(one.result.metrics["eer"], one.result.metrics["eer_ci95"])


def group_figure(experiments: Sequence[Experiment]) -> Figure:
    """EER within groups of trials, a view for each list that divides a test set."""
    about = (
        "Equal error rate within groups of trials, each with a threshold of its own; the table also has "
        "misses and false alarms at the one threshold of all trials. A group is named by the values of its "
        "two sides: 'f, m' has one of each. Lists: utt2* and spk2* of the set."
    )
    found: dict[str, dict[str, list[Group]]] = {}
    for experiment in experiments:
        for result in experiment.main:
            options = experiment.run.get("options", {})
            lists = Path(options["datadir"]) / result.condition.set if options.get("datadir") else None
            for name, groups in groupings(result, lists).items():
                view = f"{result.condition.set}, {name}"
                found.setdefault(view, {})[experiment.name] = groups
    names = [experiment.name for experiment in experiments]
    views = [_group_view(view, by_name, names) for view, by_name in found.items() if _comparable(by_name)]
    return Figure("groups", "Error rates by group of trials", about, views)


def _comparable(by_name: dict[str, list[Group]]) -> bool:
    """Whether two groups of an experiment have equal error rates."""
    return any(sum(group.eer is not None for group in groups) > 1 for groups in by_name.values())


def _group_view(name: str, by_name: dict[str, list[Group]], experiments: list[str]) -> View:
    labels = list(dict.fromkeys(group.name for groups in by_name.values() for group in groups))
    series, rows = {}, []
    for experiment, groups in by_name.items():
        of_label = {group.name: group for group in groups}
        estimates = [
            Estimate(group.eer, group.interval)
            if (group := of_label.get(label)) and group.eer is not None
            else None
            for label in labels
        ]
        series[experiment] = (COLOURS[experiments.index(experiment) % len(COLOURS)], estimates)
        for label, estimate in zip(labels, estimates, strict=True):
            if group := of_label.get(label):
                rates = [
                    "-" if rate is None else f"{rate:.2f}" for rate in (group.misses, group.false_alarms)
                ]
                counts = [f"{group.trials:,}", f"{group.targets:,}"]
                rows.append([experiment, label, *counts, str(estimate or "-"), *rates])
    header = ("experiment", "group", "trials", "targets", "EER % [95 %]", "misses %", "false alarms %")
    kept = [number for number in range(len(labels)) if any(values[number] for _, values in series.values())]
    shown = {key: (colour, [values[number] for number in kept]) for key, (colour, values) in series.items()}
    return replace(dots([labels[number] for number in kept], shown), name=name, header=header, rows=rows)


def cost_figure(experiments: Sequence[Experiment], every: Sequence[Drawn]) -> Figure:
    """Equal error rate against multiply-accumulates of several experiments' models, a view a test set."""
    about = (
        "Equal error rate of the audio as it is against billions of multiply-accumulates (linear and "
        "convolution layers) for a second of audio; below on the left is better."
    )
    colours = {one.system: one.colour for one in every}
    points: dict[str, list[tuple[str, dict, Estimate]]] = {}
    for experiment in experiments:
        for result in experiment.main if len(experiment.costs) == 1 else ():
            estimate = Estimate(result.metrics["eer"], result.metrics["eer_ci95"])
            system = experiment.costs[0][-1]
            points.setdefault(result.condition.set, []).append((experiment.name, system, estimate))
    views = [_cost_view(name, found, colours) for name, found in points.items() if len(found) > 1]
    return Figure("cost", "Cost against accuracy", about, views)


def _cost_view(name: str, found: list[tuple[str, dict, Estimate]], colours: dict[str, str]) -> View:
    return View(
        name,
        list(_cost_traces(found, colours)),
        {
            "xaxis": axis("GMACs for a second of audio", rangemode="tozero"),
            "yaxis": axis("EER, %", rangemode="tozero"),
        },
        ("experiment", "parameters", "GMACs a second", "EER % [95 %]"),
        [
            [system, f"{cost['params']:,}", f"{_macs_a_second(cost):.3f}", str(estimate)]
            for system, cost, estimate in found
        ],
    )


def _cost_traces(found: list[tuple[str, dict, Estimate]], colours: dict[str, str]) -> Iterator[dict]:
    for system, cost, estimate in found:
        yield {
            "type": "scatter", "mode": "markers", "name": system, "legendgroup": system,
            "x": numbers([_macs_a_second(cost)]), "y": numbers([estimate.value]),
            "error_y": error_bars([estimate], colours[system]),
            "marker": {"color": colours[system], "size": 11},
            "text": [f"{cost['params'] / 1e6:.2f} M parameters"],
            "hovertemplate": "%{y:.2f} %, %{x:.3f} GMACs a second, %{text}<extra>" + system + "</extra>",
        }  # fmt: skip


def _macs_a_second(cost: dict) -> float:
    """Billions, for a model whose windows are of so many samples."""
    return cost["macs"] / 1e9 * RATE / cost["samples"]
