"""``svmixer doctor``: what it says of machines and packages that are made up, and of this one."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tempfile
import types
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

from svmixer.cli import doctor, doctor_machine, doctor_packages
from svmixer.cli.finding import Finding
from svmixer.cli.main import main
from svmixer.inference import embedding_model, self_test
from svmixer.runtime import load_onnx

ROOT = Path(__file__).resolve().parents[2]
GB = 1 << 20  # in kB


def test_the_numbers_are_those_of_the_page():
    page = (ROOT / "docs/export.md").read_text()
    for name, kept in (("all", self_test.WHOLE), ("first half second", self_test.START)):
        (numbers,) = re.findall(rf"^{name}: begins \[(.*)\]$", page, re.MULTILINE)
        assert tuple(map(float, numbers.split())) == kept
    assert f"their cosine: {self_test.COSINE:.4f}" in page
    assert f'load_onnx("{self_test.MODEL}")' in page


def test_the_signal_is_that_of_the_page():
    (code,) = re.findall(r"```python\n(import numpy.*?)```", (ROOT / "docs/export.md").read_text(), re.DOTALL)
    names: dict = {}
    exec(code.partition("\nfor start in")[0], names)
    np.testing.assert_array_equal(self_test.signal(), names["wave"])


def test_another_model_does_not_pass():
    assert self_test.self_test(load_onnx("pocket")).passed
    assert not self_test.self_test(load_onnx("pocket2")).passed


def test_files_of_models(tmp_path, monkeypatch):
    assert doctor.check_files() == Finding("model files", "ok", "pocket, pocket2: as released")
    for name in ("export.json", "SHA256SUMS"):
        (tmp_path / "mine").mkdir(exist_ok=True)
        (tmp_path / "mine" / name).write_text("")
    (tmp_path / "mine/SHA256SUMS").write_text(f"{hashlib.sha256(b'other').hexdigest()}  export.json\n")
    monkeypatch.setattr(embedding_model, "ASSETS", tmp_path)
    finding = doctor.check_files()
    assert (finding.state, finding.found) == ("fail", f"{tmp_path}/mine/export.json is not what was released")


@pytest.mark.slow
def test_this_machine(capsys):
    try:
        main(["doctor", "--json"])
    except SystemExit as stop:
        assert stop.code == 1
    found = json.loads(capsys.readouterr().out)
    checks = {one["name"]: one for one in found["checks"]}
    assert found["ok"] == all(one["state"] != "fail" for one in checks.values())
    assert [name for name, one in checks.items() if one["state"] != "ok" and not one["advice"]] == []
    assert {"Python", "packages", "libsndfile", "memory", "GPU", "self-test"} <= set(checks)
    assert (
        checks["self-test"]["state"] == checks["model files"]["state"] == "ok"
        and checks["libsndfile"]["state"] == "ok"
    )


def test_what_fails_is_the_exit_status(monkeypatch, capsys):
    def broken():
        raise OSError("libx.so: cannot open shared object file")

    checks = {"one": lambda: Finding("one", "warn", "slow", "wait"), "two": broken}
    monkeypatch.setattr(doctor, "CHECKS", checks)
    with pytest.raises(SystemExit) as stop:
        main(["doctor"])
    assert stop.value.code == 1
    assert capsys.readouterr().out.splitlines() == [
        "warn  one             slow",
        f"{'':22}→ wait",
        "fail  two             OSError: libx.so: cannot open shared object file",
        f"{'':22}→ install it again: docs/install.md",
        "1 failed, 1 to look at, 0 ok",
    ]
    del checks["two"]
    main(["doctor", "--json"])
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_versions_by_hand(monkeypatch):
    installed = {"numpy": "1.20.0", "torch": "2.12.1+cu130", "scipy": "1.13"}
    monkeypatch.setattr(doctor_packages, "version", installed.get)
    needed = [Requirement(text) for text in ("numpy>=1.26,<3", "soxr>=0.5,<2", "torch>=2.9,<2.15")]
    wrong = doctor_packages.faults(needed)
    assert list(wrong.values()) == ["numpy 1.20.0, where <3,>=1.26 is needed", "soxr is missing"]
    assert doctor_packages.pip(wrong) == "pip install 'numpy<3,>=1.26' 'soxr<2,>=0.5'"
    # Nobody wants an extra of which what matters is not there.
    absent = doctor_packages.check_extra("audio", "M4A", [Requirement("av>=12,<19")], wanted=False)
    assert (absent.state, absent.found) == ("ok", "not installed; for M4A: pip install 'svmixer[audio]'")
    torch = [Requirement("torch>=2.9,<2.15"), Requirement("scipy>=1.14,<2")]
    assert doctor_packages.check_extra("torch", "", torch, wanted=True) == Finding(
        "extra torch", "warn", "scipy 1.13, where <2,>=1.14 is needed", "pip install 'scipy<2,>=1.14'"
    )
    assert doctor_packages.check_extra("torch", "", torch[:1], wanted=True).found == "complete"
    assert doctor_packages.check_python(">=3.99").state == "fail"


def test_every_extra_is_known():
    from configparser import ConfigParser

    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"]
    # The base install has onnx already.
    assert list(doctor_packages.EXTRAS) == [name for name in extras if name != "onnx"]
    assert [
        name for name, (first, _) in doctor_packages.EXTRAS.items() if f"\n{first}>=" not in extras[name]
    ] == []


@pytest.mark.parametrize(
    ("free", "limit", "used", "state", "found"),
    [
        (8 * GB, "max", 0, "ok", "8.6 GB free"),
        (8 * GB, str(2 << 30), 1 << 30, "ok", "1.1 GB free"),
        (GB // 2, "max", 0, "warn", "0.5 GB free"),
        (8 * GB, str(2 << 30), 2 << 30, "warn", "0.0 GB free"),
    ],
)
def test_memory_within_a_container(tmp_path, free, limit, used, state, found):
    assert doctor_machine.check_memory(tmp_path).found.startswith("unknown")
    for name, text in {
        "proc/meminfo": f"MemTotal:       99999999 kB\nMemAvailable:   {free} kB\n",
        "sys/fs/cgroup/memory.max": f"{limit}\n",
        "sys/fs/cgroup/memory.current": f"{used}\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    finding = doctor_machine.check_memory(tmp_path)
    assert (finding.state, finding.found) == (state, found)


def test_processors(tmp_path):
    (tmp_path / "proc").mkdir()
    path = tmp_path / "proc/cpuinfo"
    path.write_text("flags\t\t: fpu avx avx2 avx512f avx512_vnni\n")
    finding = doctor_machine.check_processors(tmp_path)
    assert finding.state == "ok" and finding.found.endswith(" with AVX2, AVX-512, VNNI")
    path.write_text("flags\t\t: fpu sse4_2 avx\n")
    finding = doctor_machine.check_processors(tmp_path)
    assert finding.state == "warn" and finding.found.endswith(" without AVX2")
    path.write_text("Features\t: fp asimd\n")
    assert doctor_machine.check_processors(tmp_path).state == "ok"


@pytest.mark.parametrize(
    ("gpus", "driver", "state", "found"),
    [
        (["H", "H"], True, "ok", "H, H; PyTorch 9.9"),
        ([], True, "warn", "nvidia-smi is here, but PyTorch 9.9 finds no GPU"),
        ([], False, "ok", "none; PyTorch 9.9 runs on the CPU"),
    ],
)
def test_gpus(tmp_path, monkeypatch, gpus, driver, state, found):
    torch = types.ModuleType("torch")
    torch.__spec__ = ModuleSpec("torch", None)
    torch.__version__ = "9.9"
    torch.cuda = types.SimpleNamespace(
        is_available=lambda: bool(gpus), device_count=lambda: len(gpus), get_device_name=gpus.__getitem__
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setenv("PATH", str(tmp_path))
    if driver:
        (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    finding = doctor_machine.check_gpu()
    assert (finding.state, finding.found) == (state, found)


def test_dispatchers_on_the_path(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = doctor_machine.check_dispatchers(ROOT / "tools")
    assert finding.state == "warn" and finding.advice == "install perl"
    for name in ("perl", "sbatch"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    finding = doctor_machine.check_dispatchers(ROOT / "tools")
    assert (finding.state, finding.found) == ("ok", f"{tmp_path}/sbatch (cmd_backend=slurm)")
    assert "recipes need the checkout" in doctor_machine.check_dispatchers(tmp_path).found


def test_programs_of_commands_in_lists(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    only = "which only commands in a wav.scp may need"
    assert doctor_machine.check_programs().found == f"no sox, ffmpeg, {only}"
    (tmp_path / "sox").write_text("#!/bin/sh\n")
    (tmp_path / "sox").chmod(0o755)
    assert doctor_machine.check_programs().found == f"{tmp_path}/sox; no ffmpeg, {only}"


def test_folders_without_room_or_permission(tmp_path, monkeypatch):
    def refuse(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.chdir(tmp_path)
    assert [finding.state for finding in doctor_machine.check_disk()] == ["ok", "ok"]
    monkeypatch.setattr(doctor_machine, "LITTLE_DISK", float("inf"))
    assert [finding.advice for finding in doctor_machine.check_disk()] == [
        "make room; the default recipe needs some GB"
    ] * 2
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    first, _ = doctor_machine.check_disk()
    assert (first.name, first.state, first.found) == (
        "working folder",
        "warn",
        f"{tmp_path}: Permission denied",
    )
