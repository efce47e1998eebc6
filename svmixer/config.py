"""Configurations: frozen dataclasses filled from YAML files and ``--key value`` overrides, every key checked.

A configuration is a frozen dataclass whose fields carry one comment each, on the line(s) above or at the end
of the line. Nested dataclasses make sections. ``load`` reads a YAML file, applies overrides with dotted names
(``student.layers=3``) and refuses a key that no field reads, naming the nearest valid one. The same comments
make the command-line help, so help cannot drift.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import sys
import textwrap
import tokenize
import typing
from pathlib import Path
from typing import Any, TypeVar

import yaml

from svmixer.config_values import FALSE, TRUE, Text, build, nearest
from svmixer.yaml_files import ConfigError, find_yaml, read_yaml

__all__ = [
    "ConfigError",
    "field_comments",
    "from_dict",
    "help_text",
    "load",
    "nearest",
    "parse_args",
    "save",
    "split_arguments",
    "to_dict",
]

T = TypeVar("T")


def from_dict(cls: type[T], data: dict[str, Any], where: str = "configuration") -> T:
    """Build the dataclass ``cls`` from nested dictionaries.

    Args:
        cls: a dataclass.
        data: field name → value; sections are dictionaries; missing fields take their defaults.
        where: what to call the source in errors (a file name).

    Raises:
        ConfigError: unknown key (the nearest valid one is named), wrong type, missing required field, or a
        ``ValueError``
            raised by the class's own ``__post_init__``.
    """
    return build(cls, data, where, "")


def to_dict(config: Any) -> dict[str, Any]:
    """Nested plain dictionaries of a dataclass, tuples as lists: what ``yaml.safe_dump`` and JSON take."""
    return _plain(dataclasses.asdict(config))


def load(cls: type[T], path: str | Path | None = None, overrides: dict[str, str] | None = None) -> T:
    """Read ``path`` (if given), apply ``overrides`` (dotted key → text) and build ``cls``.

    A field annotated as a dataclass may also name a YAML file instead of a section (``student:
    conf/student/small.yaml``); relative names are looked up beside ``path``, then in each of its parent
    folders, then in the working directory.

    Raises:
        ConfigError: see :func:`from_dict`.
    """
    data = read_yaml(path) if path else {}
    # A section as a whole comes before what is changed in it.
    for key, text in sorted((overrides or {}).items(), key=lambda item: item[0].count(".")):
        section = data
        *parents, last = key.split(".")
        for parent in parents:
            if not isinstance(section.get(parent), dict):
                # A section given as a file name is opened here so that a single key of it can be overridden.
                name = section.get(parent)
                section[parent] = read_yaml(find_yaml(name, path)) if isinstance(name, str) else {}
            section = section[parent]
        section[last] = Text(text) if isinstance(text, str) else text
    return build(cls, data, str(path or "command line"), "", base=path)


def save(config: Any, path: str | Path) -> None:
    """Write a dataclass as YAML, atomically."""
    from svmixer.fileio import atomic_write

    with atomic_write(path) as stream:
        yaml.safe_dump(to_dict(config), stream, sort_keys=False, allow_unicode=True, width=100)


def parse_args(cls: type[T], argv: list[str] | None = None, description: str = "") -> T:
    """Command line of a program: ``--config FILE`` and ``--key value`` for every field of ``cls``.

    Dashes in a key may stand for underscores; ``--key`` alone makes a yes-or-no option true; ``--help`` and
    ``-h`` print every key with its comment and default. An unknown key or a bad value ends the program with
    one line on standard error and exit status 2.
    """
    argv = sys.argv[1:] if argv is None else argv
    if "-h" in argv or "--help" in argv:
        print(help_text(cls, description))
        raise SystemExit(0)
    overrides: dict[str, str] = {}
    path = None
    words = list(argv)
    try:
        while words:
            word = words.pop(0)
            if not word.startswith("--"):
                raise ConfigError(f"unexpected argument {word!r} (options are --key value)")
            key, equals, value = word[2:].partition("=")
            key = key.replace("-", "_")
            if not equals:
                if _is_flag(cls, key) and (not words or words[0].startswith("--")):
                    value = "true"
                elif words:
                    value = words.pop(0)
                else:
                    raise ConfigError(f"option --{key} needs a value")
            if key == "config":
                path = value
            else:
                overrides[key] = value
        return load(cls, path, overrides)
    except ConfigError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def split_arguments(cls: type, argv: list[str]) -> tuple[list[str], list[str]]:
    """Command-line words as (what is no option, as names of files; options for :func:`parse_args`).

    The word behind an option is its value, but behind a yes-or-no option of ``cls`` only ``true``, ``false``
    and the like are. What stands behind a word ``--`` is no option.
    """
    files: list[str] = []
    options: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        if word == "--":
            return files + words, options
        if not word.startswith("-"):
            files.append(word)
            continue
        flag = _is_flag(cls, word[2:].replace("-", "_"))
        options.append(word)
        if "=" in word or word in ("-h", "--help") or not words:
            continue
        if not flag or words[0].lower() in TRUE | FALSE:
            options.append(words.pop(0))
    return files, options


def _is_flag(cls: type, key: str) -> bool:
    """Whether the dotted ``key`` of ``cls`` takes true or false."""
    hint: Any = cls
    for name in key.split("."):
        section = _dataclass_in(hint)
        hint = typing.get_type_hints(section).get(name) if section else None
    return hint is bool


def help_text(cls: type, description: str = "") -> str:
    """Every key with its comment and default, sections indented by their dotted names."""
    lines = [description, "", "options:", f"  {'--config FILE':32} YAML file with any of the keys below"]
    lines += _help_lines(cls, "")
    return "\n".join(lines)


def _help_lines(cls: type, prefix: str) -> list[str]:
    comments, lines = field_comments(cls), []
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        nested = _dataclass_in(hints[field.name])
        if nested:
            lines += _help_lines(nested, f"{prefix}{field.name}.")
            continue
        default = field.default if field.default is not dataclasses.MISSING else "required"
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        lines.append(f"  {'--' + prefix + field.name:32} {comments.get(field.name, '')} (default: {default})")
    return lines


def field_comments(cls: type) -> dict[str, str]:
    """Field name → its comment, read from the source of the class and of those that it extends.

    It stands in the lines above the field, or behind any part of it.
    """
    comments: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if dataclasses.is_dataclass(base):
            comments.update(_comments_in(textwrap.dedent(inspect.getsource(base))))
    return comments


def _comments_in(source: str) -> dict[str, str]:
    """The comments of the fields of the one class in ``source``."""
    lines = source.splitlines()
    found = {
        token.start[0]: token.string.lstrip("#").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    comments = {}
    for node in ast.parse(source).body[0].body:
        if not isinstance(node, ast.AnnAssign):
            continue
        first = node.lineno
        while lines[first - 2].lstrip().startswith("#"):
            first -= 1
        numbers = range(first, node.end_lineno + 1)
        comments[node.target.id] = " ".join(found[number] for number in numbers if number in found)
    return comments


def _dataclass_in(hint: Any) -> type | None:
    for candidate in (hint, *typing.get_args(hint)):
        if dataclasses.is_dataclass(candidate) and typing.get_origin(hint) not in (tuple, list):
            return candidate
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
