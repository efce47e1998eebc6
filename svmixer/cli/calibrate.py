"""Calibrate an exported model: svmixer calibrate --model EXPORT --sets "[DUMP, ...]" --cohort DUMP

Writes calibration.json and cohort.npy into the export directory: `svmixer verify` then answers with
log-likelihood ratios and decides at operating points of known false accepts. The sets are dumps of speakers
who were not in the training, the more corpora the better; the cohort is of training speech, half of it
through telephone and far-field channels. Every set is scored as it is and through the channels of
--conditions. Weights and thresholds are fitted on all sets; the held-back rates of a set are those at the
threshold of the others.

    svmixer calibrate --model exp/mine/export --sets "[dump/test, /corpora/dump/words]" --cohort dump/train
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svmixer.audio.augment_config import channel_name
from svmixer.config import parse_args
from svmixer.errors import UsageError
from svmixer.limits import at_least, not_negative, positive
from svmixer.log import get_logger

if TYPE_CHECKING:
    import numpy as np

    from svmixer.audio.dumpset import DumpSet
    from svmixer.inference import OnnxModel
    from svmixer.scoring.calibrate import Embedded, TrialGroup

logger = get_logger(__name__)
NONE = "none"
# Channels with a band of the telephone.
TELEPHONE = ("mulaw", "alaw", "gsm", "amrnb")


@dataclass(frozen=True)
class CalibrateConfig:
    """Options of ``svmixer calibrate``."""

    # Export directory, which calibration.json and cohort.npy are written into.
    model: str
    # Dump of training speech.
    cohort: str
    # Dumps of speakers outside the training, with utt2spk.
    sets: tuple[str, ...] = ()
    # Channels of enrolment and test, ENROL:TEST; none: as recorded.
    conditions: tuple[str, ...] = (
        "none:none", "none:hall", "none:opus", "opus:opus",
        "none:amrnb", "gsm:amrnb", "amrnb:amrnb",
    )  # fmt: skip
    # Utterances of each speaker, evenly spaced in the list.
    utterances: int = 6
    # Recordings that an enrolment of several has, as a further condition.
    enrolments: int = 3
    # Seconds that both sides are cut to in a further condition; below, answers are uncertain.
    short: float = 2.0
    # Recordings below this distance of soft and loud frames (dB) are too noisy for a certain answer.
    range_db: float = 15.0
    # Those with a larger share of samples at the peak are clipped.
    clipped: float = 0.005
    # Embeddings of the cohort.
    cohort_size: int = 400
    # Highest cohort scores that AS-norm takes.
    top: int = 100
    # true: print an object with the operating points and what they cost.
    json: bool = False

    def __post_init__(self) -> None:
        at_least(self, 2, "utterances", "cohort_size", "top", "enrolments")
        positive(self, "short", "clipped")
        not_negative(self, "range_db")
        names = [Path(path).name for path in self.sets]
        if len(set(names)) < len(names):
            raise ValueError(f"sets: two folders have one name, and rates are by name: {', '.join(names)}")
        for condition in self.conditions:
            enrol, colon, test = condition.partition(":")
            if not colon:
                raise ValueError(f"conditions: expected ENROL:TEST, as none:amrnb, found '{condition}'")
            for family in {enrol, test} - {NONE}:
                channel_name(family)
        if self.enrolments >= self.utterances:
            raise ValueError(f"enrolments: fewer than the {self.utterances} utterances of a speaker")


def main(argv: list[str] | None = None) -> None:
    """Write the calibration; a set that cannot be used ends with one line and status 1."""
    config = parse_args(CalibrateConfig, argv, __doc__)
    if not config.sets:
        raise UsageError("sets: name a dump or more of speakers who were not in the training")
    found = run(config)
    if config.json:
        points = {sides: values["operating_points"] for sides, values in found["maps"].items()}
        print(
            json.dumps({"model": config.model, "operating_points": points, "held_back": found["held_back"]})
        )


def run(config: CalibrateConfig) -> dict[str, Any]:
    """Embed, fit and write; what ``calibration.json`` holds."""
    import numpy as np

    from svmixer.export.card import CARD, card_name, model_card, write_card
    from svmixer.fileio import atomic_write, read_json, read_sums, write_json, write_sums
    from svmixer.inference.calibration import CALIBRATION, COHORT, FORMAT
    from svmixer.inference.embedding_model import DESCRIPTION, find_directory
    from svmixer.inference.onnx_model import OnnxModel
    from svmixer.inference.utterance import unit_length
    from svmixer.scoring.calibrate import calibrate

    directory = find_directory(config.model, "export", (DESCRIPTION,))
    if directory != Path(config.model):
        raise UsageError(f"model: {directory}: calibrate a copy of it in a directory of your own")
    model = OnnxModel(directory)
    # Rounded and scaled as it will be read: what is fitted is what will be used.
    stored = embed_cohort(model, config).astype(np.float16)
    cohort = unit_length(stored.astype(np.float32))
    groups = [group for path in config.sets for group in set_groups(model, path, cohort, config)]
    found = {
        "format": FORMAT,
        **calibrate(groups),
        "cohort_size": len(cohort),
        "top": min(config.top, len(cohort)),
        "limits": {
            "seconds": config.short, "range_db": config.range_db, "clipped": config.clipped,
        },
        "trials": {
            name: sum(len(group.targets) for group in groups if group.name == name)
            for name in dict.fromkeys(group.name for group in groups)
        },
    }  # fmt: skip
    # Never the thresholds of one cohort beside another, even if killed here.
    (directory / CALIBRATION).unlink(missing_ok=True)
    with atomic_write(directory / COHORT, "wb") as stream:
        np.save(stream, stored)
    write_json(directory / CALIBRATION, found)
    card = directory / CARD
    name = card_name(card.read_text(encoding="utf-8")) if card.is_file() else ""
    write_card(card, model_card(name or directory.name, read_json(directory / DESCRIPTION), found))
    if listed := read_sums(directory):
        write_sums(directory, {*listed, COHORT, CALIBRATION, CARD})
    report(found)
    return found


def report(found: dict[str, Any]) -> None:
    """Log operating points and held-back rates."""
    for sides, values in found["maps"].items():
        for name, point in values["operating_points"].items():
            logger.info(
                "telephone sides: %s, %s: ratio %.2f, false accepts %.2f %%, false rejects %.1f %%",
                sides, name, point["ratio"], 100 * point["false_accepts"], 100 * point["false_rejects"],
            )  # fmt: skip
    for name, conditions in found["held_back"].items():
        worst = max(conditions, key=lambda condition: conditions[condition]["false_accepts"])
        logger.info(
            "%s, held back: false accepts %.2f %% at most (%s), false rejects %.1f %% as recorded",
            name, conditions[worst]["false_accepts"], worst, conditions[f"{NONE}:{NONE}"]["false_rejects"],
        )  # fmt: skip


def embed_cohort(model: OnnxModel, config: CalibrateConfig) -> np.ndarray:
    """Embeddings ``(C, D)`` of training speech, every second through one of the training's channels."""
    import numpy as np

    from svmixer.audio.augment_config import TRAINING_CHANNELS
    from svmixer.audio.dumpset import DumpSet
    from svmixer.scoring.calibrate import evenly
    from svmixer.scoring.cohort import cohort_indices

    dump = DumpSet(config.cohort)
    speakers = len(set(dump.speakers or ()))
    each = max(1, -(-config.cohort_size // max(speakers, 1)))
    chosen = evenly(cohort_indices(dump, each), config.cohort_size)
    families = [family for channel in TRAINING_CHANNELS for family in (NONE, channel)]
    parts = []
    for place, family in enumerate(families):
        share = chosen[place :: len(families)]
        if share:
            parts.append(embed(model, dump, share, family).vectors)
    return np.concatenate(parts)


def set_groups(model: OnnxModel, path: str, cohort: np.ndarray, config: CalibrateConfig) -> list[TrialGroup]:
    """The trials of one set in every condition."""
    from svmixer.audio.dumpset import DumpSet
    from svmixer.scoring.calibrate import repeated_enrolment, trial_group
    from svmixer.scoring.cohort import cohort_indices

    name, dump = Path(path).name, DumpSet(path)
    indices = list(cohort_indices(dump, config.utterances))
    families = {family for condition in config.conditions for family in condition.split(":")} | {NONE}
    embedded = {family: embed(model, dump, indices, family) for family in sorted(families)}
    short = embed(model, dump, indices, NONE, config.short)
    top = min(config.top, len(cohort))
    plain = f"{NONE}:{NONE}"
    pairs = {plain: (0, embedded[NONE], embedded[NONE])}
    for condition in config.conditions:
        enrol, _, test = condition.partition(":")
        sides = sum(family in TELEPHONE for family in (enrol, test))
        pairs[condition] = sides, embedded[enrol], embedded[test]
    several = repeated_enrolment(embedded[NONE], config.enrolments)
    pairs[f"{config.short:g} s"] = 0, short, short
    pairs[f"{config.enrolments} recordings"] = 0, several, embedded[NONE]
    return [
        trial_group(name, condition, sides, enrolled, test, cohort, top)
        for condition, (sides, enrolled, test) in pairs.items()
    ]


def embed(model: OnnxModel, dump: DumpSet, indices: list[int], family: str, seconds: float = 0.0) -> Embedded:
    """Utterances of a dump through one family of channels; of ``seconds`` from the middle, if any."""
    import numpy as np

    from svmixer.scoring.calibrate import Embedded
    from svmixer.scoring.utterances import AcrossChannels, extract

    channels = None
    if family != NONE:
        channels = AcrossChannels(family, family, "enrol")
        channels.prepare()
    logger.info("%d utterances, channel %s", len(indices), family)
    rows = list(extract(model.embed_sources, dump, indices, max_seconds=seconds, channels=channels))
    names = np.array([name for name, _ in rows])
    speakers = np.array([dump.speakers[index] for index in indices])
    return Embedded(np.stack([vector for _, vector in rows]), speakers, names[:, None])
