"""YAML files: found by the name that another file gives, read as plain values and nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from svmixer.errors import SvmixerError
from svmixer.text_files import encoding_repair, foreign_text

_MOST_VALUES = 100_000  # in one file; the largest of the project has about a hundred


class ConfigError(SvmixerError):
    """A configuration key or value that cannot be used; the message names the source and the key."""


def read_yaml(path: str | Path) -> dict[str, Any]:
    """One YAML mapping from a file.

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
        ValueError: no YAML, or values that are huge: a few lines can name billions of them by aliases.
    """
    try:
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


def find_yaml(name: str, base: str | Path) -> Path:
    """The YAML file that a value in ``base`` names: beside it, in a folder above it, or as it stands.

    Where ``base`` is no file but another source, the folders are the working directory and those above it.

    Raises:
        ConfigError: there is none.
    """
    for candidate in [*(folder / name for folder in Path(base).resolve().parents), Path(name)]:
        # A name that is too long for a file is an error to pathlib and False to os.path.
        if os.path.isfile(candidate):
            return candidate
    raise ConfigError(f"{base}: no such configuration file: {name[:200]}")
