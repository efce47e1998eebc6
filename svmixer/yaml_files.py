"""YAML files: found by the name that another file gives, read as plain values and nothing else.

A file whose key ``base`` names another file has all that this one says, and its own keys in place of or
beside them, section by section. A list replaces a list, and the name of a file replaces a section.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from svmixer.errors import SvmixerError
from svmixer.text_files import encoding_repair, foreign_text

ENDINGS = (".yaml", ".yml")  # of values that name files
_CHECKOUT = Path(__file__).resolve().parents[1]
_MOST_VALUES = 100_000  # in one file; the largest of the project has about a hundred


class ConfigError(SvmixerError):
    """A configuration key or value that cannot be used; the message names the source and the key."""

    kind = "configuration"


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The YAML mapping of a file, with what it takes from its ``base``.

    Raises:
        ConfigError: see :func:`read_one`, of the file or its base; or the base is no file's name, is missing,
            or leads back to the file.
    """
    values, where = read_one(path), path
    seen = [os.path.realpath(path)]
    while "base" in values:
        name = values.pop("base")
        if not isinstance(name, str):
            raise ConfigError(f"{where}: base: expected the name of a YAML file, found {name!r}")
        where = find_yaml(name, where)
        if os.path.realpath(where) in seen:
            raise ConfigError(f"{path}: base: leads back to {where}")
        seen.append(os.path.realpath(where))
        values = _over(_placed(read_one(where), where), values)
    return values


def _over(below: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """``own``, and what ``below`` says beyond that; a section of ``below`` may be a file's name."""
    merged = dict(below)
    for key, value in own.items():
        if isinstance(value, dict):
            section = merged.get(key)
            if isinstance(section, str) and section.endswith(ENDINGS):
                section = _placed(read_yaml(section), section)
            value = _over(section, value) if isinstance(section, dict) else value
        merged[key] = value
    return merged


def _placed(values: dict[str, Any], file: str | Path) -> dict[str, Any]:
    """The same with names of files that can be read from anywhere, instead of from beside ``file``."""
    return {key: _place(value, file) for key, value in values.items()}


def _place(value: Any, file: str | Path) -> Any:
    if isinstance(value, dict):
        return _placed(value, file)
    if isinstance(value, list):
        return [_place(item, file) for item in value]
    if isinstance(value, str) and value.endswith(ENDINGS):
        return str(find_yaml(value, file).resolve())
    return value


def read_one(path: str | Path) -> dict[str, Any]:
    """The YAML mapping of a file as it stands there.

    Raises:
        ConfigError: the file is missing or cannot be read, is not YAML, is not a mapping, or has more in it
            than any configuration.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        if "\0" in text:
            raise UnicodeError
        data = yaml_value(text)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeError:
        what, repair = foreign_text(path) or ("not UTF-8 text", encoding_repair(path))
        raise ConfigError(f"{path}: {what}" + (f"; repair with: {repair}" if repair else "")) from None
    except ValueError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(data, dict | None):
        raise ConfigError(f"{path}: expected a mapping of keys, found {type(data).__name__}")
    return data or {}


def yaml_value(text: str) -> Any:
    """What ``yaml.safe_load`` makes of ``text``: plain values, never objects of other classes.

    Raises:
        ValueError: no YAML, a key that a mapping has twice, or values that are huge: a few lines can name
            billions of them by aliases.
    """
    try:
        _refuse_twice(yaml.compose(text, Loader=yaml.SafeLoader))
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError) as error:
        # PyYAML's constructors raise the others at values that do not fit their tags (``!!int ""``).
        raise ValueError(str(error) or "nested too deeply") from None
    values = [value]
    for item in values:  # grows on the way
        if len(values) > _MOST_VALUES:
            raise ValueError(f"more than {_MOST_VALUES} values, or an alias inside what it stands for")
        values += [*item, *item.values()] if isinstance(item, dict) else ()
        values += item if isinstance(item, (list, set, tuple)) else ()
    return value


def _refuse_twice(root: yaml.Node | None) -> None:
    """Refuse a mapping that has a key twice: YAML would take the last one and drop the others silently."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        # Aliases lead to one node many times, or back to one around them.
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                waiting.append(value)
                if not isinstance(key, yaml.ScalarNode):
                    continue
                line = key.start_mark.line + 1
                if key.value in lines:
                    both = f"lines {lines[key.value]} and {line}"
                    raise ValueError(f"key '{key.value}' stands twice, in {both}")
                lines[key.value] = line


def find_yaml(name: str, base: str | Path) -> Path:
    """The YAML file that a value in ``base`` names: beside it, in a folder above it, as it stands, or in the
    checkout that this package lies in (a recipe may be anywhere).

    Never ``base`` itself: a recipe's file may extend the project's of the same name. Where ``base`` is a
    source that is no file, the folders are the working directory and those above it.

    Raises:
        ConfigError: there is none.
    """
    above = Path(base).resolve().parents
    for candidate in [*(folder / name for folder in above), Path(name), _CHECKOUT / name]:
        # A name that is too long for a file is an error to pathlib and False to os.path.
        if os.path.isfile(candidate) and os.path.realpath(candidate) != os.path.realpath(base):
            return candidate
    raise ConfigError(f"{base}: no such configuration file: {name[:200]}")
