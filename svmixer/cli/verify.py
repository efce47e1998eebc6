"""Whether recordings are of one speaker: svmixer verify ENROLLED... TEST [--model NAME]

The last recording is compared with the one before it, or with the mean of all before it. Recordings of any
format, rate, length and number of channels; each may be a file that `svmixer enrol` or `svmixer embed` wrote
(.npy, .npz, .scp). Prints the decision, the log-likelihood ratio and its threshold, the probability, the
cosine, and what speaks against relying on it. The decision is "uncertain" for recordings unlike those that
the model was calibrated with. A model without a calibration, or --threshold, decides by the cosine alone.

    svmixer verify enrolled.wav test.wav --operating_point strict

Exit status: 0 when there is an answer, whichever; 1 when a recording or model cannot be read, or a recording
has no speech; 2 for a command line that makes no sense. With --exit_status true 0 means one speaker, 3 two
speakers and 4 uncertain.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from svmixer.config import parse_args
from svmixer.errors import SvmixerError, UsageError
from svmixer.inference.calibration import STANDARD, probability
from svmixer.inference.embedding_model import DEFAULT_MODEL
from svmixer.inference.verification import Verdict, check_threshold, enrol, verify, verify_calibrated
from svmixer.limits import not_negative

if TYPE_CHECKING:
    import numpy as np

    from svmixer.scoring.embedder import Embedder
    from svmixer.scoring.recordings import Heard

# Exit statuses, if they are asked for.
STATUS = {"one speaker": 0, "two speakers": 3, "uncertain": 4}


@dataclass(frozen=True)
class VerifyConfig:
    """Options of ``svmixer verify``."""

    # Recordings; - is standard input; the name of this option may be left out.
    files: tuple[str, ...] = ()
    # Model directory, or the name of a model that comes with the package.
    model: str = DEFAULT_MODEL
    # Cosine from which on they are of one speaker, in place of the model's calibration.
    threshold: float | None = None
    # Of a model with a calibration: standard (1 % false accepts), strict (0.1 %) or balanced (equal errors).
    operating_point: str = STANDARD
    # The most false accepts, a share as 0.001 or 0.1%, in place of the operating point.
    max_false_accepts: str = ""
    # Probability that they are of one speaker before the recordings were heard.
    prior: float = 0.5
    # What runs the model; auto: onnx if it is installed, else torch.
    runtime: Literal["auto", "onnx", "torch"] = "auto"
    # Which ONNX file; auto: the one that the export recommends.
    precision: Literal["auto", "float32", "int8"] = "auto"
    # Channel that is taken of recordings with several, from 0; without it their mean.
    channel: int | None = None
    # text: one line; json: an object with decision, score, threshold, ratio, probability, doubts and more.
    format: Literal["text", "json"] = "text"
    # The same as --format json.
    json: bool = False
    # true: the exit status is 3 for two speakers and 4 for uncertain, for scripts.
    exit_status: bool = False

    def __post_init__(self) -> None:
        if self.threshold is not None:
            check_threshold(self.threshold)
        probability(0.0, self.prior)
        if self.max_false_accepts:
            share(self.max_false_accepts)
        not_negative(self, "channel")


def main(argv: list[str] | None = None) -> None:
    """Print the verdict; a recording that cannot be read ends with one line and status 1."""
    config = parse_args(VerifyConfig, argv, __doc__)
    if len(config.files) < 2:
        how = "svmixer verify ENROLLED... TEST"
        raise UsageError(f"two recordings or more are compared, found {len(config.files)}: {how}")
    from svmixer.scoring.embedder import load_embedder
    from svmixer.scoring.recordings import hear

    model = load_embedder(config.model, config.runtime, config.precision)
    *enrolled, test = [hear(model, name, config.channel) for name in config.files]
    speaker = enrol([vector for heard in enrolled for vector in heard.vectors])
    verdict = judge(config, model, speaker, enrolled, test)
    if config.json or config.format == "json":
        speech = [None if one.quality is None else round(one.quality.seconds, 2) for one in (*enrolled, test)]
        names = {"enrolled": config.files[:-1], "test": config.files[-1], "weights": str(model.weights)}
        found = {"decision": verdict.decision, **asdict(verdict), "speech": speech, **names}
        print(json.dumps(found, ensure_ascii=False))
    else:
        print(line(verdict))
    if config.exit_status and STATUS[verdict.decision]:
        sys.stdout.flush()
        raise SystemExit(STATUS[verdict.decision])


def judge(
    config: VerifyConfig, model: Embedder, speaker: np.ndarray, enrolled: list[Heard], test: Heard
) -> Verdict:
    """By the model's calibration, or by the cosine if it has none or a threshold is given.

    Raises:
        SvmixerError: no threshold, or an operating point where there is no calibration.
    """
    from svmixer.scoring.recordings import only_one

    vector = only_one(config.files[-1], test.vectors)
    doubts = [doubt for heard in (*enrolled, test) for doubt in heard.doubts]
    if model.calibration is not None and config.threshold is None:
        qualities = tuple([one.quality for one in side if one.quality] for side in (enrolled, [test]))
        return verify_calibrated(
            model.calibration, speaker, vector, qualities, operating_point=config.operating_point,
            max_false_accepts=share(config.max_false_accepts) if config.max_false_accepts else None,
            prior=config.prior, doubts=doubts,
        )  # fmt: skip
    if config.operating_point != STANDARD or config.max_false_accepts:
        why = "--threshold is given" if config.threshold is not None else f"{config.model} has no calibration"
        raise SvmixerError(f"{why}: an operating point or max_false_accepts needs one (svmixer calibrate)")
    threshold = config.threshold if config.threshold is not None else model.threshold
    if threshold is None:
        raise SvmixerError(f"{config.model} has no threshold of its own: give one with --threshold")
    little = [doubt for heard in (*enrolled, test) for doubt in heard.little]
    return verify(speaker, vector, threshold, [*doubts, *little])


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


def share(text: str) -> float:
    """``0.001`` or ``0.1%`` as a number.

    Raises:
        ValueError: neither.
    """
    try:
        value = float(text.removesuffix("%")) / (100.0 if text.endswith("%") else 1.0)
    except ValueError:
        value = 0.0
    if not 0.0 < value <= 1.0:
        raise ValueError(f"max_false_accepts: a share as 0.001 or 0.1%, found '{text}'")
    return value
