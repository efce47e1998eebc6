"""Whether everything is in its place: svmixer doctor

Looks at Python and packages, audio libraries, disk, memory, processors, GPU, dispatchers and the files of the
models, and embeds a known signal. Each line is ok, warn or fail, with what to do.

    svmixer doctor --json

Exit status: 0 without a fail, 1 with one.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from svmixer.cli.doctor_machine import (
    check_disk,
    check_dispatchers,
    check_ffmpeg,
    check_gpu,
    check_memory,
    check_processors,
    check_programs,
    check_sndfile,
)
from svmixer.cli.finding import Finding
from svmixer.config import parse_args


@dataclass(frozen=True)
class DoctorConfig:
    """Options of ``svmixer doctor``."""

    # true: print a JSON object.
    json: bool = False


def main(argv: list[str] | None = None) -> None:
    """Print what was found; the status is 1 if something fails."""
    config = parse_args(DoctorConfig, argv, __doc__)
    findings = []
    for name, check in CHECKS.items():
        for finding in examine(name, check):
            findings.append(finding)
            if not config.json:
                print(line(finding), flush=True)
    failed = sum(finding.state == "fail" for finding in findings)
    if config.json:
        print(json.dumps({"ok": not failed, "checks": [asdict(one) for one in findings]}, indent=2))
    else:
        warned = sum(finding.state == "warn" for finding in findings)
        print(f"{failed} failed, {warned} to look at, {len(findings) - failed - warned} ok")
    if failed:
        sys.stdout.flush()
        raise SystemExit(1)


def line(finding: Finding) -> str:
    """A finding as text."""
    advice = f"\n{'':22}→ {finding.advice}" if finding.advice else ""
    return f"{finding.state:5} {finding.name:15} {finding.found}{advice}"


def examine(name: str, check: Callable[[], Finding | Iterator[Finding]]) -> list[Finding]:
    """What a check finds; one that ends with an error of its own fails."""
    try:
        found = check()
        return [found] if isinstance(found, Finding) else list(found)
    except Exception as error:  # a broken package may raise anything
        return [
            Finding(name, "fail", f"{type(error).__name__}: {error}", "install it again: docs/install.md")
        ]


def check_packages() -> Iterator[Finding]:
    """Python and packages; where packaging is missing, so may be others."""
    from svmixer.cli import doctor_packages

    return doctor_packages.check_packages()


def check_files() -> Finding:
    """The models of the package, by the checksums that lie beside them."""
    from svmixer.fileio import SUMS, wrong_files
    from svmixer.inference.embedding_model import ASSETS, DESCRIPTION, shipped_models

    names = shipped_models("export", (DESCRIPTION, SUMS))
    wrong = [ASSETS / name / file for name in names for file in wrong_files(ASSETS / name)]
    if wrong:
        what = f"{wrong[0]} is not what was released"
        return Finding("model files", "fail", what, "pip install --force-reinstall svmixer")
    return Finding("model files", "ok", f"{', '.join(names)}: as released")


def check_model() -> Finding:
    """A model of the package on a signal whose embedding is known."""
    from svmixer.inference.onnx_model import load_onnx
    from svmixer.inference.self_test import MODEL, self_test

    model = load_onnx(MODEL)
    begin = time.perf_counter()
    found = self_test(model)
    seconds = time.perf_counter() - begin
    text = f"{MODEL}: {found.embedding:.4f} from the numbers of docs/export.md, in {seconds:.2f} s"
    if found.passed:
        return Finding("self-test", "ok", text)
    return Finding("self-test", "fail", text, "pip install --force-reinstall onnxruntime svmixer")


CHECKS: dict[str, Callable[[], Finding | Iterator[Finding]]] = {
    "packages": check_packages,
    "libsndfile": check_sndfile,
    "PyAV": check_ffmpeg,
    "programs": check_programs,
    "disk": check_disk,
    "memory": check_memory,
    "processors": check_processors,
    "GPU": check_gpu,
    "dispatchers": check_dispatchers,
    "model files": check_files,
    "self-test": check_model,
}
