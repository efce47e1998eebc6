"""Embedding, enrolment and verification with an exported model: numpy and onnxruntime, no torch."""

from svmixer.inference.onnx_model import OnnxModel, load_onnx
from svmixer.inference.verification import Verdict, enrol, verify, verify_calibrated

__all__ = ["OnnxModel", "Verdict", "enrol", "load_onnx", "verify", "verify_calibrated"]
