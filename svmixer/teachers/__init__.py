"""Frozen self-supervised teachers (WavLM, HuBERT, wav2vec 2.0) behind one interface."""

from svmixer.teachers.config import TeacherConfig
from svmixer.teachers.initialise import init_frontend_from_teacher
from svmixer.teachers.load import load_teacher, save_teacher
from svmixer.teachers.teacher import Teacher

__all__ = ["Teacher", "TeacherConfig", "init_frontend_from_teacher", "load_teacher", "save_teacher"]
