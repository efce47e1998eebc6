"""What several files say about the project is the same: Python versions, the version, checks, hooks."""

from __future__ import annotations

import configparser
import os
import re
from pathlib import Path

import pytest
import yaml

import svmixer

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_python_versions(setup_cfg):
    classifiers = setup_cfg["metadata"]["classifiers"]
    versions = re.findall(r":: Python :: (3\.\d+)$", classifiers, re.MULTILINE)
    assert versions == ["3.10", "3.11", "3.12", "3.13"]
    assert setup_cfg["options"]["python_requires"] == f">={versions[0]}"
    tests = yaml.safe_load(read(".github/workflows/tests.yml"))["jobs"]["tests"]
    assert tests["strategy"]["matrix"]["python"] == versions
    least, most = (tuple(map(int, version.split("."))) for version in (versions[0], versions[-1]))
    assert f"{least} <= sys.version_info[:2] <= {most}" in read("tools/setup.sh")
    assert f"Python {versions[0]} to {versions[-1]}" in read("CONTRIBUTING.md")
    assert f"Python {versions[0]} to {versions[-1]}" in read("docs/install.md")


def test_the_version_stands_in_one_place(setup_cfg):
    assert setup_cfg["metadata"]["version"] == "attr: svmixer.__version__"
    assert re.fullmatch(r"\d+\.\d+\.\d+", svmixer.__version__)
    assert not re.search(r"^version\b", read("pyproject.toml"), re.MULTILINE)


def test_the_package_says_that_it_has_types(setup_cfg):
    assert (ROOT / "svmixer/py.typed").is_file()
    assert "py.typed" in setup_cfg["options.package_data"]["svmixer"].split()


def test_every_requirement_has_both_bounds(setup_cfg):
    texts = [setup_cfg["options"]["install_requires"], *setup_cfg["options.extras_require"].values()]
    lines = [line.strip() for line in "\n".join(texts).splitlines()]
    requirements = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in requirements if not re.fullmatch(r"[\w.-]+>=[\d.]+,<[\d.]+(; .+)?", line)] == []


def test_hooks_are_checks():
    (names,) = re.findall(r"^names=\((.*)\)$", read("tests/checks.sh"), re.MULTILINE)
    (local,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    entries = [hook["entry"].split() for hook in local["hooks"]]
    assert {program for program, _ in entries} == {"tests/checks.sh"}
    assert [name for _, name in entries if name not in names.split()] == []
    assert [hook["id"] for hook in local["hooks"]] == [name for _, name in entries]


def test_scripts_that_the_workflow_runs_are_there():
    jobs = yaml.safe_load(read(".github/workflows/tests.yml"))["jobs"].values()
    commands = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    scripts = set(re.findall(r"(?:tools|tests)/\w+\.sh", "\n".join(commands)))
    assert scripts == {"tools/setup.sh", "tests/checks.sh", "tests/run.sh"}
    assert all(os.access(ROOT / name, os.X_OK) for name in scripts)
