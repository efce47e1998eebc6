"""The model card: what an exported model is, how good it is, what it is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from svmixer.fileio import atomic_write
from svmixer.inference.model_dir import ModelError
from svmixer.inference.onnx_model import FILES

_USE = """\
DIR is this directory, or its name if it is one of those that come with the package. numpy and ONNX Runtime
are enough: no torch.

```python
from svmixer.runtime import load_onnx

model = load_onnx("DIR")
embedding = model.embed(wave, sample_rate)       # (D,), unit length
same = embedding @ other >= model.threshold
```

```bash
svmixer verify a.wav b.wav --model DIR
```
"""

_INTENDED = """\
Telling whether two recordings are of one speaker, on the device; sorting recordings by speaker; research. It
is no proof of identity: the error rates above are those of one test set, recordings can be replayed or made
by a machine, and voices of relatives are alike. Set the threshold on recordings like yours. Embeddings are
personal data of those who speak.
"""


_NO_TEXT = """\
## Data and licence

Not stated: whoever trained the model says here what it was trained on and under which terms it may be used.
"""


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


def model_card(name: str, description: dict[str, Any]) -> str:
    """The card of a model that is called ``name``, from what its ``export.json`` holds.

    Raises:
        ModelError: the description lacks something, as that of an older version may; the message names it.
    """
    try:
        return _card(name, _Section(description))
    except ModelError:
        raise
    except (TypeError, AttributeError, ValueError, LookupError, ArithmeticError) as error:
        raise ModelError(f"a value is not what this version writes: {error}") from None


def _card(name: str, description: _Section) -> str:
    threshold, speakers = description["threshold"], description["training_speakers"]
    if threshold is None:  # the export was killed before it had one
        raise ModelError("threshold is missing")
    by = f", {speakers} training speakers" if speakers else ""
    lines = [
        f"# {name}",
        "",
        f"A speaker-verification model of SV-Mixer, exported by {description['made_by']}: "
        f"{description['parameters']:,} parameters{by}. It takes windows of {description['window']} samples "
        f"at {description['sample_rate']} Hz and gives embeddings of {description['embedding']} values; "
        "recordings of any length are cut into such windows.",
        "",
        "## Use",
        "",
        _USE,
        *_file_table(description),
        "",
        *_error_table(description),
        "",
        f"Threshold: cosine {threshold['cosine']:.4f} ({threshold['from']}).",
        "",
        "## Intended use",
        "",
        _INTENDED,
        description["about"].strip() or _NO_TEXT.strip(),
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def _file_table(description: _Section) -> list[str]:
    checks = description["checks"]
    lines = [
        "## Files",
        "",
        f"ONNX, opset {description['opset']}; input `wave` float32 (windows, {description['window']}), "
        "output `embedding` float32 (windows, D), any number of windows. Cosine: with PyTorch's embeddings "
        f"of the same {checks['float32']['windows']} windows of test speech. Milliseconds: a window on one "
        "thread of the machine that exported, median; real-time factor: that, by the seconds of a window.",
        "",
        "| file | MB | ms a window | real-time factor | lowest cosine | mean cosine |",
        "|---|---|---|---|---|---|",
    ]
    for precision, name in {"pytorch": "model.safetensors", **FILES}.items():
        row = checks[precision]
        cosine = "| | |"
        if precision in FILES:
            cosine = f"| {row['cosine_lowest']:.6f} | {row['cosine_mean']:.6f} |"
        absent = "" if precision in ("pytorch", *description["precisions"]) else " (not in this directory)"
        lines.append(
            f"| `{name}`{absent} | {row['megabytes']:.2f} | {row['ms_per_window']:.1f} | "
            f"{row['real_time_factor']:.4f} {cosine}"
        )
    parts = ", ".join(f"`{part}`" for part in checks["int8"]["parts"]) or "none"
    ratio = checks["int8"]["ms_per_window"] / checks["float32"]["ms_per_window"]
    lines += [
        "",
        f"{_int8_time(ratio)} Parts with 8-bit weights and activations, calibrated on training speech: "
        f"{parts}; the others are float32. Recommended, and taken when nothing else is asked for: "
        f"{description['precisions'][0]}.",
    ]
    return lines


def _int8_time(ratio: float) -> str:
    """What int8's time, as a multiple of float32's, says in words: those of the figure that is printed."""
    shown = f"{ratio:.2f}"
    if shown == "1.00":
        return "int8 takes as long as float32 here (1.00 times)."
    word = "faster" if float(shown) < 1 else "**slower**"
    return f"int8 takes {shown} times as long as float32 here: {word}."


def _error_table(description: _Section) -> list[str]:
    lines = [
        "## Error rates",
        "",
        "Cosine scores without normalisation. Protocol `whole`: every sample of an utterance, embeddings of "
        "unit length; `crops`: mean cosine over all pairs of evenly spaced windows. Interval: bootstrap over "
        "the test speakers.",
        "",
        "| model | protocol | set | speakers | trials | EER % [95 %] | minDCF 0.05 |",
        "|---|---|---|---|---|---|---|",
    ]
    scored = description["scored"]
    if scored is not None:
        protocol = f"crops, {scored['num_crops']}" if scored["protocol"] == "crops" else scored["protocol"]
        lines.append(_error_row("PyTorch", protocol, scored))
    for precision in FILES:
        lines.append(_error_row(precision, "whole", description["checks"][precision]["test"]))
    return lines


def _error_row(name: str, protocol: str, rates: _Section) -> str:
    interval, all_trials = rates["eer_ci95"], rates.get("of_trials", rates["trials"])
    between = f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else ""
    speakers = rates["bootstrap"]["speakers"] if rates["bootstrap"] else ""
    part = f" of {all_trials}" if all_trials != rates["trials"] else ""
    return (
        f"| {name} | {protocol} | {rates['set']} | {speakers} | {rates['trials']}{part} | "
        f"{rates['eer']:.2f}{between} | {rates['min_dcf']['0.05']:.4f} |"
    )
