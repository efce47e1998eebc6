"""The model card: what an exported model is, how good it is, what it is for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from svmixer.config import from_dict
from svmixer.errors import SvmixerError
from svmixer.fileio import atomic_write
from svmixer.inference.embedding_model import ModelError
from svmixer.inference.onnx_model import FILES
from svmixer.templates import render
from svmixer.yaml_files import yaml_value

# Name of the card in a model directory.
CARD = "README.md"
# Around what a card says to the Hugging Face hub, at its beginning.
MARK = "---\n"
TAGS = ["speaker-verification", "speaker-recognition", "speaker-embedding", "sv-mixer", "onnx"]


@dataclass(frozen=True)
class CardFacts:
    """What a recipe's text for the card may state at its beginning, in YAML between two lines of ``---``."""

    # Of the model, in the hub's words: mit, cc-by-4.0 …
    license: str = ""
    # Of the training speech: codes as en, or multilingual.
    language: tuple[str, ...] = ()
    # Training speech, by its names on the hub.
    datasets: tuple[str, ...] = ()


class _Section(dict):
    """A part of a description; asking it for what it lacks raises ModelError with the key's full name."""

    def __init__(self, data: dict[str, Any], prefix: str = "") -> None:
        super().__init__(data)
        self.prefix = prefix

    def __getitem__(self, key: str) -> Any:
        if key not in self:
            raise ModelError(f"{self.prefix}{key} is missing")
        value = super().__getitem__(key)
        return _Section(value, f"{self.prefix}{key}.") if isinstance(value, dict) else value


def write_card(path: Path, card: str) -> None:
    """Write what :func:`model_card` gave."""
    with atomic_write(path) as stream:
        stream.write(card)


def card_name(card: str) -> str:
    """The name of the model in a card; empty if there is none."""
    return next((line[2:] for line in card.splitlines() if line.startswith("# ")), "")


def split_about(text: str) -> tuple[CardFacts, str]:
    """What a recipe's text for the card states at its beginning, and the rest of it.

    Raises:
        ModelError, ConfigError: the beginning has no end, or is not YAML of :class:`CardFacts`.
    """
    if not text.startswith(MARK):
        return CardFacts(), text
    head, mark, rest = text.removeprefix(MARK).partition(f"\n{MARK}")
    if not mark:
        raise ModelError("text for the card: it begins with --- but no other line of --- follows")
    try:
        return from_dict(CardFacts, yaml_value(head) or {}, "text for the card"), rest
    except SvmixerError:
        raise
    except ValueError as error:
        raise ModelError(f"text for the card: its beginning is not YAML: {error}") from None


def model_card(name: str, description: dict[str, Any], calibration: dict[str, Any] | None = None) -> str:
    """The card of a model called ``name``, from what ``export.json`` and ``calibration.json`` hold.

    Raises:
        ModelError: the description lacks something, as that of an older version may; the message names it.
    """
    try:
        return _card(name, _Section(description), calibration)
    except ModelError:
        raise
    except (TypeError, AttributeError, ValueError, LookupError, ArithmeticError) as error:
        raise ModelError(f"a value is not what this version writes: {error}") from None


def _card(name: str, model: _Section, calibration: dict[str, Any] | None) -> str:
    checks, scored = model["checks"], model["scored"]
    if model["threshold"] is None:  # the export was killed before it had one
        raise ModelError("threshold is missing")
    rated = [(precision, "whole", checks[precision]["test"]) for precision in FILES]
    if scored is not None:
        crops = scored["protocol"] == "crops"
        rated.insert(0, ("PyTorch", f"crops, {scored['num_crops']}" if crops else scored["protocol"], scored))
    facts, about = split_about(model["about"])
    return render(
        "svmixer.export", "card.md.j2", {},
        name=name,
        front_matter=front_matter(name, facts, rated),
        model=model,
        files={"pytorch": "model.safetensors", **FILES},
        int8_time=_int8_time(checks["int8"]["ms_per_window"] / checks["float32"]["ms_per_window"]),
        rated=rated,
        about=about.strip(),
        calibration=calibration,
    )  # fmt: skip


def front_matter(name: str, facts: CardFacts, rated: list[tuple[str, str, dict[str, Any]]]) -> str:
    """YAML for the Hugging Face hub; what the recipe did not state is left out.

    Args:
        name: of the model.
        facts: of the recipe.
        rated: form of the model, protocol and error rates, by test set and form.
    """
    results: dict[str, list[dict[str, Any]]] = {}
    for system, protocol, rates in rated:
        form = f"{system}, {protocol}"
        results.setdefault(rates["set"], []).extend([
            {"type": "eer", "name": f"EER %, {form}", "value": round(rates["eer"], 2)},
            {"type": "min_dcf", "name": f"minDCF 0.05, {form}", "value": round(rates["min_dcf"]["0.05"], 4)},
        ])  # fmt: skip
    stated = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(facts).items()}
    return yaml.safe_dump(
        {
            **{key: value for key, value in stated.items() if value},
            "library_name": "svmixer",
            "pipeline_tag": "audio-classification",
            "tags": TAGS,
            "metrics": ["eer"],
            "model-index": [{
                "name": name,
                "results": [
                    {
                        "task": {"type": "speaker-verification", "name": "Speaker verification"},
                        "dataset": {"type": dataset, "name": dataset},
                        "metrics": metrics,
                    }
                    for dataset, metrics in results.items()
                ],
            }],
        },
        sort_keys=False, allow_unicode=True, width=110,
    )  # fmt: skip


def _int8_time(ratio: float) -> str:
    """What int8's time, as a multiple of float32's, says in words: those of the figure that is printed."""
    shown = f"{ratio:.2f}"
    if shown == "1.00":
        return "int8 takes as long as float32 here (1.00 times)."
    word = "faster" if float(shown) < 1 else "**slower**"
    return f"int8 takes {shown} times as long as float32 here: {word}."
