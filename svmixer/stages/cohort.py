"""Stage 5 with AS-norm: the cohort of the jobs' embeddings of the training set."""

from __future__ import annotations

from dataclasses import dataclass

from svmixer.config import parse_args
from svmixer.limits import at_least
from svmixer.log import get_logger
from svmixer.scoring.cohort import write_cohort
from svmixer.scoring.config import ScoringConfig

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


def main(argv: list[str] | None = None) -> None:
    """Command line; a user's mistake ends with one line and status 1."""
    config = parse_args(CohortConfig, argv, __doc__)
    size = write_cohort(config.embeddings_dir, config.data_dir, config.num_jobs, config.cohort)
    logger.info("%s: a cohort of %d %s", config.embeddings_dir, size, config.cohort)
