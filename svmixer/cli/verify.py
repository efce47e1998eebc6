"""Whether recordings are of one speaker: svmixer verify ENROLLED... TEST [--model NAME]

The last recording is compared with the one before it, with the mean of all before it, or with --name, who
was enrolled with `svmixer enrol`. Recordings of any format, rate, length and number of channels; each may be
a file that `svmixer enrol` or `svmixer embed` wrote (.npy, .npz, .scp). Prints the decision, the
log-likelihood ratio and its threshold, the probability, the cosine, and what speaks against relying on it.
The decision is "uncertain" for recordings unlike those that the model was calibrated with. A model without a
calibration, or --threshold, decides by the cosine alone.

    svmixer verify enrolled.wav test.wav --operating_point strict
    svmixer verify test.wav --name ann

Exit status: 0 when there is an answer, whichever; 1 when a recording or model cannot be read, or a recording
has no speech; 2 for a command line that makes no sense. With --exit_status true 0 means one speaker, 3 two
speakers and 4 uncertain.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import Literal

from svmixer.cli.options import AnswerOptions
from svmixer.config import parse_args
from svmixer.errors import UsageError
from svmixer.inference.verification import Verdict

# Exit statuses, if they are asked for.
STATUS = {"one speaker": 0, "two speakers": 3, "uncertain": 4}


@dataclass(frozen=True)
class VerifyConfig(AnswerOptions):
    """Options of ``svmixer verify``."""

    # Who is enrolled under this name, in place of the recordings before the last.
    name: str = ""
    # text: one line; json: the same as --json true.
    format: Literal["text", "json"] = "text"


def main(argv: list[str] | None = None) -> None:
    """Print the verdict; a recording that cannot be read ends with one line and status 1."""
    config = parse_args(VerifyConfig, argv, __doc__)
    if config.name and len(config.files) != 1:
        how = f"svmixer verify TEST --name {config.name}"
        raise UsageError(f"one recording is compared with a name, found {len(config.files)}: {how}")
    if not config.name and len(config.files) < 2:
        how = "svmixer verify ENROLLED... TEST, or svmixer verify TEST --name NAME"
        raise UsageError(f"two recordings or more are compared, found {len(config.files)}: {how}")
    verifier = config.verifier(config.store if config.name else None, config.rule)
    enrolled = verifier.side(config.name) if config.name else verifier.side_from(config.files[:-1])
    test = verifier.test_side(config.files[-1])
    verdict = verifier.decider.verdict(enrolled, test)
    if config.json or config.format == "json":
        speech = [
            None if one is None else round(one.seconds, 2) for one in (*enrolled.measured, *test.measured)
        ]
        names = {"enrolled": config.files[:-1], "name": config.name or None, "test": config.files[-1]}
        found = {"decision": verdict.decision, **asdict(verdict), "speech": speech, **names}
        print(json.dumps(found | {"weights": str(verifier.embedder.weights)}, ensure_ascii=False))
    else:
        print(line(verdict))
    if config.exit_status and STATUS[verdict.decision]:
        sys.stdout.flush()
        raise SystemExit(STATUS[verdict.decision])


def line(verdict: Verdict) -> str:
    """The answer in words."""
    if verdict.ratio is None:
        figures = f"cosine {verdict.score:.4f}, threshold {verdict.threshold:.4f}"
    else:
        figures = (
            f"log-likelihood ratio {verdict.ratio:.2f}, threshold {verdict.threshold:.2f}, "
            f"probability {verdict.probability:.3f}, cosine {verdict.score:.4f}"
        )
    unsure = "; ".join(verdict.doubts)
    if verdict.uncertain:
        return f"uncertain ({unsure}): {figures}"
    return f"{verdict.decision}: {figures}" + (f"; unsure: {unsure}" if unsure else "")
