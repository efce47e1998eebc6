"""What there is to train with, how well a model that is there does on it, and whether training pays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svmixer.audio.dumpset import RATE
from svmixer.inference.onnx_model import DESCRIPTION, read_description
from svmixer.lists import read_table, read_utt2spk
from svmixer.report.results import Result, baseline_name
from svmixer.report.tables import with_interval
from svmixer.scoring.metrics import summary
from svmixer.scoring.result import read_metrics
from svmixer.scoring.trial_scores import stored_cosines

# With fewer speakers of so many utterances the recipe trains nothing on labels (local/choose_config.sh).
MANY_SPEAKERS, UTTERANCES = 300, 10
# Percent: more says that the recordings are of another kind than those that the model knows.
MANY_ERRORS = 10.0


@dataclass(frozen=True)
class SetSize:
    """What a dumped set holds."""

    speakers: int
    # Speakers with UTTERANCES utterances or more.
    able: int
    utterances: int
    hours: float

    @property
    def text(self) -> str:
        """``5 speakers (0.12 hours, 100 utterances)``."""
        return f"{self.speakers} speakers ({self.hours:.2f} hours, {self.utterances:,} utterances)"


@dataclass(frozen=True)
class Known:
    """What a model that is there does on a test set."""

    # As in tables, and what ``--model`` takes.
    system: str
    model: str
    # What metrics.json holds.
    metrics: dict
    # Of embeddings at unit length, as `svmixer verify` compares them: cosine of the equal error rate here.
    threshold: float
    # The model's own threshold, and false accepts and false rejects with it in percent; None: it has none.
    own: tuple[float, float, float] | None


def set_size(dump_dir: str | Path) -> SetSize:
    """Size of a dumped set.

    Raises:
        ListError: ``utt2spk`` or ``utt2num_samples`` cannot be read.
    """
    folder = Path(dump_dir)
    counts = Counter(read_utt2spk(folder / "utt2spk").values())
    samples = sum(map(int, read_table(folder / "utt2num_samples").values()))
    able = sum(count >= UTTERANCES for count in counts.values())
    return SetSize(len(counts), able, sum(counts.values()), samples / RATE / 3600)


def known_model(scores_dir: str | Path, test_dir: str | Path) -> Known:
    """A model's results on one test set.

    Args:
        scores_dir: with ``metrics.json`` and ``embeddings.scp``.
        test_dir: the dumped set that was scored.

    Raises:
        ReportError: scored with other trials than the set has now.
        EmbeddingError, ListError: a file is missing or damaged.
    """
    metrics = read_metrics(scores_dir)
    folder = Path(metrics["model"])
    trials = Result(Path(scores_dir), "", "", {**metrics, "data_dir": str(test_dir)}).trials()
    scores = stored_cosines(scores_dir, trials, test_dir)
    own = None
    threshold = read_description(folder).threshold if (folder / DESCRIPTION).is_file() else None
    if threshold is not None:
        accepted, target = scores >= threshold, trials.labels == 1
        own = threshold, 100 * float(np.mean(accepted[~target])), 100 * float(np.mean(~accepted[target]))
    here = summary(scores, trials.labels)["eer_threshold"]
    return Known(baseline_name(str(folder)), folder.name, metrics, float(here), own)


def advice(train: SetSize, valid: SetSize, tests: Sequence[SetSize], known: Sequence[Known]) -> list[str]:
    """Paragraphs: what there is, what the model does on each test set, whether to train, which threshold."""
    sizes = (train, valid, *tests)
    tested = ", ".join(size.text for size in tests)
    lines = [
        f"your recordings: {sum(size.hours for size in sizes):.2f} hours, "
        f"{sum(size.utterances for size in sizes):,} utterances; {train.text} to train with, "
        f"{valid.text} to validate, {tested} to test"
    ]
    for one in known:
        metrics, bootstrap = one.metrics, one.metrics["bootstrap"]
        whose = f" of {bootstrap['speakers']} speakers" if bootstrap else ""
        eer = with_interval(metrics["eer"], metrics["eer_ci95"])
        lines.append(
            f"{one.system} on {metrics['set']}, without training: EER {eer} % "
            f"({metrics['trials']:,} trials{whose})"
        )
    return [*lines, _training(train, known[0]), *_errors(known[0]), _threshold(known[0])]


def _training(train: SetSize, known: Known) -> str:
    """Whether to train. What it says of other trainings was measured: docs/own_data.md."""
    who = f"{train.able} training speakers have {UTTERANCES} utterances or more"
    if train.able >= MANY_SPEAKERS:
        return (
            f"advice: a training may pay. {who}, and the recipe trains on their labels. From which number, "
            f"between {MANY_SPEAKERS} and some thousands, that helps was not measured: compare with "
            f"{known.system} in RESULTS.md."
        )
    few = ""
    bootstrap = known.metrics["bootstrap"]
    if bootstrap and bootstrap["speakers"] < 10:
        few = (
            f" {bootstrap['speakers']} test speakers show large differences alone: look at the intervals and "
            "at the difference in RESULTS.md."
        )
    return (
        f"advice: use {known.system}, or adapt pocket2 to your speakers, which takes minutes: ./run.sh --tag "
        f"adapted --teacher none --train_config conf/train_adapt.yaml. {who}, and training on labels needs "
        f"{MANY_SPEAKERS}: with fewer, ./run.sh distils a small student and whitens its statistics on your "
        "speakers. With 5 and with 17 training speakers of one corpus the EER on others of it was 0.7 and "
        "3.3 % for pocket2, 0.7 and 2.3 % adapted, 4.0 and 3.8 % for the student (docs/own_data.md)." + few
    )


def _errors(known: Known) -> list[str]:
    """Where to look if a model makes many errors."""
    if known.metrics["eer"] < MANY_ERRORS:
        return []
    return [
        f"{known.metrics['eer']:.0f} % are many errors: listen whether every folder holds one voice, and "
        "every recording more than two seconds of it. Telephones and changing devices alone make as many: "
        "across such channels pocket2 had 10 to 11 %, pocket 23 to 26 % (egs/pocket/sv2/README.md)."
    ]


def _threshold(known: Known) -> str:
    """Which threshold suits the recordings."""
    own = ""
    if known.own is not None:
        threshold, accepts, rejects = known.own
        own = (
            f"; with its own, {threshold:.4f}, it takes {accepts:.1f} % of the pairs of two speakers for one "
            f"and {rejects:.1f} % of the pairs of one speaker for two"
        )
    command = f"svmixer verify --model {known.model} --threshold {known.threshold:.4f}"
    return f"threshold of equal errors on your test set: {command}{own}"
