"""Another name of :mod:`svmixer.inference`, by which programs may import it."""

from svmixer.inference import OnnxModel, Rule, Verdict, enrol, load_onnx, verify, verify_calibrated

__all__ = ["OnnxModel", "Rule", "Verdict", "enrol", "load_onnx", "verify", "verify_calibrated"]
