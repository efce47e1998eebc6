"""Stage 7: write a trained model as a model directory to hand on; with --onnx true also as checked ONNX.

Example:
    svmixer export --model exp/mine/train/model --output_dir exp/mine/export --onnx true --test dump/test
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from svmixer.config import parse_args
from svmixer.errors import SvmixerError
from svmixer.limits import at_least
from svmixer.log import get_logger

if TYPE_CHECKING:
    from svmixer.models.speaker_model import SpeakerModel

logger = get_logger(__name__)


@dataclass(frozen=True)
class ExportConfig:
    """Options of the export."""

    model: str  # model directory or name
    output_dir: str  # where the copy goes
    # Numbers of model.safetensors. float16 halves the file, is checked on --test, and read as float32.
    weights: Literal["float32", "float16"] = "float32"
    # Also write model.onnx and model.int8.onnx, export.json and a model card; needs --test.
    onnx: bool = False
    test: str = ""  # dumped set with trials of other speakers, that everything is checked on
    # Directory where stage 5 scored --test with this model: for the card's error rates and the threshold.
    scores: str = ""
    name: str = ""  # of the model, on its card; empty: that of the directory
    card: str = ""  # file with text for the model card: data, limits, licence
    jobs: int = 1  # processes for what can be done at the same time
    json: bool = False  # true: print an object with the bytes of each file and, with onnx, export.json

    def __post_init__(self) -> None:
        if self.onnx and not self.test:
            raise ValueError("onnx: is checked on real speech, which --test names, a dumped set with trials")
        if self.weights == "float16" and not self.test:
            raise ValueError("weights: float16 is checked on real speech, which --test names, a dumped set")
        at_least(self, 1, "jobs")


def main(argv: list[str] | None = None) -> None:
    """Write, read again, compare; a mistake or an export that is off ends with one line and status 1."""
    config = parse_args(ExportConfig, argv, __doc__)
    from svmixer.models.io import load_model

    model = load_model(config.model)
    # What is exported is what was written.
    written = write_directory(model, config)
    logger.info("%s: %s parameters", config.output_dir, f"{sum(p.numel() for p in model.parameters()):,}")
    described: dict[str, Any] = {}
    if config.onnx:
        described = write_onnx(written, config)
        report(described)
    if config.json:
        sizes = {path.name: path.stat().st_size for path in sorted(Path(config.output_dir).iterdir())}
        print(json.dumps({"output_dir": config.output_dir, "files": sizes, **described}))


def write_directory(model: SpeakerModel, config: ExportConfig) -> SpeakerModel:
    """Write the model directory and load it again; the two must hold the same numbers.

    Raises:
        ModelError, ConfigError, OSError: it cannot be read or written.
        ValueError: it does not read back as it was written, or float16 changes the embeddings too much.
    """
    import torch

    from svmixer.export.card import CARD
    from svmixer.inference.calibration import CALIBRATION, COHORT
    from svmixer.inference.embedding_model import find_directory
    from svmixer.inference.onnx_model import DESCRIPTION, FILES
    from svmixer.models.io import load_model, read_speakers, save_model

    output, dtype = Path(config.output_dir), getattr(torch, config.weights)
    source = find_directory(config.model, "model")
    if output.resolve() == source.resolve():
        raise SvmixerError(f"output_dir: {output} is the model itself; name another folder")
    # Graphs, card and calibration of an earlier export are not those of these weights.
    for name in (DESCRIPTION, CARD, CALIBRATION, COHORT, *FILES.values()):
        (output / name).unlink(missing_ok=True)
    save_model(model, output, read_speakers(source), dtype)
    written = load_model(output)
    for name, value in model.state_dict().items():
        expected = value.to(dtype).to(value.dtype) if value.is_floating_point() else value
        if not torch.equal(expected, written.state_dict()[name]):
            raise SvmixerError(f"{output}: {name} does not read back as it was written")
    if config.weights == "float16":
        check_rounding(model, written, output / "model.safetensors", Path(config.test))
    return written


def check_rounding(model: SpeakerModel, written: SpeakerModel, path: Path, test: Path) -> None:
    """Compare the embeddings of speech by a model and by its rounded copy in the file ``path``.

    Raises:
        ParityError: they are too far apart.
    """
    from svmixer.audio.dumpset import DumpSet
    from svmixer.export.check import CHECKING, check_parity, model_embeddings, speech_windows

    windows = speech_windows(DumpSet(test), model.window, CHECKING, seed=1)
    check_parity(
        "float16 weights", path, model_embeddings(written, windows), model_embeddings(model, windows)
    )


def write_onnx(model: SpeakerModel, config: ExportConfig) -> dict[str, Any]:
    """The part that needs onnx, onnxscript and onnxruntime; what ``export.json`` holds."""
    from svmixer.export.card import split_about
    from svmixer.export.package import Speech, write_export

    scores = Path(config.scores) if config.scores else None
    speech = Speech(Path(config.test), scores)
    about = Path(config.card).read_text(encoding="utf-8") if config.card else ""
    split_about(about)  # before the work: what is wrong with it ends the program
    output = Path(config.output_dir)
    return write_export(model, output, speech, config.name or output.name, about, config.jobs)


def report(description: dict[str, Any]) -> None:
    """Log what was exported, and which graph is recommended."""
    for precision in description["precisions"]:
        row = description["checks"][precision]
        logger.info(
            "%s: %.2f MB, %.1f ms a window, lowest cosine %.6f, EER %.2f %%",
            precision, row["megabytes"], row["ms_per_window"], row["cosine_lowest"], row["test"]["eer"],
        )  # fmt: skip
    if description["precisions"][0] != "int8":
        logger.warning(
            "int8 is no faster than float32 on this machine; float32 is the one that is recommended"
        )
    if not description["checks"]["int8"]["parts"]:
        logger.warning(
            "no part of the model bears 8 bits: model.int8.onnx is float32 with weights of 16 bits"
        )
