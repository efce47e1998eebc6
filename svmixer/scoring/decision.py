"""Decisions about speakers: by a model's calibration, or by its cosine threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from svmixer.audio.quality import together
from svmixer.errors import SvmixerError
from svmixer.inference.calibration import Calibration, telephone_sides
from svmixer.inference.normalisation import cohort_statistics, normalise
from svmixer.inference.verification import Rule, Verdict, verify, verify_calibrated
from svmixer.scoring.embedder import Embedder
from svmixer.scoring.metrics import score_trials
from svmixer.scoring.sides import Side


@dataclass(frozen=True)
class Identification:
    """Who of the enrolled a recording is of; true if it is one of them and that is certain."""

    # ``somebody``, ``nobody`` or ``uncertain``.
    decision: str
    # The likeliest, best first: name and verdict.
    ranked: tuple[tuple[str, Verdict], ...]
    # How many are enrolled.
    enrolled: int

    @property
    def name(self) -> str | None:
        """Who it is; None if it is nobody of them, or not certain."""
        return self.ranked[0][0] if self.decision == "somebody" else None

    @property
    def best(self) -> Verdict:
        """The verdict on the likeliest."""
        return self.ranked[0][1]

    def __bool__(self) -> bool:
        return self.name is not None


def check_somebody(enrolled: Mapping[str, Side]) -> None:
    """
    Raises:
        SvmixerError: nobody is enrolled.
    """
    if not enrolled:
        raise SvmixerError("nobody is enrolled: svmixer enrol FILE... --name NAME")


class Decider:
    """Decides about the embeddings of one model.

    Args:
        embedder: the model.
        rule: how scores become decisions.

    Raises:
        SvmixerError: an operating point where nothing is calibrated.
        UsageError: one that the calibration does not have.
    """

    def __init__(self, embedder: Embedder, rule: Rule) -> None:
        self.embedder, self.rule = embedder, rule
        if self.calibration is None and not rule.is_default:
            given = rule.threshold is not None
            why = "a threshold is given" if given else f"{embedder.name} has no calibration"
            raise SvmixerError(
                f"{why}: an operating point or max_false_accepts needs one (svmixer calibrate)"
            )
        if self.calibration is not None:
            # Before anything is embedded.
            for found in self.calibration.maps.values():
                found.point(rule.operating_point)

    @property
    def calibration(self) -> Calibration | None:
        """What decides; None: a cosine threshold does."""
        return None if self.rule.threshold is not None else self.embedder.calibration

    def rank(self, enrolled: Mapping[str, Side], test: Side, top: int = 3) -> Identification:
        """The likeliest of the enrolled, and whether it is that one.

        The more are enrolled, the more often a stranger sounds like somebody: the operating point's share of
        false accepts is divided by their number, so that it holds for all of them together.

        Raises:
            SvmixerError: nobody is enrolled.
        """
        check_somebody(enrolled)
        names, sides = list(enrolled), list(enrolled.values())
        order = np.argsort(-self.scores(sides, [test])[:, 0], kind="stable")[: max(top, 1)]
        share, doubts = self._share_of_each(len(names))
        ranked = tuple((names[at], self.verdict(sides[at], test, share, doubts)) for at in order)
        best = ranked[0][1]
        decision = "uncertain" if best.uncertain else "somebody" if best.same else "nobody"
        return Identification(decision, ranked, len(names))

    def scores(self, enrolled: Sequence[Side], tests: Sequence[Side]) -> np.ndarray:
        """Log-likelihood ratios ``float64 (N, M)``; cosines if there is no calibration."""
        first, second = (np.stack([side.embedding for side in sides]) for sides in (enrolled, tests))
        if self.calibration is None:
            return first.astype(np.float64) @ second.astype(np.float64).T
        rows, columns = (np.array([side.telephone for side in sides]) for sides in (enrolled, tests))
        return self.calibration.ratios(first, second, telephone_sides(rows[:, None], columns))

    def trial_scores(
        self, sides: Sequence[Side], enrol: np.ndarray, test: np.ndarray, ratio: bool
    ) -> np.ndarray:
        """Scores ``float64 (N,)`` of many trials.

        Args:
            sides: every recording once.
            enrol, test: rows ``int (N,)`` of both sides of each trial.
            ratio: log-likelihood ratios, which need a calibration; else cosines.
        """
        embeddings = np.stack([side.embedding for side in sides])
        scores = score_trials(embeddings, enrol, test)
        if not ratio or self.calibration is None:
            return scores
        cohort, top = self.calibration.cohort, self.calibration.top
        scores = normalise(scores, enrol, test, *cohort_statistics(embeddings, cohort, top))
        telephone = np.array([side.telephone for side in sides])
        return self.calibration.map_scores(scores, telephone_sides(telephone[enrol], telephone[test]))

    def verdict(
        self, enrolled: Side, test: Side, share: float | None = None, doubts: Sequence[str] = ()
    ) -> Verdict:
        """The verdict on two sides.

        Args:
            enrolled, test: the two.
            share: of false accepts, in place of the rule's.
            doubts: further ones.

        Raises:
            SvmixerError: the model has neither a calibration nor a threshold, or no such operating point.
        """
        doubts = [*enrolled.doubts, *test.doubts, *doubts]
        if self.calibration is not None:
            return verify_calibrated(
                self.calibration, enrolled.embedding, test.embedding, (enrolled.qualities, test.qualities),
                rule=self.rule if share is None else replace(self.rule, max_false_accepts=share),
                doubts=doubts,
            )  # fmt: skip
        threshold = self.embedder.threshold if self.rule.threshold is None else self.rule.threshold
        if threshold is None:
            raise SvmixerError(f"{self.embedder.name} has no threshold of its own: give one with --threshold")
        little = [*enrolled.little, *test.little]
        return verify(enrolled.embedding, test.embedding, threshold, [*doubts, *little])

    def _share_of_each(self, number: int) -> tuple[float | None, list[str]]:
        """The share of false accepts for one of so many enrolled, and what is to be said of it."""
        if self.calibration is None or number == 1:
            return None, []
        share = self.rule.share
        if share is None:
            share = self.calibration.maps[0].point(self.rule.operating_point).false_accepts
        # What every map can promise: which of them counts depends on the trial.
        least = max(found.table[-1].false_accepts for found in self.calibration.maps.values())
        if share / number >= least:
            return share / number, []
        expected = 100 * min(least * number, 1.0)
        return least, [f"of strangers up to {expected:.3g} % are taken for one of {number} enrolled"]

    def enrolment_doubts(self, side: Side) -> tuple[str, ...]:
        """What speaks against relying on a speaker's enrolment."""
        quality = together(side.qualities) if side.qualities else None
        # Which of several recordings is hardly speech is said there.
        if self.calibration is None or quality is None or quality.hardly_speech:
            return (*side.doubts, *side.little)
        return (*side.doubts, *self.calibration.limits.doubts(quality))
