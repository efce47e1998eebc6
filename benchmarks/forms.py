"""All forms that one of our models runs in: released, PyTorch, exported graphs in float32 and int8."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from apart import threads
from released import released_form
from systems import write_description

from svmixer.inference import OnnxModel, load_onnx
from svmixer.inference.onnx_model import FILES
from svmixer.inference.utterance import embed_utterance

if TYPE_CHECKING:
    from svmixer.models.speaker_model import SpeakerModel

Embed = Callable[[np.ndarray], np.ndarray]


def forms_of(name: str, model: SpeakerModel, folder: Path) -> dict[str, tuple[Embed, str]]:
    """Form → (waveform ``(N,)`` → embedding ``(D,)``, number format of its products).

    Args:
        name: of a model that comes with the package, or ``STUDENT+BACKEND``, whose weights are random: every
            large product of its int8 graph is in 8 bits.
        model: that model.
        folder: for its graphs.
    """
    import torch

    from svmixer.export.graph import write_graph
    from svmixer.export.int8 import find_parts
    from svmixer.export.products import write_products

    forms: dict[str, tuple[Embed, str]] = {}
    if "+" in name:
        released = released_form(model)

        def windows(rows: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return released(torch.from_numpy(rows)).numpy()

        forms["released, eager"] = (lambda wave: embed_utterance(windows, wave, model.window)), "float32"
    forms["PyTorch"] = model.embed, "float32"
    folder.mkdir()
    source = folder / FILES["float32"]
    write_graph(model, source)
    if "+" in name:
        nodes = [node for part in find_parts(source).values() for node in part]
        write_products(source, folder / FILES["int8"], nodes)
    write_description(model, folder, ["float32", "int8"])
    forms["ONNX Runtime"] = OnnxModel(folder, "float32", threads()).embed, "float32"
    int8 = OnnxModel(folder, "int8", threads()) if "+" in name else load_onnx(name, "int8", threads())
    forms["ONNX Runtime, int8"] = int8.embed, "int8"
    return forms


def layer_macs(model: SpeakerModel) -> int:
    """MACs of the Linear and Conv layers for one window."""
    import torch

    from svmixer.models.costs import LayerCounter

    with torch.no_grad(), LayerCounter(model) as counter:
        model(torch.zeros(1, model.window))
    return counter.macs
