"""Joining the lists of all dump jobs, with the set's speakers and trials restricted to what was kept."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import re
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from svmixer.audio.dump import DROPPED_HEADER, JobFiles
from svmixer.audio.dumpset import RATE
from svmixer.audio.share import iter_sorted, utterance_list
from svmixer.fileio import atomic_write
from svmixer.lists import (
    ListError,
    Trials,
    fix_command,
    iter_table,
    read_enroll_map,
    read_trials,
    read_utt2spk,
    write_spk2utt,
    write_table,
    write_trials,
)
from svmixer.lists.enroll_map import ENROLL_MAP, Models, model_faults, separate_models
from svmixer.lists.trial_names import TrialNames
from svmixer.log import get_logger

logger = get_logger(__name__)

_NAMED = 5  # dropped utterances that an error shows
_AGAIN = "run.sh --stage dump"


@dataclasses.dataclass(frozen=True)
class MergeConfig:
    """Options of ``python -m svmixer dump_merge``."""

    # Data directory that was dumped.
    data_dir: str
    # Directory of the dumped set.
    output_dir: str
    # How many jobs dumped it.
    num_jobs: int = 1
    # Largest fraction of utterances that may be dropped; above it nothing is merged.
    max_drop: float = 0.02

    def __post_init__(self) -> None:
        if self.num_jobs < 1:
            raise ValueError(f"num_jobs {self.num_jobs} must be at least 1")
        if not 0 <= self.max_drop <= 1:
            raise ValueError(f"max_drop {self.max_drop} is a fraction from 0 to 1")


def merge_jobs(config: MergeConfig) -> None:
    """Write the lists of a dumped set: ``utt2num_samples``, ``dropped.tsv``, ``wav.scp``; and where the data
    directory has them ``utt2spk``, ``spk2utt``, ``utt2session`` and ``trials``.

    Raises:
        ListError: a job has not finished or belongs to another dump, too much was dropped, a kept utterance
            has no speaker, or a trial names an utterance that the data directory does not have. Nothing is
            merged then.
    """
    jobs = [JobFiles(config.output_dir, job) for job in range(1, config.num_jobs + 1)]
    for files in jobs:
        if not files.scp.exists():
            what = f"job {files.job} of {config.num_jobs} has not finished"
            raise ListError(what, path=files.scp, repair=_AGAIN)
    names, sources, lengths = _read_kept(jobs)
    dropped = sorted(row for files in jobs for row in _dropped_rows(files.dropped))
    _check_complete(config, names, [_name(row) for row in dropped])
    _check_cap(config, dropped, len(names) + len(dropped))

    data, output, kept = Path(config.data_dir), Path(config.output_dir), set(names)
    utt2spk = _kept_rows(data / "utt2spk", kept, "speaker")
    sessions = _kept_rows(data / "utt2session", kept, "session")
    gone = set(map(_name, dropped))
    models = _kept_models(data / ENROLL_MAP, kept, gone)
    trials = _kept_trials(data / "trials", kept, gone, models)
    (output / "wav.scp").unlink(missing_ok=True)
    write_table(output / "utt2num_samples", zip(names, map(str, lengths), strict=True))
    _replace(output / "utt2spk", utt2spk, write_table)
    _replace(output / "spk2utt", utt2spk, write_spk2utt)
    _replace(output / "utt2session", sessions, write_table)
    _replace(output / "trials", trials, write_trials)
    _replace(output / ENROLL_MAP, models and {m: " ".join(names) for m, names in models.items()}, write_table)
    with atomic_write(output / "dropped.tsv") as stream:
        stream.writelines([DROPPED_HEADER, *dropped])
    # Last: a wav.scp stands for a complete dump.
    write_table(output / "wav.scp", zip(names, sources, strict=True))
    _remove_further_jobs(output / "data", config.num_jobs)
    logger.info(
        "%s: %d utterances, %.2f h; %s", output, len(names), sum(lengths) / RATE / 3600, _summary(dropped)
    )


def _read_kept(jobs: list[JobFiles]) -> tuple[list[str], list[str], array[int]]:
    """Utterances, sources and lengths in the jobs' order."""
    names: list[str] = []
    sources: list[str] = []
    lengths = array("q")
    for files in jobs:
        for entry, length in itertools.zip_longest(iter_table(files.scp), iter_table(files.lengths)):
            if not entry or not length or entry[1] != length[1]:
                raise ListError("does not name the utterances of its scp", path=files.lengths, repair=_AGAIN)
            names.append(entry[1])
            sources.append(entry[2])
            lengths.append(int(length[2]))
    return names, sources, lengths


def _dropped_rows(path: Path) -> Iterator[str]:
    with open(path, encoding="utf-8", newline="\n") as stream:
        next(stream, None)
        yield from stream


def _name(row: str) -> str:
    return row.partition("\t")[0]


def _check_complete(config: MergeConfig, kept: list[str], dropped: list[str]) -> None:
    """Kept and dropped together must be the utterances of the data directory, each once and in order."""
    path = utterance_list(config.data_dir)
    handled = heapq.merge(kept, dropped)
    nothing = (None, None, None)
    for (number, wanted, _), found in itertools.zip_longest(iter_sorted(path), handled, fillvalue=nothing):
        if wanted != found:
            what = f"{config.output_dir}/data is not the work of {config.num_jobs} jobs over this list"
            raise ListError(what, path=path, line=number, utterance=wanted, repair=_AGAIN)


def _check_cap(config: MergeConfig, dropped: list[str], total: int) -> None:
    if len(dropped) < total and len(dropped) <= config.max_drop * total:
        return
    rows = [row.rstrip("\n").split("\t") for row in dropped[:_NAMED]]
    shown = "; ".join(f"{name} ({reason}: {source})" for name, reason, source in rows)
    more = "" if len(dropped) <= _NAMED else f"; … all of them in {config.output_dir}/data/dropped.*.tsv"
    what = (
        f"{len(dropped)} of {total} utterances cannot be used ({_summary(dropped)}), "
        f"more than max_drop {config.max_drop:g} allows: {shown}{more}"
    )
    raise ListError(what, path=config.data_dir, repair="better recordings, or a larger --max_drop")


def _summary(dropped: list[str]) -> str:
    reasons = Counter(row.split("\t")[1].partition(":")[0] for row in dropped)
    return ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "nothing dropped"


def _kept_rows(path: Path, kept: set[str], what: str) -> dict[str, str] | None:
    if not path.exists():
        return None
    table = {utterance: speaker for utterance, speaker in read_utt2spk(path).items() if utterance in kept}
    if len(table) < len(kept):
        utterance = min(kept - table.keys())
        raise ListError(f"no {what}", path=path, utterance=utterance, repair=fix_command(path))
    return table


def _kept_models(path: Path, kept: set[str], dropped: set[str]) -> dict[str, list[str]] | None:
    """The models with the utterances that are there; one that has none is left out."""
    if not path.exists():
        return None
    models = read_enroll_map(path)
    for fault in model_faults(models, kept | dropped, None, path):
        raise fault
    found = {model: [name for name in names if name in kept] for model, names in models.items()}
    lost = [model for model, names in models.items() if len(found[model]) < len(names)]
    if lost:
        logger.warning("%s: %d models have a dropped utterance, as %s", path, len(lost), lost[0])
    return {model: names for model, names in found.items() if names}


def _kept_trials(
    path: Path, kept: set[str], dropped: set[str], models: Models | None = None
) -> Trials | None:
    """The trials whose two sides are there, in order."""
    if not path.exists():
        return None
    trials = every = read_trials(path)
    there = np.array([utterance in kept for utterance in trials.utterances])
    if models is not None:
        every, first = separate_models(trials)
        list_of_models = path.with_name(ENROLL_MAP)
        known = read_enroll_map(list_of_models)
        for name in every.utterances[first:]:
            if name not in known:
                what = "is in the trial list and no model here"
                raise ListError(what, path=list_of_models, utterance=name)
        there = np.append(there, [name in models for name in every.utterances[first:]])
    tested = set(np.unique(trials.test).tolist())
    for index, utterance in enumerate(trials.utterances):
        if models is not None and index not in tested:
            continue
        if utterance not in kept and utterance not in dropped:
            names = TrialNames.read(path.parent)
            what = f"a trial names an unknown utterance: {names.explain(utterance)}"
            line = int(np.argmax((trials.enrol == index) | (trials.test == index))) + 1
            repair = fix_command(path) if names.find(utterance) else None
            raise ListError(what, path=path, line=line, utterance=utterance, repair=repair)
    rows = there[every.enrol] & there[every.test]
    if not rows.any():
        raise ListError("no trial is left: one utterance of each was dropped", path=path)
    if not rows.all():
        logger.warning(
            "%s: %d of %d trials name a dropped utterance and are left out", path, (~rows).sum(), len(rows)
        )
    return Trials(trials.labels[rows], trials.enrol[rows], trials.test[rows], trials.utterances)


def _replace(path: Path, value, write) -> None:
    """Write ``path``, or remove an earlier dump's when there is nothing to write."""
    if value is None:
        path.unlink(missing_ok=True)
    else:
        write(path, value)


def _remove_further_jobs(folder: Path, num_jobs: int) -> None:
    """Archives and lists of an earlier dump that had more jobs."""
    for path in folder.iterdir():
        match = re.fullmatch(r"wav\.(\d+)\.(?:ark|scp)|utt2num_samples\.(\d+)|dropped\.(\d+)\.tsv", path.name)
        if match and int(next(filter(None, match.groups()))) > num_jobs:
            path.unlink()
