"""The reference pages, made from the code: verbs, options of scripts, configurations, Python."""

from __future__ import annotations

import ast
import configparser
import contextlib
import importlib
import inspect
import io
import re
import subprocess
import sys
import textwrap
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Columns of a block of code that fit on the page.
WIDTH = 110
# Scripts with options, in the order of use.
SCRIPTS = (
    "run.sh",
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("stages/0*.sh")),
    "tools/setup.sh",
    "tools/vendor_web.sh",
    "tests/run.sh",
    "benchmarks/run.sh",
)
# What each kind of YAML file is read as, and where examples lie.
ROOTS = {
    "TrainConfig": "Stages 3 and 4 (`--distill_config`, `--train_config`); examples: `conf/train_*.yaml`.",
    "StudentConfig": "The student; examples: `conf/student/`.",
    "BackendConfig": "The speaker backend; examples: `conf/backend/`.",
    "ScoringConfig": "Stage 5; example: `conf/score.yaml`.",
    "TeacherConfig": "`config.yaml` of a teacher directory.",
    "PretrainConfig": "Pretraining of a small teacher: `egs/debian_voices/sv1/pretrain.sh`.",
}
# What README and the pages call, and what comes out of it.
PYTHON = (
    ("svmixer", "load_model", ("embed", "hidden_states", "stream")),
    ("svmixer", "load_teacher", ("hidden_states",)),
    ("svmixer.runtime", "load_onnx", ("embed", "stream")),
    ("svmixer.runtime", "enrol", ()),
    ("svmixer.runtime", "verify", ()),
)


def pages() -> dict[str, str]:
    """Path below docs/ → Markdown text."""
    return {
        "reference/cli.md": cli(),
        "reference/shell.md": shell(),
        "reference/configuration.md": configuration(),
        "reference/python.md": python(),
    }


# --- verbs and scripts ---


def cli() -> str:
    """Every verb of ``svmixer`` with its help."""
    overview = _output_of("--help")
    verbs = re.findall(r"^  (\w+) {2,}\S", overview, re.MULTILINE)
    if not verbs:
        raise ValueError("the help of svmixer lists no verbs")
    text = [
        "# Command line",
        "`svmixer help` lists the verbs, `svmixer help VERB` the options of one. This page is their output.",
        _block(overview),
    ]
    for verb in verbs:
        text += [f"## svmixer {verb}", _block(_output_of(verb, "--help"))]
    return "\n\n".join(text) + "\n"


def shell() -> str:
    """The options of the scripts, as ``--help`` prints them."""
    text = [
        "# Recipes and stages",
        "Every script prints its options with `--help`. A recipe's `run.sh` (`egs/CORPUS/sv1/run.sh`) takes "
        "all options of the top-level `run.sh`.",
    ]
    for script in SCRIPTS:
        options = ["--recipe", "egs/debian_voices/sv1"] if script == "run.sh" else []
        done = subprocess.run(
            ["bash", str(ROOT / script), *options, "--help"], capture_output=True, text=True, check=True
        )
        text += [f"## {script}", _block(done.stdout)]
    return "\n\n".join(text) + "\n"


def entry_point() -> Callable[[list[str]], None]:
    """What the command ``svmixer`` calls, as setup.cfg says."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    scripts = parser["options.entry_points"]["console_scripts"]
    module, name = re.search(r"svmixer = ([\w.]+):(\w+)", scripts).groups()
    return getattr(importlib.import_module(module), name)


def _output_of(*words: str) -> str:
    """What ``svmixer WORDS`` prints."""
    stream, name = io.StringIO(), sys.argv[0]
    try:
        with contextlib.redirect_stdout(stream), contextlib.suppress(SystemExit):
            entry_point()(list(words))
    finally:
        sys.argv[0] = name
    return stream.getvalue()


def _block(text: str) -> str:
    """A text as a block of code, long lines of options wrapped below their text."""
    lines = []
    for line in text.strip("\n").splitlines():
        indent = re.match(r"\s*(--?\S+(?: [A-Z]+)?|\w+)?\s*", line).end() if line.startswith("  ") else 0
        wrapped = textwrap.wrap(
            line, WIDTH, subsequent_indent=" " * min(indent, 35), drop_whitespace=True,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        lines += wrapped or [""]
    return "```text\n" + "\n".join(lines) + "\n```"


# --- configurations ---


@dataclass(frozen=True)
class Option:
    """One field of a configuration."""

    name: str
    kind: str  # its type, as the source has it
    default: str  # as the source has it; empty: it has none
    comment: str


@dataclass(frozen=True)
class Configuration:
    """A configuration dataclass, read from its source."""

    name: str
    about: str  # first line of its description
    bases: tuple[str, ...]
    options: tuple[Option, ...]


def configuration() -> str:
    """Every key that a YAML file may have, section by section."""
    known = {found.name: found for found in configurations()}
    text = [
        "# Configuration",
        "YAML files hold these keys; `--key value` on the command line overrides one, a dot enters a section "
        "(`--loop.max_epochs 5`). An unknown key is an error that names the nearest one. The file that a run "
        "really used is saved beside its results as `config.yaml`.",
    ]
    written: list[str] = []
    for root, about in ROOTS.items():
        for name in _with_sections(root, known):
            if name in written:
                continue
            written.append(name)
            text += [f"## {name}", about if name == root else known[name].about, _table(known[name], known)]
    return "\n\n".join(text) + "\n"


def configurations() -> Iterator[Configuration]:
    """All dataclasses of the package whose names end with Config."""
    for path in sorted((ROOT / "svmixer").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("Config") and _is_dataclass(node):
                about = (ast.get_docstring(node) or "").partition("\n")[0]
                bases = tuple(ast.unparse(base) for base in node.bases)
                yield Configuration(node.name, about, bases, tuple(_options(node, source)))


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)


def _options(node: ast.ClassDef, source: str) -> Iterator[Option]:
    lines = source.splitlines()
    comments = {
        token.start[0]: token.string.lstrip("#").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    for field in node.body:
        if not isinstance(field, ast.AnnAssign):
            continue
        first = field.lineno
        while lines[first - 2].lstrip().startswith("#"):
            first -= 1
        words = [comments[number] for number in range(first, field.end_lineno + 1) if number in comments]
        default = "" if field.value is None else ast.unparse(field.value)
        yield Option(field.target.id, ast.unparse(field.annotation), default, " ".join(words))


def _with_sections(name: str, known: dict[str, Configuration]) -> Iterator[str]:
    """A configuration and those that are sections of it, outermost first."""
    yield name
    for option in known[name].options:
        for word in re.findall(r"\w+", option.kind):
            if word in known:
                yield from _with_sections(word, known)


def _table(found: Configuration, known: dict[str, Configuration]) -> str:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    options = [option for base in found.bases if base in known for option in known[base].options]
    for option in (*options, *found.options):
        section = next((word for word in re.findall(r"\w+", option.kind) if word in known), "")
        kind = f"[{section}](#{section.lower()})" if section else f"`{_cell(option.kind)}`"
        default = "" if section or not option.default else f"`{_cell(option.default)}`"
        rows.append(f"| `{option.name}` | {kind} | {default} | {_cell(option.comment)} |")
    return "\n".join(rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


# --- Python ---


def python() -> str:
    """What programs call, with its documentation."""
    text = ["# Python", "What the package promises to keep. Shapes: `N` samples, `D` values of an embedding."]
    for module, name, methods in PYTHON:
        function = getattr(importlib.import_module(module), name)
        text += [f"## {module}.{name}", *_documented(function, f"{module}.{name}")]
        kind = _returned(function)
        for method in methods:
            text += [f"### {kind.__name__}.{method}", *_documented(getattr(kind, method), method)]
    return "\n\n".join(text) + "\n"


def _returned(function: Callable) -> type | None:
    """The class that a function's annotation says it returns."""
    name = inspect.signature(function).return_annotation
    return vars(sys.modules[function.__module__]).get(name, name)


def _documented(function: Callable, name: str) -> list[str]:
    about = re.sub(r":\w+:`~?([^`]+)`", r"``\1``", inspect.getdoc(function) or "")
    # Annotations are texts: without their quotes.
    signature = re.sub(r"(: |-> )'([^']*)'", r"\1\2", f"{name}{inspect.signature(function)}")
    call = textwrap.fill(signature, WIDTH, subsequent_indent="    ", break_long_words=False)
    return [f"```python\n{call}\n```", f"```text\n{about}\n```"]
