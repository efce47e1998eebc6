"""Configurations: frozen dataclasses filled from YAML files and ``--key value`` overrides, every key checked.

A configuration is a frozen dataclass whose fields carry one comment each, on the line(s) above or at the end
of the line. Nested dataclasses make sections. ``load`` reads a YAML file, applies overrides with dotted names
(``student.layers=3``) and refuses a key that no field reads, naming the nearest valid one. The same comments
make the command-line help, so help cannot drift.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import sys
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import yaml

from svmixer.yaml_files import ConfigError, find_yaml, read_yaml, yaml_value

T = TypeVar("T")

_TRUE, _FALSE = {"true", "yes", "1"}, {"false", "no", "0"}


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
    return _build(cls, data, where, "")


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
    for key, text in (overrides or {}).items():
        section = data
        *parents, last = key.split(".")
        for parent in parents:
            if not isinstance(section.get(parent), dict):
                # A section given as a file name is opened here so that a single key of it can be overridden.
                name = section.get(parent)
                section[parent] = read_yaml(find_yaml(name, path)) if isinstance(name, str) else {}
            section = section[parent]
        section[last] = _Text(text) if isinstance(text, str) else text
    return _build(cls, data, str(path or "command line"), "", base=path)


def save(config: Any, path: str | Path) -> None:
    """Write a dataclass as YAML, atomically."""
    from svmixer.fileio import atomic_write

    with atomic_write(path) as stream:
        yaml.safe_dump(to_dict(config), stream, sort_keys=False, allow_unicode=True, width=100)


def parse_args(cls: type[T], argv: list[str] | None = None, description: str = "") -> T:
    """Command line of a stage script: ``--config FILE`` and ``--key value`` for every field of ``cls``.

    Dashes in a key may stand for underscores; ``--help`` prints every key with its comment and default. An
    unknown key or a bad value ends the program with one line on standard error and exit status 2.
    """
    argv = sys.argv[1:] if argv is None else argv
    if "-h" in argv or "--help" in argv:
        print(help_text(cls, description))
        raise SystemExit(0)
    overrides: dict[str, str] = {}
    path = None
    items = iter(argv)
    try:
        for item in items:
            if not item.startswith("--"):
                raise ConfigError(f"unexpected argument {item!r} (options are --key value)")
            key, equals, value = item[2:].partition("=")
            key = key.replace("-", "_")
            if not equals:
                value = next(items, None)
                if value is None:
                    raise ConfigError(f"option --{key} needs a value")
            if key == "config":
                path = value
            else:
                overrides[key] = value
        return load(cls, path, overrides)
    except ConfigError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        raise SystemExit(2) from None


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
    """Field name → its comment, read from the source of the class and of those that it extends."""
    comments: dict[str, str] = {}
    above: list[str] = []
    sources = (inspect.getsource(base) for base in reversed(cls.__mro__) if dataclasses.is_dataclass(base))
    for line in "".join(sources).splitlines():
        code, _, comment = line.strip().partition("#")
        name = code.partition(":")[0].strip()
        if not code and comment:
            above.append(comment.strip())
        else:
            if name.isidentifier() and ":" in code:
                comments[name] = " ".join([*above, comment.strip()] if comment else above)
            above = []
    return comments


def nearest(name: str, known: list[str]) -> str:
    """`` (did you mean 'x'?)`` for the closest known name, or the list when nothing is close."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else "known: " + ", ".join(known)


def _build(cls: type[T], data: Any, where: str, prefix: str, base: str | Path | None = None) -> T:
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


class _Text(str):
    """A value from the command line: what it means depends on the type of the field that it is for."""

    def parsed(self, where: str, key: str) -> Any:
        """The value that it would be in a YAML file."""
        try:
            return yaml_value(str(self))
        except ValueError as error:
            raise ConfigError(f"{where}: {key}: {str(self)!r} is not YAML: {error}") from None


def _convert(hint: Any, value: Any, where: str, key: str, base: str | Path | None) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(value, _Text):
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
            return _build(hint, read_yaml(path), str(path), "", path)
        return _build(hint, value, where, key + ".", base)
    if origin in (tuple, list):
        return _convert_sequence(origin, args, value, where, key, base)
    if origin is dict or hint is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: {key}: expected keys and values, found {value!r}")
        # No field says what such a value is: text from the command line means what YAML makes of it.
        return {
            name: item.parsed(where, f"{key}.{name}") if isinstance(item, _Text) else item
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
        if text in _TRUE | _FALSE:
            return text in _TRUE
        raise ConfigError(f"{where}: {key}: expected true or false, found {value!r}")
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint in (int, float) and not isinstance(value, bool):
        try:
            number = float(value)
            if hint is float:
                return number
            if number == int(number):
                return int(number)
        except (TypeError, ValueError, OverflowError):
            pass
    if hint is str and isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    if hint is typing.Any or (isinstance(hint, type) and isinstance(value, hint)):
        return value
    raise ConfigError(f"{where}: {key}: expected {getattr(hint, '__name__', hint)}, found {value!r}")


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
