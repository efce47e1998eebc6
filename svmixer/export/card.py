"""The model card: what an exported model is, how good it is, what it is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from svmixer.fileio import atomic_write
from svmixer.inference.embedding_model import ModelError
from svmixer.inference.onnx_model import FILES
from svmixer.templates import render

# Name of the card in a model directory.
CARD = "README.md"


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
    return render(
        "svmixer.export", "card.md.j2", {},
        name=name,
        model=model,
        files={"pytorch": "model.safetensors", **FILES},
        int8_time=_int8_time(checks["int8"]["ms_per_window"] / checks["float32"]["ms_per_window"]),
        rated=rated,
        about=model["about"].strip(),
        calibration=calibration,
    )  # fmt: skip


def _int8_time(ratio: float) -> str:
    """What int8's time, as a multiple of float32's, says in words: those of the figure that is printed."""
    shown = f"{ratio:.2f}"
    if shown == "1.00":
        return "int8 takes as long as float32 here (1.00 times)."
    word = "faster" if float(shown) < 1 else "**slower**"
    return f"int8 takes {shown} times as long as float32 here: {word}."
