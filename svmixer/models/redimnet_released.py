"""Weights of a released ReDimNet (github.com/IDRnD/ReDimNet) for our backend of that name.

A checkpoint holds ``model_config`` and ``state_dict``, which has the names of the authors' modules. Its front
end, a mel spectrogram, is left out: here a map of the student's states stands in its place. No released file
was at hand: the names are those recorded from the authors' code.
"""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor

from svmixer.models.backends.redimnet import RedimnetNetwork
from svmixer.models.backends.redimnet_sizes import SIZES, RedimnetSize
from svmixer.models.io import ModelError, set_tensors
from svmixer.models.released import read_plain, state_dict_of

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
