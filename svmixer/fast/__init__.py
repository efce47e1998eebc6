"""Optimised forms of a speaker model for inference on CPUs, derived from the one in :mod:`svmixer.models`."""

from svmixer.fast.optimise import (
    CALIBRATION,
    PRECISIONS,
    Precision,
    calibrate,
    calibration_path,
    load_optimised,
    optimise,
)
from svmixer.fast.ranges import Calibration, load_calibration, save_calibration

__all__ = [
    "CALIBRATION",
    "PRECISIONS",
    "Calibration",
    "Precision",
    "calibrate",
    "calibration_path",
    "load_calibration",
    "load_optimised",
    "optimise",
    "save_calibration",
]
