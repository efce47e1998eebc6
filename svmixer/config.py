"""Configurations: frozen dataclasses filled from YAML files and ``--key value`` options, every key checked.

A configuration is a frozen dataclass whose fields carry one comment each, on the line(s) above or at the end
of the line; the comments make the help of the command line, so help cannot drift. Nested dataclasses make
sections, which may also be given as names of YAML files. msgspec makes values of the types of the fields. A
key that no field reads, which msgspec would skip, is refused, naming the nearest.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import difflib
import functools
import inspect
import json
import re
import sys
import textwrap
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from svmixer.json_errors import print_error, wants_json
from svmixer.yaml_files import ConfigError, find_yaml, read_yaml, yaml_value

T = TypeVar("T")

_SWITCHES = {"true", "yes", "1", "false", "no", "0"}


def from_dict(cls: type[T], data: Any, where: str = "configuration") -> T:
    """Build the dataclass ``cls`` from nested dictionaries.

    Args:
        cls: a dataclass.
        data: field name → value; sections are dictionaries; missing fields take their defaults. A class may
            have a method ``from_former`` that brings a section of an earlier version into today's form.
        where: what to call the source in errors: the file, which names of files in ``data`` are relative to.

    Raises:
        ConfigError: unknown key (the nearest valid one is named), wrong type, missing required field, or a
            ``ValueError`` raised by the class's own ``__post_init__``.
    """
    try:
        return msgspec.convert(_checked(cls, data, where, ""), cls, strict=False)
    except msgspec.ValidationError as error:
        text, place = re.fullmatch(r"(.*?)(?: - at .*\$\.?(.*)`)?", str(error), re.DOTALL).groups()
        # What a class says about its own fields begins with the field.
        place = f"{place}{'.' if isinstance(error.__cause__, ValueError) else ': '}" if place else ""
        raise ConfigError(f"{where}: {place}{text}") from None


def to_dict(config: Any) -> Any:
    """Nested plain dictionaries of a dataclass, tuples as lists: what ``yaml.safe_dump`` and JSON take."""
    if dataclasses.is_dataclass(config):
        config = dataclasses.asdict(config)
    if isinstance(config, dict):
        return {key: to_dict(value) for key, value in config.items()}
    return [to_dict(item) for item in config] if isinstance(config, (list, tuple)) else config


def load(cls: type[T], path: str | Path | None = None, overrides: dict[str, Any] | None = None) -> T:
    """Read ``path`` (if given), apply ``overrides`` (dotted key → text or value) and build ``cls``.

    A field annotated as a dataclass may also name a YAML file instead of a section (``student:
    conf/student/small.yaml``); relative names are looked up beside ``path``, then in each of its parent
    folders, then in the working directory.

    Raises:
        ConfigError: see :func:`from_dict`.
    """
    where = str(path or "command line")
    data = read_yaml(path) if path else {}
    # A section as a whole comes before what is changed in it.
    for key, value in sorted((overrides or {}).items(), key=lambda item: item[0].count(".")):
        section = data
        *parents, last = key.split(".")
        for parent in parents:
            inner = section.get(parent)
            if isinstance(inner, str):
                # Opened here, so that a single key of it can be overridden.
                inner = read_yaml(find_yaml(inner, where))
            section[parent] = inner if isinstance(inner, dict) else {}
            section = section[parent]
        section[last] = value
        if isinstance(value, str) and _field_type(cls, key) is not str:
            try:
                section[last] = yaml_value(value)
            except ValueError as error:
                raise ConfigError(f"{where}: {key}: {value!r} is not YAML: {error}") from None
    return from_dict(cls, data, where)


def save(config: Any, path: str | Path) -> None:
    """Write a dataclass as YAML, atomically."""
    from svmixer.fileio import atomic_write

    with atomic_write(path) as stream:
        yaml.safe_dump(to_dict(config), stream, sort_keys=False, allow_unicode=True, width=100)


def parse_args(cls: type[T], argv: list[str] | None = None, description: str = "") -> T:
    """Command line of a program: ``--config FILE`` and ``--key value`` for every field of ``cls``.

    Dashes in a key may stand for underscores; ``--help`` and ``-h`` print every key with its comment and
    default. ``--key`` alone makes a yes-or-no option true: the word behind it is its value only if it is
    ``true``, ``false`` or the like. Words that are no options, and all behind a word ``--``, make the field
    ``files`` of ``cls``. An unknown key or a bad value ends the program with one line on standard error and
    exit status 2; see :mod:`svmixer.json_errors` for ``--json``.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    words = list(given)
    if "-h" in words or "--help" in words:
        print(help_json(cls, description) if wants_json(words) else help_text(cls, description))
        raise SystemExit(0)
    values: dict[str, Any] = {}
    files: list[str] = []
    try:
        while words:
            word = words.pop(0)
            name, equals, value = word.lstrip("-").partition("=")
            key = name.replace("-", "_")
            if word == "--":
                files += words
                break
            elif word == "-" or not word.startswith("-"):
                files.append(word)
            elif equals:
                values[key] = value
            elif _field_type(cls, key) is bool:
                values[key] = words.pop(0) if words and words[0].lower() in _SWITCHES else "true"
            elif words:
                values[key] = words.pop(0)
            elif _is_known(cls, key):
                raise ConfigError(f"option {word} needs a value")
            else:
                values[key] = ""  # which load() refuses by its name
        if files.count("-") > 1:
            raise ConfigError("'-' is standard input, which is read once; it was given twice")
        if files and "files" not in typing.get_type_hints(cls):
            raise ConfigError(f"unexpected argument {files[0]!r} (options are --key value)")
        return load(cls, values.pop("config", None), values | ({"files": files} if files else {}))
    except ConfigError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        print_error(given, error, status=2, kind="usage")
        raise SystemExit(2) from None


def _is_known(cls: type, key: str) -> bool:
    """Whether ``--key`` is an option of ``cls``, or a section of them."""
    return key == "config" or any(f"{one['name']}.".startswith(f"{key}.") for one in options(cls))


def nearest(name: str, known: list[str]) -> str:
    """``did you mean 'x'?`` for the closest known name, or the list when nothing is close."""
    name, lower = name.lower(), {other.lower(): other for other in known}
    close = [lower[other] for other in difflib.get_close_matches(name, lower, n=1, cutoff=0.6)]
    # A part of a name is short beside it.
    close += [lower[other] for other in lower if len(name) > 2 and name in other]
    return f"did you mean '{close[0]}'?" if close else "known: " + ", ".join(known)


def help_text(cls: type, description: str = "") -> str:
    """Every key with its comment and default, those of sections by their dotted names."""
    lines = [
        inspect.cleandoc(description),
        "",
        "options:",
        f"  {'--config FILE':32} YAML file with any of the keys below",
    ]
    rows = (f"  {'--' + one['name']:32} {one['help']} (default: {one['default']})" for one in options(cls))
    return "\n".join([*lines, *rows])


def help_json(cls: type, description: str = "") -> str:
    """The same as JSON, for ``--help --json``; see :func:`options`."""
    return json.dumps({"description": inspect.cleandoc(description), "options": list(options(cls))})


def options(cls: type, prefix: str = "") -> Iterator[dict[str, Any]]:
    """Every key, those of sections by their dotted names: its help, default as text, and ``choices``, the
    words that it takes if they are known; a ``switch`` is true without a value."""
    for field in dataclasses.fields(cls):
        key, hint = prefix + field.name, _field_type(cls, field.name)
        if dataclasses.is_dataclass(hint):
            yield from options(hint, f"{key}.")
            continue
        default = field.default if field.default is not dataclasses.MISSING else "required"
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        yield {
            "name": key,
            "help": field_comments(cls)[field.name],
            "default": str(default),
            "choices": list(typing.get_args(hint)) if typing.get_origin(hint) is typing.Literal else [],
            "switch": hint is bool,
        }


@functools.cache
def field_comments(cls: type) -> dict[str, str]:
    """Field name → its comment, read from the source of the class and of those that it extends.

    It stands in the lines above the field, or behind any part of it.
    """
    comments = {}
    for base in filter(dataclasses.is_dataclass, reversed(cls.__mro__)):
        source = textwrap.dedent(inspect.getsource(base))
        lines, end = source.splitlines(), 0
        for node in ast.parse(source).body[0].body:
            if isinstance(node, ast.AnnAssign):
                found = [re.search(r"(?:^\s*|  )#(.*)", line) for line in lines[end : node.end_lineno]]
                comments[node.target.id] = " ".join(match[1].strip() for match in found if match)
            end = node.end_lineno
    return comments


def from_former(cls: Any, data: dict[str, Any]) -> dict[str, Any]:
    """``data`` of an earlier version, with every section as its class's ``from_former`` brings it up to date.

    What a class refuses, and keys that no field reads, stay as they are.
    """
    if hasattr(cls, "from_former"):
        with contextlib.suppress(ValueError):
            data = cls.from_former(data)
    return {
        key: from_former(inner, value)
        if isinstance(value, dict) and dataclasses.is_dataclass(inner := _field_type(cls, key))
        else value
        for key, value in data.items()
    }


def _checked(hint: Any, value: Any, where: str, key: str) -> Any:
    """``value`` with files in the place of their names, and refused what msgspec would let pass."""
    hint = _without_none(hint)
    args = typing.get_args(hint)
    section = dataclasses.is_dataclass(hint)
    if section and isinstance(value, str):
        path = find_yaml(value, where)
        return from_dict(hint, read_yaml(path), str(path))
    if isinstance(value, dict):
        prefix = key and f"{key}."
        if section and hasattr(hint, "from_former"):
            try:
                value = hint.from_former(value)
            except ValueError as error:
                raise ConfigError(f"{where}: {prefix}{error}") from None
        hints = typing.get_type_hints(hint) if section else dict.fromkeys(value, Any)
        for name in value:
            if name not in hints:
                raise ConfigError(f"{where}: unknown key '{prefix}{name}'; {nearest(str(name), list(hints))}")
        return {name: _checked(hints[name], item, where, f"{prefix}{name}") for name, item in value.items()}
    if isinstance(value, (list, tuple)) and args:
        return [_checked(args[0], item, where, f"{key}[{i}]") for i, item in enumerate(value)]
    if typing.get_origin(hint) is typing.Literal and value not in (*args, None):
        raise ConfigError(f"{where}: {key}: '{value}' is not one of {', '.join(map(repr, args))}")
    if hint in (int, float) and isinstance(value, str):
        # PyYAML takes 1e-4 for text.
        with contextlib.suppress(ValueError):
            value = float(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # NaN, which no field has a use for, would pass any check of a range.
        if not abs(value) < 1 << 63:
            raise ConfigError(f"{where}: {key}: expected a finite number of 64 bits, found {value!r}")
        return str(value) if hint is str else value
    return value


def _without_none(hint: Any) -> Any:
    """The type of an optional field without its ``None``; any other as it is."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(arg for arg in typing.get_args(hint) if arg is not type(None))
    return hint


def _field_type(cls: Any, key: str) -> Any:
    """Type of the field of dotted name ``key``, without ``None``; ``Any`` where no class says."""
    for name in key.split("."):
        hints = typing.get_type_hints(cls) if dataclasses.is_dataclass(cls) else {}
        cls = _without_none(hints.get(name, Any))
    return cls
