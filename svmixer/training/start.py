"""How stage 4 starts: its student from stage 3's, or all of it from an earlier stage 4's."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from svmixer.log import get_logger
from svmixer.models.io import ModelError, read_safetensors, read_speakers, set_tensors
from svmixer.models.student import Student
from svmixer.training.objectives import SpeakerObjective

log = get_logger(__name__)

MODEL = "model"  # model directory in that of a finished stage 4
LOSSES = "losses.safetensors"  # beside it: what the losses had learned


def start_student(student: Student, path: str | Path) -> None:
    """Fill a student from the weights of a distilled one, which may have more layers.

    The further layers are left out: a backend may read the lower states alone, while the student learns from
    the teacher with all of them. The norm behind the last layer then follows another one.

    Raises:
        ModelError: the file is damaged or does not fit otherwise.
    """
    tensors = read_safetensors(path)
    depth = len(student.layers)
    further = [key for key in tensors if key.startswith("layers.") and int(key.split(".")[1]) >= depth]
    for key in further:
        del tensors[key]
    set_tensors(student, tensors, path)
    log.info("student weights from %s", path)
    if further:
        log.info("the first %d layers of it; the others are left out", depth)


def under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, without it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def start_model(module: SpeakerObjective, speakers: list[str], folder: str | Path) -> None:
    """Fill student, backend, and the speaker loss's centres of known speakers from a finished stage 4.

    Args:
        module: what is trained.
        speakers: names of its classes.
        folder: directory of that stage 4.

    Raises:
        ModelError: a file is missing, is damaged or does not fit.
    """
    path = Path(folder) / MODEL / "model.safetensors"
    tensors = read_safetensors(path)
    for part in ("student", "backend"):
        set_tensors(getattr(module.model, part), under(tensors, f"{part}."), path)
    old = {name: row for row, name in enumerate(read_speakers(path.parent))}
    path = Path(folder) / LOSSES
    centres, own = read_safetensors(path).get("speaker.weight"), module.speaker.weight.data
    if centres is None or centres.shape != (len(old), own.shape[1]):
        raise ModelError(f"{path}: has no centres of the {len(old)} speakers, of {own.shape[1]} numbers each")
    known = [row for row, name in enumerate(speakers) if name in old]
    own[known] = centres[[old[speakers[row]] for row in known]]
    log.info("model and the centres of %d of %d speakers from %s", len(known), len(speakers), folder)
