"""What a model is: svmixer info [MODEL]

Prints sample rate, window, size of the embeddings, parameters, what it runs, thresholds and what they cost,
files with their SHA-256, and the licence. Without MODEL the models that come with the package are listed. A
model's fingerprint, which a store of enrolments has, is the SHA-256 of its weights.

    svmixer info pocket2
    svmixer info exp/voices_compact/export --json
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svmixer.config import load, parse_args
from svmixer.errors import UsageError
from svmixer.fileio import SUMS, read_json, read_sums, sha256_file
from svmixer.inference.calibration import Calibration, read_calibration
from svmixer.inference.embedding_model import (
    ASSETS,
    DEFAULT_MODEL,
    DESCRIPTION,
    find_directory,
    shipped_models,
)
from svmixer.inference.onnx_model import FILES, read_description
from svmixer.scoring.embedder import whole_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

CARD = "README.md"
# Sides of a trial that come through a telephone, in words.
SIDES = {0: "no telephone", 1: "one side by telephone", 2: "both sides by telephone"}


@dataclass(frozen=True)
class InfoConfig:
    """Options of ``svmixer info``."""

    # Model directory, or the name of a model that comes with the package; this option's name may be left out.
    files: tuple[str, ...] = ()
    # true: print a JSON object.
    json: bool = False


def main(argv: list[str] | None = None) -> None:
    """Print what a model is, or which there are."""
    config = parse_args(InfoConfig, argv, __doc__)
    if len(config.files) > 1:
        raise UsageError(f"one model at a time, found {len(config.files)}: svmixer info [MODEL]")
    if config.files:
        found = model_info(config.files[0])
        print(json.dumps(found, indent=2) if config.json else "\n".join(model_lines(found)))
        return
    models = {name: model_info(name) for name in shipped_models("export", (DESCRIPTION,))}
    if config.json:
        print(json.dumps({"default": DEFAULT_MODEL, "models": models}, indent=2))
        return
    for name, found in models.items():
        about = f"{found['parameters']:,} parameters, embeddings of {found['embedding']} values"
        print(f"{name:12} {about}{' (the default)' if found['default'] else ''}")
    print("svmixer info NAME has more.")


def model_info(path_or_name: str) -> dict[str, Any]:
    """What is known of a model directory, as JSON has it; None for what is not.

    Raises:
        ModelError: no such model, or a damaged one.
        ConfigError: a configuration that cannot be read.
    """
    directory = find_directory(path_or_name, "model", ())
    exported = (directory / DESCRIPTION).is_file()
    kind = described(directory) if exported else configured(find_directory(path_or_name, "model"))
    sizes = {path.name: path.stat().st_size for path in sorted(directory.iterdir()) if path.is_file()}
    files = {name: {"bytes": size, "sha256": sha256_file(directory / name)} for name, size in sizes.items()}
    sums = read_sums(directory)
    changed = [name for name, digest in sums.items() if files.get(name, {}).get("sha256") != digest]
    graph = FILES[kind["precisions"][0]] if kind["precisions"] else "model.safetensors"
    weights = whole_weights(directory / graph).name
    calibration = read_calibration(directory)
    return {
        "name": directory.name,
        "directory": str(directory),
        "default": directory == ASSETS / DEFAULT_MODEL,
        **kind,
        "calibration": None if calibration is None else calibration_info(calibration),
        "fingerprint": files[weights]["sha256"] if weights in files else None,
        "weights": weights,
        "files": files,
        # None: no sums are there to compare with.
        "changed": changed if sums else None,
        "licence": licence(directory / CARD),
    }


def described(directory: Path) -> dict[str, Any]:
    """Of an export, by its description."""
    model, data = read_description(directory), read_json(directory / DESCRIPTION)
    return {
        "made_by": data.get("made_by"),
        "sample_rate": model.sample_rate,
        "window": model.window,
        "embedding": model.embedding,
        "parameters": data.get("parameters"),
        "adapted_from": data.get("adapted_from"),
        "training_speakers": data.get("training_speakers"),
        "precisions": list(model.precisions),
        "threshold": model.threshold,
        "threshold_from": (data["threshold"] or {}).get("from"),
    }


def configured(directory: Path) -> dict[str, Any]:
    """Of a model directory that a training wrote, by its configuration."""
    from svmixer.models.config import ModelConfig

    config = load(ModelConfig, directory / "config.yaml")
    return {
        "made_by": None,
        "sample_rate": config.sample_rate,
        "window": config.window,
        "embedding": config.embedding_size,
        "parameters": None,
        "adapted_from": config.adapted_from or None,
        "training_speakers": None,
        "precisions": [],
        "threshold": None,
        "threshold_from": None,
    }


def calibration_info(calibration: Calibration) -> dict[str, Any]:
    """Cohort, limits and operating points; false accepts and rejects are shares."""
    points = {
        str(sides): {name: asdict(point) for name, point in found.points.items()}
        for sides, found in calibration.maps.items()
    }
    return {
        "cohort": len(calibration.cohort),
        "top": calibration.top,
        "limits": asdict(calibration.limits),
        "operating_points": points,
    }


def licence(card: Path) -> str | None:
    """What a card says under the heading Licence; None without."""
    if not card.is_file():
        return None
    found = re.search(r"^## Licence\n+(.*?)(?=^#|\Z)", card.read_text(encoding="utf-8"), re.M | re.S)
    return " ".join(found[1].split()) if found else None


def model_lines(found: dict[str, Any]) -> Iterator[str]:
    """The same as text, a line for each thing that is known."""
    seconds = found["window"] / found["sample_rate"]
    rows = {
        "model": found["name"] + (" (the default)" if found["default"] else ""),
        "directory": found["directory"],
        "made by": found["made_by"],
        "sample rate": f"{found['sample_rate']} Hz",
        "window": f"{found['window']} samples, {seconds:g} s",
        "embedding": f"{found['embedding']} values",
        "parameters": found["parameters"] and f"{found['parameters']:,}",
        "adapted from": found["adapted_from"],
        "training": found["training_speakers"] and f"{found['training_speakers']} speakers",
        "precisions": ", ".join(found["precisions"]) or "none exported; PyTorch runs it",
        "threshold": found["threshold"] and f"cosine {found['threshold']:.4f} ({found['threshold_from']})",
        "fingerprint": found["fingerprint"] and f"{found['fingerprint']} ({found['weights']})",
    }
    yield from (f"{name:13}{value}" for name, value in rows.items() if value)
    if found["calibration"]:
        yield from calibration_lines(found["calibration"])
    yield "files"
    for name, file in found["files"].items():
        yield f"  {name:20} {file['bytes']:>11,} bytes  {file['sha256'][:16]}…"
    for name in found["changed"] or ():
        yield f"  {name}: missing, or not the file that {SUMS} was written for"
    if found["licence"]:
        yield f"licence      {found['licence']}"


def calibration_lines(found: dict[str, Any]) -> Iterator[str]:
    """Operating points with what they cost."""
    yield f"calibration  AS-norm with {found['cohort']} cohort embeddings, the {found['top']} highest"
    for sides, points in found["operating_points"].items():
        for name, point in points.items():
            yield (
                f"  {SIDES.get(int(sides), sides)}, {name}: ratio {point['ratio']:.2f}, false accepts "
                f"{100 * point['false_accepts']:.2f} %, false rejects {100 * point['false_rejects']:.1f} %"
            )
