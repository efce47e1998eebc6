"""Released SV-Mixer checkpoints: two PyTorch state dicts, a student and a classifier, as one speaker model.

Their tensors have the names and shapes of this package's own (Heo et al., ASRU 2025; five layers are the
small, seventeen the large model). The sizes are read off the shapes; what shapes do not tell (strides, kind
of norm) is that of the release.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from svmixer.models.backends.redimnet import RedimnetNetwork
from svmixer.models.backends.redimnet_parts import SIZES, RedimnetSize
from svmixer.models.config import BackendConfig, EcapaConfig, FrontendConfig, ModelConfig, StudentConfig
from svmixer.models.io import ModelError, set_tensors
from svmixer.models.speaker_model import SpeakerModel

WINDOW = 48000


def load_released(student: str | Path, classifier: str | Path) -> SpeakerModel:
    """The speaker model of a released pair of files; every tensor of both is used exactly once.

    Args:
        student: ``…_student_model.pt``.
        classifier: ``…_classifier.pt``, the ECAPA-TDNN backend.

    Raises:
        ModelError: a file that is no state dict of plain tensors, tensors that are missing, left over or of
            unexpected shape; the message names them.
    """
    student_tensors, backend_tensors = read_state_dict(student), read_state_dict(classifier)
    config = ModelConfig(
        student_config(student_tensors, student), backend_config(backend_tensors, classifier)
    )
    states = config.student.layers + 1
    weights = _shape(backend_tensors, "w", classifier)
    if weights != (1, states, 1, 1):
        raise ModelError(
            f"{classifier}: w has shape {weights}, but {student} has {states - 1} layers, {states} states"
        )
    model = SpeakerModel(config)
    set_tensors(model.student, student_tensors, student)
    # A counter of training batches that evaluation does not read; older files lack it.
    counters = {
        key: value
        for key, value in model.backend.state_dict().items()
        if key.endswith("num_batches_tracked") and key not in backend_tensors
    }
    set_tensors(model.backend, {**backend_tensors, **counters}, classifier)
    return model.eval()


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Names and tensors of a PyTorch file, read without running any code that is in it.

    Raises:
        ModelError: missing, damaged, or something else than tensors by name.
    """
    return state_dict_of(read_plain(path), path)


def read_plain(path: str | Path) -> Any:
    """What a PyTorch file holds: tensors, numbers, text, and lists and dictionaries of them.

    Raises:
        ModelError: missing, damaged, or with something else in it.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ModelError(f"{path}: not a PyTorch file of plain tensors: {first}") from None


def state_dict_of(state: Any, path: str | Path) -> dict[str, Tensor]:
    """``state``, read from ``path``, if it is names and tensors; numbers of less than 32 bits as float32.

    Raises:
        ModelError: it is something else.
    """
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{path}: expected a state dict, names with tensors, found {type(state).__name__}")
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def student_config(tensors: dict[str, Tensor], path: str | Path) -> StudentConfig:
    """Sizes of the student that these tensors belong to."""
    front = FrontendConfig()
    kernels = tuple(
        _shape(tensors, f"conv_layers.{index}.conv.weight", path)[2] for index in range(len(front.kernels))
    )
    if kernels != front.kernels:
        raise ModelError(f"{path}: convolutions of kernel {kernels}; the released ones have {front.kernels}")
    channels = tuple(tensors[f"conv_layers.{index}.conv.weight"].shape[0] for index in range(len(kernels)))
    hidden = _shape(tensors, "layer_norm.weight", path)[0]
    inner, group_width, _ = _shape(tensors, "layers.0.channel_mixing.fc1.weight", path)
    frames = _shape(tensors, "layers.0.token_mixing.linear1.weight", path)[1]
    layers = 1 + max(int(key.split(".")[1]) for key in tensors if key.startswith("layers."))
    frontend = FrontendConfig(channels=channels)
    try:
        return StudentConfig(
            frontend=frontend,
            layers=layers,
            hidden=hidden,
            window=WINDOW if frontend.num_frames(WINDOW) == frames else frontend.num_samples(frames),
            group_width=group_width,
            expansion=inner // hidden,
        )
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from None


def backend_config(tensors: dict[str, Tensor], path: str | Path) -> BackendConfig:
    """Sizes of the ECAPA-TDNN backend that these tensors belong to."""
    parts = {key.split(".")[2] for key in tensors if key.startswith("layer1.convs.")}
    try:
        ecapa = EcapaConfig(
            channels=_shape(tensors, "conv2.weight", path)[0],
            attention_channels=_shape(tensors, "attention.0.weight", path)[0],
            se_bottleneck=_shape(tensors, "layer1.se.se.1.weight", path)[0],
            scale=len(parts) + 1,
        )
        return BackendConfig(name="ecapa", embedding=_shape(tensors, "fc6.weight", path)[0], ecapa=ecapa)
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from None


def _shape(tensors: dict[str, Tensor], name: str, path: str | Path) -> tuple[int, ...]:
    if name not in tensors:
        raise ModelError(f"{path}: no tensor {name}; is this the right file of the two?")
    return tuple(tensors[name].shape)


# Where the network is in our backend; what else a checkpoint holds is its front end.
PARTS = ("backbone.", "pool.", "bn.", "linear.")
# The one sum that the authors have and we do not: that over the stem alone, before the first stage.
SUM_OF_ONE = "backbone.stage0.0.w"

_BLOCK = {
    "convnext": {"conv": "dwconvs.0", "norm": "norm", "mix": "pwconv1"},
    "resnet": {
        "conv1": "conv1", "mix1": "conv1pw", "norm1": "bn1",
        "conv2": "conv2", "mix2": "conv2pw", "norm2": "bn2",
        "gate.squeeze": "se.squeeze", "gate.excite": "se.exitation",
    },
}  # fmt: skip
_TRANSFORMER = {
    "query": "attention.q_proj", "key": "attention.k_proj", "value": "attention.v_proj",
    "out": "attention.out_proj", "norm1": "layer_norm", "linear1": "feed_forward.intermediate_dense",
    "linear2": "feed_forward.output_dense", "norm2": "final_layer_norm",
}  # fmt: skip
_SIGNAL = {
    "reduce": "red_dim_conv.0", "norm": "red_dim_conv.1", "expand": "exp_dim_conv",
    **{f"time.{index}.{ours}": f"tcm.{index}.{theirs}"
       for index in range(4) for ours, theirs in _BLOCK["convnext"].items()},
    **{f"transformer.{ours}": f"tcm.4.{theirs}" for ours, theirs in _TRANSFORMER.items()},
}  # fmt: skip
_PROJECTION = {"conv": "0", "norm": "1", "mix": "3"}


def load_released_redimnet(path: str | Path, name: str) -> RedimnetNetwork:
    """The network of a released checkpoint, in evaluation mode; every tensor behind the front end is used.

    Args:
        path: a file such as ``b2-vox2-ft_lm.pt``.
        name: its size, ``b0`` to ``b6``.

    Raises:
        ModelError: another kind of file, tensors that are missing, left over or of unexpected shape; the
            message names the first few.
    """
    tensors = read_checkpoint(path)
    network = RedimnetNetwork(SIZES[name], tensors["linear.weight"].shape[0])
    own = network.state_dict()
    names = {released_name(key, SIZES[name]): key for key in own}
    ours = {names.get(key, key): value for key, value in tensors.items() if key != SUM_OF_ONE}
    for key in [key for key in ours if key.startswith("sums.")]:
        ours[key] = ours[key].squeeze(0)  # (1, outputs, R, 1)
    set_tensors(network, ours, f"{path} (size {name})")
    return network.eval()


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Names and tensors of the network in a released checkpoint, without its front end.

    Raises:
        ModelError: missing, damaged, or something else.
    """
    found = read_plain(path)
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    tensors = {key: value for key, value in state_dict_of(found, path).items() if key.startswith(PARTS)}
    if "linear.weight" not in tensors:
        raise ModelError(f"{path}: no tensor linear.weight; is this a checkpoint of ReDimNet?")
    return tensors


def released_name(key: str, size: RedimnetSize) -> str:
    """The authors' name of the tensor that is ``key`` in our :class:`RedimnetNetwork`.

    The authors number the parts of a stage: 0 the sum, 2 the division of the bins, from 3 the blocks, then
    the projection if there is one, then one that has no tensors, then the one-dimensional part.
    """
    if match := re.fullmatch(r"sums\.(\d+)\.weight", key):
        stage = int(match[1]) + 1
        return f"backbone.stage{stage}.0.w" if stage < len(size.stages) else "backbone.fin_wght1d.w"
    module, _, kind = key.rpartition(".")
    if match := re.fullmatch(r"stages\.(\d+)\.(\w+)\.?(.*)", module):
        return f"backbone.stage{match[1]}.{_stage_part(match[2], match[3], size, int(match[1]))}.{kind}"
    if module.startswith("stem."):
        return f"backbone.{key}"
    return f"bn.{kind}" if module == "norm" else key


def _stage_part(part: str, inner: str, size: RedimnetSize, index: int) -> str:
    stage = size.stages[index]
    behind = 3 + stage.blocks
    if part == "divide":
        return "2"
    if part == "maps":
        block, _, layer = inner.partition(".")
        names = _BLOCK["convnext" if size.block == "convnext" else "resnet"]
        return f"{3 + int(block)}.conv_block.{names[layer]}"
    if part == "project":
        return f"{behind}.{_PROJECTION[inner]}"
    return f"{behind + 1 + (stage.expansion != 1)}.{_SIGNAL[inner]}"
