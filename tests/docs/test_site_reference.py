"""The reference pages: complete, and what they say is what the code does."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
import sys

import pytest
from pages import ROOT

sys.path.insert(0, str(ROOT / "tools/site"))
import reference


def rows(text: str, section: str) -> dict[str, list[str]]:
    """The rows of one section's table: key → cells."""
    part = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in part.splitlines() if line.startswith("| `")]
    return {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in cells}


def test_every_verb_has_its_help():
    page = reference.cli()
    verbs = re.findall(r"^## svmixer (\w+)$", page, re.MULTILINE)
    assert {"verify", "enrol", "embed", "export"} <= set(verbs)
    for verb in verbs:
        block = page.partition(f"## svmixer {verb}\n")[2].partition("\n## ")[0]
        assert re.search(r"^```text\n\S", block, re.MULTILINE), f"{verb} has no help"
    assert "--threshold" in page.partition("## svmixer verify\n")[2].partition("\n## ")[0]


def test_no_line_of_a_help_is_longer_than_the_page():
    for text in (reference.cli(), reference.shell()):
        assert max(map(len, text.splitlines())) <= reference.WIDTH + 40


def test_every_script_has_its_options():
    page = reference.shell()
    assert "--train_config" in page and page.count("```text") == len(reference.SCRIPTS)


@pytest.fixture(scope="module")
def configuration() -> str:
    return reference.configuration()


def test_every_key_is_explained(configuration):
    sections = re.findall(r"^## (\w+)$", configuration, re.MULTILINE)
    assert {*reference.ROOTS, "LoopConfig", "AugmentConfig", "EcapaConfig"} <= set(sections)
    silent = [
        f"{section}.{key}"
        for section in sections
        for key, cells in rows(configuration, section).items()
        if not cells[2]
    ]
    assert silent == []


def test_defaults_are_those_of_the_code(configuration):
    for section in re.findall(r"^## (\w+)$", configuration, re.MULTILINE):
        kind = _class(section)
        table = rows(configuration, section)
        assert set(table) == {field.name for field in dataclasses.fields(kind)}, section
        for field in dataclasses.fields(kind):
            if isinstance(field.default, (bool, int, float)):
                assert ast.literal_eval(table[field.name][1].strip("`")) == field.default, field.name


def _class(name: str) -> type:
    """The configuration of that name, wherever in the package it is."""
    for path in sorted((ROOT / "svmixer").rglob("*.py")):
        if re.search(rf"^class {name}\b", path.read_text(encoding="utf-8"), re.MULTILINE):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            return getattr(importlib.import_module(module), name)
    raise LookupError(name)


def test_what_the_source_of_a_configuration_says(tmp_path, monkeypatch):
    (tmp_path / "svmixer").mkdir()
    (tmp_path / "svmixer/some.py").write_text(
        "@dataclass(frozen=True)\nclass ToyConfig:\n    '''A toy.\n\n    More.'''\n\n"
        "    # Above,\n    # on two lines.\n    one: int = 1\n"
        "    two: str | None = None  # Behind.\n    three: float\n"
    )
    monkeypatch.setattr(reference, "ROOT", tmp_path)
    (toy,) = reference.configurations()
    assert (toy.name, toy.about) == ("ToyConfig", "A toy.")
    assert [dataclasses.astuple(option) for option in toy.options] == [
        ("one", "int", "1", "Above, on two lines."),
        ("two", "str | None", "None", "Behind."),
        ("three", "float", "", ""),
    ]


def test_what_programs_call_is_documented():
    page = reference.python()
    for name in ("load_model", "load_teacher", "runtime.load_onnx", "runtime.verify"):
        assert f"\n## svmixer.{name}\n" in page
    assert "### SpeakerModel.embed" in page and "Raises:" in page
