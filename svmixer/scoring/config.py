"""What ``conf/score.yaml`` holds: the same file is read by the extraction, the cohort and the scoring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ScoringConfig:
    """How utterances are embedded and what AS-norm compares them with."""

    # crops: evenly spaced windows of 3 s, scored by the mean cosine of all pairs (the paper); whole: every
    # sample.
    protocol: Literal["crops", "whole"] = "crops"
    # Windows of the crops protocol.
    num_crops: int = 10
    # The cohort of AS-norm and S-norm: speakers: the mean embedding of each training speaker; utterances:
    # every embedding.
    cohort: Literal["speakers", "utterances"] = "speakers"
    # Utterances of each training speaker that the cohort is made from, and mean and PLDA are fitted on,
    # evenly spaced in the list; 0 = all.
    cohort_utterances: int = 0
    # Highest cohort scores that AS-norm takes mean and deviation of; all of a smaller cohort.
    top_k: int = 300

    def __post_init__(self) -> None:
        if self.num_crops < 1:
            raise ValueError(f"num_crops: at least 1, found {self.num_crops}")
        if self.cohort_utterances < 0:
            raise ValueError(f"cohort_utterances: 0 or more, found {self.cohort_utterances}")
        if self.top_k < 2:
            raise ValueError(f"top_k: at least 2, found {self.top_k}")
