"""Error rates of systems on test sets and conditions that are new to them, and what a window costs each.

``python benchmarks/accuracy.py --sets "[dump/test, dump/words]" --train_dir dump/train``: dumped sets with
trials; the set of other speakers for the controls.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from measure import Result, Timing, command_line, paired, write_result

from svmixer.audio.dumpset import DumpSet
from svmixer.config import parse_args
from svmixer.inference.onnx_model import load_onnx
from svmixer.inference.utterance import Source, unit_length
from svmixer.limits import at_least
from svmixer.lists.trials import Trials, read_trials
from svmixer.report.compare import CostPoint, plot_costs
from svmixer.report.tables import with_interval
from svmixer.scoring.control import LogMelControl, WhitenedControl, fitted_whitening, mean_statistics
from svmixer.scoring.metrics import score_trials
from svmixer.scoring.result import rate_figures, trial_speakers
from svmixer.scoring.utterances import AcrossChannels, extract, parse_channels

ROOT = Path(__file__).resolve().parents[1]
WINDOW = 48000  # samples, 3 s at 16 kHz
ROUNDS = 15
QUICK_TRIALS = 200
Pairs = Iterator[tuple[str, np.ndarray]]
Embed = Callable[[Iterable[Source]], Pairs]
# By system; by system, set and condition.
Timings = dict[str, Timing]
Figures = dict[str, dict]


@dataclass(frozen=True)
class AccuracyConfig:
    """Options of the script."""

    # Dumped sets with trials and utt2spk, as dump/test.
    sets: tuple[str, ...]
    # Dumped set of other speakers, for the mean and the whitening of the controls.
    train_dir: str
    # Export directories, or names of models that come with the package.
    models: tuple[str, ...] = ("pocket", "pocket2")
    # The wheel of the package Resemblyzer, whose GE2E LSTM is scored, too; empty: it is left out.
    resemblyzer: str = ""
    # Everything from this frequency on (Hz) is filtered out in one condition; 0 leaves it out.
    lowpass_hz: float = 3800.0
    # Families of channels, ENROL:TEST, of another condition; empty leaves it out.
    channels: str = "amrnb:opus"
    # Draws of speakers for the 95 % intervals.
    replicates: int = 1000
    # true: 200 trials and ten draws.
    quick: bool = False
    # Folder for the results.
    output: str = "exp/benchmark"

    def __post_init__(self) -> None:
        at_least(self, 1, "replicates")


@dataclass(frozen=True)
class Condition:
    """What the audio comes through before a system hears it."""

    name: str
    lowpass_hz: float = 0.0
    channels: str = ""

    def across(self, side: str) -> AcrossChannels | None:
        """The channels of a side, None without any."""
        return parse_channels(self.channels, side) if self.channels else None


def conditions(config: AccuracyConfig) -> list[Condition]:
    """Those that the options ask for."""
    found = [Condition("as recorded")]
    if config.lowpass_hz:
        found.append(Condition(f"below {config.lowpass_hz / 1000:g} kHz", lowpass_hz=config.lowpass_hz))
    if config.channels:
        found.append(Condition("across channels", channels=config.channels))
    return found


def systems(config: AccuracyConfig, condition: Condition) -> dict[str, Embed]:
    """Name → utterances to embeddings; the controls are fitted for the condition."""
    train = DumpSet(config.train_dir)
    heard = {"lowpass_hz": condition.lowpass_hz, "channels": condition.across("both")}
    controls = {
        "control: mean and deviation of log-mel": LogMelControl(mean_statistics(train, **heard)),
        "control, whitened": WhitenedControl(fitted_whitening(train, **heard)),
    }
    found: dict[str, Embed] = {name: control.embed_sources for name, control in controls.items()}
    for name in config.models:
        found[name] = load_onnx(name, threads=1).embed_sources
    if config.resemblyzer:
        found["Resemblyzer's GE2E LSTM"] = partial(one_by_one, ge2e(config.resemblyzer))
    return found


def ge2e(package: str) -> Callable[[np.ndarray], np.ndarray]:
    """The GE2E LSTM as the recipe pocket2 runs it for its targets."""
    sys.path.insert(0, str(ROOT / "egs/pocket/sv2/local"))
    module = importlib.import_module("ge2e_embeddings")
    return partial(module.embed, module.load(Path(package)))


def one_by_one(embed: Callable[[np.ndarray], np.ndarray], sources: Iterable[Source]) -> Pairs:
    """Embeddings of utterances by a system that takes each as a whole."""
    for source in sources:
        yield source.name, embed(source.samples(0, source.num_samples))


def thinned(trials: Trials, most: int) -> Trials:
    """At most so many of the trials, evenly of both classes as they lie in the list; 0: all."""
    if not most or len(trials) <= most:
        return trials
    kept = np.unique(np.linspace(0, len(trials) - 1, most).astype(int))
    utterances, rows = np.unique([trials.enrol[kept], trials.test[kept]], return_inverse=True)
    enrol, test = rows.reshape(2, -1)
    return replace(
        trials, labels=trials.labels[kept], enrol=enrol, test=test,
        utterances=[trials.utterances[row] for row in utterances],
    )  # fmt: skip


def vectors(
    embed: Embed, dump: DumpSet, trials: Trials, rows: np.ndarray, condition: Condition, side: str
) -> np.ndarray:
    """Embeddings ``float32 (U, D)`` of unit length for ``trials.utterances``: of the rows of one side."""
    place = {name: index for index, name in enumerate(dump.utterances)}
    wanted = np.unique(rows).tolist()
    indices = [place[trials.utterances[row]] for row in wanted]
    pairs = extract(embed, dump, indices, condition.lowpass_hz, channels=condition.across(side))
    found = np.stack([vector for _, vector in pairs])
    every = np.zeros((len(trials.utterances), found.shape[1]), np.float32)
    every[wanted] = unit_length(found)
    return every


def error_rates(embed: Embed, directory: str, condition: Condition, config: AccuracyConfig) -> dict:
    """What ``metrics.json`` has of error rates, for one system, set and condition."""
    dump = DumpSet(directory)
    trials = thinned(read_trials(Path(directory) / "trials"), QUICK_TRIALS if config.quick else 0)
    both = np.concatenate([trials.enrol, trials.test])
    if condition.channels:
        enrolled = vectors(embed, dump, trials, trials.enrol, condition, "enrol")
        tested = vectors(embed, dump, trials, trials.test, condition, "test")
    else:
        enrolled = tested = vectors(embed, dump, trials, both, condition, "both")
    scores = score_trials(enrolled, trials.enrol, trials.test, tested)
    speakers = trial_speakers(trials, Path(directory) / "utt2spk")
    replicates = 10 if config.quick else config.replicates
    return {"trials": len(trials), **rate_figures(scores, trials, speakers, replicates, 0)}


def costs(config: AccuracyConfig) -> Timings:
    """Processor time of 3 s of audio on one thread, samples to embedding."""
    import torch

    torch.set_num_threads(1)
    wave = 0.1 * np.random.default_rng(0).standard_normal(WINDOW).astype(np.float32)
    timed: dict[str, Callable[[], object]] = {
        name: partial(load_onnx(name, threads=1).embed, wave) for name in config.models
    }
    if config.resemblyzer:
        timed["Resemblyzer's GE2E LSTM"] = partial(ge2e(config.resemblyzer), wave)
    return paired(timed, 3 if config.quick else ROUNDS, repeat=5, clock=time.process_time)


def main(argv: list[str] | None = None) -> None:
    """Embed every set in every condition with every system; print and write the table, draw the curve."""
    config = parse_args(AccuracyConfig, argv, __doc__)
    timings = costs(config)
    figures: Figures = {}
    for condition in conditions(config):
        for name, embed in systems(config, condition).items():
            for directory in config.sets:
                found = error_rates(embed, directory, condition, config)
                figures[f"{name}, {Path(directory).name}, {condition.name}"] = found
    names = system_names(figures)
    result = Result(
        name="accuracy",
        title="Error rates and cost",
        command=command_line(),
        header=["set", "condition", *names],
        rows=table_rows(config, timings, figures),
        align="ll" + "r" * len(names),
        figures={"error_rates": figures, "seconds": {name: one.seconds for name, one in timings.items()}},
        notes=notes(config, figures),
    )
    print(write_result(result, config.output))
    plot_costs(
        panels(config, timings, figures), Path(config.output) / "accuracy.png", "ms a window of 3 s, 1 thread"
    )


def system_names(figures: Figures) -> Sequence[str]:
    """In the order that they were scored in."""
    return list(dict.fromkeys(key.rsplit(", ", 2)[0] for key in figures))


def table_rows(config: AccuracyConfig, timings: Timings, figures: Figures) -> list[list[str]]:
    """The cost of each system, then a row a set and condition with its EER."""
    names = system_names(figures)
    costs = [timings[name].milliseconds() if name in timings else "" for name in names]
    rows = [["", "ms of 3 s, 1 thread", *costs]]
    for place in config.sets:
        for condition in conditions(config):
            found = [figures[f"{name}, {Path(place).name}, {condition.name}"] for name in names]
            eers = [with_interval(one["eer"], one["eer_ci95"]) for one in found]
            rows.append([Path(place).name, condition.name, *eers])
    return rows


def panels(config: AccuracyConfig, timings: Timings, figures: Figures) -> dict[str, list[CostPoint]]:
    """Of the plot: a panel a condition, with the mean over the sets of the systems that have a cost."""
    found: dict[str, list[CostPoint]] = {}
    for condition in conditions(config):
        for name, timing in timings.items():
            rates = [figures[f"{name}, {Path(place).name}, {condition.name}"]["eer"] for place in config.sets]
            # An experiment's export is called after the experiment.
            shown = Path(name).parent.name or name
            point = CostPoint(shown, 1000 * timing.median, float(np.mean(rates)), None)
            found.setdefault(condition.name, []).append(point)
    return found


def notes(config: AccuracyConfig, figures: Figures) -> list[str]:
    """What the columns are."""
    first = system_names(figures)[0]
    sizes = []
    for place in config.sets:
        one = figures[f"{first}, {Path(place).name}, as recorded"]
        speakers = one["bootstrap"]["speakers"] if one["bootstrap"] else "unknown"
        sizes.append(f"{Path(place).name}: {one['trials']:,} trials, speakers: {speakers}")
    return [
        "EER in %, whole recordings, cosine, [95 % by draws of speakers]. Across channels: enrolment through "
        f"{config.channels.replace(':', ', test through ')}. {'; '.join(sizes)}. The controls are fitted on "
        "other speakers in each condition. Milliseconds of processor time for 3 s, medians [quartiles] of "
        f"{3 if config.quick else ROUNDS} rounds in which the systems take turns; models of this project as "
        "their exports run."
    ]


if __name__ == "__main__":
    main()
