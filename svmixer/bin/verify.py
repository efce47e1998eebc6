"""Whether recordings are of one speaker: svmixer verify ENROLLED... TEST [--model NAME]

The last recording is compared with the one before it, or with the mean of all before it. Recordings of any
format, rate, length and number of channels; each may be an enrolled speaker, the .npy file that
`svmixer enrol` wrote. Prints the decision, the cosine and the threshold.

Exit status: 0 when there is a decision, whichever; 1 when a recording or model cannot be read; 2 for a
command line that makes no sense.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from svmixer.config import parse_args, split_arguments
from svmixer.log import fail
from svmixer.model_dir import DEFAULT_MODEL

if TYPE_CHECKING:
    from svmixer.runtime.choose import Embedder


@dataclass(frozen=True)
class VerifyConfig:
    """Options of ``svmixer verify``."""

    # Model directory, or the name of a model that comes with the package.
    model: str = DEFAULT_MODEL
    # Cosine from which on they are of one speaker; without it the model's own.
    threshold: float | None = None
    # What runs the model; auto: onnx if it is installed, else torch.
    runtime: Literal["auto", "onnx", "torch"] = "auto"
    # Which ONNX file; auto: the one that the export recommends.
    precision: Literal["auto", "float32", "bf16", "int8"] = "auto"
    # text: one line; json: an object with same, score, threshold, enrolled, test, weights.
    format: Literal["text", "json"] = "text"
    # The same as --format json.
    json: bool = False


def main(argv: list[str] | None = None) -> None:
    """Print the verdict; a recording that cannot be read ends with one line and status 1."""
    files, options = split_arguments(VerifyConfig, sys.argv[1:] if argv is None else argv)
    config = parse_args(VerifyConfig, options, __doc__)
    if len(files) < 2:
        how = "svmixer verify ENROLLED... TEST"
        raise fail(f"two recordings or more are compared, found {len(files)}: {how}", 2)
    from svmixer.runtime.choose import load_embedder
    from svmixer.runtime.verify import enrol, verify

    try:
        model = load_embedder(config.model, config.runtime, config.precision)
        threshold = config.threshold if config.threshold is not None else model.threshold
        if threshold is None:
            raise ValueError(f"{config.model} has no threshold of its own: give one with --threshold")
        *enrolled, test = (read_embedding(model, name) for name in files)
        verdict = verify(enrol(enrolled), test, threshold)
    except (ValueError, OSError) as error:
        raise fail(str(error)) from None
    if config.json or config.format == "json":
        names = {"enrolled": files[:-1], "test": files[-1], "weights": str(model.weights)}
        print(json.dumps({**asdict(verdict), **names}, ensure_ascii=False))
        return
    same = "one speaker" if verdict.same else "two speakers"
    print(f"{same}: cosine {verdict.score:.4f}, threshold {verdict.threshold:.4f}")


def read_embedding(model: Embedder, name: str) -> np.ndarray:
    """The embedding ``(D,)`` of a recording, or the one in a ``.npy`` file.

    Raises:
        ValueError: unreadable; the message begins with the file.
    """
    if name.endswith(".npy"):
        try:
            vector = np.load(name, allow_pickle=False)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if vector.ndim != 1 or not np.isfinite(vector).all():
            raise ValueError(f"{name}: not one embedding of finite values, its shape is {vector.shape}")
        return vector
    from svmixer.audio import AudioError, open_wave

    try:
        return model.embed(*open_wave(name))
    except AudioError:
        raise
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


if __name__ == "__main__":
    main()
