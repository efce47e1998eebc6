"""Who of several enrolled speakers it is: svmixer identify RECORDING ENROLLED... [--top N]

Every further file is one speaker: a recording, or what `svmixer enrol` or `svmixer embed` wrote (.npy, .npz,
.scp; several embeddings in a file are averaged). Prints who it is, or that it is nobody of them, and the
likeliest ones with log-likelihood ratio, probability and cosine.

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
from typing import TYPE_CHECKING, Any, Literal

from svmixer.config import parse_args
from svmixer.errors import SvmixerError, UsageError
from svmixer.inference.calibration import STANDARD
from svmixer.inference.embedding_model import DEFAULT_MODEL
from svmixer.inference.verification import Verdict, enrol, verify, verify_calibrated
from svmixer.limits import at_least, not_negative

if TYPE_CHECKING:
    from svmixer.scoring.embedder import Embedder
    from svmixer.scoring.recordings import Heard

# Exit statuses, if they are asked for.
STATUS = {"somebody": 0, "nobody": 3, "uncertain": 4}


@dataclass(frozen=True)
class IdentifyConfig:
    """Options of ``svmixer identify``."""

    # The recording, then the enrolled; - is standard input; the name of this option may be left out.
    files: tuple[str, ...] = ()
    # Model directory, or the name of a model that comes with the package.
    model: str = DEFAULT_MODEL
    # How many of the likeliest are printed.
    top: int = 3
    # Of a model with a calibration: standard (1 % of strangers accepted), strict (0.1 %) or balanced.
    operating_point: str = STANDARD
    # What runs the model; auto: onnx if it is installed, else torch.
    runtime: Literal["auto", "onnx", "torch"] = "auto"
    # Which ONNX file; auto: the one that the export recommends.
    precision: Literal["auto", "float32", "int8"] = "auto"
    # Channel that is taken of recordings with several, from 0; without it their mean.
    channel: int | None = None
    # true: print an object with decision, name, enrolled and the likeliest.
    json: bool = False
    # true: the exit status is 3 for nobody and 4 for uncertain, for scripts.
    exit_status: bool = False

    def __post_init__(self) -> None:
        at_least(self, 1, "top")
        not_negative(self, "channel")


def main(argv: list[str] | None = None) -> None:
    """Print the likeliest; a recording that cannot be read ends with one line and status 1."""
    config = parse_args(IdentifyConfig, argv, __doc__)
    if len(config.files) < 2:
        how = "svmixer identify RECORDING ENROLLED..."
        raise UsageError(
            f"a recording and somebody enrolled are needed, found {len(config.files)} files: {how}"
        )
    from svmixer.scoring.embedder import load_embedder
    from svmixer.scoring.recordings import hear

    model = load_embedder(config.model, config.runtime, config.precision)
    test = hear(model, config.files[0], config.channel)
    verdicts = [
        (name, judge(config, model, hear(model, name, config.channel), test)) for name in config.files[1:]
    ]
    ranked = sorted(verdicts, key=lambda item: -likeliness(item[1]))
    best = ranked[0][1]
    decision = "uncertain" if best.uncertain else "somebody" if best.same else "nobody"
    if config.json:
        print(json.dumps(as_object(decision, ranked, config.top), ensure_ascii=False))
    else:
        print("\n".join(as_text(decision, ranked, config.top)))
    if config.exit_status and STATUS[decision]:
        sys.stdout.flush()
        raise SystemExit(STATUS[decision])


def judge(config: IdentifyConfig, model: Embedder, heard: Heard, test: Heard) -> Verdict:
    """One of the enrolled and the recording.

    Raises:
        SvmixerError: the model has neither a calibration nor a threshold, or no such operating point.
    """
    from svmixer.scoring.recordings import only_one

    speaker, vector = enrol(list(heard.vectors)), only_one(config.files[0], test.vectors)
    doubts = [*heard.doubts, *test.doubts]
    if model.calibration is None:
        if config.operating_point != STANDARD:
            raise SvmixerError(
                f"{config.model} has no calibration: an operating point needs one (svmixer calibrate)"
            )
        if model.threshold is None:
            raise SvmixerError(f"{config.model} has no threshold of its own, and no calibration")
        return verify(speaker, vector, model.threshold, [*doubts, *heard.little, *test.little])
    qualities = tuple([one.quality] if one.quality else [] for one in (heard, test))
    point = model.calibration.maps[0].point(config.operating_point)
    # What every map can promise: which of them counts depends on the trial.
    least = max(found.table[-1].false_accepts for found in model.calibration.maps.values())
    share, number = point.false_accepts, len(config.files) - 1
    if share / number < least:
        doubts.append(
            f"of strangers up to {100 * least * number:.2g} % are taken for one of {number} enrolled"
        )
    return verify_calibrated(
        model.calibration, speaker, vector, qualities, max_false_accepts=max(share / number, least),
        doubts=doubts,
    )  # fmt: skip


def likeliness(verdict: Verdict) -> float:
    """What the enrolled are ranked by."""
    return verdict.score if verdict.ratio is None else verdict.ratio


def as_text(decision: str, ranked: list[tuple[str, Verdict]], top: int) -> list[str]:
    """The answer, and a line for each of the likeliest."""
    name, best = ranked[0]
    doubts = "; ".join(best.doubts)
    if decision == "somebody":
        first = name + (f"; unsure: {doubts}" if doubts else "")
    elif decision == "nobody":
        first = f"nobody of {len(ranked)} enrolled" + (f"; unsure: {doubts}" if doubts else "")
    else:
        first = f"uncertain ({doubts}); the likeliest is {name}"
    kind = "cosine" if best.ratio is None else "log-likelihood ratio"
    lines = [f"{first}: {kind} {likeliness(best):.2f}, threshold {best.threshold:.2f}"]
    for number, (one, verdict) in enumerate(ranked[:top], 1):
        figures = f"cosine {verdict.score:.4f}"
        if verdict.ratio is not None:
            figures = (
                f"log-likelihood ratio {verdict.ratio:.2f}, probability {verdict.probability:.3f}, {figures}"
            )
        lines.append(f"{number}. {one}: {figures}")
    return lines


def as_object(decision: str, ranked: list[tuple[str, Verdict]], top: int) -> dict[str, Any]:
    """The same for ``--json``."""
    return {
        "decision": decision,
        "name": ranked[0][0] if decision == "somebody" else None,
        "threshold": ranked[0][1].threshold,
        "doubts": list(ranked[0][1].doubts),
        "enrolled": len(ranked),
        "likeliest": [
            {
                "name": name, "ratio": verdict.ratio, "probability": verdict.probability,
                "score": verdict.score,
            }
            for name, verdict in ranked[:top]
        ],
    }  # fmt: skip
