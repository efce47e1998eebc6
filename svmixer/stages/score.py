"""Stage 5, second part: cohort and scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from svmixer.config import parse_args
from svmixer.limits import at_least, not_negative
from svmixer.log import get_logger
from svmixer.scoring.cohort import write_cohort
from svmixer.scoring.config import ScoringConfig
from svmixer.scoring.result import score_set
from svmixer.scoring.scorers import COSINE, parse_scoring
from svmixer.scoring.trial_scores import Scoring

logger = get_logger(__name__)


@dataclass(frozen=True)
class CohortConfig(ScoringConfig):
    """Options of the cohort."""

    # Where embeddings.JOB.scp are and cohort.{ark,scp,json} go.
    embeddings_dir: str
    # Dumped set that they are of, with utt2spk, as dump/train.
    data_dir: str
    # Number of extraction jobs.
    num_jobs: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "num_jobs")


def cohort(argv: list[str] | None = None) -> None:
    """Stage 5: the cohort of the jobs' embeddings of the training set, for AS-norm, S-norm, mean and PLDA."""
    config = parse_args(CohortConfig, argv, cohort.__doc__)
    size = write_cohort(config.embeddings_dir, config.data_dir, config.num_jobs, config.cohort)
    logger.info("%s: a cohort of %d %s", config.embeddings_dir, size, config.cohort)


@dataclass(frozen=True)
class ScoreConfig(ScoringConfig):
    """Options of scoring."""

    # Dumped set with `trials`, and `utt2spk` for the interval, as dump/test.
    data_dir: str
    # Where embeddings.JOB.scp are.
    embeddings_dir: str
    # Where `scores` and `metrics.json` go.
    output_dir: str
    # Where the embeddings of the trials' test sides are, if they come through other channels; empty: in
    # embeddings_dir, too.
    test_embeddings_dir: str = ""
    # Where cohort.scp and the training embeddings are; empty: raw cosines.
    cohort_dir: str = ""
    # What is done with the cohort's scores: asnorm takes the top_k highest, snorm all of them, none leaves
    # the trials' scores as they are.
    score_norm: Literal["none", "asnorm", "snorm"] = "asnorm"
    # cosine, mean (cosine after the mean of the training embeddings is taken off), plda, or plda:DIMENSIONS
    # with LDA to so many in front of it.
    scoring: str = COSINE
    # Dumped set that the cohort is of, with utt2spk, as dump/train; plda reads its speakers.
    train_dir: str = ""
    # Number of extraction jobs; 0 = as many as there were, from what the first of them says.
    num_jobs: int = 1
    # Draws of speakers for the 95 % interval.
    replicates: int = 1000
    # Seed of these draws.
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "replicates")
        not_negative(self, "num_jobs", "seed")
        try:
            scorer, _ = parse_scoring(self.scoring)
        except ValueError as error:
            raise ValueError(f"scoring: {error}") from None
        if scorer != COSINE and not self.cohort_dir:
            raise ValueError(f"cohort_dir: {self.scoring} needs the embeddings of training speech")
        if scorer == "plda" and not self.train_dir:
            raise ValueError("train_dir: plda needs the speakers of the training embeddings")


def score(argv: list[str] | None = None) -> None:
    """Stage 5: merge the jobs' embeddings, score the trials, write `scores` and `metrics.json`."""
    config = parse_args(ScoreConfig, argv, score.__doc__)
    metrics = score_set(
        config.embeddings_dir,
        config.data_dir,
        config.output_dir,
        config.num_jobs,
        config.replicates,
        config.seed,
        Scoring(
            config.scoring,
            config.score_norm if config.cohort_dir else "none",
            config.cohort_dir,
            config.train_dir,
            config.top_k,
        ),
        config.test_embeddings_dir,
    )
    interval = (
        "no interval"
        if metrics["eer_ci95"] is None
        else "95 % interval {:.2f} … {:.2f} %".format(*metrics["eer_ci95"])
    )
    logger.info(
        "%s, %s, score norm %s: EER %.2f %% (%s), minDCF(0.05) %.4f, minDCF(0.01) %.4f, %d trials, %d target",
        metrics["set"], metrics["scoring"], metrics["normalisation"], metrics["eer"], interval,
        metrics["min_dcf"]["0.05"], metrics["min_dcf"]["0.01"], metrics["trials"], metrics["targets"],
    )  # fmt: skip
