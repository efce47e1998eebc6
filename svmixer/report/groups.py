"""Error rates within groups of trials, by length and by what the lists of a set say."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from svmixer.audio.dumpset import RATE
from svmixer.lists import ListError, Trials, find_enroll_map, read_table
from svmixer.lists.enroll_map import Models
from svmixer.log import get_logger
from svmixer.report.results import Result
from svmixer.scoring.groups import Draws, Group, by_length, by_value, group_rates

logger = get_logger(__name__)

# Lists that say nothing of a recording.
NO_GROUPS = ("utt2spk", "utt2num_samples", "utt2num_frames", "utt2dur", "utt2uniq", "spk2utt")


def groupings(result: Result, data_dir: Path | None) -> dict[str, list[Group]]:
    """What trials are divided by → the groups that there are.

    Args:
        result: on whose trial list.
        data_dir: the set's directory of Kaldi lists; a dump keeps a few of them alone. Lists that cannot be
            read are left out.
    """
    trials, (scores, labels) = result.trials(), result.load()
    speakers, drawn = result.load_speakers(), result.metrics["bootstrap"]
    draws = None
    if speakers is not None and drawn:
        draws = Draws(speakers, drawn["replicates"], drawn["seed"])
    models = find_enroll_map(result.metrics["data_dir"])
    divided = {"length of the shorter side": _by_length(result, trials, models)}
    for name, table in _tables(result, data_dir).items():
        value = partial(_value, table, {})
        if name.startswith("spk2"):
            value = partial(_value, table, read_table(Path(result.metrics["data_dir"]) / "utt2spk"))
        divided[name] = by_value(trials, value, models) if _complete(trials, value, models) else None
    return {
        name: list(group_rates(scores, labels, *parts, draws))
        for name, parts in divided.items()
        if parts and len(np.unique(parts[0])) > 1
    }


def _value(table: dict[str, str], utt2spk: dict[str, str], utterance: str) -> str:
    """What a list says of an utterance or, where its speaker is known by ``utt2spk``, of that one."""
    return table.get(utt2spk.get(utterance, "") if utt2spk else utterance, "")


def _complete(trials: Trials, value: Callable[[str], str], models: Models | None) -> bool:
    """Whether every utterance that is compared has a value."""
    enrolled = [trials.utterances[index] for index in np.unique(trials.enrol)]
    members = [member for name in enrolled for member in (models or {}).get(name, [name])]
    return all(map(value, [*members, *(trials.utterances[index] for index in np.unique(trials.test))]))


def _tables(result: Result, data_dir: Path | None) -> dict[str, dict[str, str]]:
    """Name → list ``utt2*`` or ``spk2*`` of a set, from the dump or its data directory."""
    folders = [Path(result.metrics["data_dir"]), *([data_dir] if data_dir else [])]
    paths = {
        path.name: path
        for folder in reversed(folders)
        for pattern in ("utt2*", "spk2*")
        for path in sorted(folder.glob(pattern))
        if path.is_file() and path.name not in NO_GROUPS
    }
    speakers, found = (folders[0] / "utt2spk").is_file(), {}
    for name, path in sorted(paths.items()):
        if speakers or not name.startswith("spk2"):
            try:
                found[name] = read_table(path)
            except ListError as error:
                # No result depends on it.
                logger.warning("left out of the report: %s", error)
    return found


def _by_length(result: Result, trials: Trials, models: Models | None) -> tuple[np.ndarray, list[str]] | None:
    """Groups by the shorter of the sides; None where nobody knows how long they are."""
    path = Path(result.metrics["data_dir"]) / "utt2num_samples"
    if not path.is_file():
        return None
    table, most = read_table(path), result.condition.max_seconds or np.inf
    return by_length(trials, lambda name: min(int(table.get(name, 0)) / RATE, most), models)
