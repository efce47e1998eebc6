"""The rooms of the package: which may import which, and no circle among its modules.

Every import counts: at the top, inside a function, under TYPE_CHECKING, and ``import_module("a literal")``.
`svmixer/__init__.py` and `__main__.py` are the front door: they may name anything, the first loads it
only when it is asked for.
"""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "svmixer"
FRONT_DOOR = ""

# Room → the rooms it may import, all of which stand above it. `base` is what lies right under svmixer/.
# CONTRIBUTING.md says what is in each.
ROOMS = {
    "base": "",
    "lists": "base",
    "audio": "base lists",
    "inference": "base audio",
    "runtime": "inference",
    "demo": "base inference",
    "models": "base audio inference",
    "teachers": "base inference models",
    "losses": "base",
    "distributed": "base",
    "scoring": "base lists audio inference models",
    "training": "base lists audio models teachers losses distributed scoring",
    "export": "base lists audio inference models scoring",
    "report": "base lists audio inference models scoring training",
    "espnet": "base inference models",
    "stages": "base lists audio inference models scoring training report",
    "cli": "base lists audio inference demo models scoring export report espnet",
    "bin": "cli",
}
# What these rooms need is in the base install: numpy and ONNX Runtime.
WITHOUT_TORCH = ("lists", "audio", "inference", "demo")


class Modules:
    """The modules of a package and what each of them imports from it.

    Attributes:
        rooms: module (dotted name) → its room, FRONT_DOOR for what lies before them.
        imports: module → the names it imports, of this package and others, each as `module.name`.
    """

    def __init__(self, package: Path) -> None:
        self.rooms: dict[str, str] = {}
        self.imports: dict[str, list[str]] = {}
        for path in sorted(package.rglob("*.py")):
            parts = path.relative_to(package).with_suffix("").parts
            if len(parts) > 1:
                room = parts[0]
            else:
                room = FRONT_DOOR if parts[0] in ("__init__", "__main__") else "base"
            module = ".".join((package.name, *parts)).removesuffix(".__init__")
            self.rooms[module] = room
            self.imports[module] = list(imported_names(path.read_text(encoding="utf-8")))

    def arrows(self) -> Iterator[tuple[str, str]]:
        """(importing module, imported module), both of this package."""
        for module, names in self.imports.items():
            for name in names:
                while name and name not in self.rooms:
                    name = name.rpartition(".")[0]
                if name and name != module:
                    yield module, name


def imported_names(source: str) -> Iterator[str]:
    """All that a module's text imports, wherever in it; `from a import b` is `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # ruff (TID252) sees to it that none is relative.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (word.value for word in node.args[:1] if isinstance(word, ast.Constant))


def forbidden(modules: Modules) -> list[str]:
    """Imports that the table does not allow, in words."""
    wrong = set()
    for module, other in modules.arrows():
        room, target = modules.rooms[module], modules.rooms[other]
        if FRONT_DOOR in (room, target) or room == target:
            continue
        if target not in ROOMS.get(room, "").split():
            wrong.add(f"{module} imports {other}: {room} → {target}")
    return sorted(wrong)


def circle(modules: Modules) -> list[str]:
    """Modules each of which imports a neighbour, the first and last the same; empty if there is none."""
    graph: dict[str, set[str]] = {}
    for module, other in modules.arrows():
        if modules.rooms[module] != FRONT_DOOR:
            graph.setdefault(module, set()).add(other)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


@pytest.fixture(scope="module")
def modules() -> Modules:
    return Modules(PACKAGE)


def test_the_table_goes_one_way():
    above: set[str] = set()
    for room, allowed in ROOMS.items():
        assert set(allowed.split()) <= above, f"{room} may import only what stands above it"
        above.add(room)


def test_every_folder_is_in_the_table(modules):
    assert set(modules.rooms.values()) - {FRONT_DOOR} == set(ROOMS)


def test_rooms_import_what_the_table_allows(modules):
    assert forbidden(modules) == []


def test_no_circle_among_modules(modules):
    assert circle(modules) == []


def test_rooms_of_the_base_install_know_no_torch(modules):
    users = {
        module
        for module, names in modules.imports.items()
        if modules.rooms[module] in WITHOUT_TORCH and any(name.split(".")[0] == "torch" for name in names)
    }
    assert users == set()


def test_the_front_door_loads_nothing():
    body = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8")).body
    loaded = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {getattr(node, "module", None) for node in loaded} <= {"__future__", "typing"}


def test_contributing_has_the_same_map():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `svmixer/(\*\.py|\w+)` \|", text, re.MULTILINE)
    assert ["base" if name == "*.py" else name for name in rows] == list(ROOMS)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("from {top}.lists.table import read", []),
        ("import {top}.cli.main", ["{top}.audio.read imports {top}.cli.main: audio → cli"]),
        ("from {top}.cli import main", ["{top}.audio.read imports {top}.cli.main: audio → cli"]),
        (
            "def late():\n    from {top}.cli.main import run",
            ["{top}.audio.read imports {top}.cli.main: audio → cli"],
        ),
        (
            "import importlib\nimportlib.import_module('{top}.cli.main')",
            ["{top}.audio.read imports {top}.cli.main: audio → cli"],
        ),
        ("from {top} import __version__", []),
    ],
)
def test_an_arrow_upwards_is_found_wherever_it_stands(tmp_path, line, wrong):
    package = small_package(tmp_path, read=line.format(top="small"))
    assert forbidden(package) == [text.format(top="small") for text in wrong]
    assert circle(package) == []


def test_a_circle_is_found_under_type_checking_too(tmp_path):
    package = small_package(
        tmp_path,
        read="from small.audio.wav import Wave",
        wav="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from small.audio.read import Reader",
    )
    assert forbidden(package) == []
    assert set(circle(package)) == {"small.audio.read", "small.audio.wav"}


def small_package(folder: Path, **audio: str) -> Modules:
    """A package `small` of three rooms whose modules in `audio` have the given texts."""
    texts = {"__init__": "", "limits": "", "lists/table": "read = 1", "cli/main": "run = 1"}
    for name, text in {**texts, **{f"audio/{name}": text for name, text in audio.items()}}.items():
        path = folder / "small" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Modules(folder / "small")
