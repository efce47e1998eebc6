"""Frozen self-supervised teachers (WavLM, HuBERT, wav2vec 2.0) behind one interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svmixer.models.teacher_config import TeacherConfig
    from svmixer.teachers.teacher import Teacher, init_frontend_from_teacher, load_teacher, save_teacher

__all__ = [
    "Teacher",
    "TeacherConfig",
    "init_frontend_from_teacher",
    "load_teacher",
    "save_teacher",
]

_HOMES = {
    "Teacher": "svmixer.teachers.teacher",
    "TeacherConfig": "svmixer.models.teacher_config",
    "init_frontend_from_teacher": "svmixer.teachers.teacher",
    "load_teacher": "svmixer.teachers.teacher",
    "save_teacher": "svmixer.teachers.teacher",
}


def __getattr__(name: str) -> object:
    # Loaded at first use: configurations are read, and their help is printed, where there is no torch.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'svmixer.teachers' has no attribute '{name}'")
