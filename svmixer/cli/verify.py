"""Whether recordings are of one speaker: svmixer verify ENROLLED... TEST [--model NAME]

The last recording is compared with the one before it, or with the mean of all before it. Recordings of any
format, rate, length and number of channels; each may be a file that `svmixer enrol` or `svmixer embed` wrote
(.npy, .npz, .scp). Prints the decision, the cosine, the threshold, and what speaks against relying on it.

Exit status: 0 when there is a decision, whichever; 1 when a recording or model cannot be read, or a recording
has no speech; 2 for a command line that makes no sense. With --exit_status true 0 means one speaker and 3 two
speakers.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import Literal

from svmixer.config import parse_args
from svmixer.errors import SvmixerError, UsageError
from svmixer.inference.embedding_model import DEFAULT_MODEL
from svmixer.inference.verification import check_threshold, enrol, verify
from svmixer.limits import not_negative

# Exit status for two speakers, if it is asked for.
TWO_SPEAKERS = 3


@dataclass(frozen=True)
class VerifyConfig:
    """Options of ``svmixer verify``."""

    # Recordings; the name of this option may be left out.
    files: tuple[str, ...] = ()
    # Model directory, or the name of a model that comes with the package.
    model: str = DEFAULT_MODEL
    # Cosine from which on they are of one speaker; without it the model's own.
    threshold: float | None = None
    # What runs the model; auto: onnx if it is installed, else torch.
    runtime: Literal["auto", "onnx", "torch"] = "auto"
    # Which ONNX file; auto: the one that the export recommends.
    precision: Literal["auto", "float32", "int8"] = "auto"
    # Channel that is taken of recordings with several, from 0; without it their mean.
    channel: int | None = None
    # text: one line; json: an object with same, score, threshold, doubts, enrolled, test, weights.
    format: Literal["text", "json"] = "text"
    # The same as --format json.
    json: bool = False
    # true: the exit status is 3 when they are two speakers, for scripts.
    exit_status: bool = False

    def __post_init__(self) -> None:
        if self.threshold is not None:
            check_threshold(self.threshold)
        not_negative(self, "channel")


def main(argv: list[str] | None = None) -> None:
    """Print the verdict; a recording that cannot be read ends with one line and status 1."""
    config = parse_args(VerifyConfig, argv, __doc__)
    if len(config.files) < 2:
        how = "svmixer verify ENROLLED... TEST"
        raise UsageError(f"two recordings or more are compared, found {len(config.files)}: {how}")
    from svmixer.scoring.embedder import load_embedder
    from svmixer.scoring.recordings import hear, only_one

    model = load_embedder(config.model, config.runtime, config.precision)
    threshold = config.threshold if config.threshold is not None else model.threshold
    if threshold is None:
        raise SvmixerError(f"{config.model} has no threshold of its own: give one with --threshold")
    *enrolled, test = [hear(model, name, config.channel) for name in config.files]
    speaker = enrol([vector for heard in enrolled for vector in heard.vectors])
    doubts = [doubt for heard in (*enrolled, test) for doubt in heard.doubts]
    verdict = verify(speaker, only_one(config.files[-1], test.vectors), threshold, doubts)
    if config.json or config.format == "json":
        names = {"enrolled": config.files[:-1], "test": config.files[-1], "weights": str(model.weights)}
        print(json.dumps({**asdict(verdict), **names}, ensure_ascii=False))
    else:
        same = "one speaker" if verdict.same else "two speakers"
        unsure = f"; unsure: {'; '.join(verdict.doubts)}" if verdict.doubts else ""
        print(f"{same}: cosine {verdict.score:.4f}, threshold {verdict.threshold:.4f}{unsure}")
    if config.exit_status and not verdict.same:
        sys.stdout.flush()
        raise SystemExit(TWO_SPEAKERS)
