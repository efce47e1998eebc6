"""Who of several enrolled speakers it is: svmixer identify RECORDING [ENROLLED...] [--top N]

Compares the recording with everybody who was enrolled with `svmixer enrol`; or with further files, each of
one speaker: a recording, or what `svmixer enrol` or `svmixer embed` wrote (.npy, .npz, .scp; several
embeddings in a file are averaged). Prints who it is, or that it is nobody of them, and the likeliest ones
with log-likelihood ratio, probability and cosine.

    svmixer identify unknown.wav
    svmixer identify unknown.wav voices/*.npy

The more are enrolled, the more often a stranger sounds like somebody: the share of false accepts of the
operating point is divided by their number, so that it holds for all of them together.

Exit status: 0 when there is an answer, whichever; 1 when a recording or model cannot be read, or a recording
has no speech; 2 for a command line that makes no sense. With --exit_status true 0 means somebody, 3 nobody
and 4 uncertain.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from svmixer.cli.options import AnswerOptions
from svmixer.config import parse_args
from svmixer.errors import UsageError
from svmixer.limits import at_least

if TYPE_CHECKING:
    from svmixer.inference.verification import Verdict
    from svmixer.scoring.decision import Identification

# Exit statuses, if they are asked for.
STATUS = {"somebody": 0, "nobody": 3, "uncertain": 4}


@dataclass(frozen=True)
class IdentifyConfig(AnswerOptions):
    """Options of ``svmixer identify``."""

    # How many of the likeliest are printed.
    top: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "top")


def main(argv: list[str] | None = None) -> None:
    """Print the likeliest; a recording that cannot be read ends with one line and status 1."""
    config = parse_args(IdentifyConfig, argv, __doc__)
    if not config.files:
        raise UsageError("no recording given: svmixer identify RECORDING [ENROLLED...]")
    test, *enrolled = config.files
    verifier = config.verifier(None if enrolled else config.store, config.rule)
    if enrolled:
        sides = {name: verifier.side_from([name]) for name in enrolled}
        found = verifier.decider.rank(sides, verifier.test_side(test), config.top)
    else:
        found = verifier.identify(test, config.top)
    if config.json:
        print(json.dumps(as_object(found), ensure_ascii=False))
    else:
        print("\n".join(as_text(found)))
    if config.exit_status and STATUS[found.decision]:
        sys.stdout.flush()
        raise SystemExit(STATUS[found.decision])


def as_text(found: Identification) -> list[str]:
    """The answer, and a line for each of the likeliest."""
    name, best = found.ranked[0]
    doubts = "; ".join(best.doubts)
    if found.decision == "somebody":
        first = name + (f"; unsure: {doubts}" if doubts else "")
    elif found.decision == "nobody":
        first = f"nobody of {found.enrolled} enrolled" + (f"; unsure: {doubts}" if doubts else "")
    else:
        first = f"uncertain ({doubts}); the likeliest is {name}"
    kind = "cosine" if best.ratio is None else "log-likelihood ratio"
    lines = [f"{first}: {kind} {_likeliness(best):.2f}, threshold {best.threshold:.2f}"]
    for number, (one, verdict) in enumerate(found.ranked, 1):
        figures = f"cosine {verdict.score:.4f}"
        if verdict.ratio is not None:
            figures = (
                f"log-likelihood ratio {verdict.ratio:.2f}, probability {verdict.probability:.3f}, {figures}"
            )
        lines.append(f"{number}. {one}: {figures}")
    return lines


def _likeliness(verdict: Verdict) -> float:
    return verdict.score if verdict.ratio is None else verdict.ratio


def as_object(found: Identification) -> dict[str, Any]:
    """The same for ``--json``."""
    return {
        "decision": found.decision,
        "name": found.name,
        "threshold": found.best.threshold,
        "doubts": list(found.best.doubts),
        "enrolled": found.enrolled,
        "likeliest": [
            {
                "name": name, "ratio": verdict.ratio, "probability": verdict.probability,
                "score": verdict.score,
            }
            for name, verdict in found.ranked
        ],
    }  # fmt: skip
