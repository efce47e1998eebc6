"""Embedding, enrolment and verification with an exported model: numpy and onnxruntime, no torch."""

from svmixer.inference.onnx_model import OnnxModel, load_onnx
from svmixer.inference.verification import Rule, Verdict, enrol, verify, verify_calibrated

__all__ = ["OnnxModel", "Rule", "Verdict", "enrol", "load_onnx", "verify", "verify_calibrated"]
