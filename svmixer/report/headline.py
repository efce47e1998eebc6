"""What a page begins with: the equal error rate of each system, and how it stands to others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from svmixer.report.differences import Draws
from svmixer.report.experiment import Experiment
from svmixer.report.places import without_places
from svmixer.report.results import BASELINE, CONTROLS, MODEL, Result
from svmixer.report.tables import condition_name, protocol_name, with_interval

# Of fewer speakers a bootstrap says little.
FEW_SPEAKERS = 10


@dataclass(frozen=True)
class Headline:
    """A system on a test set."""

    system: str
    set: str
    # ``8.12 %``
    eer: str
    # Where it is from: interval, speakers, trials, protocol.
    about: str
    # How it stands to other systems, a sentence each.
    standing: list[str] = field(default_factory=list)


def headlines(experiments: Sequence[Experiment], teacher: Experiment | None, draws: Draws) -> list[Headline]:
    """A headline for each test set and experiment, sets together, the first experiment first.

    Args:
        experiments: the first is what others are compared with.
        teacher: the experiment of the teacher as a system, for a page of one experiment.
        draws: figures that are known already.
    """
    found = []
    several = len(experiments) > 1
    sets = dict.fromkeys(result.condition.set for one in experiments for result in one.main)
    for name in sets:
        for experiment in experiments:
            for result in (result for result in experiment.main if result.condition.set == name):
                lines = list(_controls(experiment, result, draws))
                if not several:
                    lines += _teacher(experiment, teacher, result, draws)
                elif experiment is not experiments[0]:
                    lines.insert(0, _other(experiments[0], result, experiments[0].name, draws))
                title = f"{experiment.name}: {result.system}" if several else result.system
                place = name if result.condition.plain else condition_name(result.condition)
                eer = f"{result.metrics['eer']:.2f} %"
                found.append(Headline(title, place, eer, _about(result), lines))
    return found


def _about(result: Result) -> str:
    metrics = result.metrics
    interval, drawn = metrics["eer_ci95"], metrics["bootstrap"]
    trials = f"{metrics['trials']:,} trials, {metrics['targets']:,} of them target; {protocol_name(metrics)}"
    if not interval or not drawn:
        return f"no interval, as the speakers are not known; {trials}"
    return f"95 % interval {interval[0]:.2f} to {interval[1]:.2f} over {drawn['speakers']} speakers; {trials}"


def _controls(experiment: Experiment, result: Result, draws: Draws) -> Iterator[str]:
    controls = 0
    for other in experiment.results:
        if other.kind not in (BASELINE, *CONTROLS):
            continue
        found = draws.difference(result, other)
        if found:
            controls += other.kind in CONTROLS
            yield verdict(f"the {other.system}" if other.kind in CONTROLS else other.system, other, *found)
    if not controls:
        yield "Not compared with a control without a model (--control true)."


def _other(experiment: Experiment, result: Result, name: str, draws: Draws) -> str:
    for other in experiment.results:
        found = draws.difference(result, other) if other.kind == MODEL else None
        if found:
            return verdict(name, other, *found)
    return f"Not compared with {name}, which was scored on other trials or in another way."


def _teacher(
    experiment: Experiment, teacher: Experiment | None, result: Result, draws: Draws
) -> Iterator[str]:
    if teacher is not None:
        yield _other(teacher, result, f"the teacher, {teacher.name}", draws)
        return
    name = experiment.teacher()
    if name == "":
        yield "Trained without a teacher."
    elif name is not None:
        yield (
            f"Not compared with its teacher, {without_places(name)}, which has no results as a speaker "
            "system (svmixer report --teacher EXPERIMENT names them)."
        )


def verdict(name: str, other: Result, points: float, interval: tuple[float, float] | None) -> str:
    """How a system stands to another one, from its EER minus the other's, in points.

    Args:
        name: of the other system.
        other: its result.
        points: the difference.
        interval: 95 % interval of it, None if it is not known.
    """
    eer = f"{other.metrics['eer']:.2f} %"
    side = "below" if points < 0 else "above"
    size = f"{abs(points):.2f} points {side} {name} ({eer})" if points else f"Equal to {name} ({eer})"
    if interval is None:
        return f"{size}; no interval."
    low, high = interval
    drawn = other.metrics["bootstrap"]
    if low <= 0 <= high:
        what = "these speakers do not show a difference"
    else:
        what = "fewer errors" if high < 0 else "more errors"
        few = drawn and drawn["speakers"] < FEW_SPEAKERS
        what += ", of too few speakers to rely on" if few else ", and these speakers show it"
    return f"{size}: {what}. Difference {with_interval(points, interval)}."
