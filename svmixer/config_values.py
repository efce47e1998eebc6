"""Values of a configuration: from plain data, or text of the command line, to the types that fields name."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from svmixer.yaml_files import ConfigError, find_yaml, read_yaml, yaml_value

T = TypeVar("T")

TRUE, FALSE = {"true", "yes", "1"}, {"false", "no", "0"}
_INTEGERS = 1 << 63  # those of numpy, torch and seeds: from -2^63 to below 2^63


def nearest(name: str, known: list[str]) -> str:
    """`` (did you mean 'x'?)`` for the closest known name, or the list when nothing is close."""
    name, lower = name.lower(), {other.lower(): other for other in known}
    close = [lower[other] for other in difflib.get_close_matches(name, lower, n=1, cutoff=0.6)]
    # A part of a name is short beside it.
    close += [lower[other] for other in lower if len(name) > 2 and name in other]
    return f"did you mean '{close[0]}'?" if close else "known: " + ", ".join(known)


def build(cls: type[T], data: Any, where: str, prefix: str, base: str | Path | None = None) -> T:
    """The dataclass ``cls`` from plain data, see :func:`svmixer.config.from_dict`.

    Args:
        where: what to call the source in errors.
        prefix: dotted names of the sections around it, with a dot behind each.
        base: file that names of other files in ``data`` are relative to.

    Raises:
        ConfigError: see :func:`svmixer.config.from_dict`.
    """
    if not isinstance(data, dict):
        raise ConfigError(
            f"{where}: {prefix.rstrip('.') or 'top level'}: expected keys and values, found {data!r}"
        )
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    for key in data:
        if key not in fields:
            raise ConfigError(f"{where}: unknown key '{prefix}{key}'; {nearest(str(key), list(fields))}")
    values = {}
    for name, field in fields.items():
        if name in data:
            values[name] = _convert(hints[name], data[name], where, prefix + name, base)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where}: missing key '{prefix}{name}'")
    try:
        return cls(**values)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"{where}: {prefix}{error}") from None


class Text(str):
    """A value from the command line: what it means depends on the type of the field that it is for."""

    def parsed(self, where: str, key: str) -> Any:
        """The value that it would be in a YAML file."""
        try:
            return yaml_value(str(self))
        except ValueError as error:
            raise ConfigError(f"{where}: {key}: {str(self)!r} is not YAML: {error}") from None


def _convert(hint: Any, value: Any, where: str, key: str, base: str | Path | None) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(value, Text):
        # Text stays text: YAML would make nothing of "" and a number of "007".
        if hint is str:
            return str(value)
        parsed = value.parsed(where, key)
        if origin not in (typing.Union, types.UnionType) or parsed is None:
            value = parsed
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        rest = [arg for arg in args if arg is not type(None)]
        errors = []
        for arg in rest:
            try:
                return _convert(arg, value, where, key, base)
            except ConfigError as error:
                errors.append(error)
        raise errors[0]
    if dataclasses.is_dataclass(hint):
        if isinstance(value, hint):
            return value
        if isinstance(value, str):
            path = find_yaml(value, base)
            return build(hint, read_yaml(path), str(path), "", path)
        return build(hint, value, where, key + ".", base)
    if origin in (tuple, list):
        return _convert_sequence(origin, args, value, where, key, base)
    if origin is dict or hint is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: {key}: expected keys and values, found {value!r}")
        # No field says what such a value is: text from the command line means what YAML makes of it.
        return {
            name: item.parsed(where, f"{key}.{name}") if isinstance(item, Text) else item
            for name, item in value.items()
        }
    if origin is typing.Literal:
        if value not in args:
            raise ConfigError(f"{where}: {key}: '{value}' is none of {', '.join(map(repr, args))}")
        return value
    return _scalar(hint, value, where, key)


def _convert_sequence(origin: Any, args: Any, value: Any, where: str, key: str, base: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{where}: {key}: expected a list, found {value!r}")
    if origin is tuple and args and args[-1] is not Ellipsis:
        if len(value) != len(args):
            raise ConfigError(f"{where}: {key}: expected {len(args)} values, found {len(value)}")
        return tuple(
            _convert(a, v, where, f"{key}[{i}]", base)
            for i, (a, v) in enumerate(zip(args, value, strict=True))
        )
    return origin(_convert(args[0], item, where, f"{key}[{i}]", base) for i, item in enumerate(value))


def _scalar(hint: Any, value: Any, where: str, key: str) -> Any:
    if hint is bool:
        if isinstance(value, bool):
            return value
        text = str(value).lower()
        if text in TRUE | FALSE:
            return text in TRUE
        raise ConfigError(f"{where}: {key}: expected true or false, found {value!r}")
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        if not -_INTEGERS <= value < _INTEGERS:
            raise ConfigError(f"{where}: {key}: {value} is more than 64 bits hold")
        return value
    if hint in (int, float) and not isinstance(value, bool):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = None
        # No field has a use for them, and every comparison with NaN is false: it passes any check of a range.
        if number is not None and not math.isfinite(number):
            raise ConfigError(f"{where}: {key}: expected a finite number, found {value!r}")
        if number is not None and hint is float:
            return number
        if number is not None and number == int(number):
            return _scalar(int, int(number), where, key)
    if hint is str and isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    if hint is typing.Any or (
        isinstance(hint, type) and isinstance(value, hint) and not isinstance(value, bool)
    ):
        return value
    raise ConfigError(f"{where}: {key}: expected {getattr(hint, '__name__', hint)}, found {value!r}")
