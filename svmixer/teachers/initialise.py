"""A student's first weights from a teacher: the front end is the same network in both."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from svmixer.models.student import Student
from svmixer.teachers.teacher import Teacher


@dataclass(frozen=True)
class Copied:
    """What :func:`init_frontend_from_teacher` did."""

    # Names of the tensors that were copied.
    copied: list[str] = field(default_factory=list)
    # Names of the tensors that were not, each with the reason.
    skipped: dict[str, str] = field(default_factory=dict)


@torch.no_grad()
def init_frontend_from_teacher(student: Student, teacher: Teacher) -> Copied:
    """Copy the teacher's convolutions and feature projection into the student where the shapes agree.

    DistilHuBERT (Chang et al., ICASSP 2022) starts its student in this way.
    """
    source = teacher.frontend_state_dict()
    own = {
        key: value
        for key, value in student.state_dict().items()
        if key.startswith(("conv_layers.", "feat_projection."))
    }
    report = Copied()
    for key in sorted(own.keys() | source.keys()):
        if key not in own:
            report.skipped[key] = "the student has no such tensor"
        elif key not in source:
            report.skipped[key] = "the teacher has no such tensor"
        elif own[key].shape != source[key].shape:
            report.skipped[key] = f"teacher {tuple(source[key].shape)}, student {tuple(own[key].shape)}"
        else:
            own[key].copy_(source[key])
            report.copied.append(key)
    return report
