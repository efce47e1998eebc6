"""How stage 4's student starts from stage 3's."""

from __future__ import annotations

from pathlib import Path

from svmixer.log import get_logger
from svmixer.models.io import read_safetensors, set_tensors
from svmixer.models.student import Student

log = get_logger(__name__)


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
