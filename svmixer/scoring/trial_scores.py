"""Scores of a trial list from embeddings on disk: sides, enrolment of several utterances, normalisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from svmixer.inference.normalisation import cohort_statistics, normalise
from svmixer.inference.utterance import unit_length
from svmixer.inference.verification import enrol
from svmixer.lists import ListError, Trials, find_enroll_map, read_table
from svmixer.lists.enroll_map import ENROLL_MAP, Models
from svmixer.lists.table import iter_lines
from svmixer.scoring.cohort import read_cohort
from svmixer.scoring.metrics import SCORE_DECIMALS, score_trials
from svmixer.scoring.scorers import COSINE, make_scorer
from svmixer.scoring.vectors import EmbeddingError, load_embeddings, merge_jobs

Norm = Literal["none", "asnorm", "snorm"]
# Utterances → their embeddings (U, D).
Load = Callable[[list[str]], np.ndarray]
NORMS = {"asnorm": "AS-norm", "snorm": "S-norm"}


@dataclass(frozen=True)
class Scoring:
    """How sides become scores."""

    # See svmixer.scoring.scorers.parse_scoring.
    scorer: str = COSINE
    # asnorm: with the top_k highest scores against the cohort; snorm: with all of them.
    norm: Norm = "none"
    # Where cohort.scp and the training embeddings are.
    cohort_dir: str = ""
    # Dumped set that they are of.
    train_dir: str = ""
    # Highest cohort scores that count for asnorm; all of a smaller cohort.
    top_k: int = 300


@dataclass(frozen=True, eq=False)
class Sides:
    """Embeddings of V utterances and models, and which of them are compared."""

    # (V, D)
    vectors: np.ndarray
    # Rows of both sides of the trials, (N,) each.
    enrol: np.ndarray
    test: np.ndarray
    # That the embeddings were made with.
    settings: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of N trials and what they are."""

    # float64 (N,), rounded as they are written.
    scores: np.ndarray
    # In words.
    scorer: str
    normalisation: str
    # What it was normalised with.
    cohort: dict[str, Any] | None


def trial_vectors(
    embeddings_dir: str | Path, test_dir: str | Path, num_jobs: int, trials: Trials, data_dir: Path
) -> Sides:
    """Embeddings of both sides of a set's trials, from the jobs of their extraction; see :func:`join_sides`.

    Args:
        embeddings_dir: of both sides, or of the enrolment.
        test_dir: of the test sides, if they are in another place.
        num_jobs: of the extraction; 0: as many as there were.
        trials: of the set.
        data_dir: the dumped set.

    Raises:
        EmbeddingError: embeddings are missing, damaged or do not belong together.
        ListError: a trial names no model of ``enroll.map``.
    """
    scp, settings = merge_jobs(embeddings_dir, num_jobs)
    load_test = None
    if test_dir:
        test_scp, test_settings = merge_jobs(test_dir, num_jobs)
        _check_sides(embeddings_dir, settings, test_dir, test_settings)
        load_test = partial(_embeddings, test_scp, data_dir)
    return Sides(*join_sides(trials, data_dir, partial(_embeddings, scp, data_dir), load_test), settings)


def stored_cosines(scores_dir: str | Path, trials: Trials, data_dir: str | Path) -> np.ndarray:
    """Cosines ``float64 (N,)`` of a set's trials by what stage 5 embedded, as `svmixer verify` compares it.

    Raises:
        EmbeddingError, ListError: see :func:`trial_vectors`.
    """
    scp = read_table(Path(scores_dir) / "embeddings.scp")
    vectors, enrolled, test = join_sides(trials, data_dir, partial(_embeddings, scp, Path(data_dir)))
    return score_trials(unit_length(vectors), enrolled, test)


def join_sides(
    trials: Trials, data_dir: str | Path, load: Load, load_test: Load | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings ``(V, D)`` of the utterances and models that trials compare, and the rows ``(N,)`` of both
    sides.

    Where the set has ``enroll.map``, the first side is a model: the mean of its utterances' embeddings, each
    of unit length, scaled to unit length.

    Args:
        trials: N of them.
        data_dir: the set.
        load: utterances → their embeddings.
        load_test: the same for test sides, where these are others.

    Raises:
        ListError: a trial names no model of ``enroll.map``.
    """
    models = find_enroll_map(data_dir)
    enrolled = [trials.utterances[index] for index in np.unique(trials.enrol)]
    tested = [trials.utterances[index] for index in np.unique(trials.test)]
    members = enrolled if models is None else _members(models, enrolled, Path(data_dir))
    names = members if load_test else list(dict.fromkeys([*members, *tested]))
    vectors = load(names)
    row = {name: index for index, name in enumerate(names)}
    rows_of_test = row
    if load_test:
        rows_of_test = {name: len(vectors) + index for index, name in enumerate(tested)}
        vectors = np.concatenate([vectors, load_test(tested)])
    rows_of_enrol = row
    if models is not None:
        means = [enrol([vectors[row[name]] for name in models[model]]) for model in enrolled]
        rows_of_enrol = {model: len(vectors) + index for index, model in enumerate(enrolled)}
        vectors = np.concatenate([vectors, np.stack(means)])
    return (
        vectors,
        _rows(trials.enrol, trials.utterances, rows_of_enrol),
        _rows(trials.test, trials.utterances, rows_of_test),
    )


def score_sides(sides: Sides, scoring: Scoring) -> Scored:
    """Scores of trials.

    Raises:
        EmbeddingError: the cohort or the training embeddings are missing, do not belong to these embeddings,
            or are unfit.
        ListError: see :func:`svmixer.scoring.scorers.make_scorer`.
    """
    scorer = make_scorer(scoring.scorer, scoring.cohort_dir, scoring.train_dir, sides.settings)
    first, second = scorer.sides(sides.vectors)
    scores = score_trials(first, sides.enrol, sides.test, second)
    if scoring.norm == "none":
        return Scored(scores, scorer.name, "none", None)
    cohort = read_cohort(scoring.cohort_dir, sides.settings)
    size = len(cohort.embeddings)
    top = size if scoring.norm == "snorm" else min(scoring.top_k, size)
    try:
        mean, deviation = cohort_statistics(first, scorer.sides(cohort.embeddings)[1], top)
    except ValueError as error:
        raise EmbeddingError(f"{scoring.cohort_dir}: {error}") from None
    part = f"{size} {cohort.kind}" if scoring.norm == "snorm" else f"top {top} of {size} {cohort.kind}"
    about = {"set": cohort.name, "kind": cohort.kind, "size": size, "top_k": top}
    scores = np.round(normalise(scores, sides.enrol, sides.test, mean, deviation), SCORE_DECIMALS) + 0.0
    return Scored(scores, scorer.name, f"{NORMS[scoring.norm]}, {part}", about)


def _members(models: Models, enrolled: list[str], data_dir: Path) -> list[str]:
    """Every utterance of the models ``enrolled``, once."""
    missing = next((model for model in enrolled if model not in models), None)
    if missing is not None:
        what = "is in the trial list and no model here"
        raise ListError(what, path=data_dir / ENROLL_MAP, utterance=missing)
    return list(dict.fromkeys(name for model in enrolled for name in models[model]))


def _rows(side: np.ndarray, names: list[str], rows: dict[str, int]) -> np.ndarray:
    """Rows ``(N,)`` of one side of the trials, ``(N,)`` indices of ``names``."""
    of_name = np.zeros(len(names), dtype=np.int64)
    for index in np.unique(side).tolist():
        of_name[index] = rows[names[index]]
    return of_name[side]


def _embeddings(scp: dict[str, str], data_dir: Path, utterances: list[str]) -> np.ndarray:
    """Embeddings ``(U, D)`` of utterances of a set; what is missing is explained by what stage 2 dropped."""
    try:
        return load_embeddings(scp, utterances, str(data_dir / "trials"))
    except EmbeddingError as error:
        raise EmbeddingError(f"{error}{_dropped(data_dir, utterances)}") from None


def _check_sides(
    enrol_dir: str | Path, enrolled: dict[str, Any], test_dir: str | Path, test: dict[str, Any]
) -> None:
    """Refuse embeddings of two sides that differ in more than the side."""
    if (enrolled.get("side"), test.get("side")) != ("enrol", "test"):
        raise EmbeddingError(
            f"{enrol_dir}, {test_dir}: expected embeddings for the sides enrol and test, found "
            f"{enrolled.get('side')} and {test.get('side')}; extract them with --channels and --side"
        )
    for key in enrolled.keys() | test.keys():
        if key not in ("side", "num_jobs") and enrolled.get(key) != test.get(key):
            raise EmbeddingError(
                f"{test_dir}: {key} is {test.get(key)}, in {enrol_dir} {enrolled.get(key)}; extract again"
            )


def _dropped(data_dir: Path, utterances: list[str]) -> str:
    """The reasons in ``dropped.tsv`` for the first few of ``utterances`` that stand there."""
    path = data_dir / "dropped.tsv"
    if not path.is_file():
        return ""
    wanted = set(utterances)
    lines = [line.split("\t") for _, line in iter_lines(path)]
    reasons = [": ".join(fields[:2]) for fields in lines if fields[0] in wanted]
    return f"; dropped ({path}): {', '.join(reasons[:5])}" if reasons else ""
