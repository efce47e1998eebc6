"""A registry: name → builder, with the nearest known name in the error for an unknown one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from svmixer.config import ConfigError, nearest


class Registry:
    """Builders of one kind of part, looked up by the name that stands in a configuration."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.builders: dict[str, Callable[..., Any]] = {}

    def register(self, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorator that files a builder (a class or a function) under ``name``."""

        def file(builder: Callable[..., Any]) -> Callable[..., Any]:
            if name in self.builders:
                raise ValueError(f"{self.kind} '{name}' is registered twice")
            self.builders[name] = builder
            return builder

        return file

    def __getitem__(self, name: str) -> Callable[..., Any]:
        """The builder called ``name``.

        Raises:
            ConfigError: there is none; the message names the nearest.
        """
        if name not in self.builders:
            raise ConfigError(f"unknown {self.kind} '{name}'; {nearest(name, list(self.builders))}")
        return self.builders[name]
